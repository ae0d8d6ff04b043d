"""Schema files: read and written without loss, comments kept, and errors that name file and key."""

import datetime as dt
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppc.dataset import Field, Grade, Role, Schema
from ppc.errors import FileError, SchemaError

TEXT = """\
# The bank's customers, described by the data office.
name = "customers"

[fields.customer_id]   # the number on the card
type = "string"
role = "identifier"
grade = 5
category = "finance.account"

[fields.income]
# before tax
type = "float64"
bounds = [0, 1e6]  # of public statistics
unit = "EUR"

[fields."marital status"]
type = "string"
domain = ["single", "married"]
nullable = false
"""

_text = st.text(max_size=20)
_name = st.text(min_size=1, max_size=12).filter(str.strip)
_finite = st.floats(allow_nan=False, allow_infinity=False)
_minutes = st.integers(-14 * 60, 14 * 60).map(lambda m: dt.timezone(dt.timedelta(minutes=m)))
# For every type that can have a list of values, those values.
_domains = {
    "string": _text,
    "bool": st.booleans(),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "float64": _finite,
    "date": st.dates(),
    "timestamp": st.datetimes(),
    "timestamp[us, tz=UTC]": st.datetimes(
        min_value=dt.datetime(2, 1, 1), max_value=dt.datetime(9998, 1, 1), timezones=_minutes
    ),
}
_others = st.sampled_from(["binary", "time", "duration[s]", "decimal128(10, 2)", "list<string>", "uint8", "null"])


@st.composite
def fields(draw):
    kind = draw(st.one_of(st.sampled_from(sorted(_domains)), _others))
    values = st.lists(_domains[kind], min_size=1, max_size=4, unique=True).map(tuple) if kind in _domains else st.none()
    numeric = kind in ("int64", "float64", "uint8", "decimal128(10, 2)")
    bounds = st.tuples(_finite, _finite).map(sorted).map(tuple) if numeric else st.none()
    optional = lambda s: draw(st.one_of(st.none(), s))  # noqa: E731
    return Field(
        draw(_name),
        kind,
        role=optional(st.sampled_from(Role)),
        grade=optional(st.sampled_from(Grade)),
        category=optional(st.text(string.ascii_lowercase + ".", max_size=10)),
        bounds=optional(bounds),
        unit=optional(_text),
        domain=optional(values),
        nullable=draw(st.booleans()),
        description=optional(_text),
    )


schemas = st.builds(
    Schema, st.lists(fields(), max_size=5, unique_by=lambda f: f.name).map(tuple), name=st.one_of(st.none(), _text)
)


@given(schemas)
def test_what_is_written_is_read_back(schema):
    assert Schema.from_toml(schema.to_toml()) == schema


@given(schemas, schemas)
def test_what_is_written_onto_an_older_version_is_read_back(schema, old):
    assert Schema.from_toml(schema.to_toml(onto=old.to_toml())) == schema


def test_reading():
    schema = Schema.from_toml(TEXT)
    assert schema == Schema(
        (
            Field("customer_id", "string", Role.IDENTIFIER, Grade.RESTRICTED, "finance.account"),
            Field("income", "float64", bounds=(0, 1e6), unit="EUR"),
            Field("marital status", "string", domain=("single", "married"), nullable=False),
        ),
        "customers",
    )


def test_writing_keeps_the_comments_of_the_file_that_is_there(tmp_path):
    path = tmp_path / "customers.schema.toml"
    path.write_text(TEXT)
    schema = Schema.read(path)
    schema.write(path)
    assert path.read_text() == TEXT
    changed = schema.with_field(Field("income", "float64", role=Role.FEATURE, bounds=(0, 5e5)))
    changed.write(path)
    text = path.read_text()
    assert Schema.read(path) == changed
    for comment in ("described by the data office", "the number on the card", "before tax"):
        assert comment in text
    assert "EUR" not in text
    fewer = changed.select(["income"])
    fewer.write(path)
    assert Schema.read(path) == fewer


def test_an_edit_that_toml_can_not_see_is_still_made():
    """In Python 1 == True, so a comparison alone would leave [1] as the domain of a bool."""
    old = Schema((Field("a", "int64", domain=(1, 0)),)).to_toml()
    new = Schema((Field("a", "bool", domain=(True, False)),))
    assert Schema.from_toml(new.to_toml(onto=old)) == new


def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "s.toml"
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    assert Schema.read(path) == Schema.from_toml(TEXT)


@pytest.mark.parametrize(
    ("text", "what", "where", "hint"),
    [
        ("nmae = 'x'", "unknown key 'nmae'", "key 'nmae'", "Did you mean 'name'?"),
        ("[fields.a]\ntype = 'int64'\nunti = 'm'", "'fields.a.unti'", "key 'fields.a.unti'", "Did you mean 'unit'?"),
        ("[fields.a]\nrole = 'label'", "no type", "key 'fields.a.type'", None),
        ("[fields.a]\ntype = 'int'", "no column type", "column 'a', key 'type'", "Did you mean 'int64'?"),
        ("[fields.a]\ntype = 'string'\nrole = 'labl'", "role", "column 'a', key 'role'", "Did you mean 'label'?"),
        ("[fields.a]\ntype = 3", "no column type", "column 'a', key 'type'", "Known names"),
        ("[fields.a]\ntype = 'int64'\nbounds = 3", "bounds", "column 'a', key 'bounds'", None),
        ("[fields.a]\ntype = 'int64'\n[fields.a]\ntype = 'int64'", "not valid TOML", "line 3, column 10", "toml.io"),
        ("[fields.a\n", "not valid TOML", "line 1", "toml.io"),
        ("[fields]\na = 'int64'", "must be a table", "key 'fields.a'", "[fields.a]"),
        ("fields = 3", "fields must be tables", "key 'fields'", None),
        ("name = 3", "name must be text", "key 'name'", None),
        ("[fields.'']\ntype = 'int64'", "has no name", "s.toml", None),
        ("a = " + "[" * 5000, "not valid TOML", "s.toml", None),
    ],
)
def test_errors_name_file_and_key(tmp_path, text, what, where, hint):
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(SchemaError) as e:
        Schema.read(path)
    assert what in e.value.what
    assert str(path) in e.value.where
    assert where in e.value.where
    assert hint is None or hint in e.value.hint


def test_unreadable_files(tmp_path):
    with pytest.raises(FileError, match="no such"):
        Schema.read(tmp_path / "s.toml")
    with pytest.raises(FileError, match="can not be read"):
        Schema.read(tmp_path)
    latin = tmp_path / "latin.toml"
    latin.write_bytes("name = 'café'".encode("latin-1"))
    with pytest.raises(FileError, match="UTF-8"):
        Schema.read(latin)


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(FileError):
        Schema.from_toml(TEXT).write(tmp_path / "missing" / "s.toml")
    assert list(tmp_path.iterdir()) == []
