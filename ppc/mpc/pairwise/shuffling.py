"""A secret shuffle of two parties: each permutes in its turn, through a network of switches that only it sets."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import bits
from ppc.mpc.additive.arithmetic import wrap
from ppc.mpc.pairwise import network
from ppc.mpc.pairwise.transfers import choose, long_pads
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare

Words: TypeAlias = NDArray[np.uint64]

_WORDS_A_MESSAGE: Final = 1 << 22


def shuffle(s: Session, x: AShare) -> AShare:
    """The rows of [x] (n, k) in an order that is random as long as one party is honest: each permutes in its turn.

    The party whose turn it is sets the switches of a permutation network. The other one puts a mask on each wire; a
    switch takes masked values on two wires to the masks of the next two, straight or crossed, by one transfer of the
    differences. What comes out is the permuted share under the last masks.

    Cost: 2 rounds for each 2**22 words, and for each party one message of 16 n k log2(n) bytes and n log2(n) transfers
    that the other chooses (n rounded up to a power of two). Threat: semi-honest. Leaks: n, k.
    Source: Huang, Evans, Katz (NDSS 2012), §IV, and Mohassel, Sadeghian (EUROCRYPT 2013), §4 (switches by transfers);
    the network: Beneš (1964), Waksman (1968).
    """
    n, k = x.shape
    if n < 2 or not k:
        return x
    words = x.parts[0]
    size = 1 << (n - 1).bit_length()
    for turn in (0, 1):
        if s.rank == turn:
            order = np.arange(size)
            order[:n] = s.private_stream.permutation(n)
            words = words[order[:n]] + _permute(s, order, k)[:n]
        else:
            words = _mask(s, np.concatenate([words, np.zeros((size - n, k), np.uint64)]))[:n]
    return wrap(s, words, x.frac_bits)


def _runs(layers: int, size: int, k: int) -> list[range]:
    """Layers that travel together."""
    step = max(1, _WORDS_A_MESSAGE // (size * k))
    return [range(at, min(layers, at + step)) for at in range(0, layers, step)]


def _permute(s: Session, order: NDArray[np.int64], k: int) -> Words:
    """The permuting party: the other's rows in this order, under masks."""
    switches = network.route(order)
    layers, pairs = switches.shape
    size = len(order)
    m = bits.words_for(pairs)
    (values,) = s.transfer("shuffle/rows", {}, {1 - s.rank: [np.empty((size, k), np.uint64)]})[1 - s.rank]
    for run in _runs(layers, size, k):
        packed = np.stack([bits.pack(switches[i]) for i in run])
        t, _ = choose(s, "shuffle", packed.reshape(-1), 0)
        like = np.empty((len(run), pairs, 2 * k), np.uint64)
        (tau,) = s.transfer("shuffle/switches", {}, {1 - s.rank: [like]})[1 - s.rank]
        for j, i in enumerate(run):
            h = long_pads(s, t[64 * m * j : 64 * m * j + pairs], 2 * k)[:, : 2 * k]
            moved = network.ahead(values, i, layers)
            crossed = switches[i][:, None, None]
            moved = np.where(crossed, moved[:, ::-1], moved)
            moved += (h + np.where(crossed[:, :, 0], tau[j], np.uint64(0))).reshape(pairs, 2, k)
            values = network.behind(moved, i, layers)
    return values


def _mask(s: Session, words: Words) -> Words:
    """The other party: what it keeps, less the masks that went out."""
    size, k = words.shape
    layers, pairs = network.layers(size), size // 2
    m = bits.words_for(pairs)
    masks = s.private_stream.uint64((size, k))
    s.transfer("shuffle/rows", {1 - s.rank: [words + masks]}, {})
    for run in _runs(layers, size, k):
        _, q = choose(s, "shuffle", np.zeros(0, np.uint64), len(run) * m)
        tau = np.empty((len(run), pairs, 2 * k), np.uint64)
        for j, i in enumerate(run):
            rows = q[64 * m * j : 64 * m * j + pairs]
            h0 = long_pads(s, rows, 2 * k)[:, : 2 * k].reshape(pairs, 2, k)
            h1 = long_pads(s, rows, 2 * k, other=True)[:, : 2 * k]
            before = network.ahead(masks, i, layers)
            after = before + h0
            tau[j] = (after - before[:, ::-1]).reshape(pairs, 2 * k) - h1
            masks = network.behind(after, i, layers)
        s.transfer("shuffle/switches", {1 - s.rank: [tau]}, {})
    return np.negative(masks)
