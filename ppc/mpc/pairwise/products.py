"""Products of what one party knows with what the other knows, by correlated transfers.

For each bit i of the chooser's number the sender's number x enters as the difference of two pads, so that the chooser's
pad is h, or h + x if its bit is set; shifted by i and added up, the pads are shares of the product. Bit i needs 64 - i
bits only.

Threat: semi-honest. Leaks: shapes.
Source: Gilboa (CRYPTO '99), §4; correlated transfers for it: Asharov, Lindell, Schneider, Zohner (CCS 2013); narrowing
words: Demmler, Schneider, Zohner, ABY (NDSS 2015), §III.A.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import bits
from ppc.mpc.pairwise import _kernels
from ppc.mpc.pairwise.transfers import blocks, choose, halves, long_pads, padded, pads, swap
from ppc.mpc.session import Session
from ppc.net.channel import Spec

Words: TypeAlias = NDArray[np.uint64]

_VECTOR_ROWS: Final = 1 << 12  # rows of a product at a time
_VECTOR_PADS: Final = 1 << 17  # elements times rows at a time: 38 MB of corrections


def planes(bits_: int) -> int:
    """Bytes an element of corrections for the lowest `bits_` bits."""
    return sum((71 - i) // 8 for i in range(bits_))


def both_ways(s: Session, operation: str, mine: Words, other: Words) -> Words:
    """Shares of my `mine` times their `other`, plus their `mine` times my `other`; flat, of one length everywhere.

    Cost: for each 2**14 elements 2 rounds; 8 + 292 bytes an element, and 64 transfers each way.
    """
    n = mine.size
    size = 64 * bits.words_for(n)
    x, y, out = padded(mine, size), padded(other, size), np.zeros(size, np.uint64)
    for cut in blocks(size):
        kept, got = _apart(s, operation, [x[cut]], [bits.slice_bits(y[cut])], signed=False)
        out[cut] = kept + got
    return out[:n]


def across(s: Session, operation: str, mine: Words) -> Words:
    """Shares of the product of both parties' `mine`, elementwise: for half of them each party chooses.

    Cost: half of `both_ways`.
    """
    n = mine.size
    half, sends, chooses = halves(s, n)
    v, out = padded(mine, 2 * half), np.zeros(2 * half, np.uint64)
    for cut in blocks(half):
        kept, got = _apart(s, operation, [v[sends][cut]], [bits.slice_bits(v[chooses][cut])], signed=False)
        out[sends][cut] = kept
        out[chooses][cut] = got
    return out[:n]


def sums_across(s: Session, operation: str, factors: Words, small: Words, width: int) -> Words:
    """Shares of Σ_k factors_k · small_k: the sender's `factors` (terms, n), the chooser's signed `small` of `width`.

    Both are given by both parties; half of the elements go each way. Cost: for each 2**14 elements a party 2 rounds,
    and for each term and element half of (width / 8 + corrections of about 8 width bytes) and `width` transfers.
    """
    n = factors.shape[1]
    half, sends, chooses = halves(s, n)
    f = np.stack([padded(row, 2 * half) for row in factors])
    v = np.stack([padded(row, 2 * half) for row in small])
    out = np.zeros(2 * half, np.uint64)
    for cut in blocks(half):
        chosen = [bits.slice_bits(row[chooses][cut])[:width] for row in v]
        kept, got = _apart(s, operation, [row[sends][cut] for row in f], chosen, signed=True)
        out[sends][cut] = kept
        out[chooses][cut] = got
    return out[:n]


def _apart(
    s: Session, operation: str, factors: list[Words], chosen: list[Words], *, signed: bool
) -> tuple[Words, Words]:
    """My share of my factors times their chosen bits, and of their factors times mine, summed over the terms."""
    width, m = chosen[0].shape
    n, terms = 64 * m, len(factors)
    t, q = choose(s, operation, np.concatenate(chosen).reshape(-1), terms * width * m)
    per = planes(width) * n
    octets = np.empty(terms * per, np.uint8)
    kept, got = np.zeros(n, np.uint64), np.zeros(n, np.uint64)
    for k in range(terms):
        rows = q[k * width * n : (k + 1) * width * n]
        h0, h1 = pads(s, rows).reshape(width, n), pads(s, rows, other=True).reshape(width, n)
        _kernels.product_send(factors[k], h0, h1, signed, octets[k * per : (k + 1) * per], kept)
    (came,) = s.exchange(operation, octets)[0]
    for k in range(terms):
        h = pads(s, t[k * width * n : (k + 1) * width * n]).reshape(width, n)
        _kernels.product_choose(chosen[k], h, came[k * per : (k + 1) * per], got)
    return kept, got


@dataclass(frozen=True, slots=True)
class Shape:
    """A matrix product: (n, d) of the sender times (d, k) of the chooser. Zeros: there is none in this direction."""

    n: int = 0
    d: int = 0
    k: int = 0


def columns(
    s: Session, operation: str, x: Words | None, y: Words | None, sending: Shape, choosing: Shape
) -> tuple[Words, Words]:
    """Shares of my x (n, d) times their y, and of their x times my y (d, k): (n, k) each, of either direction's shape.

    The chooser's numbers enter by their bits, and each bit brings a whole column of the sender.

    Cost: 2 rounds for each 2**17 products; d k / 8 · 64 bytes, 292 n d k bytes of corrections, 64 d k transfers.
    """
    kept = np.zeros((sending.n, sending.k), np.uint64)
    got = np.zeros((choosing.n, choosing.k), np.uint64)
    mine, theirs = list(_pieces(sending)), list(_pieces(choosing))
    for i in range(max(len(mine), len(theirs))):
        out = mine[i] if i < len(mine) else None
        into = theirs[i] if i < len(theirs) else None
        a, b = _piece(s, operation, x, y, out, into, sending.k, choosing.k)
        if out is not None:
            kept[out[0]] += a
        if into is not None:
            got[into[0]] += b
    return kept, got


def _pieces(shape: Shape) -> list[tuple[slice, slice]]:
    """Runs of rows and of the chooser's rows (columns of the sender)."""
    if not (shape.n and shape.d and shape.k):
        return []
    rows = list(blocks(shape.n, _VECTOR_ROWS))
    wide = min(shape.n, _VECTOR_ROWS)
    run = max(1, _VECTOR_PADS // (wide * shape.k))
    return [(r, c) for r in rows for c in blocks(shape.d, run)]


def _piece(
    s: Session,
    operation: str,
    x: Words | None,
    y: Words | None,
    out: tuple[slice, slice] | None,
    into: tuple[slice, slice] | None,
    k_out: int,
    k_into: int,
) -> tuple[Words, Words]:
    m_out = bits.words_for((out[1].stop - out[1].start) * k_out) if out else 0
    chosen = np.zeros((64, 0), np.uint64)
    if into is not None and y is not None:
        chosen = bits.slice_bits(np.ascontiguousarray(y[into[1]]))
    m_in = chosen.shape[1]
    t, q = choose(s, operation, chosen.reshape(-1), 64 * m_out)
    octets, kept = np.zeros(0, np.uint8), np.zeros((0, 0), np.uint64)
    if out is not None and x is not None:
        xt = np.ascontiguousarray(x[out[0], out[1]].T)
        octets, kept = _send_columns(s, q, xt, k_out, 64 * m_out)
    size = 0
    if into is not None:
        size = planes(64) * (into[1].stop - into[1].start) * k_into * (into[0].stop - into[0].start)
    came = swap(s, operation, octets, Spec(np.uint8, size))
    got = np.zeros((0, 0), np.uint64)
    if into is not None:
        count = (into[1].stop - into[1].start) * k_into
        got = _choose_columns(s, t, chosen, came, count, into[0].stop - into[0].start, k_into, 64 * m_in)
    return kept.T, got.T


def _classes() -> list[tuple[int, int, Any]]:
    """Bits that need the same number of bytes: (first, last + 1, bytes)."""
    return [(8 * a, 8 * a + 8, 8 - a) for a in range(8)]


def _send_columns(s: Session, q: Words, xt: Words, k: int, each: int) -> tuple[NDArray[np.uint8], Words]:
    d, n = xt.shape
    count = d * k
    acc = np.zeros((k, n), np.uint64)
    octets = np.empty(planes(64) * count * n, np.uint8)
    at = 0
    for i in range(64):
        wide = (71 - i) // 8
        rows = q[i * each : i * each + count]
        h0, h1 = long_pads(s, rows, n), long_pads(s, rows, n, other=True)
        part = octets[at : at + wide * count * n].reshape(wide, count, n)
        _kernels.column_send(xt, h0, h1, k, i, part, acc)
        at += wide * count * n
    return octets, acc


def _choose_columns(
    s: Session, t: Words, chosen: Words, came: NDArray[np.uint8], count: int, n: int, k: int, each: int
) -> Words:
    acc = np.zeros((k, n), np.uint64)
    at = 0
    for i in range(64):
        wide = (71 - i) // 8
        h = long_pads(s, t[i * each : i * each + count], n)
        _kernels.column_choose(chosen[i], h, k, i, came[at : at + wide * count * n].reshape(wide, count, n), acc)
        at += wide * count * n
    return acc
