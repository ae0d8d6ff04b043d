"""Between numbers and bits for two parties: comparison, and bits as numbers and as switches.

Costs are what each party sends, for n elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import bits
from ppc.mpc.additive import arithmetic as shared
from ppc.mpc.additive.boolean import wrap
from ppc.mpc.pairwise import _kernels
from ppc.mpc.pairwise.boolean import and_words
from ppc.mpc.pairwise.transfers import blocks, choose, halves, padded, pads
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare, BShare

Words: TypeAlias = NDArray[np.uint64]

_LOW: Final = np.uint64(2**63 - 1)
_TOP: Final = np.uint64(63)
_AT_ONCE: Final = 2  # thresholds that share their transfers: a pad has room for two
_NIBBLES: Final = 16


def less_than_zero(s: Session, x: AShare, thresholds: Sequence[int]) -> list[BShare]:
    """[x < t] for each public threshold t, in ring units.

    x - t = a + b with a = x_0 - t at party 0 and b = x_1 at party 1. Its sign is the XOR of both top bits and of the
    carry out of the 63 lower ones, which is [~a < b]: one party knows ~a, the other b. They are compared nibble by
    nibble with 1-of-16 transfers of [less] and [equal]; then neighbours merge, less = less' ^ equal' less'', equal =
    equal' equal'', 16 into 8, 4, 2, 1. For half of the elements each party is the one that chooses.

    Cost: 6 rounds for 2**14 elements a party; 36 n bytes and 32 n J more for J thresholds (11 n J in the merging), 47 n
    transfers each way for the first two.
    Threat: semi-honest. Leaks: the shape.
    Source: Rathee and others, CrypTFlow2 (CCS 2020), §3.1, with 1-of-16 transfers of 4 chosen ones each (Naor, Pinkas,
    STOC '99) and triples of one factor in common (§A.1 there).
    """
    if not x.size:
        return [wrap(s, np.zeros(0, np.uint64), x.shape) for _ in thresholds]
    out: list[BShare] = []
    for at in range(0, len(thresholds), _AT_ONCE):
        out += [wrap(s, words, x.shape) for words in _signs(s, x, thresholds[at : at + _AT_ONCE])]
    return out


def _signs(s: Session, x: AShare, thresholds: Sequence[int]) -> list[Words]:
    n = x.size
    half, sends, chooses = halves(s, n)
    flat = padded(x.parts[0], 2 * half)
    own = np.stack([flat - np.uint64(t % 2**64) if s.rank == 0 else flat for t in thresholds])
    below = np.empty((len(own), 2, _NIBBLES, 2 * half // 64), np.uint64)
    packed = [slice(c.start // 64, c.stop // 64) for c in (sends, chooses)]
    for cut in blocks(half):
        words = slice(cut.start // 64, cut.stop // 64)
        mine, theirs = _leaves(s, ~own[:, sends][:, cut] & _LOW, own[:, chooses][:, cut] & _LOW)
        below[:, :, :, packed[0]][..., words] = mine
        below[:, :, :, packed[1]][..., words] = theirs
    less = _merge(s, below)
    m = bits.words_for(n)
    return [(c ^ bits.pack((row >> _TOP).astype(np.bool_)))[:m] for c, row in zip(less, own, strict=True)]


def _leaves(s: Session, u: Words, v: Words) -> tuple[Words, Words]:
    """Shares of [u < v'] and [u = v'], nibble by nibble, for my u and their v', and for their u and my v.

    Packed (J, 2, 16, n / 64) each. Different v for different thresholds (party 0's) do not share transfers.
    """
    count, n = v.shape
    m = n // 64
    send_all, choose_all = (1, count) if s.rank == 0 else (count, 1)
    # Party 1 knows one b for all thresholds; party 0 has an a for each. So who chooses with b chooses once.
    chosen = [bits.slice_bits(v[j]) for j in range(choose_all)]
    t, q = choose(s, "compare/nibbles", np.concatenate(chosen).reshape(-1), send_all * 64 * m)
    masks = s.private_stream.bits((count, 2, _NIBBLES, m))
    out = np.empty((count, _NIBBLES, n), np.uint32)
    for j in range(send_all):
        rows = q[j * 64 * n : (j + 1) * 64 * n]
        h0, h1 = pads(s, rows).reshape(64, n), pads(s, rows, other=True).reshape(64, n)
        part = slice(None) if send_all == 1 else slice(j, j + 1)
        _kernels.leaves_send(u[part], h0, h1, masks[part], out[part])
    (came,) = s.exchange("compare/leaves", out)[0]
    got = np.empty((count, 2, _NIBBLES, m), np.uint64)
    for j in range(choose_all):
        h = pads(s, t[j * 64 * n : (j + 1) * 64 * n]).reshape(64, n)
        part = slice(None) if choose_all == 1 else slice(j, j + 1)
        _kernels.leaves_choose(v[j], h, came[part], got[part])
    return masks, got


def _merge(s: Session, below: Words) -> Words:
    """[less] of the whole, (J, m) packed, from (J, 2, 16, m)."""
    while (k := below.shape[2]) > 1:
        less, equal = below[:, 0], below[:, 1]
        high = equal[:, 1::2].reshape(-1)
        last = k == 2
        low = less[:, 0::2].reshape(1, -1) if last else below[:, :, 0::2].swapaxes(0, 1).reshape(2, -1)
        z = and_words(s, f"compare/{k}", high, low).reshape(len(low), len(below), k // 2, -1)
        merged = less[:, 1::2] ^ z[0]
        below = merged[:, None] if last else np.stack([merged, z[1]], axis=1)
    return below[:, 0, 0]


def b2a(s: Session, x: BShare) -> AShare:
    """[b] as a number: b = b_0 + b_1 - 2 b_0 b_1, the product by one transfer, half of them each way.

    Cost: 2 rounds, 4.1 n bytes, n / 2 transfers each way. Threat: semi-honest. Leaks: the shape.
    Source: Rathee and others, CrypTFlow2 (CCS 2020), §4.1 (B2A by correlated transfers); Gilboa (CRYPTO '99).
    """
    if not x.size:
        return shared.wrap(s, np.zeros(x.shape, np.uint64), 0)
    flags = bits.unpack(x.parts[0], x.size).astype(np.uint64)
    z = bit_across(s, "b2a", flags, np.uint64)
    return shared.wrap(s, (flags - (z << np.uint64(1))).reshape(x.shape), 0)


def bit_across(s: Session, operation: str, flags: Words, dtype: type[np.unsignedinteger]) -> Words:
    """Shares of the product of both parties' bits (n,), modulo the range of `dtype`; half of them go each way.

    Cost: 2 rounds, n / 16 bytes and half a `dtype` an element, n / 2 transfers each way.
    """
    n = flags.size
    half, sends, chooses = halves(s, n)
    v = padded(flags, 2 * half)
    out = np.zeros(2 * half, np.uint64)
    chosen = bits.pack(v[chooses].astype(np.bool_))
    kept, got = _add_chosen(s, operation, v[sends], v[chooses], chosen, dtype)
    out[sends], out[chooses] = kept, got
    return out[:n]


def _add_chosen(
    s: Session, operation: str, x: Words, flags: Words, packed: Words, dtype: type[np.unsignedinteger]
) -> tuple[Words, Words]:
    """My share of my x where their bit is set, and of their x where mine is; (64 m,) each."""
    t, q = choose(s, operation, packed, len(packed))
    h0 = pads(s, q)
    tau = h0 - pads(s, q, other=True) + x
    (came,) = s.exchange(operation, tau.astype(dtype))[0]
    return np.negative(h0), pads(s, t) + came.astype(np.uint64) * flags


def bit_mul(s: Session, bit: BShare, x: AShare) -> AShare:
    """[b x]: for each party's summand x_i, b x_i = b_i x_i + (1 - 2 b_i) x_i b_j, and the other one knows b_j.

    Cost: 2 rounds, 8.1 n bytes, n transfers each way. Threat: semi-honest. Leaks: the shape.
    Source: Rathee and others, CrypTFlow2 (CCS 2020), §3.1.3 (multiplexer), by correlated transfers.
    """
    if not x.size:
        return x
    n = x.size
    size = 64 * bits.words_for(n)
    v = padded(x.parts[0], size)
    flags = padded(bits.unpack(bit.parts[0], n).astype(np.uint64), size)
    own = flags * v
    kept, got = _add_chosen(
        s, "bit_mul", v - (own << np.uint64(1)), flags, bits.pack(flags.astype(np.bool_)), np.uint64
    )
    return shared.wrap(s, (own + kept + got)[:n].reshape(x.shape), x.frac_bits)
