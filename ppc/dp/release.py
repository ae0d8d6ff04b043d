"""What comes out: figures with their 95% intervals, by group, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ppc.dp.budget import Price
from ppc.errors import ColumnError, QueryError, did_you_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Plot

    from ppc.dataset.dataset import Dataset

_SHOWN = 20


@dataclass(frozen=True)
class Figure:
    """One figure in every group: values and the ends of their 95% intervals, float64, shape (groups,).

    The intervals tell about the noise only: they say where the figure of these rows lies, not that of a population.
    Where there are too few rows to tell anything, the value is NaN, or the ends are infinite.
    """

    name: str
    values: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    whole: bool = False


@dataclass(frozen=True, eq=False)
class Release:
    """The answer to one query. `float(release)` if it is one number; `release["mean(days)"]` is a `Figure`.

    Args:
        query: the question in one line.
        keys: for each key its name and the groups' values.
        figures: in the order of the question.
        price: what it cost.
        left: what is left of the budget, for people.
        notes: what to know when reading it.
    """

    query: str
    keys: Mapping[str, Sequence[Any]]
    figures: tuple[Figure, ...]
    price: Price
    left: str
    notes: tuple[str, ...] = ()

    @property
    def groups(self) -> int:
        """How many groups; 1 without keys."""
        return len(self.figures[0].values) if self.figures else 0

    def __getitem__(self, name: str) -> Figure:
        for f in self.figures:
            if f.name == name:
                return f
        names = [f.name for f in self.figures]
        raise ColumnError(f"there is no figure '{name}'", where=self.query, hint=did_you_mean(name, names))

    def __float__(self) -> float:
        return float(self._only().values[0])

    @property
    def value(self) -> float:
        """The only figure, as a number."""
        return float(self)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the only figure."""
        f = self._only()
        return float(f.low[0]), float(f.high[0])

    def _only(self) -> Figure:
        if len(self.figures) != 1 or self.groups != 1:
            raise QueryError(
                f"this release has {len(self.figures)} figures in {self.groups} groups, not one number",
                where=self.query,
                hint="release['mean(days)'].values, or release.dataset",
            )
        return self.figures[0]

    @property
    def dataset(self) -> Dataset:
        """The release as a dataset: a column for each key, and three for each figure (value, `…_low`, `…_high`)."""
        import pyarrow as pa

        from ppc.dataset.dataset import Dataset

        columns: dict[str, Any] = {k: pa.array(list(v)) for k, v in self.keys.items()}
        for f in self.figures:
            columns |= {f.name: f.values, f"{f.name}_low": f.low, f"{f.name}_high": f.high}
        return Dataset.from_arrow(pa.table(columns), name="release")

    def __repr__(self) -> str:
        names = [*self.keys, *(f.name for f in self.figures)]
        rows = []
        for i in range(min(self.groups, _SHOWN)):
            rows.append([str(v[i]) for v in self.keys.values()] + [_bar(f, i) for f in self.figures])
        widths = [max(len(n), *(len(r[j]) for r in rows)) if rows else len(n) for j, n in enumerate(names)]
        lines = ["  ".join(n.ljust(w) for n, w in zip(names, widths, strict=True)).rstrip()]
        lines += ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]
        if self.groups > _SHOWN:
            lines.append(f"… {self.groups - _SHOWN} more groups")
        lines.append(f"± is half of a 95% interval for the noise. Spent {self.price}; left {self.left}.")
        return "\n".join([*lines, *self.notes])

    def plot(self, path: str | None = None) -> Plot:
        """Draw the figures with their intervals; written to `path` if one is given."""
        from ppc.dp import plots

        return plots.release(self, path)


def _bar(f: Figure, i: int) -> str:
    value, low, high = float(f.values[i]), float(f.low[i]), float(f.high[i])
    if math.isnan(value) or math.isinf(low):
        return "too few rows"
    if math.isnan(low):
        return _number(value, 4, f.whole)
    if abs((high - value) - (value - low)) <= 0.02 * (high - low):
        half = (high - low) / 2
        digits = 0 if f.whole else _digits(half)
        return f"{_number(value, digits, f.whole)} ± {half:.{max(digits, 1 if half < 10 else 0)}f}"
    digits = _digits((high - low) / 2)
    return f"{_number(value, digits, f.whole)} [{low:.{digits}f}, {high:.{digits}f}]"


def _digits(half: float) -> int:
    """Decimals that show two digits of a half width."""
    if not half > 0 or not math.isfinite(half):
        return 4
    return max(0, min(10, 1 - math.floor(math.log10(half))))


def _number(value: float, digits: int, whole: bool) -> str:
    return f"{value:.0f}" if whole else f"{value:.{digits}f}"
