"""Products of large matrices by encryption: the chooser encrypts its matrix, the sender multiplies by its own.

A product of two polynomials holds many inner products. With blocks x (nw, dw) and y (dw, kw), nw · dw · kw <= 8192,

    X = sum x[r, j] t**(r dw + j),    Y = sum y[j, c] t**(c nw dw + dw - 1 - j),

the coefficient of X Y at c nw dw + r dw + dw - 1 is the sum over j of x[r, j] y[j, c].

Threat: semi-honest; ring-LWE with 128-bit security (`ppc.mpc.lattice.rlwe`), and the sender's matrix hidden by
noise: N results are within 2**-45 sqrt(N) of what the shapes and the results alone would give, see there.
Leaks: the shapes.
Source: Huang, Lu, Hong, Ding, "Cheetah" (USENIX Security 2022), §3.1; the cheapest block sizes by search.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import rng
from ppc.errors import ProtocolAbort
from ppc.mpc.lattice import rlwe
from ppc.mpc.pairwise.products import Shape
from ppc.mpc.pairwise.transfers import blocks, source, swap
from ppc.mpc.session import Session
from ppc.net.channel import Spec

Words: TypeAlias = NDArray[np.uint64]

_LIMBS: Final = len(rlwe.PRIMES)
_LONGEST: Final = 1 << 12  # terms of a sum in one answer
_AT_ONCE: Final = 512  # ciphertexts in a message: 100 MB

# Milliseconds (measured): a plain polynomial, a ciphertext made and sent, an answer made, sent and read, a product.
_PLAIN, _CIPHERTEXT, _ANSWER, _PRODUCT = 0.5, 1.4, 3.3, 0.08


@dataclass(frozen=True)
class Layout:
    """How an (n, d) matrix times a (d, k) one falls into blocks."""

    shape: Shape
    nw: int
    dw: int
    kw: int

    @property
    def parts(self) -> tuple[int, int, int]:
        """Blocks in each direction."""
        return -(-self.shape.n // self.nw), -(-self.shape.d // self.dw), -(-self.shape.k // self.kw)

    @property
    def ciphertexts(self) -> int:
        """From the chooser."""
        _, d, k = self.parts
        return d * k

    @property
    def answers(self) -> int:
        """From the sender."""
        n, _, k = self.parts
        return n * k

    @property
    def terms(self) -> int:
        """Coefficients of the sender in one answer: each brings an error of the chooser's into every result of it."""
        return self.nw * self.dw * self.parts[1]

    @property
    def milliseconds(self) -> float:
        """About what it takes both parties together."""
        n, d, k = self.parts
        return _PLAIN * n * d + _CIPHERTEXT * d * k + _ANSWER * n * k + _PRODUCT * n * d * k

    @property
    def places(self) -> NDArray[np.int64]:
        """Where results stand: (kw · nw,), column by column."""
        c, r = np.arange(self.kw)[:, None], np.arange(self.nw)[None, :]
        places: NDArray[np.int64] = (c * self.nw * self.dw + r * self.dw + self.dw - 1).reshape(-1)
        return places


@cache
def layout(n: int, d: int, k: int) -> Layout:
    """The cheapest blocks."""
    best = None
    shape = Shape(n, d, k)
    for kw in _sizes(k, rlwe.DEGREE):
        for dw in _sizes(d, rlwe.DEGREE // kw):
            nw = min(n, rlwe.DEGREE // (kw * dw))
            nw = -(-n // -(-n // nw))  # no more than fills the last block evenly
            found = Layout(shape, nw, dw, kw)
            if best is None or found.milliseconds < best.milliseconds:
                best = found
    if best is None:
        raise ProtocolAbort("a product of empty matrices needs no blocks", where="matmul")
    return best


def _sizes(n: int, most: int) -> Iterator[int]:
    """Widths that cut n into ever fewer even blocks."""
    last = 0
    for parts in range(1, n + 1):
        size = -(-n // parts)
        if size != last and size <= most:
            last = size
            yield size
        if parts > 64 and size * 64 < most:
            return


@dataclass(frozen=True, eq=False)
class Keys:
    """This party's key, and what it needs to multiply under the other's."""

    mine: rlwe.Key
    theirs: rlwe.Evaluator


def _keys(s: Session) -> Keys:
    """Made at the first use. Cost: 1 round, 197 kB."""
    made = source(s)
    if not isinstance(made.lattice, Keys):
        seed = rng.random_key()
        key = rlwe.Key(rng.os_stream(), seed)
        theirs, public = s.exchange("lattice/key", np.frombuffer(seed, np.uint64).copy(), key.public)[0]
        _residues(s, public)
        made.lattice = Keys(key, rlwe.Evaluator(rng.os_stream(), theirs.tobytes(), public))
    return made.lattice


def _residues(s: Session, words: Words) -> Words:
    """What came, if each word is below its prime."""
    for i, q in enumerate(rlwe.PRIMES):
        if not (words[..., i, :] < np.uint64(q)).all():
            raise ProtocolAbort(
                "a ciphertext is not of this ring", where="frame of ring-LWE ciphertexts", party=s.parties[1 - s.rank]
            )
    return words


def columns(
    s: Session, operation: str, x: Words | None, y: Words | None, sending: Shape, choosing: Shape
) -> tuple[Words, Words]:
    """As `ppc.mpc.pairwise.products.columns`: shares of my x times their y, and of their x times my y.

    Cost: 2 rounds for each 512 ciphertexts; 197 kB for each ciphertext and a little more for each answer.
    """
    kept = np.zeros((sending.n, sending.k), np.uint64)
    got = np.zeros((choosing.n, choosing.k), np.uint64)
    mine, theirs = _pieces(sending), _pieces(choosing)
    for i in range(max(len(mine), len(theirs))):
        out = mine[i] if i < len(mine) else None
        into = theirs[i] if i < len(theirs) else None
        a, b = _piece(s, operation, x, y, out, into)
        if out is not None:
            kept[out[0], out[2]] += a
        if into is not None:
            got[into[0], into[2]] += b
    return kept, got


def _pieces(shape: Shape) -> list[tuple[slice, slice, slice]]:
    """Runs of n, d and k that are multiplied at once: within the noise, and not too many ciphertexts a message."""
    if not (shape.n and shape.d and shape.k):
        return []
    n, d, k = shape.n, min(shape.d, _LONGEST), shape.k
    while max((found := layout(n, d, k)).answers, found.ciphertexts) > _AT_ONCE or found.terms > rlwe.MOST_TERMS:
        if found.terms > rlwe.MOST_TERMS:
            d = -(-d // 2)
        elif found.answers > _AT_ONCE and n >= k:
            n = -(-n // 2)
        elif k > 1:
            k = -(-k // 2)
        elif d > 1:
            d = -(-d // 2)
        else:
            break
    return [(a, b, c) for a in blocks(shape.n, n) for b in blocks(shape.d, d) for c in blocks(shape.k, k)]


def _plan(piece: tuple[slice, slice, slice]) -> Layout:
    return layout(*(part.stop - part.start for part in piece))


def _piece(
    s: Session,
    operation: str,
    x: Words | None,
    y: Words | None,
    out: tuple[slice, slice, slice] | None,
    into: tuple[slice, slice, slice] | None,
) -> tuple[Words, Words]:
    keys = _keys(s)
    empty = np.zeros((0, _LIMBS, rlwe.DEGREE), np.uint64)
    ours = empty
    if into is not None and y is not None:
        ours = np.stack([keys.mine.encrypt(m) for m in _messages(_plan(into), y[into[1], into[2]])])
    count = _plan(out).ciphertexts if out is not None else 0
    came = _residues(s, swap(s, f"{operation}/encrypted", ours, Spec(np.uint64, (count, _LIMBS, rlwe.DEGREE))))
    answer_a, answer_b, kept = empty, np.zeros((0, _LIMBS, 0), np.uint64), np.zeros((0, 0), np.uint64)
    if out is not None and x is not None:
        answer_a, answer_b, kept = _answer(s, keys.theirs, _plan(out), came, x[out[0], out[1]])
    shape_a, shape_b = (0, _LIMBS, rlwe.DEGREE), (0, _LIMBS, 0)
    if into is not None:
        plan = _plan(into)
        shape_a, shape_b = (plan.answers, *shape_a[1:]), (plan.answers, _LIMBS, plan.nw * plan.kw)
    theirs_a = _residues(s, swap(s, f"{operation}/answers", answer_a, Spec(np.uint64, shape_a)))
    theirs_b = _residues(s, swap(s, f"{operation}/results", answer_b, Spec(np.uint64, shape_b)))
    got = np.zeros((0, 0), np.uint64)
    if into is not None:
        plan, places = _plan(into), _plan(into).places
        told = np.stack([keys.mine.decrypt(a, b, places) for a, b in zip(theirs_a, theirs_b, strict=True)])
        got = _gathered(plan, told)
    return kept, got


def _messages(plan: Layout, y: Words) -> Iterator[Words]:
    """The chooser's polynomials, block rows first."""
    _, d, k = plan.parts
    for i in range(d):
        for c in range(k):
            block = y[i * plan.dw : (i + 1) * plan.dw, c * plan.kw : (c + 1) * plan.kw]
            out = np.zeros((plan.kw, plan.nw, plan.dw), np.uint64)
            out[: block.shape[1], 0, plan.dw - block.shape[0] :] = block[::-1].T
            yield _padded(out)


def _padded(values: Words) -> Words:
    out = np.zeros(rlwe.DEGREE, np.uint64)
    out[: values.size] = values.reshape(-1)
    return out


def _answer(s: Session, evaluator: rlwe.Evaluator, plan: Layout, came: Words, x: Words) -> tuple[Words, Words, Words]:
    """Answers (a, b), and this party's share (n, k)."""
    n, d, k = plan.parts
    ciphertexts = evaluator.complete(came)
    places = plan.places
    masks = s.private_stream.uint64((n * k, len(places)))
    a = np.empty((n * k, _LIMBS, rlwe.DEGREE), np.uint64)
    b = np.empty((n * k, _LIMBS, len(places)), np.uint64)
    for r in range(n):
        rows = [
            rlwe.plain(_block(plan, x[r * plan.nw : (r + 1) * plan.nw, i * plan.dw : (i + 1) * plan.dw]))
            for i in range(d)
        ]
        for c in range(k):
            pairs = [(ciphertexts[i * k + c], rows[i]) for i in range(d)]
            a[r * k + c], b[r * k + c] = evaluator.combine(pairs, places, masks[r * k + c])
    return a, b, _gathered(plan, masks)


def _block(plan: Layout, x: Words) -> Words:
    """The sender's polynomial. A short last block stands where its columns meet those of the chooser's."""
    out = np.zeros((plan.nw, plan.dw), np.uint64)
    out[: x.shape[0], : x.shape[1]] = x
    return _padded(out)


def _gathered(plan: Layout, told: Words) -> Words:
    """The product (n, k) of results by block, (blocks, kw · nw)."""
    n, _, k = plan.parts
    whole = told.reshape(n, k, plan.kw, plan.nw).transpose(0, 3, 1, 2).reshape(n * plan.nw, k * plan.kw)
    return whole[: plan.shape.n, : plan.shape.k]
