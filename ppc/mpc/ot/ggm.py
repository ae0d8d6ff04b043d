"""Punctured trees: the sender knows every leaf of a binary tree of pseudo-random keys, the receiver all but one.

A node x has the children π₀(x) ⊕ x and π₁(x) ⊕ x (`ppc.core.aes.mmo` under two public keys of the session). For each
level the sender has the sum of all left nodes and the sum of all right ones; by an oblivious transfer the receiver
gets the sum on the side where its path does not go, and subtracts what it can compute: that leaves the sibling of its
path's node. So it can compute everything except its path.

Many trees of the same number of leaves are grown together, level by level. A tree whose leaves are no power of two is
cut on the right: level l of d has ⌈leaves / 2^(d−l)⌉ nodes.

Threat: semi-honest. Leaks: the number and size of the trees.
Cost: one transfer of 32 bytes a level and tree, in one message from sender to receiver.
Source: Goldreich, Goldwasser, Micali, JACM 1986; Boyle, Couteau, Gilboa, Ishai, Kohl, Rindal, Scholl, CCS 2019
    (puncturing by OT); Guo, Katz, Wang, Yu, S&P 2020 (fixed-key AES for it).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ppc.core import aes

Words = NDArray[np.uint64]
Keys = tuple[bytes, bytes]


def depth_of(leaves: int) -> int:
    """Levels below the root of a tree of `leaves` > 1."""
    return max(1, (leaves - 1).bit_length())


def path_sides(positions: NDArray[np.int64], leaves: int) -> NDArray[np.uint8]:
    """The way from the root to each leaf: (trees, depth) of 0 (left) and 1."""
    depth = depth_of(leaves)
    shifts = np.arange(depth - 1, -1, -1)
    return ((positions[:, None] >> shifts[None, :]) & 1).astype(np.uint8)


def grow(roots: Words, leaves: int, keys: Keys) -> tuple[Words, Words]:
    """All leaves (trees, leaves, 2), and the sums (trees, depth, 2, 2): [tree, level, side, word]."""
    depth = depth_of(leaves)
    nodes = roots.reshape(-1, 1, 2)
    sums = np.empty((len(roots), depth, 2, 2), np.uint64)
    for level in range(depth):
        nodes, sums[:, level] = _children(nodes, _width(leaves, depth, level + 1), keys)
    return nodes, sums


def grow_punctured(positions: NDArray[np.int64], sums: Words, leaves: int, keys: Keys) -> Words:
    """All leaves (trees, leaves, 2) except that of each tree's position, which is zero.

    Args: sums: (trees, depth, 2), of each level the sum on the side where the path does not go.
    """
    depth = depth_of(leaves)
    trees = np.arange(len(positions))
    sides = path_sides(positions, leaves)
    nodes = np.zeros((len(positions), 1, 2), np.uint64)
    path = np.zeros(len(positions), np.int64)
    for level in range(depth):
        width = _width(leaves, depth, level + 1)
        nodes, computed = _children(nodes, width, keys)
        side = sides[:, level].astype(np.int64)
        # The children of the unknown node were computed from zero: take them out of the sum, and set them right.
        sibling = 2 * path + 1 - side
        inside = sibling < width
        known = computed[trees, 1 - side]
        known[inside] ^= nodes[trees[inside], sibling[inside]]
        nodes[trees[inside], sibling[inside]] = sums[inside, level] ^ known[inside]
        path = 2 * path + side
        nodes[trees, path] = 0
    return nodes


def _width(leaves: int, depth: int, level: int) -> int:
    return -(-leaves >> (depth - level)) if level < depth else leaves


def _children(nodes: Words, width: int, keys: Keys) -> tuple[Words, Words]:
    from ppc.mpc.ot import _kernels

    flat = np.ascontiguousarray(nodes).reshape(-1, 2)
    left, right = (aes.mmo(key, flat).reshape(nodes.shape) for key in keys)
    out = np.empty((nodes.shape[0], width, 2), np.uint64)
    sums = np.empty((nodes.shape[0], 2, 2), np.uint64)
    _kernels.interleave(left, right, width, out, sums)
    return out, sums
