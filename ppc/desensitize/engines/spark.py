"""Spark: `mapInArrow` over a DataFrame's partitions, and the transformations as SQL functions.

Workers read the keys themselves, so keys are given as `KeyRef`s that hold on every worker. Start Spark with
PYSPARK_PYTHON set to an interpreter that has ppc.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ppc.dataset.schema import Schema
from ppc.desensitize.engines.arrow import AnyKeys, plan_for, transformed
from ppc.desensitize.engines.sql import FUNCTIONS, Function, with_arity
from ppc.desensitize.keys import Keys
from ppc.desensitize.policy import Policy, as_policy
from ppc.errors import MissingExtra, SecretMisuse

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def apply(df: DataFrame, policy: Any, keys: AnyKeys = None, *, schema: Schema | None = None) -> DataFrame:
    """The DataFrame with every column treated as the policy says; lazy, as Spark is.

    The policy is checked here, against the keys too. A policy with a transformation that needs the whole column moves
    all rows to one task: use it on small data only.

    Raises SecretMisuse if a key is a Key and not a KeyRef: a secret is not sent to the workers.
    """
    from ppc.dataset import convert

    arrow_types = _arrow_types()
    own, references = as_policy(policy), _references(keys)
    kinds = convert.to_table(_arrow_schema(df).empty_table()).schema
    plan = plan_for(kinds, own, references, schema)
    whole = any(s.transform.whole for c in plan.columns for s in c.steps)
    out = arrow_types.from_arrow_schema(plan.arrow_schema)
    task = _task(own, references, schema, kinds, whole)
    return (df.coalesce(1) if whole else df).mapInArrow(task, out)


def _arrow_schema(df: DataFrame) -> Any:
    """The Arrow types of the batches that a worker is handed. Spark 4 asks for the session's time zone."""
    to_arrow = _arrow_types().to_arrow_schema
    if "timezone" not in inspect.signature(to_arrow).parameters:
        return to_arrow(df.schema)
    return to_arrow(df.schema, timezone=df.sparkSession.conf.get("spark.sql.session.timeZone"))


def _task(own: Policy, keys: Keys, schema: Schema | None, kinds: Any, whole: bool) -> Callable[[Any], Iterator[Any]]:
    """What runs on a worker: the plan is made there, and the keys are read there."""

    def run(batches: Iterator[Any]) -> Iterator[Any]:
        plan = plan_for(kinds, own, keys, schema)
        if whole:
            every = list(batches)
            table = pa.Table.from_batches(every) if every else kinds.empty_table()
            batches = iter(table.combine_chunks().to_batches())
        yield from transformed(batches, plan)

    return run


def _references(keys: AnyKeys) -> Keys:
    own = Keys.of(keys)
    if not own.shareable:
        raise SecretMisuse(
            "Spark's workers can not be sent a Key",
            hint="Give a KeyRef (KeyRef.file(path) or KeyRef.env(name)) that holds on every worker.",
        )
    return own


def register(spark: SparkSession, keys: AnyKeys = None) -> list[str]:
    """Make the SQL functions of `ppc.desensitize.engines.sql` known to a session; return their names.

    Functions that need a key are left out if `keys` is None. Parameters after the column must be constants.
    """
    from pyspark.sql import functions

    pandas_udf: Any = functions.pandas_udf  # type: ignore[attr-defined]

    own = _references(keys)
    done = []
    for function in FUNCTIONS:
        if function.keyed and "default" not in own:
            continue
        udf = pandas_udf(_vectorised(function, own), returnType=_SQL[function.gives])
        spark.udf.register(function.name, udf)
        done.append(function.name)
    return done


_SQL = {"text": "string", "integer": "bigint", "number": "double", "date": "date"}


def _vectorised(function: Function, keys: Keys) -> Any:
    import pandas as pd

    def evaluate(columns: tuple[Any, ...]) -> Any:
        return function.run([pa.Array.from_pandas(c) for c in columns], keys).to_pandas()

    made: Any = with_arity(evaluate, len(function.types))
    # Spark reads from the hints that whole series come and go.
    made.__annotations__ = {**dict.fromkeys("abc"[: len(function.types)], pd.Series), "return": pd.Series}
    return made


def _arrow_types() -> Any:
    try:
        from pyspark.sql.pandas import types
    except ImportError:
        raise MissingExtra("pyspark is not installed", hint="pip install 'ppc[spark]'") from None
    return types


__all__ = ["apply", "register"]
