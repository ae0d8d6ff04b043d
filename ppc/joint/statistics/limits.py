"""Limits of disclosure: the job states them, each site may tighten them, the strictest holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ppc.errors import ConfigError, did_you_mean
from ppc.mpc.aggregate.small import MAX_MINIMUM


@dataclass(frozen=True)
class Limits:
    """What may be opened.

    min_cell: no pooled count from 1 to min_cell − 1 opens, nor a figure of so few rows.
    min_rows: an analysis of fewer rows is refused.
    rows_per_parameter: a model needs so many rows for each of its parameters.
    rho: the privacy budget of a dataset at this site, for noisy releases (zero-concentrated differential privacy).
    exact_times: whether each single event time may be shown (else times are grouped until every group is large enough).
    """

    min_cell: int = 5
    min_rows: int = 10
    rows_per_parameter: float = 5.0
    exact_times: bool = True
    rho: float = 1.0

    def __post_init__(self) -> None:
        if not (isinstance(self.min_cell, int) and 1 <= self.min_cell <= MAX_MINIMUM):
            raise ConfigError(f"must be between 1 and {MAX_MINIMUM}", where="limit 'min_cell'")
        if not self.min_rows >= 1:
            raise ConfigError("must be at least 1", where="limit 'min_rows'")
        if not 0 < self.rho < float("inf"):
            raise ConfigError("must be above 0", where="limit 'rho'")
        if not self.rows_per_parameter >= 1:
            raise ConfigError("must be at least 1", where="limit 'rows_per_parameter'")

    @staticmethod
    def of(values: Mapping[str, Any], where: str = "limits") -> Limits:
        """From plain values; `ConfigError` for a name that is no limit."""
        known = [f.name for f in fields(Limits)]
        for name in values:
            if name not in known:
                raise ConfigError(f"there is no limit '{name}'", where=where, hint=did_you_mean(name, known))
        return Limits(**values)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def strictest(limits: Iterable[Limits]) -> Limits:
    """The limits that satisfy everyone's."""
    every = list(limits)
    return Limits(
        min_cell=max(x.min_cell for x in every),
        min_rows=max(x.min_rows for x in every),
        rows_per_parameter=max(x.rows_per_parameter for x in every),
        exact_times=all(x.exact_times for x in every),
        rho=min(x.rho for x in every),
    )
