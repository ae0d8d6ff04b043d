"""Desensitize a dataset in memory by a policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ppc.dataset.dataset import Dataset
from ppc.desensitize.arrays import check_text
from ppc.desensitize.keys import Key, KeyRef
from ppc.desensitize.plan import Plan, Tally
from ppc.desensitize.policy import Policy, as_policy
from ppc.desensitize.report import Report, report

AnyKeys = Key | KeyRef | Mapping[str, Key | KeyRef] | None


def apply(
    ds: Dataset,
    policy: Policy | str | Path | list[dict[str, Any]],
    keys: AnyKeys = None,
    *,
    progress: Callable[[float, str], None] | None = None,
) -> Dataset:
    """The dataset with every column treated as the policy says; rows keep their order.

    policy: a Policy, the path of a TOML file, or a list of rules as dicts. keys: a Key or KeyRef (named 'default'),
    or a mapping of names to them.

    Raises:
        PolicyFileError, ColumnError, ConfigError, KeyFileError: before a row is touched.
        TypeMismatchError, ValueRangeError: a value does not fit; naming the column, never the value.
    """
    return apply_with_report(ds, policy, keys, progress=progress)[0]


def apply_with_report(
    ds: Dataset,
    policy: Policy | str | Path | list[dict[str, Any]],
    keys: AnyKeys = None,
    *,
    progress: Callable[[float, str], None] | None = None,
) -> tuple[Dataset, Report]:
    """The same, with a report of what was done to each column."""
    plan = Plan.make(as_policy(policy), ds.schema, keys)
    tally = Tally()
    if progress is not None:
        progress(0.0, f"{len(plan.columns)} columns")
    table = plan.table(check_text(ds.to_arrow()), tally)
    if progress is not None:
        progress(1.0, "done")
    return Dataset.from_arrow(table, plan.output, ds.name), report(plan, tally)
