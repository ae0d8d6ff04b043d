"""pandas: a DataFrame in, a DataFrame out, with the same index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ppc.dataset.schema import Schema
from ppc.desensitize.engines.arrow import AnyKeys, plan_for
from ppc.errors import ColumnError, MissingExtra, TypeMismatchError

if TYPE_CHECKING:
    import pandas as pd


def apply(df: pd.DataFrame, policy: Any, keys: AnyKeys = None, *, schema: Schema | None = None) -> pd.DataFrame:
    """The frame with every column treated as the policy says.

    Text comes back as the string dtype that the frame has (object, `string`, or Arrow-backed). Integers with nulls,
    which pandas holds as floats, count as integers where a transformation needs a value of one spelling.

    Raises TypeMismatchError naming a column whose values are of mixed types, or hold text that is not Unicode.
    """
    try:
        import pandas as pd
    except ImportError:
        raise MissingExtra("pandas is not installed", hint="pip install pandas") from None
    from ppc.dataset import convert

    arrays = []
    for position, name in enumerate(df.columns):
        if not isinstance(name, str):
            raise ColumnError("a column's name is not text", hint="Rename the frame's columns to strings.")
        arrays.append(_array(df.iloc[:, position], name))
    table = convert.to_table(pa.table(arrays, names=list(df.columns)))
    done = plan_for(table.schema, policy, keys, schema).table(table)
    modern = any(isinstance(t, pd.ArrowDtype) for t in df.dtypes)
    nullable = any(isinstance(t, pd.StringDtype) for t in df.dtypes)

    def dtype(kind: Any) -> Any:
        if modern:
            return pd.ArrowDtype(kind)
        if nullable and pa.types.is_string(kind):
            return pd.StringDtype()
        # Nulls among integers and booleans stay nulls, and the values what they are.
        return {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype()}.get(kind) if kind in with_nulls else None

    with_nulls = {c.type for c in done.columns if c.null_count}
    out: pd.DataFrame = done.to_pandas(types_mapper=dtype)
    out.index = df.index
    return out


def _array(series: Any, name: str) -> Any:
    try:
        return pa.Array.from_pandas(series)
    except (pa.ArrowException, UnicodeError, OverflowError, ValueError, TypeError):
        # Arrow's message quotes a value.
        raise TypeMismatchError(
            "the values are of mixed types, or are text with unpaired surrogates",
            where=f"column '{name}'",
            hint="Give the column one type, such as df[c].astype('string').",
        ) from None
