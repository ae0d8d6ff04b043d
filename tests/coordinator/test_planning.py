from __future__ import annotations

import pytest

from ppc.coordinator.jobs import DatasetEntry
from ppc.coordinator.planning import ask_of, load_operators, plan_job, public_toml
from ppc.dataset.schema import Field, Grade, Role, Schema
from ppc.errors import ConfigError, JobFileError, SchemaError

LEFT = Schema(
    (
        Field("customer_id", "string", role=Role.IDENTIFIER, grade=Grade.SENSITIVE),
        Field("income", "float64", role=Role.FEATURE, grade=Grade.CONFIDENTIAL, bounds=(0.0, 1e6)),
        Field("bad", "int64", role=Role.LABEL),
        Field("note", "string", description="internal words"),
    )
)
RIGHT = Schema((Field("customer_id", "string", role=Role.IDENTIFIER), Field("spending", "float64", role=Role.FEATURE)))
JOB = """\
name = "scorecard"
parties = ["bank-a", "bank-b"]
helper = "helper"
result = "bank-a"
[datasets]
bank-a = "customers"
bank-b = "behaviour"
[[step]]
operator = "align"
keys = ["customer_id"]
[[step]]
operator = "woe"
label = "bad"
[[step]]
operator = "logistic_regression"
"""


def entries() -> list[DatasetEntry]:
    return [
        DatasetEntry("bank-a", "customers", public_toml(LEFT), 1000),
        DatasetEntry("bank-b", "behaviour", public_toml(RIGHT), 1200),
    ]


def test_the_catalog_shows_names_types_and_roles_only() -> None:
    shown = public_toml(LEFT)
    assert "customer_id" in shown
    for private in ("1e6", "1000000", "bounds", "internal words", "grade"):
        assert private not in shown


def test_every_party_computes_the_same_plan_from_the_catalog() -> None:
    one, two = plan_job(JOB, entries()), plan_job(JOB + "# the same\n", reversed(entries()))
    assert one.plan.hash == two.plan.hash
    assert one.members == ("bank-a", "bank-b", "helper")
    assert plan_job(JOB.replace('"align"', '"align"\nholdout = 0.2'), entries()).plan.hash != one.plan.hash


def test_what_a_plan_asks_of_a_party() -> None:
    planned = plan_job(JOB, entries())
    a = ask_of(planned, "bank-a", LEFT, "bank-b")
    assert (a.partners, a.helper, a.dataset, a.submitter) == (("bank-b",), "helper", "customers", "bank-b")
    assert a.operators == ("align", "woe", "logistic_regression")
    assert {c.name for c in a.columns} == {"customer_id", "income", "bad"}
    assert {c.name: (c.role, c.grade) for c in a.columns}["income"] == ("feature", 3)
    assert "bank-b" in a.recipients
    b = ask_of(planned, "bank-b", RIGHT, "bank-b")
    assert {c.name for c in b.columns} == {"customer_id", "spending"}


def test_a_column_that_a_step_only_names_is_asked_for_too() -> None:
    planned = plan_job(JOB.replace('"bad"', '"bank-a.bad"'), entries())
    assert "bad" in {c.name for c in ask_of(planned, "bank-a", LEFT, "bank-a").columns}


@pytest.mark.parametrize(
    "step",
    [
        'operator = "score"\nmodel = "saved-last-year"',
        'operator = "evaluate"\nmodel = "saved-last-year"\nlabel = "bad"',
        'operator = "logistic_regression"\nlabel = "bad"\nweights = "secret"',
    ],
)
def test_what_may_enter_a_model_is_asked_for_even_if_no_disclosure_names_it(step: str) -> None:
    plain = Schema(tuple(Field(f.name, f.type) for f in (*RIGHT, Field("tenure", "int64"), Field("since", "date"))))
    catalog = [entries()[0], DatasetEntry("bank-b", "behaviour", public_toml(plain), 1200)]
    planned = plan_job(JOB.partition('[[step]]\noperator = "woe"')[0] + f"[[step]]\n{step}\n", catalog)
    asked = ask_of(planned, "bank-b", plain, "bank-a")
    assert [c.name for c in asked.columns] == ["customer_id", "spending", "tenure"]


def test_what_is_not_in_the_catalog_is_named_with_the_nearest() -> None:
    with pytest.raises(JobFileError, match="bank-b has no dataset 'behavior'") as caught:
        plan_job(JOB.replace("behaviour", "behavior"), entries())
    assert caught.value.hint == "Did you mean 'behaviour'?"
    with pytest.raises(JobFileError) as caught:
        plan_job(JOB, entries()[:1])
    assert "is its agent running" in str(caught.value.hint)
    with pytest.raises(SchemaError, match="published schema is malformed"):
        plan_job(JOB, [entries()[0], DatasetEntry("bank-b", "behaviour", "= no", 1)])


def test_a_module_of_operators_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="no_such_module"):
        load_operators(["no_such_module_of_mine"])
