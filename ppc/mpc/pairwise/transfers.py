"""Transfers as the protocols use them: chosen ones in both directions at once, pads of their rows, and what both make.

Everything is done both ways at the same time, each party sending as much as it chooses, so that neither waits. Where a
protocol needs one direction only, half of the elements go each way.

Source: derandomised transfers, Beaver (CRYPTO '95); products of correlated transfers, Gilboa (CRYPTO '99); pads by
fixed-key AES, Guo, Katz, Wang, Yu (IEEE S&P 2020), §7.2 and §7.4.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import aes
from ppc.errors import CorrelationError
from ppc.mpc.correlations.pairwise import PairwiseSource
from ppc.mpc.pairwise import _kernels
from ppc.mpc.session import Session
from ppc.net.channel import Spec

Words: TypeAlias = NDArray[np.uint64]
Array: TypeAlias = NDArray[Any]

BLOCK: Final = 1 << 14  # elements each way at a time, in protocols that need 64 transfers for each
_ROWS: Final = 1 << 14  # rows hashed at a time: they stay in the second-level cache


def source(s: Session) -> PairwiseSource:
    """The session's own source."""
    made = s.correlations
    if not isinstance(made, PairwiseSource):
        raise CorrelationError("the pairwise engine needs its own source", hint="Make it with Session.two_party.")
    return made


def swap(s: Session, operation: str, mine: Array, theirs: Spec) -> Array:
    """Send an array and receive another one. One round; one message one way if either is empty."""
    if Spec.of(mine) == theirs:
        return s.exchange(operation, mine)[0][0]
    # A channel exchanges arrays of one size: as much as both have, then the rest of the longer one.
    octets = np.ascontiguousarray(mine).reshape(-1).view(np.uint8)
    common = min(mine.nbytes, theirs.nbytes)
    parts = [s.exchange(operation, octets[:common])[0][0]] if common else []
    if theirs.nbytes > common:
        parts.append(s.publish(operation, 1 - s.rank, None, Spec(np.uint8, theirs.nbytes - common)))
    elif mine.nbytes > common:
        s.publish(operation, s.rank, octets[common:], Spec(np.uint8, mine.nbytes - common))
    whole = parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.zeros(0, np.uint8)
    return whole.view(theirs.dtype).reshape(theirs.shape)


def choose(s: Session, operation: str, choices: Words, sending: int) -> tuple[Words, Words]:
    """Chosen transfers both ways: rows t of my packed choices (m,), and rows q of the other party's, uint64 (64 m, 2).

    t = q' ⊕ choice · Δ' for the other party's rows q'. Cost: 1 round, 1 bit a transfer, and what making them costs.
    """
    made = source(s)
    with s.naming("transfers"):
        q, r, t = made.rows(sending, len(choices))
    flags = swap(s, f"{operation}/choices", choices ^ r, Spec(np.uint64, sending))
    _kernels.shift(q, flags, made.delta)
    return t, q


def pads(s: Session, rows: Words, *, other: bool = False) -> Words:
    """A word for each row: uint64 (n,). With `other`, of the rows ⊕ Δ: the sender's second pads."""
    made = source(s)
    out = np.empty(len(rows), np.uint64)
    delta = made.delta
    for at in range(0, len(rows), _ROWS):
        part = rows[at : at + _ROWS]
        if other:
            part = part ^ delta
        _kernels.low_words(part, aes.encrypt(made.hash_key, part), out[at : at + _ROWS])
    return out


def long_pads(s: Session, rows: Words, width: int, *, other: bool = False) -> Words:
    """`width` words for each row: uint64 (n, width or one more)."""
    made = source(s)
    if other:
        rows = rows ^ made.delta
    inner = aes.encrypt(made.hash_key, rows)
    blocks = np.empty((len(rows), -(-width // 2), 2), np.uint64)
    _kernels.counters(inner, 0, blocks)
    out = aes.encrypt(made.hash_key, blocks.reshape(-1, 2)).reshape(blocks.shape)
    _kernels.fold_in(out, inner)
    return out.reshape(len(rows), -1)


def bit_products(s: Session, words: int, width: int) -> tuple[Words, Words, Words]:
    """Random [a], [b_1 … b_width] and [a b_1 … a b_width] in XOR shares: packed (words,), (width, words) twice.

    A transfer of two random strings is a product: the chooser's pad ⊕ the sender's first one = r · (both of the
    sender's). One transfer each way gives the two cross products; nothing is sent.
    """
    made = source(s)
    with s.naming("transfers"):
        q, a, t = made.rows(words, words)
    b = np.empty((width, words), np.uint64)
    c = np.empty_like(b)
    chosen = np.empty_like(b)
    step = _ROWS // 64
    for at in range(0, words, step):
        stop = min(words, at + step)
        rows = slice(64 * at, 64 * stop)
        h0, h1 = pads(s, q[rows]), pads(s, q[rows], other=True)
        _kernels.low_bits(h0 ^ h1, b[:, at:stop])
        _kernels.low_bits(h0, c[:, at:stop])
        _kernels.low_bits(pads(s, t[rows]), chosen[:, at:stop])
    c ^= chosen
    c ^= a & b
    return a, b, c


def halves(s: Session, n: int) -> tuple[int, slice, slice]:
    """Elements each way (a multiple of 64), and which of 2 · half padded elements I send for and choose for."""
    half = 64 * (-(-n // 128))
    first, second = slice(0, half), slice(half, 2 * half)
    return half, (first if s.rank == 0 else second), (second if s.rank == 0 else first)


def padded(values: Words, n: int) -> Words:
    """Flat values with zeros up to n."""
    flat = values.reshape(-1)
    if flat.size == n:
        return flat
    out = np.zeros(n, np.uint64)
    out[: flat.size] = flat
    return out


def blocks(n: int, size: int = BLOCK) -> Iterator[slice]:
    """0 … n in pieces."""
    for at in range(0, n, size):
        yield slice(at, min(n, at + size))
