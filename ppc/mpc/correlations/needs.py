"""What a program takes of correlated randomness, so that it can be made ahead of time.

Two sorts of correlations. Those about masks (products, permutations) belong to one number of one program: they are kept
one by one. All others are about fresh elements, so they are kept in pools, by kind and parameters; a request takes the
next elements of its pool, rounded up to 64 so that packed bits are cut at whole words. So a program whose number of
comparisons depends on chance (a sort) runs from a cache, as long as its pools last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ppc.errors import ConfigError
from ppc.mpc.correlations import request
from ppc.mpc.correlations.comparison import Comparison
from ppc.mpc.correlations.kinds import BitTriple, DaBit, Injection, Product, Truncation
from ppc.mpc.correlations.sigmoid import SigmoidSeries
from ppc.mpc.correlations.source import Correlation

if TYPE_CHECKING:
    from ppc.core.fixedpoint import FixedPoint

Item: TypeAlias = tuple[int, Correlation]
PoolKey: TypeAlias = tuple[str, tuple[int, ...]]

ALIGN: Final = 64  # elements
_CHUNK_WORDS: Final = 1 << 20  # a pool is made and read in chunks of about this many words
FIRST_POOL_NUMBER: Final = 1 << 48  # pools' chunks are numbered above all numbers of a program

# Of a pooled kind: a correlation of n elements with given parameters.
_POOLED: Final[dict[str, Callable[..., Correlation]]] = {
    Truncation.kind: Truncation,
    BitTriple.kind: lambda n: BitTriple(n // 64),
    DaBit.kind: DaBit,
    Injection.kind: Injection,
    Comparison.kind: Comparison,
    SigmoidSeries.kind: SigmoidSeries,
}


def pooled(correlation: Correlation) -> tuple[PoolKey, int] | None:
    """The pool of a correlation and how many elements it takes; `None` if it belongs to one number."""
    if correlation.kind not in _POOLED:
        return None
    n, *parameters = correlation.numbers()
    if isinstance(correlation, BitTriple):
        n *= 64
    return (correlation.kind, tuple(parameters)), n


def chunk(key: PoolKey, elements: int) -> Correlation:
    """Elements of a pool as one correlation."""
    return _POOLED[key[0]](elements, *key[1])


def round_up(n: int) -> int:
    """Elements that a request of n uses up."""
    return -(-n // ALIGN) * ALIGN


@dataclass(frozen=True, slots=True)
class Needs:
    """What one run takes: correlations of single numbers, in rising order, and elements of pools."""

    single: tuple[Item, ...]
    pools: tuple[tuple[PoolKey, int], ...]

    @classmethod
    def of(cls, taken: Iterable[Item], *, spare: float = 0.0) -> Needs:
        """The needs of a program that took these; pools get `spare` (0.25: a quarter) more, and 4096 elements."""
        if not 0 <= spare <= 100:
            raise ConfigError(f"spare is a fraction of what was taken, not {spare}", where="spare")
        single: dict[int, Correlation] = {}
        pools: dict[PoolKey, int] = {}
        for number, correlation in taken:
            pool = pooled(correlation)
            if pool is None:
                single[number] = correlation
            else:
                key, n = pool
                pools[key] = pools.get(key, 0) + round_up(n)
        if spare:
            pools = {k: round_up(int(n * (1 + spare)) + 4096) for k, n in pools.items()}
        return cls(tuple(sorted(single.items(), key=lambda item: item[0])), tuple(sorted(pools.items())))

    def items(self) -> list[Item]:
        """Everything as numbered correlations, in the order in which it is kept."""
        out = list(self.single)
        number = FIRST_POOL_NUMBER
        for key, total in self.pools:
            size = chunk_size(key)
            for at in range(0, total, size):
                out.append((number, chunk(key, min(size, total - at))))
                number += 1
        return out

    def to_json(self) -> dict[str, Any]:
        """Plain lists."""
        return {
            "single": [[n, c.kind, *c.numbers()] for n, c in self.single],
            "pools": [[kind, list(parameters), n] for (kind, parameters), n in self.pools],
        }

    @classmethod
    def from_json(cls, parts: Any, parties: int, where: str) -> Needs:
        """What `to_json` wrote, with every number checked.

        Raises:
            FrameError: anything else.
        """
        rows = parts["single"]
        single = tuple(request.items(rows, peer=where, parties=parties)) if rows else ()
        pools = []
        for kind, parameters, n in parts["pools"]:
            units = n // 64 if kind == BitTriple.kind else n
            if kind not in _POOLED or n % ALIGN or not 0 < n < 1 << 50:
                raise ValueError(kind)
            request.items([[1, kind, min(units, 64), *parameters]], peer=where, parties=parties)
            pools.append(((kind, tuple(parameters)), n))
        return cls(single, tuple(pools))

    def summary(self) -> dict[str, int]:
        """How many elements of each kind, for people."""
        out: dict[str, int] = {}
        for _, correlation in self.single:
            name = "words of products" if isinstance(correlation, Product) else "words of permuted rows"
            out[name] = out.get(name, 0) + correlation.derived[0].size
        for key, n in self.pools:
            out[pool_name(key)] = out.get(pool_name(key), 0) + n
        return out


def pool_name(key: PoolKey) -> str:
    """A pool in words: truncations by 18, comparisons with 2 thresholds."""
    kind, parameters = key
    names = {
        Truncation.kind: "truncations by {} bits",
        BitTriple.kind: "bit triples",
        DaBit.kind: "bits as numbers",
        Injection.kind: "bit injections",
        Comparison.kind: "comparisons with {} thresholds",
        SigmoidSeries.kind: "sigmoids of {} fraction bits",
    }
    return names[kind].format(*parameters) + (" in the ring of 128 bits" if parameters[-1:] == (128,) else "")


def chunk_size(key: PoolKey) -> int:
    """Elements of a pool's chunks: about _CHUNK_WORDS words."""
    probe = chunk(key, 64 * ALIGN)
    words = sum(f.size for f in (*probe.uniform, *probe.derived))
    return max(ALIGN, _CHUNK_WORDS * 64 * ALIGN // max(1, words) // ALIGN * ALIGN)


def record(
    program: Callable[..., Any],
    *,
    parties: int | Sequence[str] = 2,
    fx: FixedPoint | None = None,
    spare: float = 0.25,
    traced: bool = True,
) -> Needs:
    """What `program(session)` takes.

    Args:
        traced: follow it from shapes alone (see `ppc.mpc.trace`): owners may give `None` for their values, and what is
            opened is zero. If the program goes on by what it opened, or leaves a loop of `Session.repeat` early, run it
            instead, with all parties in this process, on inputs of the right shapes.
    """
    names = [f"party-{i}" for i in range(parties)] if isinstance(parties, int) else list(parties)

    def watched(s: Any) -> list[Item]:
        with s.watched() as taken:
            program(s)
        return list(taken)

    if traced:
        from ppc.mpc.tracing import session

        return Needs.of(watched(session("additive", names, len(names) - 1, fx)), spare=spare)
    from ppc.mpc.local import run

    return Needs.of(run(watched, parties=names, fx=fx)[-1], spare=spare)
