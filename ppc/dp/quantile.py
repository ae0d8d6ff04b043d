"""Quantiles: one of many candidate values, chosen by how evenly it splits the rows.

For a probability p = a/q the score of a candidate c is −|(q − a)·below(c) − a·above(c) − q·shift|: 0 where the share
below c is p. One row moves the score by at most max(a, q − a). Source: Smith, "Privacy-preserving statistical
estimation with optimal convergence rates", STOC 2011.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ppc.dataset import types
from ppc.dataset.schema import Schema
from ppc.dp import query as q
from ppc.dp.budget import Price
from ppc.dp.engines.base import Exact, Key, Number, Term
from ppc.dp.noise import Selection, selection, split
from ppc.dp.parts import bounds_of
from ppc.dp.unit import Reach


@dataclass(frozen=True)
class QuantilePart:
    """Quantiles of one column, ready to be measured.

    Args:
        aggregate: what is asked.
        number: the column as the index of the nearest candidate.
        figures: a name for each probability.
    """

    aggregate: q.Quantiles
    number: Number
    figures: tuple[str, ...]

    @property
    def key(self) -> Key:
        """The candidates as cells, after those of the query."""
        return Key(self.number.column, number=self.number)

    @property
    def term(self) -> Term:
        """What is added up: rows."""
        return Term()

    @property
    def candidates(self) -> NDArray[np.float64]:
        """The values that may come out, rising, shape (number.most + 1,)."""
        return self.number.low + np.arange(self.number.most + 1) / self.number.scale

    def choices(self, price: Price, reach: Reach) -> list[Choice]:
        """What is chosen, each with its part of the price."""
        weights = [w for _ in self.aggregate.probs for w in ((2, 1, 1) if self.aggregate.interval else (1,))]
        prices = iter(split(price, weights))
        out = []
        for p in self.aggregate.probs:
            share = Fraction(round(p * 10_000), 10_000)
            middle = _choice(share, 0.0, next(prices), reach, self.number.most + 1)
            out.append(middle)
            if self.aggregate.interval:
                low, high = next(prices), next(prices)
                error = _choice(share, 0.0, low, reach, self.number.most + 1).rank_error(0.025)
                out.append(_choice(share, -error, low, reach, self.number.most + 1))
                out.append(_choice(share, error, high, reach, self.number.most + 1))
        return out

    def release(self, counts: Exact, choices: list[Choice]) -> tuple[NDArray[np.float64], ...]:
        """Values, lower and upper ends, each of shape (probs, cells).

        Args:
            counts: exact rows by candidate, shape (cells, candidates).
            choices: of `choices`.
        """
        n, cells = len(self.aggregate.probs), counts.shape[0]
        out = np.full((3, n, cells), math.nan)
        values = self.candidates
        each = 3 if self.aggregate.interval else 1
        for cell in range(cells):
            rows = np.array(counts[cell], dtype=np.int64)
            below = np.cumsum(rows) - rows
            above = rows.sum() - rows - below
            for i in range(n):
                for j in range(each):
                    out[j, i, cell] = values[choices[i * each + j].pick(below, above)]
        if each == 3:  # the ends are chosen apart, so they can be out of order
            return out[0], out.min(axis=0), out.max(axis=0)
        return out[0], out[1], out[2]


@dataclass(frozen=True)
class Choice:
    """One candidate to choose: the one with a share `prob` of the rows below it, and `shift` rows more."""

    prob: Fraction
    shift: int
    sensitivity: int
    selection: Selection
    candidates: int

    def pick(self, below: NDArray[np.int64], above: NDArray[np.int64]) -> int:
        """The index of the candidate."""
        a, b = self.prob.numerator, self.prob.denominator
        return self.selection.choose(-np.abs((b - a) * below - a * above - b * self.shift))

    def rank_error(self, chance: float) -> int:
        """By how many rows the choice is off, except with this chance: score within scale·log(candidates/chance) of the
        best. Source: Dwork, Roth 2014, corollary 3.12; permute-and-flip is never worse."""
        bound = self.selection.scale * math.log(self.candidates / chance)
        return math.ceil(bound / self.prob.denominator)


def _choice(prob: Fraction, shift: float, price: Price, reach: Reach, candidates: int) -> Choice:
    # One row below c moves (b − a)·below − a·above by b − a, one above it by a. The rows of one unit may lie in several
    # cells of the query: with r of its `rows` rows a cell loses ε·r/rows, and these add up to ε.
    sensitivity = max(prob.numerator, prob.denominator - prob.numerator) * reach.rows
    return Choice(prob, round(shift), sensitivity, selection(price, sensitivity), candidates)


def build(aggregate: q.Quantiles, schema: Schema) -> QuantilePart:
    """The part that measures quantiles."""
    low, high = bounds_of(schema, aggregate.column, aggregate.bounds, aggregate.label)
    kind = schema[aggregate.column].type
    whole = (types.is_integer(kind) or kind == "bool") and low.is_integer() and high.is_integer()
    last = aggregate.candidates - 1
    if whole and high - low <= last:
        number = Number(aggregate.column, low, high, low, 1.0, integer=True)
    else:
        number = Number(aggregate.column, low, high, low, last / (high - low))
    names = tuple(
        f"median({aggregate.column})" if p == 0.5 else f"quantile({aggregate.column},{p:g})" for p in aggregate.probs
    )
    return QuantilePart(aggregate, number, names)
