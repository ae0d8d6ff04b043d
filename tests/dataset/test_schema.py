"""Fields and schemas: what they refuse, how they look names up, and what they derive from Arrow."""

import dataclasses
import math

import pyarrow as pa
import pytest

from ppc.dataset import Field, Grade, Role, Schema
from ppc.errors import ColumnError, SchemaError

SCHEMA = Schema(
    (
        Field("customer_id", "string", role=Role.IDENTIFIER, grade=Grade.RESTRICTED),
        Field("age", "int64", role=Role.FEATURE, bounds=(18, 120), unit="years"),
        Field("income", "float64", role=Role.FEATURE),
        Field("default", "bool", role=Role.LABEL, nullable=False),
    ),
    name="customers",
)


def test_fields_and_schemas_can_not_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SCHEMA["age"].type = "string"
    with pytest.raises(dataclasses.FrozenInstanceError):
        SCHEMA.name = "other"


def test_plain_words_and_numbers_become_roles_and_grades():
    field = Field("x", "int64", role="quasi_identifier", grade=3, bounds=[0, 1])
    assert field.role is Role.QUASI_IDENTIFIER
    assert field.grade is Grade.CONFIDENTIAL
    assert field.bounds == (0.0, 1.0)
    assert all(isinstance(b, float) for b in field.bounds)
    hash(field)


@pytest.mark.parametrize(
    ("parts", "key"),
    [
        ({"type": "int46"}, "type"),
        ({"role": "identifer"}, "role"),
        ({"role": True}, "role"),
        ({"grade": 6}, "grade"),
        ({"grade": True}, "grade"),
        ({"grade": "high"}, "grade"),
        ({"bounds": (1, 0)}, "bounds"),
        ({"bounds": (math.nan, 0)}, "bounds"),
        ({"bounds": (0, math.inf)}, "bounds"),
        ({"bounds": (0,)}, "bounds"),
        ({"bounds": "01"}, "bounds"),
        ({"bounds": (False, True)}, "bounds"),
        ({"type": "string", "bounds": (0, 1)}, "bounds"),
        ({"domain": ()}, "domain"),
        ({"domain": "ab"}, "domain"),
        ({"domain": (1, 1)}, "domain"),
        ({"domain": (1, "a")}, "domain"),
        ({"type": "bool", "domain": (0, 1)}, "domain"),
        ({"type": "float64", "domain": (math.nan,)}, "domain"),
        ({"type": "binary", "domain": (b"x",)}, "domain"),
        ({"unit": 3}, "unit"),
        ({"category": ["a"]}, "category"),
        ({"description": "\ud800"}, "description"),
        ({"nullable": 1}, "nullable"),
    ],
)
def test_a_malformed_field_names_the_column_and_the_key(parts, key):
    with pytest.raises(SchemaError) as e:
        Field("x", **{"type": "int64", **parts})
    assert "column 'x'" in e.value.where
    assert f"'{key}'" in e.value.where


@pytest.mark.parametrize("name", ["", "  ", 3, None, "\udfff"])
def test_a_column_needs_a_name(name):
    with pytest.raises(SchemaError):
        Field(name, "int64")


def test_the_nearest_role_is_suggested():
    with pytest.raises(SchemaError) as e:
        Field("x", "int64", role="identifer")
    assert e.value.hint == "Did you mean 'identifier'?"


def test_looking_up():
    assert SCHEMA["age"].unit == "years"
    assert SCHEMA.names == ["customer_id", "age", "income", "default"]
    assert "age" in SCHEMA
    assert "agee" not in SCHEMA
    assert [f.name for f in SCHEMA] == SCHEMA.names
    assert [f.name for f in SCHEMA.by_role("feature")] == ["age", "income"]
    assert SCHEMA.by_role(Role.WEIGHT) == ()


def test_an_unknown_column_is_refused_with_the_nearest_name():
    for ask in (lambda: SCHEMA["custmer_id"], lambda: SCHEMA.select(["age", "custmer_id"])):
        with pytest.raises(ColumnError, match="custmer_id") as e:
            ask()
        assert e.value.hint == "Did you mean 'customer_id'?"


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(SchemaError, match="'a' more than once"):
        Schema((Field("a", "int64"), Field("a", "string")))


def test_with_field_replaces_in_place_or_appends():
    other = SCHEMA.with_field(Field("age", "float64"))
    assert other.names == SCHEMA.names
    assert other["age"].type == "float64"
    assert SCHEMA["age"].type == "int64"
    assert SCHEMA.with_field(Field("new", "date")).names == [*SCHEMA.names, "new"]


def test_select_keeps_the_order_asked_for_and_the_name():
    chosen = SCHEMA.select(["income", "age"])
    assert chosen.names == ["income", "age"]
    assert chosen.name == "customers"


def test_arrow_schemas_there_and_back():
    arrow = SCHEMA.to_arrow()
    assert arrow.field("default").nullable is False
    assert Schema.from_arrow(arrow).names == SCHEMA.names
    assert [f.type for f in Schema.from_arrow(arrow)] == [f.type for f in SCHEMA]
    assert Schema.from_arrow(pa.schema([("a", pa.large_string())]), "n") == Schema((Field("a", "string"),), "n")
