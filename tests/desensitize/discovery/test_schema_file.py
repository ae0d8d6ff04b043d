"""A scan drafts a schema; what a person wrote in it stays."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from ppc.dataset import Dataset, Field, Role, Schema
from ppc.desensitize.discovery import scan, schema_file
from ppc.errors import SchemaError

Make = Callable[..., Dataset]


@pytest.fixture
def people(table: Make) -> Dataset:
    return table(phone=[f"138{i:08d}" for i in range(50)], gender=["M", "F"] * 25, note=[f"n{i}" for i in range(50)])


def test_a_draft_has_role_category_grade_and_why(people: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "people.schema.toml"
    draft = schema_file.write(path, scan(people), people.schema)
    schema = Schema.read(path)
    assert schema.names == people.columns
    assert (schema["phone"].role, schema["phone"].category, schema["phone"].grade) == (
        Role.IDENTIFIER,
        "person.phone",
        3,
    )
    assert schema["note"] == Field("note", "string")
    assert draft.added == people.columns
    text = path.read_text("utf-8")
    assert "100% of 50 distinct values" in text
    assert "PIPL" in text
    assert "unverified" in text  # the level by GB/T 43697, Annex H


def test_a_second_scan_changes_nothing(people: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    schema_file.write(path, scan(people), people.schema)
    before = path.read_text("utf-8")
    draft = schema_file.write(path, scan(people), people.schema)
    assert path.read_text("utf-8") == before
    assert not draft.filled + draft.added + draft.kept


def test_what_a_person_wrote_stays(people: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(
        """\
# Our people.
name = "staff"

[fields.gender]     # asked at entry
type = "string"
role = "feature"    # we model it
domain = ["F", "M"]

[fields.phone]
type = "string"
category = "none"   # test numbers only
"""
    )
    draft = schema_file.write(path, scan(people), people.schema)
    text = path.read_text("utf-8")
    for line in ("# Our people.", "# asked at entry", 'role = "feature"    # we model it', "# test numbers only"):
        assert line in text
    schema = Schema.read(path)
    assert schema.name == "staff"
    assert schema["gender"].role is Role.FEATURE
    assert schema["gender"].domain == ("F", "M")
    assert schema["gender"].category == "person.sex"
    assert schema["phone"] == Field("phone", "string", category="none")
    assert draft.added == ["note"]
    assert set(draft.kept) == {"gender.role", "phone.category"}


def test_an_edited_value_stays_even_if_its_comment_does_too(people: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    schema_file.write(path, scan(people), people.schema)
    path.write_text(path.read_text("utf-8").replace('role = "identifier"', 'role = "group"', 1), "utf-8")
    draft = schema_file.write(path, scan(people), people.schema)
    assert Schema.read(path)["phone"].role is Role.GROUP
    assert draft.kept == ["phone.role"]


def test_a_scan_may_correct_itself(people: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    schema_file.write(path, scan(people, packs=["gdpr"]), people.schema)
    assert Schema.read(path)["phone"].grade == 3
    draft = schema_file.write(path, scan(people, packs=["hipaa"]), people.schema)
    assert Schema.read(path)["phone"].grade == 4
    assert "phone.grade" in draft.filled


def test_a_finding_that_does_not_come_again_is_left(people: Dataset, table: Make, tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    schema_file.write(path, scan(people), people.schema)
    blank = table(phone=["x", "y"], gender=["q", "r"], note=["a", "b"])
    schema_file.write(path, scan(blank), blank.schema)
    assert Schema.read(path)["phone"].role is Role.IDENTIFIER


def test_columns_that_are_gone_are_told_and_kept(people: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    schema_file.write(path, scan(people), people.schema)
    fewer = people.drop(["gender"])
    assert schema_file.write(path, scan(fewer), fewer.schema).gone == ["gender"]
    assert "gender" in Schema.read(path)


def test_names_that_need_quotes_and_reasons_with_odd_characters(table: Make, tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    ds = table(**{"a.b phone": [f"138{i:08d}" for i in range(20)], '"电话"\n': [f"138{i:08d}" for i in range(20)]})
    for _ in range(2):
        schema_file.write(path, scan(ds), ds.schema)
        assert Schema.read(path)["a.b phone"].category == "person.phone"
        assert tomllib.loads(path.read_text("utf-8"))["fields"]['"电话"\n']["role"] == "identifier"


def test_a_file_that_is_no_schema_is_left_alone(people: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text("[fields.phone]\ntype = 'text'\n")
    with pytest.raises(SchemaError):
        schema_file.write(path, scan(people), people.schema)
    assert path.read_text() == "[fields.phone]\ntype = 'text'\n"


def test_a_scan_as_a_schema_fills_only_what_is_open(people: Dataset) -> None:
    base = people.schema.with_field(Field("gender", "string", role=Role.FEATURE)).with_field(
        Field("phone", "string", category="none")
    )
    filled = scan(people).schema(base)
    assert filled["gender"].role is Role.FEATURE
    assert filled["gender"].category == "person.sex"
    assert filled["phone"] == base["phone"]
