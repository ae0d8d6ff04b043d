"""Debug mode of `run(…, check=True)`: every operation is held against the same operation in the clear, as it happens.

All parties are threads of one process, so their shares can be put together. Each share carries its *twin*: the number
itself in Z_2^128, where it cannot overflow. Sums and other local operations are done on both, and a twin that leaves
the range of the ring is reported at once; every protocol of the engine is checked against the twins of its operands,
for their range and for its stated error. The first that fails is named, with the line of the caller's code. A share
without a twin is not watched: random words, and what `AShare.wrapping` marks, where a wrap is meant. What is truncated
afterwards is watched again.

It shows everything to everybody, so it is for synthetic data in one process, and never between institutions.
"""

from __future__ import annotations

import linecache
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppc.core import bits, ring
from ppc.core.ring import Z128
from ppc.errors import CheckFailed, ConfigError
from ppc.mpc.engine import Engine
from ppc.mpc.fixed import FixedMatrix
from ppc.mpc.profile import caller
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare, BShare, Index

Words: TypeAlias = NDArray[np.uint64]
Flags: TypeAlias = NDArray[np.bool_]

RING_BITS = 64
SIGMOID_ERROR = 7.5e-4  # stated: 7.2e-4; rounding of the result is added


class Referee:
    """Where the parties' threads put their shares together, call by call."""

    def __init__(self, parties: int) -> None:
        self._parties = parties
        self._changed = threading.Condition()
        self._given: dict[int, dict[int, Any]] = {}
        self._taken: dict[int, int] = {}
        self._over = False

    def gather(self, call: int, rank: int, value: Any) -> list[Any]:
        """What every party gave at this call, in rank order."""
        with self._changed:
            self._given.setdefault(call, {})[rank] = value
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._over or len(self._given[call]) == self._parties)
            if self._over:
                raise CheckFailed("another party stopped", where="check")
            got = [self._given[call][r] for r in range(self._parties)]
            self._taken[call] = self._taken.get(call, 0) + 1
            if self._taken[call] == self._parties:
                del self._given[call], self._taken[call]
            return got

    def end(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._over = True
            self._changed.notify_all()


def _line() -> str:
    file, number = caller(sys._getframe(1))
    text = linecache.getline(file, number).strip()
    return f"{Path(file).name}:{number}" + (f"  {text}" if text else "")


def _fail(what: str, operation: str) -> CheckFailed:
    return CheckFailed(
        f"'{operation}': {what}",
        where=_line(),
        hint="rescale what goes in, or use FixedPoint(…, ring_bits=128)" if "range" in what else None,
    )


def _in_range(twin: Words, top: int, operation: str) -> None:
    """-2**top <= x < 2**top for all, or the operation is named."""
    if not _is_within(twin, top):
        raise _fail(f"a value left the range of ±2**{top} in the ring", operation)


def _is_within(twin: Words, top: int) -> bool:
    high = Z128.limbs(ring.shift_right(twin, top))  # 0 or -1
    return bool(((high[..., 0] == high[..., 1]) & (high[..., 0] + np.uint64(1) <= 1)).all())


def _widened(words: Words) -> Words:
    """Signed words of 64 bits in Z_2^128."""
    return Z128.of_integers(words.view(np.int64))


class CheckedShare(AShare):
    """A share with its twin, which is a share in the clear of the ring of 128 bits."""

    __slots__ = ("twin",)

    def __init__(self, share: AShare, twin: AShare) -> None:
        super().__init__(share.parts, share.frac_bits, share.holder, share.mask)
        self.twin = twin

    def joined(self, others: Sequence[AShare], how: Any, axis: int) -> AShare:
        """See `AShare.joined`."""
        return self._both("joined", others, how, axis)

    def matmul_words(self, words: Words, frac_bits: int, left: bool = False) -> AShare:
        """See `AShare.matmul_words`."""
        return self._both("matmul_words", words, frac_bits, left)

    def scale(self, words: Words | np.uint64, frac_bits: int = 0) -> AShare:
        """See `AShare.scale`."""
        return self._both("scale", words, frac_bits)

    def shift_left(self, n: int) -> AShare:
        """See `AShare.shift_left`."""
        return self._both("shift_left", n)

    def reinterpret(self, frac_bits: int) -> AShare:
        """See `AShare.reinterpret`."""
        return self._both("reinterpret", frac_bits)

    def reshape(self, *shape: int | tuple[int, ...]) -> AShare:
        """See `AShare.reshape`."""
        return self._both("reshape", *shape)

    def transpose(self, *axes: int) -> AShare:
        """See `AShare.transpose`."""
        return self._both("transpose", *axes)

    @property
    def T(self) -> AShare:
        """See `AShare.T`."""
        return self._both("transpose")

    def broadcast_to(self, shape: tuple[int, ...]) -> AShare:
        """See `AShare.broadcast_to`."""
        return self if shape == self.shape else self._both("broadcast_to", shape)

    def sum(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> AShare:
        """See `AShare.sum`."""
        return self._both("sum", axis, keepdims)

    def cumsum(self, axis: int | None = None) -> AShare:
        """See `AShare.cumsum`."""
        return self._both("cumsum", axis)

    def __getitem__(self, index: Index) -> AShare:
        return self._both("__getitem__", index)

    def __add__(self, other: AShare | ArrayLike) -> AShare:
        return self._both("__add__", other)

    __radd__ = __add__

    def __sub__(self, other: AShare | ArrayLike) -> AShare:
        return self._both("__sub__", other)

    def __neg__(self) -> AShare:
        return self._both("__neg__")

    def _both(self, name: str, *args: Any) -> AShare:
        """The local operation on the share and on its twin. What mixes with an unwatched share is unwatched."""
        result: AShare = getattr(AShare, name)(self, *args)
        twins = _twins(args)
        if twins is None:
            return AShare(result.parts, result.frac_bits, result.holder)
        twin: AShare = getattr(AShare, name)(self.twin, *twins)
        _in_range(twin.parts[0], RING_BITS - 1, name.strip("_"))
        return CheckedShare(result, twin)


def _twins(args: Sequence[Any]) -> list[Any] | None:
    """The arguments for the twin; `None` if one of them has none."""
    out: list[Any] = []
    for arg in args:
        if isinstance(arg, CheckedShare):
            out.append(arg.twin)
        elif isinstance(arg, AShare):
            return None
        elif isinstance(arg, list) and any(isinstance(x, AShare) for x in arg):
            inner = _twins(arg)
            if inner is None:
                return None
            out.append(inner)
        elif isinstance(arg, np.ndarray | np.generic) and arg.dtype == np.uint64:
            out.append(_widened(np.asarray(arg)))
        else:
            out.append(arg)
    return out


class CheckedEngine:
    """An engine that checks every protocol of another one. Each method is the other's, with what is stated of it."""

    def __init__(self, inner: Engine, referee: Referee) -> None:
        self.name = inner.name
        self._inner = inner
        self._referee = referee
        self._calls = 0
        self._matrices: dict[int, tuple[object, Words]] = {}  # by the identity of the store, which is kept with it

    # --- putting shares together ---
    def _gather(self, s: Session, value: Any) -> list[Any]:
        self._calls += 1
        return self._referee.gather(self._calls, s.rank, value)

    def _value(self, s: Session, x: AShare) -> Words:
        """The ring elements: the sum of every party's first part."""
        parts = self._gather(s, x.parts[0])
        total = np.array(parts[0])
        for part in parts[1:]:
            total = total + part
        return np.asarray(total)

    def _flags(self, s: Session, x: BShare) -> Flags:
        words = np.bitwise_xor.reduce(self._gather(s, x.parts[0]))
        return bits.unpack(words, x.size).astype(bool).reshape(x.shape)

    def _known(self, s: Session, x: AShare, operation: str) -> Words:
        """The twin of an operand. One that came without is put together, as it is."""
        if not isinstance(x, CheckedShare):
            return _widened(self._value(s, x))
        twin = x.twin.parts[0]
        self._agree(self._value(s, x), twin, operation)
        return twin

    @staticmethod
    def _watches(*xs: AShare) -> bool:
        return all(isinstance(x, CheckedShare) for x in xs)

    def _agree(self, value: Words, twin: Words, operation: str, off: int = 0) -> None:
        """The value is the twin, or up to `off` more."""
        more = Z128.to_integers(_widened(value) - twin)
        if not bool(np.all((more >= 0) & (more <= off))):
            raise _fail("a result is off by more than its stated error", operation)

    def _watched(self, share: AShare, twin: Words, operation: str, top: int = RING_BITS - 1) -> AShare:
        _in_range(twin, top, operation)
        return CheckedShare(share, AShare((twin,), share.frac_bits, 0))

    def _adopted(self, s: Session, share: AShare) -> AShare:
        """A result of which nothing more is known: its twin is what it is."""
        return CheckedShare(share, AShare((_widened(self._value(s, share)),), share.frac_bits, 0))

    def _cut(self, s: Session, z: AShare, exact: Words, drop: int, operation: str) -> AShare:
        """A product, exact or truncated: the floor or one more."""
        _in_range(exact, RING_BITS - 2 if drop else RING_BITS - 1, operation)
        floor = ring.shift_right(exact, drop) if drop else exact
        value = self._value(s, z)
        self._agree(value, floor, operation, 1 if drop else 0)
        return self._watched(z, _widened(value), operation)

    def _product(self, x: Words, y: Words, f: Callable[[Words, Words], Words], operation: str) -> Words:
        a, b = np.abs(Z128.to_floats(x)), np.abs(Z128.to_floats(y))
        # Twins are below 2**63, so a product of two fits; a sum of many might not.
        terms = 1 if f is np.multiply else max(1, x.shape[-1] if f is ring.matmul else x.shape[0])
        if not a.max(initial=0.0) * b.max(initial=0.0) * terms < 2.0**126:
            raise _fail(f"a value left the range of ±2**{RING_BITS - 2} in the ring", operation)
        return f(x, y)

    # --- arithmetic ---
    def input(self, s: Session, x: Words | None, owner: int, shape: tuple[int, ...], frac_bits: int) -> AShare:
        """See `Engine`."""
        return self._adopted(s, self._inner.input(s, x, owner, shape, frac_bits))

    def constant(self, s: Session, x: Words, frac_bits: int) -> AShare:
        """See `Engine`."""
        return self._watched(self._inner.constant(s, x, frac_bits), _widened(np.asarray(x)), "constant")

    def random(self, s: Session, shape: tuple[int, ...]) -> AShare:
        """See `Engine`. Whoever uses uniform words counts on the wrap, so their range is not watched."""
        return self._inner.random(s, shape)

    def open(self, s: Session, xs: Sequence[AShare]) -> list[Words]:
        """See `Engine`."""
        twins = [self._known(s, x, "open") for x in xs]
        opened = self._inner.open(s, xs)
        for words, twin in zip(opened, twins, strict=True):
            self._agree(words, twin, "open")
        return opened

    def reveal(self, s: Session, x: AShare, to: int) -> Words | None:
        """See `Engine`."""
        self._known(s, x, "reveal")
        return self._inner.reveal(s, x, to)

    def mul(self, s: Session, x: AShare, y: AShare, drop: int = 0) -> AShare:
        """See `Engine`."""
        if not self._watches(x, y):
            return self._inner.mul(s, x, y, drop)
        exact = self._product(self._known(s, x, "mul"), self._known(s, y, "mul"), np.multiply, "mul")
        return self._cut(s, self._inner.mul(s, x, y, drop), exact, drop, "mul")

    def matmul(self, s: Session, x: AShare, y: AShare, drop: int = 0) -> AShare:
        """See `Engine`."""
        if not self._watches(x, y):
            return self._inner.matmul(s, x, y, drop)
        exact = self._product(self._known(s, x, "matmul"), self._known(s, y, "matmul"), ring.matmul, "matmul")
        return self._cut(s, self._inner.matmul(s, x, y, drop), exact, drop, "matmul")

    def matmul_transposed(self, s: Session, x: AShare, y: AShare, drop: int = 0) -> AShare:
        """See `Engine`."""
        if not self._watches(x, y):
            return self._inner.matmul_transposed(s, x, y, drop)
        left, right = self._known(s, x, "matmul_t"), self._known(s, y, "matmul_t")
        exact = self._product(left, right, ring.matmul_transposed, "matmul_t")
        return self._cut(s, self._inner.matmul_transposed(s, x, y, drop), exact, drop, "matmul_t")

    def truncate(self, s: Session, xs: Sequence[AShare], drop: int) -> list[AShare]:
        """See `Engine`."""
        twins = [self._known(s, x, "truncate") for x in xs]
        watched = [self._watches(x) or _is_within(twin, RING_BITS - 2) for x, twin in zip(xs, twins, strict=True)]
        for twin, watch in zip(twins, watched, strict=True):
            if watch:
                _in_range(twin, RING_BITS - 2, "truncate")
        cut = self._inner.truncate(s, xs, drop)
        return [
            self._cut(s, z, twin, drop, "truncate") if watch else z
            for z, twin, watch in zip(cut, twins, watched, strict=True)
        ]

    def fixed_matrix(
        self, s: Session, x: Words | None, owner: int, shape: tuple[int, int], frac_bits: int
    ) -> FixedMatrix:
        """See `Engine`."""
        f = self._inner.fixed_matrix(s, x, owner, shape, frac_bits)
        words = self._gather(s, None if x is None else x.reshape(shape))[owner]
        self._matrices[id(f.store)] = (f.store, _widened(words))
        return f

    def matmul_fixed(
        self, s: Session, pairs: Sequence[tuple[FixedMatrix, AShare]], transposed: bool, drop: int = 0
    ) -> list[AShare]:
        """See `Engine`."""
        if not self._watches(*(y for _, y in pairs)):
            return self._inner.matmul_fixed(s, pairs, transposed, drop)
        name, f = ("matmul_fixed_t", ring.matmul_transposed) if transposed else ("matmul_fixed", ring.matmul)
        exact = [
            self._product(self._matrices[id(m.store)][1][m.start : m.stop], self._known(s, y, name), f, name)
            for m, y in pairs
        ]
        got = self._inner.matmul_fixed(s, pairs, transposed, drop)
        return [self._cut(s, z, e, drop, name) for z, e in zip(got, exact, strict=True)]

    def shuffle(self, s: Session, x: AShare) -> AShare:
        """See `Engine`."""
        before = Z128.to_integers(self._known(s, x, "shuffle")).tolist()
        out = self._adopted(s, self._inner.shuffle(s, x))
        if sorted(before) != sorted(Z128.to_integers(self._known(s, out, "shuffle")).tolist()):
            raise _fail("the rows are not those that went in", "shuffle")
        return out

    # --- bits ---
    def input_bits(self, s: Session, x: Flags | None, owner: int, shape: tuple[int, ...]) -> BShare:
        """See `Engine`."""
        return self._inner.input_bits(s, x, owner, shape)

    def constant_bits(self, s: Session, x: Flags) -> BShare:
        """See `Engine`."""
        return self._inner.constant_bits(s, x)

    def random_bits(self, s: Session, shape: tuple[int, ...]) -> BShare:
        """See `Engine`."""
        return self._inner.random_bits(s, shape)

    def open_bits(self, s: Session, x: BShare) -> Flags:
        """See `Engine`."""
        return self._same(self._inner.open_bits(s, x), self._flags(s, x), "open_bits")

    def and_(self, s: Session, x: BShare, y: BShare) -> BShare:
        """See `Engine`."""
        wanted = self._flags(s, x) & self._flags(s, y)
        out = self._inner.and_(s, x, y)
        self._same(self._flags(s, out), wanted, "and")
        return out

    def _same(self, got: Flags, wanted: Flags, operation: str) -> Flags:
        if not np.array_equal(got, wanted):
            raise _fail("a bit is wrong", operation)
        return got

    # --- conversions ---
    def less_than_zero(self, s: Session, x: AShare, thresholds: Sequence[int]) -> list[BShare]:
        """See `Engine`."""
        twin = self._known(s, x, "less_than_zero")
        out = self._inner.less_than_zero(s, x, thresholds)
        for t, bit in zip(thresholds, out, strict=True):
            difference = twin - Z128.word(t)
            if isinstance(x, CheckedShare):
                _in_range(difference, RING_BITS - 1, "less_than_zero")
                wanted = Z128.is_negative(difference)
            else:  # of a uniform word the top bit is asked, whatever it means
                wanted = Z128.limbs(difference)[..., 0].view(np.int64) < 0
            self._same(self._flags(s, bit), wanted, "less_than_zero")
        return out

    def b2a(self, s: Session, x: BShare) -> AShare:
        """See `Engine`."""
        flags = Z128.of_integers(self._flags(s, x))
        out = self._inner.b2a(s, x)
        self._agree(self._value(s, out), flags, "b2a")
        return self._watched(out, flags, "b2a")

    def bit_mul(self, s: Session, bit: BShare, x: AShare) -> AShare:
        """See `Engine`."""
        if not self._watches(x):
            return self._inner.bit_mul(s, bit, x)
        chosen = Z128.of_integers(self._flags(s, bit)) * self._known(s, x, "bit_mul")
        out = self._inner.bit_mul(s, bit, x)
        self._agree(self._value(s, out), chosen, "bit_mul")
        return self._watched(out, chosen, "bit_mul")

    def sigmoid(self, s: Session, x: AShare, frac_bits: int) -> AShare:
        """See `Engine`."""
        exact = 0.5 + 0.5 * np.tanh(Z128.to_floats(self._known(s, x, "sigmoid")) / 2.0 ** (x.frac_bits + 1))
        out = self._adopted(s, self._inner.sigmoid(s, x, frac_bits))
        got = Z128.to_floats(self._known(s, out, "sigmoid")) / 2.0**frac_bits
        if not bool((np.abs(got - exact) <= SIGMOID_ERROR + 2.0**-frac_bits).all()):
            raise _fail("a result is off by more than its stated error", "sigmoid")
        return out


def check(s: Session, referee: Referee) -> None:
    """Put a session into debug mode."""
    if s.ring.bits != RING_BITS:
        raise ConfigError("debug mode checks programs in Z_2^64", hint="the twins live in Z_2^128 themselves")
    s.engine = CheckedEngine(s.engine, referee)
