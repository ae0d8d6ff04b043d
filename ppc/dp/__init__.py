"""Private statistics: differential privacy with a budget that survives, and error bars before anything is spent.

from ppc import dp

private = dp.protect(stays, budget=dp.Budget(epsilon=1), unit=dp.person("patient_id", max_rows=5))
print(private.session.explain(dp.mean("days"), epsilon=0.1, rows=10_000))
print(private.session.release(dp.mean("days"), epsilon=0.1))
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ppc.dp import accountant
    from ppc.dp.accountant import Charge
    from ppc.dp.ask import (
        bin,
        correlation,
        count,
        count_distinct,
        covariance,
        crosstab,
        group_by,
        histogram,
        known,
        linear_regression,
        logistic_regression,
        mean,
        median,
        missing,
        quantiles,
        stddev,
        sum,
        top_k,
        unknown,
        variance,
    )  # fmt: skip
    from ppc.dp.auditing import audit
    from ppc.dp.budget import Budget, Price
    from ppc.dp.dataset import PrivateDataset, protect
    from ppc.dp.distributed import DistributedNoise
    from ppc.dp.ledger import Ledger, Limit
    from ppc.dp.plots import tradeoff
    from ppc.dp.query import Query
    from ppc.dp.release import Release
    from ppc.dp.session import Session
    from ppc.dp.synth import synthesize
    from ppc.dp.unit import Unit, person

__all__ = [
    "Budget", "Charge", "DistributedNoise", "Ledger", "Limit", "Price", "PrivateDataset", "Query", "Release",
    "Session", "Unit", "accountant", "audit", "bin", "correlation", "count", "count_distinct", "covariance",
    "crosstab", "group_by", "histogram", "known", "linear_regression", "logistic_regression", "mean", "median",
    "missing", "person", "protect", "quantiles", "stddev", "sum", "synthesize", "top_k", "tradeoff", "unknown",
    "variance",
]  # fmt: skip

_ASK = (
    "bin", "correlation", "count", "count_distinct", "covariance", "crosstab", "group_by", "histogram", "known",
    "linear_regression", "logistic_regression", "mean", "median", "missing", "quantiles", "stddev", "sum", "top_k",
    "unknown", "variance",
)  # fmt: skip
_LAZY = {
    "Budget": "budget", "Charge": "accountant", "DistributedNoise": "distributed", "Ledger": "ledger",
    "Limit": "ledger", "Price": "budget", "PrivateDataset": "dataset", "Query": "query", "Release": "release",
    "Session": "session", "Unit": "unit", "audit": "auditing", "person": "unit", "protect": "dataset",
    "synthesize": "synth", "tradeoff": "plots", **dict.fromkeys(_ASK, "ask"),
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "accountant":
        return importlib.import_module("ppc.dp.accountant")
    if name not in _LAZY:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"ppc.dp.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
