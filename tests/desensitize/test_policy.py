"""Policies: what they say, and what is said of those that are wrong, before a row is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import ppc.desensitize as desensitize
from ppc.dataset.dataset import Dataset
from ppc.dataset.schema import Field, Grade, Role, Schema
from ppc.desensitize.keys import Key
from ppc.desensitize.policy import Policy, Rule
from ppc.errors import ColumnError, ConfigError, FileError, PolicyFileError, PpcError, QueryError, TypeMismatchError

TABLE = pa.table(
    {
        "id": [1, 2, 3],
        "phone": ["13812345678", None, "13900001111"],
        "country": ["CN", "DE", None],
        "age": [21, 35, 67],
    }
)
GOOD = """version = 1
name = "customers"
default = "deny"

[[rule]]
column = "id"
use = "token"
scope = "customer"

[[rule]]
name = "phones of China"
column = ["phone"]
when = "country = 'CN'"
use = "mask"
first = 3
last = 4

[[rule]]
column = "ph*"
use = "redact"

[[rule]]
column = "age"
use = "drop"

[[rule]]
column = "country"
use = "keep"
"""


def apply(text: str, key: Key, table: Any = TABLE, schema: Schema | None = None) -> Any:
    return desensitize.apply(Dataset.from_arrow(table, schema), Policy.from_toml(text, where="p.toml"), key)


def test_a_policy_at_work(key: Key) -> None:
    ds, report = desensitize.apply_with_report(Dataset.from_arrow(TABLE), Policy.from_toml(GOOD), key)
    out = ds.to_arrow().to_pydict()
    assert list(out) == ["id", "phone", "country"]
    assert out["phone"] == ["138****5678", None, "***"]  # the country of the third is not known to be CN
    assert out["country"] == ["CN", "DE", None]
    assert out["id"] == desensitize.transforms.token(TABLE["id"], scope="customer", key=key).to_pylist()
    by = {c.column: c for c in report.columns}
    assert [a.rows for a in by["phone"].actions] == [1, 2]
    assert by["phone"].actions[0].rule == "rule 2 'phones of China'"
    assert by["id"].actions[0].key == key.id
    assert by["age"].after is None
    assert by["phone"].nulls_before == by["phone"].nulls_after == 1
    text = report.text()
    assert "mask(first=3, last=4) when country = 'CN'" in text
    assert "138" not in text
    assert report.to_dict()["rows"] == 3


@pytest.mark.parametrize(
    ("old", "new", "what", "place", "hint"),
    [
        ("version = 1", "version = = 1", "not valid TOML", "line 1, column 11", ""),
        ("version = 1", "version = 2", "'version'", "line 1", ""),
        ('default = "deny"', 'defualt = "deny"', "'defualt'", "line 3", "'default'"),
        ('default = "deny"', 'default = "dney"', "'default'", "line 3", ""),
        ("first = 3", "frist = 3", "'frist' of mask: no such parameter", "line 15", "'first'"),
        ("first = 3", 'first = "3"', "'first' of mask: input should be a valid integer", "line 15", ""),
        ("last = 4", "last = -4", "'last' of mask", "line 16", ""),
        ('use = "token"', 'use = "tokn"', "no transformation named 'tokn'", "line 7", "'token'"),
        ('use = "drop"', 'use = "drop"\nfirst = 1', "drop takes no parameter", "line 25", ""),
        ('column = "country"', 'colum = "country"', "rule 5 has none of column", "line 26", ""),
        ('column = "country"', 'role = "identifer"', "no role 'identifer'", "line 27", ""),
        ('column = "country"', "grade = 9", "'grade' of rule 5", "line 27", ""),
        ('column = "country"', "column = []", "'column' of rule 5", "line 27", ""),
        ('use = "keep"', 'use = "keep"\nkey = 3', "'key' of rule 5", "line 29", ""),
        ('use = "keep"\n', "", "'use' of rule 5: is required", "line 26", ""),
        ("[[rule]]", "[[rules]]", "'rules'", "", "[[rule]]"),
        ('use = "keep"', 'use = "generalize"\nlevel = 1\nhierarchy = "none.csv"', "hierarchy", "", ""),
    ],
)
def test_faults_are_named_with_line_and_hint(
    old: str, new: str, what: str, place: str, hint: str, tmp_path: Path
) -> None:
    text = GOOD.replace(old, new) if old == "[[rule]]" else GOOD.replace(old, new, 1)
    assert text != GOOD
    path = tmp_path / "p.toml"
    path.write_text(text)
    with pytest.raises(PolicyFileError) as e:
        Policy.read(path)
    assert what in e.value.what
    assert "p.toml" in str(e.value.where)
    assert place in str(e.value.where)
    assert hint in str(e.value.hint)


@pytest.mark.parametrize(
    ("old", "new", "error", "what", "hint"),
    [
        ('column = "country"', 'column = "contry"', ColumnError, "'contry'", "'country'"),
        ("country = 'CN'", "contry = 'CN'", QueryError, "contry", "'country'"),
        ("country = 'CN'", "country", QueryError, "", ""),
        ("country = 'CN'", "(SELECT true)", QueryError, "", ""),
        ('use = "keep"', 'use = "keep"\nkey = "x"', None, "", ""),
        ('scope = "customer"', 'key = "x"', ConfigError, "no key named 'x'", "'default'|Known"),
        ('use = "keep"', 'use = "bucket"\nwidth = 1.0', TypeMismatchError, "bucket takes", ""),
        ('use = "keep"', 'use = "date_shift"', ConfigError, "needs 'entity'", ""),
        (
            'column = "ph*"\nuse = "redact"',
            'column = "x*"\nuse = "redact"',
            PolicyFileError,
            "'phone' is denied",
            "rule",
        ),
        (
            'column = "country"\nuse = "keep"',
            'column = "id"\nuse = "keep"',
            PolicyFileError,
            "'country' is denied",
            "keep",
        ),
        (
            'column = "ph*"\nuse = "redact"',
            'column = "ph*"\nuse = "replace"\nvalue = 3',
            PolicyFileError,
            "different types",
            "",
        ),
        (
            'column = "ph*"\nuse = "redact"',
            'column = "ph*"\nuse = "drop"',
            PolicyFileError,
            "some rows only",
            "nullify",
        ),
        ('use = "keep"', 'use = "fpe_encrypt"\ntweak = "agee"', ColumnError, "'agee'", "'age'"),
    ],
)
def test_faults_against_the_schema(old: str, new: str, error: Any, what: str, hint: str, key: Key) -> None:
    text = GOOD.replace(old, new, 1)
    assert text != GOOD
    if error is None:
        apply(text, key)
        return
    with pytest.raises(error) as e:
        apply(text, key)
    assert what in str(e.value)
    assert any(h in str(e.value.hint) for h in hint.split("|"))


@pytest.mark.parametrize(
    ("default", "kept"), [("keep", [21, 35, 67]), ("nullify", [None] * 3), ("redact", ["***"] * 3), ("drop", None)]
)
def test_defaults(default: str, kept: Any, key: Key) -> None:
    text = f'default = "{default}"\n[[rule]]\ncolumn = "phone"\nuse = "redact"\n'
    out = apply(text, key).to_arrow().to_pydict()
    assert out.get("age") == kept
    assert out["phone"] == ["***", None, "***"]


def test_rules_by_category_role_and_grade() -> None:
    schema = Schema(
        (
            Field("id", "int64", role=Role.IDENTIFIER),
            Field("phone", "string", category="person.phone.mobile", grade=Grade.SENSITIVE),
            Field("country", "string", grade=Grade.PUBLIC, domain=("CN", "DE")),
            Field("age", "int64", role=Role.QUASI_IDENTIFIER, grade=Grade.CONFIDENTIAL, bounds=(0, 120)),
        )
    )
    text = """
[[rule]]
category = "person.*"
grade = ">= 4"
use = "mask_phone"
grade_after = 2
[[rule]]
role = ["identifier", "sensitive"]
use = "nullify"
[[rule]]
grade = "confidential"
use = "bucket"
width = 10.0
[[rule]]
grade = "<3"
use = "keep"
"""
    ds = apply(text, None, TABLE, schema)  # type: ignore[arg-type]
    assert ds.to_arrow().to_pydict() == {
        "id": [None] * 3,
        "phone": ["138****5678", None, "139****1111"],
        "country": ["CN", "DE", None],
        "age": ["[20, 30)", "[30, 40)", "[60, 70)"],
    }
    # What comes out is described as what it is.
    assert ds.schema["phone"].grade == Grade.INTERNAL
    assert ds.schema["age"].bounds is None
    assert ds.schema["age"].type == "string"
    assert ds.schema["country"].domain == ("CN", "DE")
    for grade, n in (("=5", 0), ("> 3", 1), ("<=4", 3), ("4", 1), ("public", 1), ("==3", 1)):
        rule = Rule(grade=grade, use="keep")
        assert sum(rule.matches(f) for f in schema) == n


def test_hierarchy_files_lie_beside_the_policy(tmp_path: Path, key: Key) -> None:
    (tmp_path / "h.csv").write_text("CN;Asia\nDE;Europe\n")
    (tmp_path / "p.toml").write_text(
        'default = "keep"\n[[rule]]\ncolumn = "country"\nuse = "generalize"\nlevel = 1\nhierarchy = "h.csv"\n'
    )
    out = desensitize.apply(Dataset.from_arrow(TABLE), tmp_path / "p.toml")
    assert out.to_arrow()["country"].to_pylist() == ["Asia", "Europe", None]
    (tmp_path / "h.csv").write_text("CN;Asia\nDE\n")
    with pytest.raises(PolicyFileError, match="a line of 1 columns") as e:
        Policy.read(tmp_path / "p.toml")
    assert "p.toml, line 6" in str(e.value)
    assert "h.csv, line 2" in str(e.value)


def test_files_that_are_no_policies(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        Policy.read(tmp_path / "none.toml")
    (tmp_path / "bin.toml").write_bytes(b"version = 1\n\xff")
    with pytest.raises(PolicyFileError, match="not UTF-8") as e:
        Policy.read(tmp_path / "bin.toml")
    assert "line 2" in str(e.value)
    with pytest.raises(FileError):
        Policy.read(tmp_path)


def test_rules_in_code(key: Key) -> None:
    rules = [{"column": "phone", "use": "mask", "first": 1}]
    with pytest.raises(PolicyFileError, match="denied"):
        desensitize.apply(Dataset.from_arrow(TABLE), rules, key)
    with pytest.raises(PolicyFileError, match="frist"):
        desensitize.apply(Dataset.from_arrow(TABLE), [{"column": "phone", "use": "mask", "frist": 1}], key)
    with pytest.raises(PolicyFileError, match="'use' of rule 1"):
        desensitize.apply(Dataset.from_arrow(TABLE), [{"column": "phone"}], key)
    policy = Policy(default="keep", rule=(Rule(column="phone", use="mask", first=1),))
    assert desensitize.apply(Dataset.from_arrow(TABLE), policy).to_arrow()["phone"][0].as_py() == "1**********"


def test_an_error_names_column_and_rule_and_holds_no_value(key: Key) -> None:
    table = pa.table({"card": ["6222021234567890", "topsecret"]})
    with pytest.raises(PpcError) as e:
        desensitize.apply(Dataset.from_arrow(table), [{"column": "card", "use": "fpe_encrypt"}], key)
    assert "column 'card'" in str(e.value)
    assert "topsecret" not in str(e.value.to_dict())


def test_empty_tables_and_all_null_columns(key: Key) -> None:
    for table in (
        TABLE.slice(0, 0),
        pa.table({n: pa.nulls(3, k.type) for n, k in zip(TABLE.column_names, TABLE.schema, strict=True)}),
    ):
        out = apply(GOOD, key, table).to_arrow()
        assert out.num_rows == table.num_rows
        assert out.schema.field("phone").type == pa.string()
        assert out.column("phone").null_count == out.num_rows


def test_an_unkeyed_hash_is_remarked(key: Key) -> None:
    table = pa.table({"x": ["a"]})
    rules = [{"column": "x", "use": "hash", "keyed": False}]
    with pytest.warns(desensitize.transforms.UnkeyedHashWarning):
        _, report = desensitize.apply_with_report(Dataset.from_arrow(table), rules)
    assert "column 'x' is hashed without a key" in report.warnings[0]
    assert "warning: column 'x'" in report.text()
    assert (
        desensitize.apply_with_report(Dataset.from_arrow(table), [{"column": "x", "use": "hash"}], key)[1].warnings
        == ()
    )


def test_what_is_no_policy() -> None:
    for bad in (42, [42], "none.toml", {"column": "x"}):
        with pytest.raises(PpcError):
            desensitize.apply(Dataset.from_arrow(TABLE), bad)  # type: ignore[arg-type]


def test_conditions_that_fail_on_a_value_do_not_quote_it(key: Key) -> None:
    table = pa.table({"x": ["7", "topsecret"]})
    rules = [{"column": "x", "when": "CAST(x AS INTEGER) > 5", "use": "redact"}, {"column": "x", "use": "keep"}]
    with pytest.raises(QueryError, match="failed on a value") as e:
        desensitize.apply(Dataset.from_arrow(table), rules)
    assert "topsecret" not in str(e.value.to_dict())
    for when in ("(SELECT count(*) FROM read_text('/etc/passwd')) > 0", "true) FROM _rows; SELECT (true", "sum(1) > 0"):
        with pytest.raises(QueryError):
            desensitize.apply(Dataset.from_arrow(table), [{**rules[0], "when": when}, rules[1]])


def test_one_policy_for_several_tables(key: Key) -> None:
    policy = Policy.from_toml(GOOD)
    orders = pa.table({"id": [1], "phone": ["13812345678"], "country": ["DE"]})
    with pytest.raises(ColumnError, match="'age'"):
        desensitize.apply(Dataset.from_arrow(orders), policy, key)
    out = desensitize.apply(Dataset.from_arrow(orders), policy.only(orders.column_names), key)
    assert out.to_arrow().to_pydict()["phone"] == ["***"]
    # What it leaves out is names; a column that no rule matches is still denied.
    with pytest.raises(PolicyFileError, match="'new' is denied"):
        more = orders.append_column("new", pa.array([1]))
        desensitize.apply(Dataset.from_arrow(more), policy.only(more.column_names), key)


def test_progress(key: Key) -> None:
    seen: list[float] = []
    desensitize.apply(Dataset.from_arrow(TABLE), Policy.from_toml(GOOD), key, progress=lambda f, _: seen.append(f))
    assert seen[0] == 0.0
    assert seen[-1] == 1.0


def test_public_face() -> None:
    for name in desensitize.__all__:
        assert getattr(desensitize, name) is not None
        assert name in dir(desensitize)
    with pytest.raises(AttributeError):
        desensitize.nothing  # type: ignore[attr-defined]
