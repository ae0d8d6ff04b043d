"""Numbers: coarser, bounded, noisy, or swapped among rows."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, BaseModel, Field

from ppc.desensitize import arrays as a
from ppc.desensitize._kernels import mdav
from ppc.desensitize.blockcipher import Cmac
from ppc.desensitize.keys import Key, needed
from ppc.desensitize.transform import ANY, NUMBERS, SAME, STRING, Scope, transform
from ppc.errors import ConfigError, ValueRangeError

Floats = npt.NDArray[np.float64]


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("should be finite")
    return value


Finite = Annotated[float, AfterValidator(_finite)]
Positive = Annotated[float, Field(gt=0), AfterValidator(_finite)]


def _values(array: Any) -> Floats:
    """float64 (n,), null as NaN; raises ValueRangeError for NaN or infinity among the values."""
    out: Floats = np.array(array.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
    present = np.asarray(array.is_valid())
    bad = int(np.count_nonzero(present & ~np.isfinite(out)))
    if bad:
        raise ValueRangeError(
            f"{bad} value(s) are NaN or infinite", hint="Clean the column, or set them to null, first."
        )
    return out


def _back(values: Floats, like: Any) -> Any:
    """The numbers in the type of `like`, null where `like` is null; integers are rounded half to even."""
    missing = ~np.asarray(like.is_valid())
    kind = like.type
    if pa.types.is_floating(kind):
        return pa.array(values, pa.float64(), mask=missing).cast(kind)
    if pa.types.is_decimal(kind):
        return pc.round(pa.array(values, pa.float64(), mask=missing), kind.scale).cast(kind)
    whole = np.where(missing, 0.0, np.rint(values))
    try:
        return pa.array(whole.astype(np.float64), pa.float64(), mask=missing).cast(kind)
    except pa.ArrowInvalid:
        raise ValueRangeError(
            f"a result does not fit {kind}", hint="Cast the column to int64 or float64 first."
        ) from None


def _rises(value: list[float] | None) -> list[float] | None:
    if value is not None and not all(p < q for p, q in pairwise(value)):
        raise ValueError("should rise")
    return value


Edges = Annotated[list[Finite], Field(min_length=1), AfterValidator(_rises)]


@transform("bucket", takes=NUMBERS, gives=STRING, family="numbers")
def bucket(
    array: Any,
    *,
    width: Positive | None = None,
    start: Finite = 0.0,
    edges: Edges | None = None,
    labels: list[str] | None = None,
) -> Any:
    """The interval a number lies in: of equal `width` from `start` on, or between rising `edges`; as text '[20, 30)'.

    labels: names for the intervals of `edges`, one more than edges (below the first … from the last on).
    """
    if (width is None) == (edges is None):
        raise ConfigError("bucket needs either width or edges")
    if labels is not None and (edges is None or len(labels) != len(edges) + 1):
        raise ConfigError("labels need edges, and are one more than these")
    values = _values(array)
    missing = np.isnan(values)
    if edges is None:
        index = np.floor((np.where(missing, start, values) - start) / (width or 1.0))
        distinct, place = np.unique(index, return_inverse=True)
        low, high = start + distinct * (width or 1.0), start + (distinct + 1) * (width or 1.0)
        names = [f"[{_shown(p)}, {_shown(q)})" for p, q in zip(low, high, strict=True)]
    else:
        place = np.searchsorted(np.array(edges), np.where(missing, 0.0, values), side="right")
        inner = [f"[{_shown(p)}, {_shown(q)})" for p, q in pairwise(edges)]
        names = labels or [f"< {_shown(edges[0])}", *inner, f">= {_shown(edges[-1])}"]
    return pa.array(names, pa.string()).take(pa.array(place.astype(np.int64), mask=missing))


def _shown(x: float) -> str:
    return str(int(x)) if x == int(x) else f"{x:.12g}"


@transform("round", takes=NUMBERS, gives=SAME, family="numbers", keeps_format=True)
def round_(array: Any, *, to: Positive = 1.0) -> Any:
    """The nearest multiple of `to` (1000 for thousands, 0.1 for tenths); halves go to the even multiple."""
    values = _values(array)
    if to >= 1:
        return _back(np.rint(values / to) * to, array)
    # A reciprocal that is a whole number (10 for tenths) gives the float nearest to the decimal.
    per = 1 / to
    per = float(round(per)) if math.isclose(per, round(per), rel_tol=1e-9) else per
    return _back(np.rint(values * per) / per, array)


@transform("top_bottom_code", takes=NUMBERS, gives=SAME, family="numbers", keeps_format=True)
def top_bottom_code(array: Any, *, low: Finite | None = None, high: Finite | None = None) -> Any:
    """Values below `low` become `low`, values above `high` become `high`."""
    if low is None and high is None:
        raise ConfigError("top_bottom_code needs low or high")
    if low is not None and high is not None and not low <= high:
        raise ConfigError("low should not be above high")
    return _back(np.clip(_values(array), low, high), array)


@transform(
    "noise",
    takes=NUMBERS,
    gives=SAME,
    family="numbers",
    keyed="optional",
    columns=("entity",),
    deterministic=False,
    keeps_format=True,
)
def noise(
    array: Any,
    *,
    scale: Positive,
    distribution: Literal["laplace", "gaussian", "uniform"] = "laplace",
    keyed: bool = False,
    scope: Scope = "default",
    entity: list[Any] | None = None,
    key: Key | None = None,
) -> Any:
    """Add zero-mean noise: Laplace of scale b, Gaussian of standard deviation, or uniform on [-scale, scale].

    keyed=True makes it a function of key, scope and the value (or, with `entity`, of that column), so that a rerun adds
    the same. This perturbs; it gives no differential privacy: for that use ppc.dp.
    """
    values = _values(array)
    if keyed:
        who = array if not entity else entity[0]
        macs = Cmac(needed(key).derive("noise", scope, 16)).column(a.text_of(_spelled(who)))
        bits = np.ascontiguousarray(macs[:, :16]).view(np.uint64)
    else:
        from ppc.core.rng import os_stream

        bits = os_stream().uint64((len(values), 2))
    # Two uniform numbers strictly inside (0, 1) a row.
    u = ((bits >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
    match distribution:
        case "laplace":
            added = scale * (np.log(u[:, 0]) - np.log(u[:, 1]))
        case "gaussian":
            added = scale * np.sqrt(-2 * np.log(u[:, 0])) * np.cos(2 * np.pi * u[:, 1])
        case "uniform":
            added = scale * (2 * u[:, 0] - 1)
    return _back(values + added, array)


def _spelled(array: Any) -> Any:
    """Text for a keyed function of any column; a float is spelled by its 17 digits."""
    if pa.types.is_floating(array.type):
        return array.cast(pa.float64()).cast(pa.string())
    return a.canonical(array, "noise")


def _stream(key: Key | None, purpose: str, scope: str) -> Any:
    from ppc.core.rng import Stream, os_stream

    return os_stream() if key is None else Stream(key.derive(purpose, scope, 16))


@transform(
    "shuffle",
    takes=ANY,
    gives=SAME,
    family="numbers",
    keyed="optional",
    whole=True,
    deterministic=False,
    keeps_format=True,
)
def shuffle(array: Any, *, keyed: bool = False, scope: Scope = "default", key: Key | None = None) -> Any:
    """Permute the column among its rows: its distribution stays, its link to the other columns goes.

    keyed=True gives the same permutation for the same key, scope and number of rows. Nulls stay where they are.
    """
    return _permuted(array, _stream(key if keyed else None, "shuffle", scope))


def _permuted(array: Any, stream: Any) -> Any:
    present = np.flatnonzero(np.asarray(array.is_valid()))
    source = np.arange(len(array))
    source[present] = present[stream.permutation(len(present))]
    return array.take(pa.array(source))


@transform(
    "rank_swap",
    takes=NUMBERS,
    gives=SAME,
    family="numbers",
    keyed="optional",
    whole=True,
    deterministic=False,
    keeps_format=True,
)
def rank_swap(
    array: Any,
    *,
    percent: Annotated[float, Field(gt=0, le=100)] = 5.0,
    keyed: bool = False,
    scope: Scope = "default",
    key: Key | None = None,
) -> Any:
    """Swap each value with one whose rank lies within `percent` of the rows (Moore, 1996). Nulls stay."""
    values = _values(array)
    present = np.flatnonzero(~np.isnan(values))
    order = present[np.argsort(values[present], kind="stable")]
    window = max(1, int(len(order) * percent / 100))
    stream = _stream(key if keyed else None, "rank_swap", scope)
    source = np.arange(len(array))
    mdav.swap_within(order, window, stream.uint64(max(len(order), 1)), source)
    return array.take(pa.array(source))


def _mean_type(kind: Any, params: BaseModel) -> Any:
    return SAME(kind, params) if pa.types.is_decimal(kind) else pa.float64()


@transform("microaggregate", takes=NUMBERS, gives=_mean_type, family="numbers", columns=("together",), whole=True)
def microaggregate(array: Any, *, k: Annotated[int, Field(ge=2)] = 3, together: list[Any] | None = None) -> Any:
    """Replace each value by the mean of its group of k to 2k-1 similar rows: MDAV (Domingo-Ferrer & Torra, 2005).

    together: the numeric columns (this one usually among them) whose standardized distances make the groups; rules on
    several columns with the same `together` share their groups. Without it the column alone. Costs n**2 / k distances
    for several columns, n log n for one. Rows with a null in any of these columns stay as they are.
    """
    columns = [_values(c) for c in (together or [array])]
    own = _values(array)
    full = np.all([~np.isnan(c) for c in [*columns, own]], axis=0)
    rows = np.flatnonzero(full)
    if 0 < len(rows) < k:
        raise ValueRangeError(f"{len(rows)} rows are too few for groups of {k}")
    out = own.copy()
    if len(rows):
        x = np.column_stack([c[rows] for c in columns])
        spread = x.std(axis=0)
        x = (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        group = np.zeros(len(rows), np.int64)
        if x.shape[1] == 1:
            groups = mdav.line(np.argsort(x[:, 0], kind="stable"), np.ascontiguousarray(x[:, 0]), k, group)
        else:
            groups = mdav.mdav(np.ascontiguousarray(x), k, group)
        total = np.bincount(group, own[rows], groups)
        out[rows] = (total / np.bincount(group, minlength=groups))[group]
    if pa.types.is_decimal(array.type):
        return _back(out, array)
    return pa.array(out, pa.float64(), mask=~np.asarray(array.is_valid()))
