"""Every engine gives the same exact sums, whatever the values, and keeps within the limits of a person."""

import itertools
import os
import shutil
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ppc import dp
from ppc.dataset import Dataset, Field, Schema
from ppc.dp import recipe
from ppc.dp.engines.base import Engine, Key, Number, Request, Term
from ppc.dp.engines.duck import DuckEngine
from ppc.dp.engines.polar import PolarsEngine
from ppc.dp.unit import ROW
from ppc.errors import ColumnError, FileError, QueryError

QUERIES = [
    dp.count(), dp.count("days"), dp.missing("days"), dp.count_distinct("ward"), dp.count_distinct("days"),
    dp.sum("days"), dp.sum("age"), dp.mean("age"), dp.mean("returned"), dp.mean("empty"), dp.variance("days"),
    dp.correlation("age", "days"), dp.covariance("age", "returned"), dp.linear_regression(["age", "returned"], "days"),
    dp.histogram("days", [0, 1.5, 7, 30, 60]), dp.histogram("age", [0, 120]), dp.histogram("ward"),
    dp.crosstab("ward", "returned"), dp.group_by("ward", dp.bin("age", [0, 18, 65, 120])).agg(dp.mean("days")),
    dp.group_by("ward").agg(dp.variance("age"), dp.count("days")).where("age >= 18 AND days IS NOT NULL"),
    dp.top_k("ward", 2),
]  # fmt: skip


@pytest.fixture(scope="module")
def parquet(stays, tmp_path_factory):
    path = tmp_path_factory.mktemp("stays") / "stays.parquet"
    pq.write_table(stays.to_arrow(), path, row_group_size=300)
    return path


@pytest.fixture(scope="module")
def spark():
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Spark needs Java")
    pyspark = pytest.importorskip("pyspark")
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        session = (
            pyspark.sql.SparkSession.builder.master("local[1]")
            .config("spark.ui.enabled", "false")
            .config("spark.sql.shuffle.partitions", "2")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.sql.session.timeZone", "UTC")
            .getOrCreate()
        )
        yield session
        session.stop()


def exact(engine, query, schema, unit=ROW):
    r = recipe.compile(query, schema, unit)
    engine.check(r.request())
    return engine.sums(r.request()).tolist()


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_duckdb_over_arrow_and_parquet_and_polars_agree(stays, parquet, query):
    engines = [
        DuckEngine(stays.to_arrow(), stays.schema),
        DuckEngine(parquet, stays.schema),
        DuckEngine(str(parquet.parent / "*.parquet"), stays.schema),
        PolarsEngine(stays.to_polars(), stays.schema),
        PolarsEngine(parquet, stays.schema),
    ]
    found = [exact(e, query, stays.schema) for e in engines]
    for engine in engines:
        assert isinstance(engine.schema["age"], Field)
        engine.close()
    assert all(f == found[0] for f in found[1:])
    assert all(isinstance(v, int) for row in found[0] for v in row)


@pytest.mark.spark
def test_spark_agrees_and_keeps_the_limits(stays, spark):
    """Also the release from end to end, on the cluster's side. One test, as Spark starts slowly."""
    from ppc.dp.engines.spark import SparkEngine

    frame = spark.createDataFrame(
        stays.to_arrow().to_pylist(),
        "patient bigint, age bigint, days double, ward string, returned boolean, empty double, day date",
    )
    engine, duck = SparkEngine(frame, stays.schema), DuckEngine(stays.to_arrow(), stays.schema)
    for query in QUERIES[::3]:
        assert exact(engine, query, stays.schema) == exact(duck, query, stays.schema), query
    unit = dp.person("patient", max_rows=3, max_groups=2, max_rows_per_group=2)
    total = exact(engine, dp.histogram("ward"), stays.schema, unit)[0]
    assert total == pytest.approx(exact(duck, dp.histogram("ward"), stays.schema, unit)[0], rel=0.15)
    names, sums = engine.groups(Request((Term(),), (Key("ward"),)))
    assert dict(zip(names, sums[0], strict=True))[("E",)] > 0
    assert engine.matrix(["age", "days"], None, ROW).shape == (len(stays), 2)
    engine.close()
    with dp.Session(frame, dp.Budget(1e6), ledger=":memory:", schema=stays.schema, dataset="stays") as s:
        assert float(s.release(dp.mean("age"), epsilon=1e5)) == pytest.approx(stays.to_pandas().age.clip(0, 120).mean())
        with pytest.raises(QueryError):
            s.release(dp.mean("patient"))
    duck.close()


# --- contribution bounding ---
UNITS = [
    dp.person("patient", max_rows=1), dp.person("patient", max_rows=4),
    dp.person("patient", max_rows=50, max_groups=1), dp.person("patient", max_rows=50, max_rows_per_group=2),
    dp.person("patient", max_rows=5, max_groups=2, max_rows_per_group=3),
]  # fmt: skip


def engines_of(stays) -> list[Engine]:
    return [DuckEngine(stays.to_arrow(), stays.schema), PolarsEngine(stays.to_polars(), stays.schema)]


@pytest.mark.parametrize("unit", UNITS, ids=str)
def test_a_person_has_no_more_rows_and_groups_than_allowed(make_stays, unit):
    """Counted person by person: OpenDP's truncate_num_groups keeps too few groups; ours keeps as many as it may."""
    stays = make_stays(600)
    rows = Counter((p, w) for p, w in zip(*(stays.column(c).to_pylist() for c in ("patient", "ward")), strict=True))
    persons = sorted({p for p, _ in rows})
    keys = (Key("patient", values=tuple(persons)), Key("ward", values=("A", "B", "C", "E")))
    for engine in engines_of(stays):
        # grouping by person as well: each person's own cells can be looked at
        wards = engine.sums(Request((Term(),), (keys[0], keys[1]), None, dp.person("patient", max_rows=10**6)))[0]
        assert sum(wards) == sum(n for (_, w), n in rows.items() if w is not None)
        kept = engine.sums(Request((Term(),), (keys[1],), None, unit))[0]
        limit_rows, limit_groups = unit.max_rows_per_group or 10**6, unit.max_groups or 10**6
        most = 0
        for p in persons:
            own = sorted((min(n, limit_rows) for (q, w), n in rows.items() if q == p and w is not None), reverse=True)
            most += min(sum(own[:limit_groups]), unit.max_rows)
        assert 0 < sum(kept) <= most
        engine.close()


@pytest.mark.parametrize("unit", UNITS, ids=str)
def test_taking_a_person_out_changes_the_counts_by_no_more_than_their_reach(make_stays, unit):
    stays = make_stays(300)
    request = Request((Term(),), (Key("ward", values=("A", "B", "C", "E")),), None, unit)
    for kind in (DuckEngine, lambda t, s: PolarsEngine(Dataset.from_arrow(t).to_polars(), s)):
        full = kind(stays.to_arrow(), stays.schema)
        with_all = full.sums(request)[0]
        full.close()
        for person in (0, 7):
            alone = kind(stays.where(f"patient = {person}").to_arrow(), stays.schema)
            own = alone.sums(request)[0]
            alone.close()
            reach = unit.reach(True)
            assert sum(own) <= reach.rows
            assert max(own) <= reach.rows_in_cell
            assert sum(c > 0 for c in own) <= reach.cells
        assert sum(with_all) > 0


def test_the_rows_that_are_kept_are_drawn_at_random(make_stays):
    table = pa.table({"p": np.zeros(100, dtype=np.int64), "x": np.arange(100)})
    schema = Schema((Field("p", "int64"), Field("x", "int64", bounds=(0, 99))))
    number = Number("x", 0, 99, 0, 1.0, integer=True)
    for make in (
        lambda: DuckEngine(table, schema),
        lambda: PolarsEngine(Dataset.from_arrow(table).to_polars(), schema),
    ):
        seen = set()
        for _ in range(12):
            engine = make()
            request = Request((Term((number,), ("x",)),), (), None, dp.person("p", max_rows=5))
            seen.add(engine.sums(request)[0, 0])
            engine.close()
        assert len(seen) > 6, "every engine draws other rows"


def test_rows_without_a_person_are_one_person(make_stays):
    table = pa.table({"p": pa.nulls(50, pa.int64())})
    schema = Schema((Field("p", "int64"),))
    for engine in (DuckEngine(table, schema), PolarsEngine(Dataset.from_arrow(table).to_polars(), schema)):
        assert engine.sums(Request((Term(),), (), None, dp.person("p", max_rows=3)))[0, 0] == 3
        engine.close()


# --- Parquet's statistics ---
def test_nan_hangs_on_no_other_row(tmp_path):
    """Parquet's statistics leave NaN out, and DuckDB believes them: a NaN must not be counted where all others are."""
    schema = Schema((Field("x", "float64", bounds=(0, 10)),))
    for others in ([1.0, 2.0], [1.0, 20.0], [5.0, 9.0]):
        table = pa.table({"x": pa.array([np.nan, *others])})
        path = tmp_path / "x.parquet"
        pq.write_table(table, path)
        for query in (
            dp.histogram("x", [0, 5, 10]), dp.histogram("x", [0, 100]), dp.count().where("x < 100"),
            dp.count().where("x > 15"), dp.count().where("x <> 1"), dp.count().where("NOT x < 3"), dp.sum("x"),
            dp.count().where("x IS NULL"), dp.median("x"), dp.count().where("x = x"),
        ):  # fmt: skip
            r = recipe.compile(query, schema, ROW)
            request = r.quantile_request(r.parts[0]) if "median" in query.label else r.request()
            without = Request(request.terms, request.keys, request.where)
            engines = [DuckEngine(path, schema), PolarsEngine(path, schema), DuckEngine(table, schema)]
            found = [e.sums(request)[0].tolist() for e in engines]
            alone = DuckEngine(table.slice(1), schema)
            rest = alone.sums(without)[0].tolist()
            for e in (*engines, alone):
                e.close()
            assert found[0] == found[1] == found[2], (others, str(query))
            assert found[0] == [v + ("IS NULL" in query.label) for v in rest], (others, str(query))


def test_values_beyond_the_bounds_nan_and_infinities_in_parquet(tmp_path):
    """The short cut by Parquet's statistics gives the same integers as clamping does."""
    schema = Schema((Field("x", "float64", bounds=(0, 10)), Field("y", "float64", bounds=(-1e9, 1e9))))
    cases = [
        [1.5, 2.5, 9.999], [1.5, np.nan, 3.0], [1.5, 11.0], [-1.0, 2.0], [np.inf, 1.0], [-np.inf, 1.0], [np.nan],
        [0.0, 10.0], [5e-324, 1e300], [None, 3.3], [None, None], [],
    ]  # fmt: skip
    for i, case in enumerate(cases):
        table = pa.table({"x": pa.array(case, pa.float64()), "y": pa.array(case, pa.float64())})
        path = tmp_path / f"{i}.parquet"
        pq.write_table(table, path)
        for query in (dp.mean("x"), dp.variance("x"), dp.sum("y"), dp.covariance("x", "y"), dp.count("x")):
            request = recipe.compile(query, schema, ROW).request()
            engines = [DuckEngine(path, schema), DuckEngine(table, schema), PolarsEngine(path, schema)]
            found = [e.sums(request).tolist() for e in engines]
            for e in engines:
                e.close()
            assert found[0] == found[1] == found[2], (case, str(query))


def test_what_is_spilled_is_private_and_goes_away(stays):
    engine = DuckEngine(stays.to_arrow(), stays.schema)
    folder = engine._spill
    assert oct(folder.stat().st_mode)[-3:] == "700"
    engine.close()
    assert not folder.exists()


def test_files_and_columns_that_are_not_there(tmp_path, stays):
    with pytest.raises(FileError):
        DuckEngine(tmp_path / "no.parquet")
    (tmp_path / "bad.parquet").write_text("x")
    with pytest.raises(FileError):
        DuckEngine(tmp_path / "bad.parquet")
    with pytest.raises(ColumnError):
        DuckEngine(stays.to_arrow(), Schema((Field("nope", "int64"),)))
    with pytest.raises(ColumnError):
        PolarsEngine(stays.to_polars(), Schema((Field("nope", "int64"),)))


def test_names_are_quoted_everywhere():
    odd = ['a"b', "select", "a b", "ü", "x'y", "_row", "_h", "k0", "v0", "c0", "s0"]
    table = pa.table({n: pa.array([1.0, 2.0, None]) for n in odd})
    schema = Schema(tuple(Field(n, "float64", bounds=(0, 5)) for n in odd))
    for name in odd:
        for engine in (DuckEngine(table, schema), PolarsEngine(Dataset.from_arrow(table).to_polars(), schema)):
            for unit in (ROW, dp.person(odd[0], max_rows=2)):
                r = recipe.compile(dp.group_by(dp.bin(name, [0, 1.5, 5])).agg(dp.mean(name)), schema, unit)
                assert engine.sums(r.request())[0].tolist() == [1, 1]
            engine.close()


@pytest.mark.parametrize("edges", [(0.0, 5e-324, 1.0, 2.0), (-1.0, 0.0, 1.0), tuple(np.linspace(-3, 3, 101))], ids=len)
def test_values_at_the_very_edges_of_bins(tmp_path, edges):
    """Closed on the left, the last one on both sides, to the last bit; what is outside, missing or NaN is nowhere."""
    at = np.array(edges)
    values = [*at, *np.nextafter(at, -np.inf), *np.nextafter(at, np.inf), -0.0, np.nan, np.inf, -np.inf, None]
    table = pa.table({"x": pa.array(values, pa.float64()), "k": pa.array([1, 2, 3, 4, 5] + [None] * (len(values) - 5))})
    pq.write_table(table, tmp_path / "x.parquet")
    schema = Schema((Field("x", "float64"), Field("k", "int64")))
    whole = np.array([v for v in values if v is not None and not np.isnan(v) and at[0] <= v <= at[-1]])
    right = [int(((whole >= a) & (whole < b)).sum()) for a, b in itertools.pairwise(at)]
    right[-1] += int((whole == at[-1]).sum())
    for source in (table, tmp_path / "x.parquet"):
        engine = DuckEngine(source, schema)
        assert exact(engine, dp.histogram("x", edges), schema) == [right]
        assert exact(engine, dp.histogram("k", [1, 3, 5]), schema) == [[2, 3]]
        assert exact(engine, dp.histogram("x", edges).where("k > 100"), schema) == [[0] * (len(edges) - 1)]
        assert exact(engine, dp.count(), schema) == [[len(values)]]
        assert exact(engine, dp.count().where("k < 3"), schema) == [[2]]
        engine.close()
