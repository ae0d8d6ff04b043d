"""Counts told in multiples of a base, and with them all other figures to few digits.

Deterministic: the same count always gives the same multiple, so asking twice tells nothing more. A mean with all its
digits, of whole numbers, would tell the count behind it; so figures are told to `DIGITS` significant digits then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

DIGITS: Final = 4

#: Numbers of rows in the results of statistics, and degrees of freedom that follow from them.
COUNTS: Final = frozenset(
    {"n", "missing", "counts", "below", "above", "row_totals", "column_totals", "events", "at_risk", "total_events",
     "observed", "unknown", "out_of_range", "df2"}
)  # fmt: skip
#: What the job states itself or all know: told as it is.
PUBLIC: Final = frozenset(
    {"edges", "times", "group_ends", "resolution", "rows", "columns", "levels", "level", "group", "arms"}
)
#: Where one of these stands, `df` is a number of rows less that of parameters.
RESIDUAL: Final = frozenset({"deviance", "r2", "difference"})


def to_base(count: float, base: int) -> int:
    """The nearest multiple of `base`, halves upwards."""
    return int((count + base / 2) // base * base)


def rounded(found: Mapping[str, Any], base: int) -> dict[str, Any]:
    """A statistic's result with counts in multiples of `base`."""
    more = {"df"} if RESIDUAL & found.keys() else set()
    return {k: to_base(v, base) if k in more else _value(k, v, base) for k, v in found.items()}


def _value(key: str, value: Any, base: int) -> Any:
    if isinstance(value, Mapping):
        return rounded(value, base)
    if isinstance(value, list | tuple):
        if key in PUBLIC and not any(isinstance(v, Mapping) for v in value):
            return value
        return [_value(key, v, base) for v in value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if key in COUNTS:
        return to_base(value, base)
    if key in PUBLIC or isinstance(value, int):
        return value
    return float(f"{value:.{DIGITS}g}")
