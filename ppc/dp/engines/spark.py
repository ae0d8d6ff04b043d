"""Requests answered by Spark, where the data are: only sums come back. Needs the `spark` extra."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ppc.core import rng
from ppc.dataset import types
from ppc.dataset.schema import Field, Schema
from ppc.dp.condition import Condition
from ppc.dp.engines.base import Exact, Request, empty, place
from ppc.dp.engines.text import Dialect, Writer
from ppc.dp.unit import Unit
from ppc.errors import MissingExtra, QueryError, SchemaError

_DIALECT: Final = Dialect("`", "BIGINT", "DECIMAL(38, 0)", "xxhash64(__ppc_row, {salt})", "xxhash64")
_NAMES: Final = {
    "boolean": "bool", "tinyint": "int8", "smallint": "int16", "int": "int32", "bigint": "int64", "float": "float32",
    "double": "float64", "string": "string", "date": "date", "timestamp": "timestamp[us, tz=UTC]",
    "timestamp_ntz": "timestamp", "binary": "binary",
}  # fmt: skip


class SparkEngine:
    """A Spark data frame.

    Args:
        source: the frame.
        schema: bounds and domains.
    """

    def __init__(self, source: Any, schema: Schema | None = None) -> None:
        try:
            from pyspark.sql import functions
        except ImportError:
            raise MissingExtra("PySpark is not installed", hint="pip install 'ppc[spark]'") from None
        # The place of a row is taken once: Spark would give other ones each time the plan runs on other partitions.
        self._frame = source.withColumn("__ppc_row", functions.monotonically_increasing_id()).persist()
        self._spark = source.sparkSession
        self._view = f"ppc_dp_{rng.random_bytes(8).hex()}"
        self._frame.createOrReplaceTempView(self._view)
        self.salt = int.from_bytes(rng.random_bytes(7), "big")
        fields = [Field(n, _NAMES[t]) for n, t in source.dtypes if t in _NAMES]
        found = Schema(tuple(fields))
        self._schema = found if schema is None else _merged(schema, found)

    @property
    def schema(self) -> Schema:
        """The source's columns."""
        return self._schema

    def close(self) -> None:
        """Forget the view."""
        self._spark.catalog.dropTempView(self._view)
        self._frame.unpersist()

    def check(self, request: Request) -> None:
        """Bind the request, without running it."""
        from pyspark.errors import PySparkException

        try:
            self._spark.sql(self._writer().query(request)).schema  # noqa: B018
        except PySparkException as e:
            raise QueryError(f"the query does not fit the columns' types ({type(e).__name__})", where="query") from None

    def sums(self, request: Request) -> Exact:
        """The sums by known cells. See `Engine`."""
        rows = self._spark.sql(self._writer().query(request)).collect()
        keys = []
        for i, k in enumerate(request.keys):
            at = {v: j for j, v in enumerate(k.values)} if k.values is not None else None
            keys.append(np.array([r[f"k{i}"] if at is None else at.get(r[f"k{i}"], -1) for r in rows], dtype=np.int64))
        return place(request, keys, [[r[f"s{i}"] for r in rows] for i in range(len(request.terms))])

    def groups(self, request: Request) -> tuple[list[tuple[Any, ...]], Exact]:
        """The groups that occur. See `Engine`."""
        rows = self._spark.sql(self._writer().query(request)).collect()
        out = empty(len(request.terms), len(rows))
        for i in range(len(request.terms)):
            out[i] = [int(r[f"s{i}"] or 0) for r in rows]
        return [tuple(r[f"k{i}"] for i in range(len(request.keys))) for r in rows], out

    def matrix(self, columns: Sequence[str], where: Condition | None, unit: Unit) -> NDArray[np.float64]:
        """Rows of numeric columns; these do leave Spark. See `Engine`."""
        rows = self._spark.sql(self._writer().rows(tuple(columns), where, unit)).collect()
        out = np.array([[np.nan if v is None else float(v) for v in r] for r in rows], dtype=np.float64)
        return out.reshape(len(rows), len(columns))

    def _writer(self) -> Writer:
        return Writer(_DIALECT, self._schema, f"`{self._view}`", self.salt, {}, small=False)


def _merged(schema: Schema, found: Schema) -> Schema:
    for field in schema:
        kind = found[field.name].type  # ColumnError if it is not there
        if types.is_numeric(kind) != types.is_numeric(field.type):
            raise SchemaError(f"column '{field.name}' is {kind} in Spark and {field.type} in the schema")
    return schema
