"""Every figure about a scored sample in one plain dict: what a report draws and a test compares."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ppc.joint.credit import metrics
from ppc.joint.credit.metrics import Array, Curve

CURVE_POINTS: Final = 200  # enough for a plot; figures are computed from every threshold
SCORE_BINS: Final = 20

#: The figures that may be told to a party that does not see the scores: none is about fewer than all rows.
AGGREGATES: Final = (
    "rows",
    "bad_rate",
    "auc",
    "gini",
    "ks",
    "brier",
    "log_loss",
    "hosmer_lemeshow",
    "hosmer_lemeshow_p",
)


def assess(
    label: NDArray[Any],
    probability: NDArray[Any],
    weight: NDArray[Any] | None = None,
    *,
    groups: int = 10,
    cutoff: float | None = None,
) -> dict[str, Any]:
    """All figures of one sample, as plain values; what is not defined is `None`.

    Args:
        label: (n,) 0 or 1, both present.
        probability: (n,) of bad.
        weight: (n,) row weights.
        groups: of lift and calibration.
        cutoff: rows with at least this probability are called bad; default: where the KS distance is reached.

    Raises:
        LabelError, ValueRangeError: see `metrics`.
    """
    y = metrics.check_label(label)
    w = metrics.check_weight(weight, len(y))
    curve = metrics.curve(y, probability, weight)
    distance, threshold = metrics.distance(curve)
    area = metrics.area(curve)
    lemeshow, lemeshow_p = metrics.hosmer_lemeshow(y, probability, weight, groups=groups)
    gains = metrics.gains(y, probability, weight, groups=groups)
    calibration = metrics.calibration(y, probability, weight, groups=groups)
    at = cutoff if cutoff is not None else min(threshold, 1.0)
    return {
        "rows": len(y),
        "bad_rate": float((w * y).sum() / w.sum()),
        "auc": area,
        "gini": 2 * area - 1,
        "ks": distance,
        "ks_threshold": min(threshold, 1.0),
        "brier": metrics.brier(y, probability, weight),
        "log_loss": metrics.log_loss(y, probability, weight),
        "hosmer_lemeshow": _finite(lemeshow),
        "hosmer_lemeshow_p": _finite(lemeshow_p),
        "curve": _thinned(curve),
        "gains": _lists(gains),
        "calibration": _lists(calibration),
        "scores": histogram(y, np.asarray(probability, dtype=np.float64), w),
        "confusion": metrics.confusion(y, probability, at, weight).to_dict(),
    }


def histogram(label: Array, probability: Array, weight: Array) -> dict[str, list[float]]:
    """The distribution of probabilities by class: edges (bins + 1), and each class's weight in every bin."""
    edges = np.linspace(0, 1, SCORE_BINS + 1)
    count = {
        name: np.histogram(probability[label == value], edges, weights=weight[label == value])[0].tolist()
        for name, value in (("good", 0.0), ("bad", 1.0))
    }
    return {"edges": edges.tolist(), **count}


def _thinned(curve: Curve) -> dict[str, list[float]]:
    n = len(curve.bad)
    at = np.unique(np.linspace(0, n - 1, min(n, CURVE_POINTS)).round().astype(np.int64))
    return {"bad": curve.bad[at].tolist(), "good": curve.good[at].tolist(), "rows": curve.rows[at].tolist()}


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _lists(parts: Any) -> dict[str, list[float]]:
    return {name: value.tolist() for name, value in vars(parts).items()}
