"""One suite for all engines: every transformation, on every engine, gives what the library gives."""

from __future__ import annotations

import datetime as dt
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import ppc.desensitize as desensitize
from ppc.dataset import convert
from ppc.dataset.dataset import Dataset
from ppc.dataset.schema import Field, Grade, Role, Schema
from ppc.desensitize.engines.sql import FUNCTIONS
from ppc.desensitize.keys import Key, KeyRef
from ppc.desensitize.transform import names
from ppc.errors import ColumnError, ConfigError, PolicyFileError, SecretMisuse, TypeMismatchError

ROWS = 300


def _phones() -> list[str | None]:
    return [None if i % 11 == 7 else f"138{(i * 7919) % 10**8:08d}" for i in range(ROWS)]


SOURCES: dict[str, Callable[[], Any]] = {
    "phone": lambda: pa.array(_phones()),
    "card": lambda: pa.array([f"6222-0212-{i:04d}-{(i * 37) % 10000:04d}" for i in range(ROWS)]),
    "email": lambda: pa.array([f"user{i}@例子.example" if i % 3 else f"u{i}@example.com" for i in range(ROWS)]),
    "name": lambda: pa.array([["欧阳修远", "王小明", "John Smith", "李", ""][i % 5] for i in range(ROWS)]),
    "address": lambda: pa.array(
        [["广东省深圳市南山区科技园1号", "12 Main St, Springfield"][i % 2] for i in range(ROWS)]
    ),
    "resident": lambda: pa.array([["11010519491231002X", "440524188001010014"][i % 2] for i in range(ROWS)]),
    "code": lambda: pa.array(["91350100M000100Y43"] * ROWS),
    "text": lambda: pa.array([f"ring 138{i:08d} or write to a{i}@b.com 😀" if i % 2 else None for i in range(ROWS)]),
    "id": lambda: pa.array(range(1000, 1000 + ROWS), pa.int64()),
    "amount": lambda: pa.array([(i * 37 % 1000) / 4 for i in range(ROWS)], pa.float64()),
    "born": lambda: pa.array([dt.date(1950 + i % 60, 1 + i % 12, 1 + i % 28) for i in range(ROWS)]),
    "seen": lambda: pa.array([dt.datetime(2020, 1, 1) + dt.timedelta(hours=7 * i) for i in range(ROWS)]),
}

# (source column, transformation, parameters). Every registered transformation is among them.
CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("phone", "mask", {"first": 3, "last": 4}),
    ("email", "mask", {"first": 1, "last": 2, "char": "●", "width": 2}),
    ("phone", "mask_ends", {"first": 2, "last": 2}),
    ("name", "mask_range", {"start": 1, "stop": 3}),
    ("email", "mask_before", {"mark": "@", "keep": 1}),
    ("email", "mask_after", {"mark": "@", "keep": 2}),
    ("email", "mask_email", {}),
    ("phone", "mask_phone", {}),
    ("card", "mask_card", {}),
    ("resident", "mask_id", {"first": 3}),
    ("name", "mask_plate", {}),
    ("name", "mask_name", {}),
    ("address", "mask_address", {"keep": "district"}),
    ("text", "mask_pattern", {"pattern": "[0-9]{6,}", "replacement": "#"}),
    ("amount", "redact", {}),
    ("phone", "redact", {"text": "gone"}),
    ("seen", "nullify", {}),
    ("id", "replace", {"value": 7}),
    ("born", "keep", {}),
    ("id", "token", {"scope": "person"}),
    ("seen", "token", {}),
    ("born", "token", {"length": 13}),
    ("phone", "hash", {}),
    ("phone", "hash", {"algorithm": "sm3", "length": 32}),
    ("phone", "hash", {"algorithm": "sha512"}),
    ("email", "encrypt", {}),
    ("email", "encrypt", {"encoding": "binary", "scope": "x"}),
    ("sealed", "decrypt", {"scope": "sealed"}),
    ("card", "fpe_encrypt", {}),
    ("card", "fpe_encrypt", {"tweak": ["phone", "born"]}),
    ("card", "fpe_decrypt", {"tweak": "name"}),
    ("card", "fpe_sm4_encrypt", {}),
    ("card", "fpe_sm4_decrypt", {}),
    ("card", "ff3_1_decrypt", {"tweak_hex": "CBD09280979564", "cipher": "aes-256"}),
    ("name", "fake_name", {"keep": ["family"]}),
    ("name", "fake_name", {"language": "en"}),
    ("resident", "fake_resident_id", {"keep": ["region", "birth_year", "sex"]}),
    ("phone", "fake_phone", {"keep": ["prefix"]}),
    ("card", "fake_card", {}),
    ("email", "fake_email", {"keep": ["domain"]}),
    ("address", "fake_address", {"keep": ["region"]}),
    ("name", "fake_company", {}),
    ("code", "fake_credit_code", {"keep": ["region"]}),
    ("amount", "bucket", {"width": 25.0}),
    ("id", "bucket", {"edges": [1100.0, 1200.0], "labels": ["a", "b", "c"]}),
    ("amount", "round", {"to": 10.0}),
    ("id", "top_bottom_code", {"low": 1050.0, "high": 1200.0}),
    ("amount", "noise", {"scale": 2.0, "keyed": True}),
    ("amount", "noise", {"scale": 2.0, "keyed": True, "distribution": "gaussian", "entity": "id"}),
    ("id", "shuffle", {"keyed": True}),
    ("amount", "rank_swap", {"keyed": True}),
    ("amount", "microaggregate", {"k": 5}),
    ("amount", "microaggregate", {"k": 5, "together": ["amount", "id"]}),
    ("born", "date_shift", {"entity": "id"}),
    ("seen", "date_shift", {"entity": ["name", "id"], "days": 30}),
    ("born", "truncate_date", {"to": "quarter"}),
    ("seen", "truncate_date", {"to": "decade"}),
    ("born", "age_from_birthdate", {"on": dt.date(2024, 5, 6)}),
    ("id", "generalize", {"hierarchy": {"kind": "interval", "widths": [10, 100]}, "level": 2}),
    ("phone", "generalize", {"hierarchy": {"kind": "prefix", "keep": [7, 3]}, "level": 1}),
    ("born", "generalize", {"hierarchy": {"kind": "date", "levels": ["month", "year"]}, "level": 1}),
    ("text", "free_text", {"replace_with": "mask", "options": {"last": 2}}),
    ("text", "free_text", {}),
]
LABELS = [f"c{i:02d}_{use}" for i, (_, use, _) in enumerate(CASES)]
EXTRA = "conditional"


@pytest.fixture(scope="module")
def table(key: Key) -> Any:
    """Each case has a column of its own, and the columns that some depend on are there under their names."""
    made: dict[str, Any] = {name: make() for name, make in SOURCES.items()}
    made["sealed"] = desensitize.transforms.encrypt(made["email"], scope="sealed", key=key)
    columns = {label: made[source] for label, (source, _, _) in zip(LABELS, CASES, strict=True)}
    return pa.table({**columns, EXTRA: made["phone"], **made})


@pytest.fixture(scope="module")
def policy() -> desensitize.Policy:
    rules: list[dict[str, Any]] = [
        {"column": label, "use": use, **parameters} for label, (_, use, parameters) in zip(LABELS, CASES, strict=True)
    ]
    rules.append({"column": EXTRA, "when": "id % 3 = 0 AND amount < 100", "use": "mask", "first": 3})
    rules.append({"column": EXTRA, "when": "born IS NOT NULL AND id % 3 = 1", "use": "token", "scope": "s"})
    rules.append({"column": EXTRA, "use": "nullify"})
    return desensitize.Policy(rule=tuple(desensitize.Rule(**r) for r in rules), default="keep")


@pytest.fixture(scope="module")
def expected(table: Any, policy: desensitize.Policy, key: Key) -> Any:
    return desensitize.apply(Dataset.from_arrow(table), policy, key).to_arrow()


def on_arrow(table: Any, policy: Any, ref: KeyRef) -> Any:
    return desensitize.arrow.apply(table, policy, ref)


def on_arrow_chunked(table: Any, policy: Any, ref: KeyRef) -> Any:
    odd = pa.concat_tables([table.slice(i, 37) for i in range(0, table.num_rows, 37)])
    views = [c.cast(pa.string_view()) if i % 2 and pa.types.is_string(c.type) else c for i, c in enumerate(odd.columns)]
    codes = [c.dictionary_encode() if i % 4 == 0 else c for i, c in enumerate(views)]
    return desensitize.arrow.apply(pa.table(codes, names=odd.column_names), policy, ref)


def on_pandas(table: Any, policy: Any, ref: KeyRef) -> Any:
    frame = table.to_pandas()
    frame.index = range(5, 5 + len(frame))
    out = desensitize.pandas.apply(frame, policy, ref)
    assert list(out.index) == list(frame.index)
    return pa.Table.from_pandas(out, preserve_index=False)


def on_polars(table: Any, policy: Any, ref: KeyRef) -> Any:
    import polars as pl

    return desensitize.polars.apply(pl.from_arrow(table), policy, ref).to_arrow()


def on_polars_lazy(table: Any, policy: Any, ref: KeyRef) -> Any:
    import polars as pl

    lazy = desensitize.polars.apply(pl.from_arrow(table).lazy(), policy, ref)
    promised = lazy.collect_schema()
    out = lazy.collect()
    assert out.schema == promised
    return out.to_arrow()


def on_duckdb_relation(table: Any, policy: Any, ref: KeyRef) -> Any:
    import duckdb

    con = duckdb.connect()
    con.register("source", table)
    return desensitize.duckdb.apply(con, con.table("source"), policy, ref).to_arrow_table()


def on_duckdb_reader(table: Any, policy: Any, ref: KeyRef) -> Any:
    import duckdb

    con = duckdb.connect()
    con.register("source", table)
    con.sql("CREATE TABLE stored AS SELECT * FROM source")
    return desensitize.duckdb.reader(con, "stored", policy, ref).read_all()


def on_duckdb_table(table: Any, policy: Any, ref: KeyRef) -> Any:
    import duckdb

    con = duckdb.connect()
    con.register("arrow_table", table)
    con.sql("CREATE TABLE stored AS SELECT * FROM arrow_table")
    desensitize.duckdb.apply(con, "SELECT * FROM stored", policy, ref).create("safe")
    return con.table("safe").to_arrow_table()


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    pytest.importorskip("pyspark", reason="pyspark is not installed")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Spark needs a Java runtime, and there is none")
    import warnings

    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pyspark.sql import SparkSession

        session = (
            SparkSession.builder.master("local[2]")
            .config("spark.ui.enabled", "false")
            .config("spark.sql.session.timeZone", "UTC")
            .config("spark.sql.execution.arrow.pyspark.enabled", "true")
            .config("spark.sql.shuffle.partitions", "2")
            .getOrCreate()
        )
        session.sparkContext.setLogLevel("ERROR")
        yield session
        session.stop()


ENGINES = {
    f.__name__.removeprefix("on_"): f
    for f in (
        on_arrow,
        on_arrow_chunked,
        on_pandas,
        on_polars,
        on_polars_lazy,
        on_duckdb_relation,
        on_duckdb_reader,
        on_duckdb_table,
    )
}


@pytest.fixture(scope="module")
def results(table: Any, policy: Any, key_ref: KeyRef) -> Callable[[str], Any]:
    done: dict[str, Any] = {}

    def result(engine: str) -> Any:
        if engine not in done:
            done[engine] = convert.to_table(ENGINES[engine](table, policy, key_ref))
        return done[engine]

    return result


def test_every_transformation_is_in_the_suite() -> None:
    assert {use for _, use, _ in CASES} == set(names())


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("column", [*LABELS, EXTRA])
def test_equal_on_every_engine(engine: str, column: str, results: Callable[[str], Any], expected: Any) -> None:
    found = results(engine).column(column)
    assert found.cast(expected.column(column).type).equals(expected.column(column))


@pytest.mark.spark
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_equal_on_spark(spark: Any, table: Any, policy: Any, key_ref: KeyRef, expected: Any) -> None:
    whole = {label for label, (_, use, _) in zip(LABELS, CASES, strict=True) if use in _whole()}
    for partitions in (3, 1):
        # Three partitions for what works on rows; one, for what needs the whole column and so an order of rows.
        keep = [r for r in policy.rule if (r.column[0] in whole) == (partitions == 1)]
        part = policy.model_copy(update={"rule": tuple(keep)})
        frame = spark.createDataFrame(table.to_pandas()).repartition(partitions, "id").sortWithinPartitions("id")
        out = desensitize.spark.apply(frame, part, key_ref).toPandas().sort_values("id")
        found = pa.Table.from_pandas(out, preserve_index=False)
        for rule in keep:
            name = rule.column[0]
            assert found.column(name).cast(expected.column(name).type).equals(expected.column(name)), name


def _whole() -> set[str]:
    from ppc.desensitize.transform import get

    return {n for n in names() if get(n).whole}


@pytest.mark.spark
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_spark_takes_references_only(spark: Any, key: Key) -> None:
    frame = spark.createDataFrame([("a",)], "x string")
    with pytest.raises(SecretMisuse, match="can not be sent") as e:
        desensitize.spark.apply(frame, [{"column": "x", "use": "token"}], key)
    assert "KeyRef" in (e.value.hint or "")


def _sql_cases(folder: Path, key: Key) -> dict[str, Callable[[Any], Any]]:
    """An SQL expression for every function, and what the same is in Python."""
    t = desensitize.transforms
    groups = folder / "groups.csv"
    groups.write_text("value;region\n" + "".join(f"P{i};R{i % 3}\n" for i in range(9)))
    keyed = {"key": key}
    day = dt.date(2024, 1, 1)
    return {
        "ppc_mask(phone, 3, 4)": lambda r: t.mask(r["phone"], first=3, last=4),
        "ppc_mask_ends(phone, 3, 4)": lambda r: t.mask_ends(r["phone"], first=3, last=4),
        "ppc_mask_range(phone, 3, 7)": lambda r: t.mask_range(r["phone"], start=3, stop=7),
        "ppc_mask_before(email, '@')": lambda r: t.mask_before(r["email"], mark="@"),
        "ppc_mask_after(email, '@')": lambda r: t.mask_after(r["email"], mark="@"),
        "ppc_mask_pattern(email, '[0-9]+')": lambda r: t.mask_pattern(r["email"], pattern="[0-9]+"),
        "ppc_mask_email(email)": lambda r: t.mask_email(r["email"]),
        "ppc_mask_phone(phone)": lambda r: t.mask_phone(r["phone"]),
        "ppc_mask_card(card)": lambda r: t.mask_card(r["card"]),
        "ppc_mask_name(name)": lambda r: t.mask_name(r["name"]),
        "ppc_mask_id(card)": lambda r: t.mask_id(r["card"]),
        "ppc_mask_plate(phone)": lambda r: t.mask_plate(r["phone"]),
        "ppc_mask_address(name)": lambda r: t.mask_address(r["name"]),
        "ppc_redact(name)": lambda r: t.redact(r["name"]),
        "ppc_free_text(email)": lambda r: t.free_text(r["email"]),
        "ppc_token(name, 'person')": lambda r: t.token(r["name"], scope="person", **keyed),
        "ppc_hash(email, 'h')": lambda r: t.hash_(r["email"], scope="h", **keyed),
        "ppc_encrypt(email, 'e')": lambda r: t.encrypt(r["email"], scope="e", **keyed),
        "ppc_decrypt(ppc_encrypt(email, 'e'), 'e')": lambda r: r["email"],
        "ppc_fpe(card)": lambda r: t.fpe_encrypt(r["card"], **keyed),
        "ppc_fpe_decrypt(ppc_fpe(card))": lambda r: r["card"],
        "ppc_fpe_scoped(card, 'c')": lambda r: t.fpe_encrypt(r["card"], scope="c", **keyed),
        "ppc_fpe_decrypt_scoped(ppc_fpe_scoped(card, 'c'), 'c')": lambda r: r["card"],
        "ppc_fpe_tweaked(card, email)": lambda r: t.fpe_encrypt(r["card"], tweak=[r["email"]], **keyed),
        "ppc_fpe_decrypt_tweaked(ppc_fpe_tweaked(card, email), email)": lambda r: r["card"],
        "ppc_fpe_sm4(card, 'c')": lambda r: t.fpe_sm4_encrypt(r["card"], scope="c", **keyed),
        "ppc_fpe_sm4_decrypt(ppc_fpe_sm4(card, 'c'), 'c')": lambda r: r["card"],
        "ppc_ff3_1_decrypt(card, '00112233445566')": lambda r: t.ff3_1_decrypt_(
            r["card"], tweak_hex="00112233445566", **keyed
        ),
        "ppc_fake_name(name, 'n')": lambda r: t.fake_name(r["name"], scope="n", **keyed),
        "ppc_fake_phone(phone, 'n')": lambda r: t.fake_phone(r["phone"], scope="n", **keyed),
        "ppc_fake_resident_id(phone, 'n')": lambda r: t.fake_resident_id(r["phone"], scope="n", **keyed),
        "ppc_fake_card(card, 'n')": lambda r: t.fake_card(r["card"], scope="n", **keyed),
        "ppc_fake_email(email, 'n')": lambda r: t.fake_email(r["email"], scope="n", **keyed),
        "ppc_fake_address(name, 'n')": lambda r: t.fake_address(r["name"], scope="n", **keyed),
        "ppc_fake_company(name, 'n')": lambda r: t.fake_company(r["name"], scope="n", **keyed),
        "ppc_fake_credit_code(name, 'n')": lambda r: t.fake_credit_code(r["name"], scope="n", **keyed),
        "ppc_bucket(amount, 10)": lambda r: t.bucket(r["amount"], width=10.0),
        "ppc_round(amount, 10)": lambda r: t.round_(r["amount"], to=10.0),
        "ppc_top_bottom_code(amount, 20, 60)": lambda r: t.top_bottom_code(r["amount"], low=20.0, high=60.0),
        "ppc_noise(amount, phone, 2)": lambda r: t.noise(
            r["amount"], entity=[r["phone"]], scale=2.0, keyed=True, **keyed
        ),
        f"ppc_generalize(concat('P', CAST(id % 9 AS VARCHAR(9))), '{groups}', 1)": lambda r: pa.array(
            [f"R{i % 9 % 3}" for i in r["id"].to_pylist()]
        ),
        "ppc_truncate_date(born, 'year')": lambda r: t.truncate_date(r["born"], to="year"),
        "ppc_date_shift(born, phone, 30)": lambda r: t.date_shift(r["born"], entity=[r["phone"]], days=30, **keyed),
        "ppc_age(born, DATE '2024-01-01')": lambda r: t.age_from_birthdate(r["born"], on=day),
    }


def test_every_sql_function_is_in_the_suite(tmp_path: Path, key: Key) -> None:
    called = {name for text in _sql_cases(tmp_path, key) for name in re.findall(r"ppc_\w+", text)}
    assert called == {f.name for f in FUNCTIONS}
    in_sql = {f.transform for f in FUNCTIONS}
    assert set(names()) - in_sql == {"keep", "nullify", "replace", "shuffle", "rank_swap", "microaggregate"}


def test_native_projections_give_what_the_library_gives(table: Any) -> None:
    """Policies that keep, drop, null and redact never leave the engine."""
    import duckdb
    import polars as pl

    data = table.select(["phone", "name", "id", "amount", "born", "seen"]).rename_columns(
        ["phone", 'na"me', "id", "amount", "born", "seen"]
    )
    rules = [
        {"column": "phone", "use": "redact", "text": "it's gone"},
        {"column": 'na"me', "use": "redact"},
        {"column": "born", "use": "nullify"},
        {"column": "seen", "use": "drop"},
        {"column": ["id", "amount"], "use": "keep"},
    ]
    expected = desensitize.arrow.apply(data, rules)
    con = duckdb.connect()
    con.register("arrow_table", data)
    con.sql("CREATE TABLE stored AS SELECT * FROM arrow_table")
    relation = desensitize.duckdb.apply(con, "stored", rules)
    assert "CASE" in relation.sql_query()
    found = convert.to_table(relation.to_arrow_table())
    assert found.cast(expected.schema).equals(expected)
    assert len(relation.fetchall()) == ROWS  # and again
    lazy = desensitize.polars.apply(pl.from_arrow(data).lazy(), rules).collect()
    assert convert.to_table(lazy.to_arrow()).cast(expected.schema).equals(expected)
    con.sql("CREATE TABLE odd AS SELECT uuid() AS u")
    assert desensitize.duckdb.apply(con, "odd", [{"column": "u", "use": "keep"}]).fetchall()


def test_duckdb_relations_may_be_used_again(key: Key) -> None:
    """Showing a relation runs it; what is created from it afterwards must still have the rows."""
    import duckdb

    con = duckdb.connect()
    con.sql("CREATE TABLE stored AS SELECT range::VARCHAR AS x FROM range(300000)")
    con.sql("CREATE TEMP TABLE passing AS SELECT * FROM stored LIMIT 10")
    for source, rows in (("stored", 300_000), ("SELECT * FROM stored LIMIT 5", 5), ("passing", 10)):
        relation = desensitize.duckdb.apply(con, source, [{"column": "x", "use": "token"}], key)
        first = relation.to_arrow_table()
        assert str(relation)
        con.sql("DROP TABLE IF EXISTS safe")
        relation.create("safe")
        assert con.table("safe").to_arrow_table().equals(first)
        assert first.num_rows == rows
    from ppc.errors import QueryError

    with pytest.raises(QueryError, match="nowhere"):
        desensitize.duckdb.apply(con, "nowhere", [])


def test_duckdb_sql_functions(table: Any, key: Key, key_ref: KeyRef, tmp_path: Path) -> None:
    import duckdb

    con = duckdb.connect()
    con.register("t", table)
    assert len(desensitize.duckdb.register(con, key_ref)) == len(FUNCTIONS)
    assert desensitize.duckdb.register(con, key_ref)  # again, without a complaint
    cases = _sql_cases(tmp_path, key)
    found = con.sql(f"SELECT {', '.join(cases)} FROM t").to_arrow_table()
    for column, (text, by_hand) in zip(found.columns, cases.items(), strict=True):
        assert column.to_pylist() == by_hand(table).to_pylist(), text
    assert con.sql(f"SELECT {', '.join(cases)} FROM t WHERE id < 0").to_arrow_table().num_rows == 0


def test_duckdb_without_a_key_has_the_keyless_functions() -> None:
    import duckdb

    con = duckdb.connect()
    done = desensitize.duckdb.register(con)
    assert "ppc_mask" in done
    assert "ppc_token" not in done
    with pytest.raises(duckdb.Error, match="1 value"):
        desensitize.duckdb.register(con, Key(bytes(32)))
        con.sql("SELECT ppc_fpe('topsecret')").fetchall()


def test_duckdb_errors_hold_no_value(key: Key) -> None:
    import duckdb

    con = duckdb.connect()
    desensitize.duckdb.register(con, key)
    for query in ("ppc_fpe('topsecret')", "ppc_decrypt('topsecret', 's')", "ppc_mask('topsecret', -1, 2)"):
        with pytest.raises(duckdb.Error) as e:
            con.sql(f"SELECT {query}").fetchall()
        assert "topsecret" not in str(e.value)
    with pytest.raises(duckdb.Error, match="not a constant"):
        con.sql("SELECT ppc_token('a', s) FROM (VALUES ('p'), ('q')) v(s)").fetchall()


@pytest.mark.spark
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_spark_sql_functions(spark: Any, table: Any, key: Key, key_ref: KeyRef, tmp_path: Path) -> None:
    assert len(desensitize.spark.register(spark, key_ref)) == len(FUNCTIONS)
    few = table.select(["id", "phone", "email", "card", "name", "amount", "born"]).slice(0, 50)
    spark.createDataFrame(few.to_pandas(date_as_object=True)).createOrReplaceTempView("t")
    # one of each shape: that all of them give what they should is shown on DuckDB, through the same code
    shapes = {(f.types[0], f.gives, *f.types[1:], f.column): f.name for f in FUNCTIONS}
    cases = {c: by for c, by in _sql_cases(tmp_path, key).items() if c.split("(")[0] in shapes.values()}
    assert len(cases) == len(shapes)
    named = ", ".join(f"{text} AS c{i}" for i, text in enumerate(cases))
    rows = spark.sql(f"SELECT id, {named} FROM t ORDER BY id").collect()
    for i, (text, by_hand) in enumerate(cases.items()):
        assert [r[i + 1] for r in rows] == by_hand(few).to_pylist(), text


@pytest.mark.spark
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_spark_groups_for_the_search_of_anonymity(spark: Any) -> None:
    """Spark does the GROUP BY, the search sees distinct tuples, and Spark's workers transform the rows."""
    from ppc.desensitize import Anonymizer, anonymity

    rows = pa.table({"age": [20 + i * 7 % 50 for i in range(900)], "sex": [["f", "m"][i % 2] for i in range(900)]})
    frame = spark.createDataFrame(rows.to_pandas())
    tuples = Dataset.from_arrow(pa.Table.from_pandas(frame.groupBy("age", "sex").count().toPandas()))
    hierarchies = {"age": {"kind": "interval", "widths": [5, 10, 20], "low": 0, "high": 100}}
    settings: dict[str, Any] = {"k": 30, "quasi_identifiers": ["age", "sex"], "hierarchies": hierarchies}
    made = Anonymizer(**settings).fit(tuples, count="count")
    alone = Anonymizer(**settings).fit(Dataset.from_arrow(rows))
    assert made.levels_ == alone.levels_

    def work(batches: Iterator[Any]) -> Iterator[Any]:
        for b in batches:
            yield from made.transform(Dataset.from_arrow(pa.Table.from_batches([b]))).to_arrow().to_batches()

    released = Dataset.from_arrow(pa.Table.from_pandas(frame.mapInArrow(work, "age string, sex string").toPandas()))
    assert released.num_rows == 900
    assert anonymity.k_anonymity(released, ["age", "sex"]) >= 30


def test_rules_match_by_what_a_schema_says(key_ref: KeyRef) -> None:
    schema = Schema(
        (
            Field("a", "string", role=Role.IDENTIFIER, category="person.phone", grade=Grade.SENSITIVE),
            Field("b", "int64", role=Role.FEATURE, grade=Grade.PUBLIC),
        )
    )
    rules = [{"category": "person.*", "grade": ">=4", "use": "mask", "first": 1}, {"role": "feature", "use": "keep"}]
    data = pa.table({"a": ["138", None], "b": [1, 2]})
    want = {"a": ["1**", None], "b": [1, 2]}
    import polars as pl

    assert desensitize.arrow.apply(data, rules, schema=schema).to_pydict() == want
    assert desensitize.polars.apply(pl.from_arrow(data), rules, schema=schema).to_dict(as_series=False) == want
    masked = desensitize.pandas.apply(data.to_pandas(), rules, schema=schema)["a"]
    assert masked[0] == "1**"
    assert masked.isna().tolist() == [False, True]
    with pytest.raises(PolicyFileError, match="denied"):
        desensitize.arrow.apply(data, rules)


def test_a_stream_of_batches(table: Any, policy: Any, key_ref: KeyRef, expected: Any) -> None:
    from ppc.desensitize.engines.arrow import apply_batches

    rowwise = policy.model_copy(update={"rule": tuple(r for r in policy.rule if r.use not in _whole())})
    reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=41))
    found = apply_batches(reader, rowwise, key_ref).read_all()
    for rule in rowwise.rule:
        assert found.column(rule.column[0]).equals(expected.column(rule.column[0]))
    with pytest.raises(PolicyFileError, match="needs the whole column"):
        apply_batches(pa.RecordBatchReader.from_batches(table.schema, []), policy, key_ref)


def test_pandas_keeps_dtypes_and_refuses_mixed_columns(key: Key) -> None:
    import numpy as np
    import pandas as pd

    rules = [{"column": "s", "use": "mask", "last": 1}, {"column": "n", "use": "token"}]
    frame = pd.DataFrame({"s": pd.array(["ab", None], "string"), "n": [1.0, np.nan]})
    out = desensitize.pandas.apply(frame, rules, key)
    assert isinstance(out["s"].dtype, pd.StringDtype)
    # The integer that pandas made a float of has the integer's token.
    whole = desensitize.transforms.token(pa.array([1]), scope="n", key=key).to_pylist()
    assert out["n"].tolist()[0] == whole[0]
    for bad in (["x", 3], ["topsecret", b"\xff"], ["\ud800", "topsecret"], [{"topsecret"}, 1]):
        with pytest.raises(TypeMismatchError, match=r"mixed types|not binary") as e:
            desensitize.pandas.apply(pd.DataFrame({"s": pd.Series(bad, dtype=object), "n": [1, 2]}), rules, key)
        assert "topsecret" not in str(e.value)
        assert "column 's'" in str(e.value)
    with pytest.raises(ColumnError, match="name is not text"):
        desensitize.pandas.apply(pd.DataFrame({0: ["x"]}), rules, key)


def test_polars_refuses_what_is_no_frame(key: Key) -> None:
    with pytest.raises(TypeMismatchError, match="Polars"):
        desensitize.polars.apply({"a": [1]}, [], key)


def test_lazy_policy_is_checked_before_it_runs(key: Key) -> None:
    import polars as pl

    lazy = pl.LazyFrame({"phone": ["138"]})
    with pytest.raises(ColumnError, match="fone"):
        desensitize.polars.apply(lazy, [{"column": "fone", "use": "redact"}], key)
    with pytest.raises(ConfigError, match="no key named"):
        desensitize.polars.apply(lazy, [{"column": "phone", "use": "token", "key": "other"}], key)
