"""Limits of disclosure: the job states them, each site may tighten them, the strictest holds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from ppc.errors import ConfigError, did_you_mean
from ppc.mpc.aggregate.small import MAX_MINIMUM

#: What one site may ask counts to be multiples of; several sites' wishes together stay at 300 or below.
BASES: Final = (1, 2, 3, 5, 10, 20, 50, 100)


@dataclass(frozen=True)
class Limits:
    """What may be opened.

    min_cell: no pooled count from 1 to min_cell − 1 opens, nor a figure of so few rows.
    min_rows: an analysis of fewer rows is refused.
    rows_per_parameter: a model needs so many rows for each of its parameters.
    rho: the privacy budget of a dataset at this site, for noisy releases (zero-concentrated differential privacy).
    exact_times: whether each single event time may be shown (else times are grouped until every group is large enough).
    dominance: no sum of values opens of which one row makes more than this share; 1 switches the rule off.
    dominance_two: nor one of which two rows together make more than this share; 1 switches the rule off.
    p_percent: nor one of which all rows but the largest two are less than so many percent of the largest; 0: off.
    round_to: counts are told in multiples of this number, and other figures to four digits; 1: as they are.
    extremes: whether a smallest and a largest value may be told, which is a single patient's.
    """

    min_cell: int = 5
    min_rows: int = 10
    rows_per_parameter: float = 5.0
    exact_times: bool = True
    rho: float = 1.0
    dominance: float = 0.9
    dominance_two: float = 0.95
    p_percent: float = 10.0
    round_to: int = 1
    extremes: bool = False

    def __post_init__(self) -> None:
        if not (isinstance(self.min_cell, int) and 1 <= self.min_cell <= MAX_MINIMUM):
            raise ConfigError(f"must be between 1 and {MAX_MINIMUM}", where="limit 'min_cell'")
        if not self.min_rows >= 1:
            raise ConfigError("must be at least 1", where="limit 'min_rows'")
        if not 0 < self.rho < float("inf"):
            raise ConfigError("must be above 0", where="limit 'rho'")
        if not self.rows_per_parameter >= 1:
            raise ConfigError("must be at least 1", where="limit 'rows_per_parameter'")
        for name in ("dominance", "dominance_two"):
            if not 0.5 <= getattr(self, name) <= 1:
                raise ConfigError("must be between 0.5 and 1", where=f"limit '{name}'")
        if not 0 <= self.p_percent <= 100:
            raise ConfigError("must be between 0 and 100", where="limit 'p_percent'")
        if isinstance(self.round_to, bool) or self.round_to not in BASES:
            raise ConfigError(f"must be one of {', '.join(map(str, BASES))}", where="limit 'round_to'")
        for name in ("exact_times", "extremes"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError("must be true or false", where=f"limit '{name}'")

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
    found = Limits(
        min_cell=max(x.min_cell for x in every),
        min_rows=max(x.min_rows for x in every),
        rows_per_parameter=max(x.rows_per_parameter for x in every),
        exact_times=all(x.exact_times for x in every),
        rho=min(x.rho for x in every),
        dominance=min(x.dominance for x in every),
        dominance_two=min(x.dominance_two for x in every),
        p_percent=max(x.p_percent for x in every),
        extremes=all(x.extremes for x in every),
    )
    # A multiple of everyone's base; it need not be one that a single site may name.
    object.__setattr__(found, "round_to", math.lcm(*(x.round_to for x in every)))
    return found
