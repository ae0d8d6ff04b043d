"""How well a score tells bad from good: AUC, KS, lift, calibration, stability, confusion at a cutoff.

Everywhere a label is 1 for bad (the event) and 0 for good, a higher score means riskier, and `weight` gives each row
a weight (`None`: 1 each). Ties in the score are one threshold, so no figure depends on the order of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from ppc.errors import ConfigError, LabelError, ValueRangeError

Array = NDArray[np.float64]

EMPTY_SHARE: Final = 1e-4  # stands for an empty group in the population stability index, whose logarithm needs one


def check_label(label: NDArray[Any], *, where: str = "label") -> Array:
    """The label as float64 (n,) of 0 and 1, with both present.

    Raises:
        LabelError: missing values, other values than 0 and 1, or one class only.
    """
    y = np.asarray(label, dtype=np.float64)
    if y.ndim != 1 or len(y) == 0:
        raise LabelError(f"a label is a non-empty column, not an array of shape {y.shape}", where=where)
    if np.isnan(y).any():
        raise LabelError("the label has missing values", where=where, hint="drop these rows before the job")
    if not np.isin(y, (0.0, 1.0)).all():
        raise LabelError("the label must be 0 (good) or 1 (bad)", where=where)
    if y.min() == y.max():
        raise LabelError("the label holds one class only", where=where)
    return y


def check_weight(weight: NDArray[Any] | None, rows: int, *, where: str = "weight") -> Array:
    """Weights as float64 (rows,); ones for `None`.

    Raises:
        ValueRangeError: another length, or a weight that is not finite and positive.
    """
    if weight is None:
        return np.ones(rows)
    w = np.asarray(weight, dtype=np.float64)
    if w.shape != (rows,):
        raise ValueRangeError(f"expected {rows} weights, got an array of shape {w.shape}", where=where)
    if not (np.isfinite(w) & (w > 0)).all():
        raise ValueRangeError("every weight must be finite and greater than 0", where=where)
    return w


def _checked(label: NDArray[Any], score: NDArray[Any], weight: NDArray[Any] | None) -> tuple[Array, Array, Array]:
    y = check_label(label)
    s = _score(score)
    if s.shape != y.shape:
        raise ValueRangeError(f"expected {len(y)} scores, got an array of shape {s.shape}", where="score")
    return y, s, check_weight(weight, len(y))


def _score(score: NDArray[Any]) -> Array:
    s = np.asarray(score, dtype=np.float64)
    if s.ndim != 1 or len(s) == 0 or not np.isfinite(s).all():
        raise ValueRangeError("scores must be a non-empty column of finite numbers", where="score")
    return s


def _probability(p: Array) -> None:
    if not (p.min() >= 0 and p.max() <= 1):
        raise ValueRangeError("probabilities must lie between 0 and 1", where="score")


@dataclass(frozen=True)
class Curve:
    """Cumulative shares from the riskiest score down; each array is (t + 1,) and starts with nothing selected.

    `threshold[i]`: rows with a score of at least this are selected (infinity selects none). `bad` is the share of
    bads selected (true positive rate), `good` that of goods (false positive rate), `rows` that of all weight.
    """

    threshold: Array
    bad: Array
    good: Array
    rows: Array


def curve(label: NDArray[Any], score: NDArray[Any], weight: NDArray[Any] | None = None) -> Curve:
    """The ROC, KS and gains curves in one: a point for every distinct score.

    Raises:
        LabelError, ValueRangeError: see `check_label`, `check_weight`; scores must be finite.
    """
    y, s, w = _checked(label, score, weight)
    order = np.argsort(-s, kind="stable")
    s, y, w = s[order], y[order], w[order]
    last = np.append(np.flatnonzero(np.diff(s)), len(s) - 1)  # the last row of each block of ties
    bad = np.concatenate([[0.0], np.cumsum(w * y)[last]])
    good = np.concatenate([[0.0], np.cumsum(w * (1 - y))[last]])
    return Curve(
        threshold=np.concatenate([[np.inf], s[last]]),
        bad=bad / bad[-1],
        good=good / good[-1],
        rows=(bad + good) / (bad[-1] + good[-1]),
    )


def auc(label: NDArray[Any], score: NDArray[Any], weight: NDArray[Any] | None = None) -> float:
    """The chance that a random bad scores above a random good, ties counting half: the area under the ROC curve."""
    return area(curve(label, score, weight))


def area(c: Curve) -> float:
    """The area under the ROC curve `c`, by trapezoids, which is exact with ties."""
    return float(np.sum(np.diff(c.good) * (c.bad[1:] + c.bad[:-1])) / 2)


def gini(label: NDArray[Any], score: NDArray[Any], weight: NDArray[Any] | None = None) -> float:
    """2 · AUC - 1, also called the accuracy ratio."""
    return 2 * auc(label, score, weight) - 1


def ks(label: NDArray[Any], score: NDArray[Any], weight: NDArray[Any] | None = None) -> tuple[float, float]:
    """The Kolmogorov–Smirnov distance between the scores of bads and goods, and the threshold where it is reached."""
    return distance(curve(label, score, weight))


def distance(c: Curve) -> tuple[float, float]:
    """The greatest gap between the bads and goods selected on `c`, and its threshold."""
    gap = np.abs(c.bad - c.good)
    at = int(np.argmax(gap))
    return float(gap[at]), float(c.threshold[at])


@dataclass(frozen=True)
class Gains:
    """Equal parts of the population from the riskiest down, each array (groups,).

    `rows` is the share of the population up to and with the group, `captured` the share of all bads in it, `bad_rate`
    the bad rate within the group, `lift` that rate over the overall one, `cumulative_lift` the same up to the group.
    """

    rows: Array
    captured: Array
    bad_rate: Array
    lift: Array
    cumulative_lift: Array


def gains(label: NDArray[Any], score: NDArray[Any], weight: NDArray[Any] | None = None, *, groups: int = 10) -> Gains:
    """Gains and lift in `groups` equal parts. A block of ties that a border cuts is spread evenly over both sides."""
    if not groups >= 1:
        raise ConfigError("the number of groups must be at least 1")
    y, _, w = _checked(label, score, weight)
    c = curve(label, score, weight)
    rows = np.arange(1, groups + 1) / groups
    captured = np.interp(rows, c.rows, c.bad)
    part = np.diff(captured, prepend=0.0)
    overall = float((w * y).sum() / w.sum())
    return Gains(
        rows=rows,
        captured=captured,
        bad_rate=part * groups * overall,
        lift=part * groups,
        cumulative_lift=captured / rows,
    )


@dataclass(frozen=True)
class Calibration:
    """Predicted and observed bad rate by group of probability; each array (groups,), empty groups left out."""

    weight: Array
    predicted: Array
    observed: Array


def calibration(
    label: NDArray[Any],
    probability: NDArray[Any],
    weight: NDArray[Any] | None = None,
    *,
    groups: int = 10,
    cut: Literal["quantile", "uniform"] = "quantile",
) -> Calibration:
    """Mean predicted probability against the observed bad rate, in groups of equal size or of equal width."""
    y, p, w = _checked(label, probability, weight)
    _probability(p)
    if not groups >= 1:
        raise ConfigError("the number of groups must be at least 1")
    if cut == "quantile":
        edges = np.quantile(p, np.arange(1, groups) / groups)
    elif cut == "uniform":
        edges = np.arange(1, groups) / groups
    else:
        raise ConfigError(f"unknown way to cut: '{cut}'")
    index = np.searchsorted(edges, p, side="left")
    total = np.bincount(index, weights=w, minlength=groups).astype(np.float64)
    used = total > 0
    predicted = np.bincount(index, weights=w * p, minlength=groups)[used] / total[used]
    observed = np.bincount(index, weights=w * y, minlength=groups)[used] / total[used]
    return Calibration(total[used], predicted, observed)


def brier(label: NDArray[Any], probability: NDArray[Any], weight: NDArray[Any] | None = None) -> float:
    """The mean squared error of the probabilities. Source: Brier, Monthly Weather Review 78, 1950."""
    y, p, w = _checked(label, probability, weight)
    _probability(p)
    return float(np.average((p - y) ** 2, weights=w))


def log_loss(label: NDArray[Any], probability: NDArray[Any], weight: NDArray[Any] | None = None) -> float:
    """The mean negative log-likelihood, in nats; probabilities are kept one float step away from 0 and 1."""
    y, p, w = _checked(label, probability, weight)
    _probability(p)
    tiny = np.finfo(np.float64).eps
    p = np.clip(p, tiny, 1 - tiny)
    return float(-np.average(y * np.log(p) + (1 - y) * np.log1p(-p), weights=w))


def hosmer_lemeshow(
    label: NDArray[Any], probability: NDArray[Any], weight: NDArray[Any] | None = None, *, groups: int = 10
) -> tuple[float, float]:
    """The Hosmer–Lemeshow statistic Σ (O - E)² / (E (1 - E/n)) over groups of predicted risk, and its p-value.

    The p-value is that of chi-square with (groups - 2) degrees of freedom, right for the data a model was fitted on;
    NaN if fewer than three groups can be told apart. Infinite if a group's prediction is impossible.
    Source: Hosmer & Lemeshow, Communications in Statistics A9, 1980.
    """
    from scipy.special import chdtrc

    c = calibration(label, probability, weight, groups=groups)
    expected, observed = c.weight * c.predicted, c.weight * c.observed
    spread = expected * (1 - c.predicted)
    off = (observed - expected) ** 2
    terms = np.divide(off, spread, out=np.where(off > 0, np.inf, 0.0), where=spread > 0)
    statistic = float(terms.sum())
    freedom = len(terms) - 2
    return statistic, float(chdtrc(freedom, statistic)) if freedom > 0 else float("nan")


@dataclass(frozen=True)
class Stability:
    """The population stability index and the shares it came from, by group of score; each array (groups,)."""

    psi: float
    edges: Array
    expected: Array
    actual: Array


def stability(
    expected: NDArray[Any],
    actual: NDArray[Any],
    *,
    groups: int = 10,
    weight_expected: NDArray[Any] | None = None,
    weight_actual: NDArray[Any] | None = None,
) -> Stability:
    """How far the scores `actual` have moved from `expected`: PSI = Σ (a - e) ln(a / e) over groups.

    Groups are cut at the quantiles of `expected`; an empty one counts as a share of 0.0001. Usual reading: below 0.1
    stable, above 0.25 shifted (Siddiqi 2006, ch. 8).
    """
    if not groups >= 2:
        raise ConfigError("the stability index needs at least 2 groups")
    e, a = _score(expected), _score(actual)
    edges = np.unique(np.quantile(e, np.arange(1, groups) / groups, method="higher"))

    def shares(score: Array, weight: Array) -> Array:
        index = np.searchsorted(edges, score, side="right")
        counts = np.bincount(index, weights=weight, minlength=len(edges) + 1)
        share: Array = counts / counts.sum()
        return share

    share_e = shares(e, check_weight(weight_expected, len(e)))
    share_a = shares(a, check_weight(weight_actual, len(a)))
    psi = stability_index(share_e, share_a)
    return Stability(psi, edges, share_e, share_a)


def stability_index(expected: Array, actual: Array) -> float:
    """PSI of two distributions over the same groups; shares of zero count as 0.0001."""
    e, a = np.maximum(expected, EMPTY_SHARE), np.maximum(actual, EMPTY_SHARE)
    return float(np.sum((a - e) * np.log(a / e)))


@dataclass(frozen=True)
class Confusion:
    """Weights of rows by truth and decision at a cutoff, and the rates that follow (NaN where nothing is counted)."""

    cutoff: float
    true_bad: float
    false_bad: float
    true_good: float
    false_good: float

    @property
    def accuracy(self) -> float:
        return _ratio(self.true_bad + self.true_good, self.true_bad + self.false_bad + self.true_good + self.false_good)

    @property
    def precision(self) -> float:
        """Of those called bad, the share that is."""
        return _ratio(self.true_bad, self.true_bad + self.false_bad)

    @property
    def recall(self) -> float:
        """Of the bads, the share called bad (sensitivity)."""
        return _ratio(self.true_bad, self.true_bad + self.false_good)

    @property
    def specificity(self) -> float:
        """Of the goods, the share called good."""
        return _ratio(self.true_good, self.true_good + self.false_bad)

    @property
    def f1(self) -> float:
        return _ratio(2 * self.true_bad, 2 * self.true_bad + self.false_bad + self.false_good)

    @property
    def balanced_accuracy(self) -> float:
        return (self.recall + self.specificity) / 2

    @property
    def matthews(self) -> float:
        """Matthews correlation coefficient, 0 when a row or column of the table is empty."""
        tp, fp, tn, fn = self.true_bad, self.false_bad, self.true_good, self.false_good
        scale = float(np.sqrt(tp + fp) * np.sqrt(tp + fn) * np.sqrt(tn + fp) * np.sqrt(tn + fn))
        return (tp * tn - fp * fn) / scale if scale > 0 else 0.0

    @property
    def approval_rate(self) -> float:
        """The share called good."""
        called = self.true_good + self.false_good
        return _ratio(called, called + self.true_bad + self.false_bad)

    def to_dict(self) -> dict[str, float | None]:
        """The four counts and every rate; a rate that is not defined is `None`."""
        names = ["cutoff", "true_bad", "false_bad", "true_good", "false_good", "accuracy", "precision", "recall"]
        names += ["specificity", "f1", "balanced_accuracy", "matthews", "approval_rate"]
        values = {n: float(getattr(self, n)) for n in names}
        return {n: v if np.isfinite(v) else None for n, v in values.items()}


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")


def confusion(label: NDArray[Any], score: NDArray[Any], cutoff: float, weight: NDArray[Any] | None = None) -> Confusion:
    """The confusion table when rows with a score of at least `cutoff` are called bad."""
    y, s, w = _checked(label, score, weight)
    if not np.isfinite(cutoff):
        raise ConfigError("the cutoff must be a finite number")
    called = s >= cutoff
    return Confusion(
        cutoff=float(cutoff),
        true_bad=float((w * y)[called].sum()),
        false_bad=float((w * (1 - y))[called].sum()),
        true_good=float((w * (1 - y))[~called].sum()),
        false_good=float((w * y)[~called].sum()),
    )
