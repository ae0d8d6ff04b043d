"""From a feature to its WOE table: the two halves of binning, which the clear and the joint way share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ppc.errors import TypeMismatchError
from ppc.joint.credit.binning import Binning, Codes, FeatureValues
from ppc.joint.credit.coarsen import MergeRule, Trend, coarsen
from ppc.joint.credit.counts import Counts, WoeTable, tally
from ppc.joint.credit.prebin import prebin

if TYPE_CHECKING:
    from ppc.dataset.dataset import Dataset

Method = Literal["optimal", "chi_merge", "equal_frequency", "equal_width"]


@dataclass(frozen=True)
class BinningRule:
    """How one feature is binned. See `prebin` and `MergeRule` for what each part means.

    `method`: `optimal` (highest IV under a trend) or `chi_merge` over `prebins` fine bins of equal frequency, or
    `max_bins` bins of `equal_frequency` or `equal_width` without a look at the labels.
    """

    method: Method = "optimal"
    prebins: int = 20
    max_bins: int = 8
    min_share: float = 0.05
    min_rows: int = 20
    trend: Trend = "auto"
    significance: float = 0.05
    specials: tuple[float | str, ...] = ()

    @property
    def supervised(self) -> bool:
        """Whether labels decide where the final bins are."""
        return self.method in ("optimal", "chi_merge")

    @property
    def most_fine_bins(self) -> int:
        """No fine binning of any feature has more bins: regular ones, specials, missing, never seen."""
        return (self.prebins if self.supervised else self.max_bins) + len(self.specials) + 2

    def fine(self, values: FeatureValues, name: str) -> Binning:
        """The bins in which labels are counted; made without labels. Errors as `prebin`."""
        return prebin(
            values,
            name=name,
            method="equal_width" if self.method == "equal_width" else "equal_frequency",
            bins=self.prebins if self.supervised else self.max_bins,
            min_rows=self.min_rows,
            specials=self.specials,
        )

    def final(self, fine: Binning, counts: Counts) -> WoeTable:
        """The final bins with WOE and IV, from the counts in the fine bins.

        Raises:
            LabelError: the counts hold one class only.
        """
        rule = MergeRule(
            "chi_merge" if self.method == "chi_merge" else "optimal" if self.method == "optimal" else "keep",
            self.max_bins,
            self.min_share,
            self.trend,
            self.significance,
        )
        return WoeTable.of(*coarsen(fine, counts, rule))

    def fit(
        self, values: FeatureValues, label: NDArray[np.float64], name: str, weight: NDArray[np.float64] | None = None
    ) -> WoeTable:
        """Both halves in the clear, by one party that has the feature and the label: label (n,) of 0 and 1."""
        fine = self.fine(values, name)
        return self.final(fine, tally(fine.apply(values), fine.n_bins, label, weight))


def feature_values(dataset: Dataset, name: str, *, categorical: bool = False) -> FeatureValues:
    """A column as numbers (null: NaN), or as categories if it is text or `categorical` is set.

    Raises:
        TypeMismatchError: neither numbers nor text.
    """
    field = dataset.schema[name]
    if field.is_numeric and not categorical:
        return dataset.numpy(name)
    if field.type != "string" and not field.is_numeric:
        raise TypeMismatchError(
            f"column '{name}' is of type {field.type}; a feature is a number or text",
            where=f"dataset '{dataset.name}', column '{name}'",
        )
    return _codes(dataset.column(name))


def _codes(column: Any) -> Codes:
    import pyarrow as pa

    encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return Codes(codes, tuple(encoded.dictionary.to_pylist()))


def take(values: FeatureValues, rows: NDArray[np.int64]) -> FeatureValues:
    """Some rows of a feature."""
    return values.take(rows) if isinstance(values, Codes) else values[rows]
