"""Goods and bads by intervals of the score, when nobody may know which rows match: what figures are computed from.

Scores stay shares. How many matched goods and bads have scores below each of 63 public thresholds is counted on shares;
neighbouring intervals with few rows are joined before anything is told. Figures that need every score exactly (AUC, KS)
follow from 64 intervals within about 1e-3; see docs/credit.md.

The score of an interval is a public number, where a normal distribution would have its mean. The true mean is not told:
who knows the scores of its own rows, as a label holder does of a model of its own features, would look for the rows
that have this mean, and of some twenty in an interval one choice fits (docs/decisions/0016).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ppc.errors import DisclosureRefused
from ppc.joint.credit.frame import Rows
from ppc.mpc import ops
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare

Floats = NDArray[np.float64]

INTERVALS: Final = 64  # of all evaluations in a job together
FEWEST: Final = 4
LEAST_ROWS: Final = 5  # of an interval that is told, as everywhere the least cell of a table
_SPAN: Final = 3.0  # standard deviations on both sides of the mean that thresholds cover
_BITS: Final = 18
_TOLD_BITS: Final = 12  # fraction bits of what is told of all scores together
_WORDS: Final = 1 << 22  # rows times thresholds compared at once: bits and numbers of 32 MB


@dataclass(frozen=True, repr=False, eq=False)
class Grades:
    """Of each interval, lowest scores first: weights of `good` and `bad`, `rows`, and a public `score` of it."""

    good: Floats
    bad: Floats
    rows: Floats
    score: Floats

    def __repr__(self) -> str:
        return f"<Grades {len(self.rows)} intervals>"

    def pseudo(self) -> tuple[Floats, Floats, Floats]:
        """Label, score and weight of two rows for each interval: its bads and its goods at its score."""
        label = np.concatenate([np.ones(len(self.bad)), np.zeros(len(self.good))])
        score, weight = np.tile(self.score, 2), np.concatenate([self.bad, self.good])
        used = weight > 0
        return label[used], score[used], weight[used]


def share_of(evaluations: int) -> int:
    """How many intervals each of a job's evaluations has.

    Counts by one score are of groups without a row in common. Counts by several are equations over who matches, for a
    party that knows the scores of its own rows; enough of them have one solution (`told`).

    Raises: DisclosureRefused: too many evaluations.
    """
    if evaluations * FEWEST > INTERVALS:
        raise DisclosureRefused(
            f"{evaluations} evaluations in a job could tell which rows match; at most {INTERVALS // FEWEST} may be",
            where="step 'evaluate'",
            hint='Evaluate the models that matter, or align with reveal = "intersection".',
        )
    return INTERVALS // max(evaluations, 1)


def thresholds(s: Session, scores: AShare, rows: Rows, intervals: int = INTERVALS) -> Floats:
    """Public thresholds: evenly over three standard deviations around the mean of the matched rows' scores.

    Cost: 7 rounds, 40 bytes a row. Leaks: to all mean and mean square of the scores, to `_TOLD_BITS` fraction bits.
    """
    z = ops.rescale(s, scores, _BITS)
    mine = rows.only(s, z)
    sums = ops.stack([mine.sum(), ops.mul(s, mine, z).sum()])
    # Not all bits of the sums: they are equations over which rows match.
    mean, square = ops.open(s, ops.rescale(s, ops.mul_public(s, sums, 1 / rows.matched), _TOLD_BITS)).tolist()
    spread = max(square - mean**2, 0.0) ** 0.5
    return np.asarray(mean + max(spread, 1e-3) * np.linspace(-_SPAN, _SPAN, intervals - 1))


def grade(
    s: Session, scores: AShare, rows: Rows, columns: Floats | None, holder: int, at: Floats, to: int
) -> Grades | None:
    """Goods and bads in the intervals between the thresholds `at`; told to party `to`, `None` elsewhere.

    Args:
        scores: (rows.n,) shares. columns: at the holder of the label (rank `holder`), the weights of bad and of good
            (own rows, 2): one of each row's two is zero.

    Cost: for each block of rows 5 rounds, 15 bytes for each row and threshold; then 4 rounds for each time that
    intervals are joined (at most 7), and 2.
    Threat: semi-honest. Leaks: to all, which intervals have fewer than LEAST_ROWS matched rows (they are joined with
    their neighbours); to `to` the sums of those that are left.
    """
    z = ops.rescale(s, scores, _BITS)
    mine = None
    if columns is not None:
        mine = rows.spread(np.column_stack([columns, np.ones(len(columns))]))
    labels = ops.share(s, mine, holder, (rows.n, 3), frac_bits=_BITS, name="label")
    counted = rows.only(s, labels)
    below: AShare | None = None
    step = max(1, _WORDS // len(at))
    for start in range(0, rows.n, step):
        part = slice(start, min(start + step, rows.n))
        flags = ops.b2a(s, ops.stack_bits(ops.less_than_each(s, z[part], list(at))))
        found = ops.matmul(s, flags, counted[part])
        below = found if below is None else below + found
    total = counted.sum(axis=0, keepdims=True)
    cumulative = total if below is None else ops.concatenate([below, total])
    first = cumulative[:1]
    sums = ops.concatenate([first, cumulative[1:] - cumulative[:-1]])
    joined_, middles = _joined(s, sums, _middles(at))
    told = ops.reveal(s, joined_, to)
    if told is None:
        return None
    bad, good, n = told.T
    return Grades(good, bad, n.round(), middles[:, 0] / middles[:, 1])


def _middles(at: Floats) -> Floats:
    """The middle of each interval between thresholds, times its weight, and its weight: (intervals, 2).

    Weights are those of a normal distribution, for where intervals are joined.
    """
    step = at[1] - at[0]
    middle = np.append(at - step / 2, at[-1] + step / 2)
    weight = np.exp(-0.5 * np.linspace(-_SPAN, _SPAN, len(middle)) ** 2)
    return np.column_stack([middle * weight, weight])


def _joined(s: Session, sums: AShare, public: Floats) -> tuple[AShare, Floats]:
    """Neighbours of (intervals, columns) joined until each has LEAST_ROWS rows, which the third column counts.

    `public`, what is known of the intervals, is added up with them.
    """
    while True:
        small = ops.open_bits(s, ops.less_than(s, sums[:, 2], LEAST_ROWS))
        if not small.any():
            return sums, public
        if len(sums) == 1:
            raise DisclosureRefused(
                f"fewer than {LEAST_ROWS} matched rows are to be evaluated",
                hint="Match more customers, or hold out more.",
            )
        starts = joined(small)
        ends = [*starts[1:], len(small)]
        sums = ops.stack([sums[a:b].sum(axis=0) for a, b in zip(starts, ends, strict=True)])
        public = np.add.reduceat(public, starts, axis=0)


def joined(small: NDArray[np.bool_]) -> list[int]:
    """Where intervals begin after every small one is joined with its right neighbour (the last, with its left one)."""
    starts, waiting = [0], bool(small[0])
    for i in range(1, len(small)):
        if waiting:
            waiting = False
            continue
        if i == len(small) - 1 and small[i]:
            continue
        starts.append(i)
        waiting = bool(small[i])
    return starts
