"""Scorecard points: a logistic model on WOE features written as whole numbers that add up.

    score = offset - factor · ln(odds of bad),   factor = pdo / ln 2,   offset = base_score - factor · ln(base_odds)

so that a customer whose odds good : bad are `base_odds` has `base_score`, and `pdo` points more double those odds.
A bin is worth -factor · coefficient · woe, and the base -factor · intercept + offset. A higher score is a better risk.
Source: Siddiqi, Credit Risk Scorecards, Wiley 2006, ch. 6.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppc.errors import ColumnError, ConfigError, ModelFileError, did_you_mean
from ppc.joint.credit.binning import Binning, FeatureValues
from ppc.joint.credit.counts import WoeTable

FORMAT = "ppc-scorecard/1"


@dataclass(frozen=True)
class Scaling:
    """`base_odds` are good : bad odds (50 means 50 : 1); `pdo` the points that double them.

    `digits` is the number of decimals of points: 0 for whole points, `None` for no rounding.
    """

    base_score: float = 600.0
    base_odds: float = 50.0
    pdo: float = 20.0
    digits: int | None = 0

    def __post_init__(self) -> None:
        if not math.isfinite(self.base_score):
            raise ConfigError("the base score must be a finite number")
        if not (math.isfinite(self.base_odds) and self.base_odds > 0):
            raise ConfigError("the base odds must be a finite number greater than 0")
        if not (math.isfinite(self.pdo) and self.pdo > 0):
            raise ConfigError("the points to double the odds must be a finite number greater than 0")
        if self.digits is not None and not 0 <= self.digits <= 12:
            raise ConfigError("digits must be between 0 and 12, or none")

    @property
    def factor(self) -> float:
        """Points for one unit of log odds."""
        return self.pdo / math.log(2)

    @property
    def offset(self) -> float:
        """The score at even odds."""
        return self.base_score - self.factor * math.log(self.base_odds)

    def base_points(self, intercept: float) -> float:
        """Points that every customer starts with."""
        return float(self._rounded(np.asarray(self.offset - self.factor * intercept)))

    def bin_points(self, woe: NDArray[np.float64], coefficient: float) -> NDArray[np.float64]:
        """Points of each bin of a feature."""
        return self._rounded(-self.factor * coefficient * woe)

    def _rounded(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        exact = points if self.digits is None else np.round(points, self.digits)
        return exact + 0.0  # -0.0 becomes 0.0

    def probability(self, score: NDArray[np.float64]) -> NDArray[np.float64]:
        """The probability of bad that a score stands for (up to the rounding of its points)."""
        log_odds = (self.offset - score) / self.factor
        # The logistic function by tanh does not overflow on either side.
        result: NDArray[np.float64] = 0.5 * (1 + np.tanh(log_odds / 2))
        return result


@dataclass(frozen=True)
class FeaturePoints:
    """One feature of a scorecard: points by bin. Private to the feature's owner."""

    binning: Binning
    coefficient: float
    woe: NDArray[np.float64]
    points: NDArray[np.float64]

    def score(self, values: FeatureValues) -> NDArray[np.float64]:
        """The points of each row: (n,) float64."""
        return self.points[self.binning.apply(values)]


@dataclass(frozen=True)
class Scorecard:
    """One party's half of a scorecard: points for its own features, and the base points if it holds them."""

    scaling: Scaling
    base_points: float | None
    features: Mapping[str, FeaturePoints]

    @staticmethod
    def of(
        tables: Mapping[str, WoeTable], coefficients: Mapping[str, float], intercept: float | None, scaling: Scaling
    ) -> Scorecard:
        """The points of the features in `coefficients`, which maps a feature to its coefficient in the model.

        Raises:
            ColumnError: a feature without a WOE table.
        """
        for name in coefficients:
            if name not in tables:
                raise ColumnError(
                    "no WOE table for a feature of the model", where=name, hint=did_you_mean(name, tables)
                )
        return Scorecard(
            scaling=scaling,
            base_points=None if intercept is None else scaling.base_points(intercept),
            features={
                name: FeaturePoints(
                    tables[name].binning, float(c), tables[name].woe, scaling.bin_points(tables[name].woe, float(c))
                )
                for name, c in coefficients.items()
            },
        )

    def score(self, values: Mapping[str, FeatureValues], rows: int) -> NDArray[np.float64]:
        """This half's points of each row: (rows,) float64. The halves of all parties add up to the score.

        Raises:
            ColumnError: a feature is missing from `values`, or has another number of rows.
        """
        total = np.full(rows, self.base_points or 0.0)
        for name, feature in self.features.items():
            if name not in values:
                raise ColumnError("a feature of the scorecard is missing", where=name, hint=did_you_mean(name, values))
            if len(values[name]) != rows:
                raise ColumnError(f"expected {rows} rows, got {len(values[name])}", where=name)
            total += feature.score(values[name])
        return total

    def rows(self) -> list[dict[str, Any]]:
        """The card as a table for people: variable, bin, woe, points; the base first, where this half has it."""
        base = [] if self.base_points is None else [{"variable": "base", "bin": "", "points": self.base_points}]
        return base + [
            {"variable": name, "bin": label, "woe": float(f.woe[i]), "points": float(f.points[i])}
            for name, f in self.features.items()
            for i, label in enumerate(f.binning.labels)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain values; `from_dict` gives back the same half, bit for bit."""
        return {
            "format": FORMAT,
            "scaling": {
                "base_score": self.scaling.base_score,
                "base_odds": self.scaling.base_odds,
                "pdo": self.scaling.pdo,
                "digits": self.scaling.digits,
            },
            "base_points": self.base_points,
            "features": [
                {
                    "binning": f.binning.to_dict(),
                    "coefficient": f.coefficient,
                    "woe": f.woe.tolist(),
                    "points": f.points.tolist(),
                }
                for f in self.features.values()
            ],
        }

    @staticmethod
    def from_dict(parts: Mapping[str, Any]) -> Scorecard:
        """The half that `to_dict` described; raises ModelFileError if it is damaged."""
        try:
            if parts["format"] != FORMAT:
                raise ModelFileError("a scorecard of another format", hint=f"this version reads {FORMAT}")
            scaling = Scaling(**parts["scaling"])
            base = parts["base_points"]
            features: dict[str, FeaturePoints] = {}
            for part in parts["features"]:
                binning = Binning.from_dict(part["binning"])
                woe, points = (np.asarray(part[k], dtype=np.float64) for k in ("woe", "points"))
                if not all(v.shape == (binning.n_bins,) and np.isfinite(v).all() for v in (woe, points)):
                    raise ValueError("points do not fit the bins")
                features[binning.name] = FeaturePoints(binning, float(part["coefficient"]), woe, points)
            return Scorecard(scaling, None if base is None else float(base), features)
        except (KeyError, TypeError, ValueError, AttributeError, ConfigError) as error:
            raise ModelFileError("a saved scorecard is damaged") from error
