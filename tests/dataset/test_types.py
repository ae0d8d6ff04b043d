"""Type names: one spelling each, the Arrow type they mean, and back."""

import pyarrow as pa
import pytest

from ppc.dataset import types
from ppc.errors import SchemaError, TypeMismatchError

NAMES = [
    *sorted(types.PLAIN),
    "timestamp[s]",
    "timestamp[ns]",
    "timestamp[us, tz=UTC]",
    "timestamp[ms, tz=Asia/Shanghai]",
    "time[s]",
    "time[ns]",
    "duration[us]",
    "decimal128(12, 2)",
    "decimal256(40, -3)",
    "list<string>",
    "list<list<int64>>",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_survives_the_way_to_arrow_and_back(name):
    assert types.canonical(name) == name
    assert types.from_arrow(types.to_arrow(name), column="x") == name


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (pa.dictionary(pa.int32(), pa.string()), "string"),
        (pa.large_string(), "string"),
        (pa.string_view(), "string"),
        (pa.large_binary(), "binary"),
        (pa.binary(16), "binary"),
        (pa.binary_view(), "binary"),
        (pa.date64(), "date"),
        (pa.timestamp("us"), "timestamp"),
        (pa.time64("us"), "time"),
        (pa.decimal32(5, 1), "decimal128(5, 1)"),
        (pa.large_list(pa.float32()), "list<float32>"),
        (pa.run_end_encoded(pa.int32(), pa.int8()), "int8"),
        (pa.uuid(), "binary"),
        (pa.float32(), "float32"),
    ],
)
def test_encodings_of_one_thing_share_its_name(kind, name):
    assert types.from_arrow(kind, column="x") == name


@pytest.mark.parametrize("kind", [pa.struct([("diagnosis", pa.string())]), pa.map_(pa.string(), pa.int64())])
def test_nested_types_are_refused_by_name_of_the_column(kind):
    with pytest.raises(TypeMismatchError, match="column 'visits'") as e:
        types.from_arrow(kind, column="visits")
    assert "columns=[...]" in e.value.hint
    assert "diagnosis" not in str(e.value)


@pytest.mark.parametrize(
    ("name", "meant"), [("str", "string"), ("Integer", "int64"), ("double", "float64"), ("strnig", "string")]
)
def test_a_name_from_elsewhere_is_refused_with_the_one_meant(name, meant):
    with pytest.raises(SchemaError, match="no column type") as e:
        types.canonical(name, where="schema.toml")
    assert e.value.hint == f"Did you mean '{meant}'?"
    assert e.value.where == "schema.toml"


@pytest.mark.parametrize("name", ["", "timestamp[day]", "decimal128(39, 0)", "decimal128(0, 0)", "list<>", "list<str>"])
def test_malformed_names_are_refused(name):
    with pytest.raises(SchemaError):
        types.canonical(name)


def test_numeric_is_what_can_be_summed():
    assert {n for n in types.PLAIN if types.is_numeric(n)} == types.INTEGERS | types.FLOATS | {"bool", "null"}
    assert types.is_numeric("decimal128(12, 2)")
    assert not types.is_numeric("list<int64>")
