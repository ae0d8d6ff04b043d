"""Plans: what they say, what their hash covers, and what is refused from schemas alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ppc.dataset.schema import Field, Role, Schema
from ppc.errors import ColumnError, JobFileError, LabelError, PpcError, SchemaError, TypeMismatchError
from ppc.joint import EVERYONE, Job, Plan, plan

A = Schema((Field("id", "string"), Field("age", "int64", bounds=(18, 99)), Field("bad", "int64", role=Role.LABEL)))
B = Schema((Field("id", "string"), Field("income", "float64"), Field("debt", "float64")))
ROWS = {"bank-a": 1000, "bank-b": 800}


def make(*steps: dict[str, Any], a: Schema = A, b: Schema = B, rows: dict[str, int] = ROWS, **job: Any) -> Plan:
    doc = {"name": "j", "parties": ["bank-a", "bank-b"], "helper": "helper", "step": list(steps), **job}
    return plan(Job.from_dict(doc), {"bank-a": a, "bank-b": b}, rows)


ALIGN = {"operator": "align", "keys": ["id"], "holdout": 0.3}
MODEL = {"operator": "logistic_regression"}


def test_every_party_sees_what_it_and_the_others_learn() -> None:
    planned = make(ALIGN, MODEL, {"operator": "score"})
    text = planned.text()
    assert planned.hash in text
    assert "bank-b learns the coefficients of its own features; columns: income, debt of bank-b" in text
    assert "bank-a learns which of its own rows bank-b has too" in text
    to_a = [d.what for d in planned.to("bank-a")]
    assert "the intercept" in to_a
    assert "the intercept" not in [d.what for d in planned.to("bank-b")]
    assert all(d.to in ("bank-a", "bank-b", EVERYONE) and d.step for d in planned.disclosures)
    assert all(len(line) <= 100 for line in text.splitlines())
    assert planned.to_dict()["steps"][1]["disclosures"]
    assert planned.cost.rounds == sum(s.cost.rounds for s in planned.steps) > 0


def test_the_hash_covers_job_and_disclosures_but_not_row_counts_and_public_details() -> None:
    base = make(ALIGN, MODEL)
    assert make(ALIGN, MODEL, rows={"bank-a": 5, "bank-b": 5}).hash == base.hash
    described = Schema((Field("id", "string"), Field("income", "float64", unit="EUR", bounds=(0, 9)), B["debt"]))
    assert make(ALIGN, MODEL, b=described).hash == base.hash
    fewer = Schema((Field("id", "string"), Field("income", "float64")))
    assert make(ALIGN, MODEL, b=fewer).hash != base.hash
    assert make({**ALIGN, "holdout": 0.2}, MODEL).hash != base.hash
    assert make(ALIGN, {**MODEL, "weights": "secret"}).hash != base.hash


def test_secret_weights_disclose_no_coefficient() -> None:
    planned = make(ALIGN, {**MODEL, "weights": "secret"})
    assert not any("coefficient" in d.what for d in planned.disclosures)


def test_early_stop_is_disclosed() -> None:
    assert any("one bit" in d.what for d in make(ALIGN, {**MODEL, "solver": "newton"}).disclosures)
    assert any("squared error" in d.what for d in make(ALIGN, {**MODEL, "early_stop": "loss"}).disclosures)


@pytest.mark.parametrize(
    ("steps", "error", "message"),
    [
        ([{**ALIGN, "keys": ["idd"]}], PpcError, "there is no key column 'idd'"),
        ([ALIGN, ALIGN | {"name": "again"}], JobFileError, "matched already"),
        ([{**ALIGN, "keys": {"bank-a": ["id"]}}], JobFileError, "no key column of 'bank-b'"),
        ([{**ALIGN, "keys": {"bank-a": ["id"], "bank-b": ["id"], "bank-c": ["id"]}}], JobFileError, "not a party"),
        ([{**ALIGN, "keys": {"bank-a": ["id", "age"], "bank-b": ["id"]}}], JobFileError, "different numbers"),
        ([{**ALIGN, "keys": {"bank-a": ["age"], "bank-b": ["id"]}}], PpcError, "never match"),
        ([{**ALIGN, "keys": {"bank-a": ["id"], "bank-b": ["debt"]}}], PpcError, "of type float64"),
        ([ALIGN, {**MODEL, "label": "badd"}], LabelError, "no party has a column 'badd'"),
        ([ALIGN, {**MODEL, "label": "bank-b.id"}], LabelError, "is text"),
        ([ALIGN, {**MODEL, "drop": ["agee"]}], ColumnError, "no party has a column 'agee'"),
        ([ALIGN, {**MODEL, "sample_weight": "bank-b.id"}], TypeMismatchError, "is not a number"),
        ([ALIGN, {**MODEL, "drop": ["age", "income", "debt"]}], ColumnError, "no party has a feature"),
        ([ALIGN, {"operator": "score"}], JobFileError, "no earlier step makes a model"),
    ],
)  # fmt: skip
def test_what_schemas_show_is_refused_before_anything_runs(
    steps: list[dict[str, Any]], error: type[PpcError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        make(*steps)
    assert caught.value.where


def test_a_text_feature_is_refused_by_name_with_a_way_out() -> None:
    b = Schema((*B.fields, Field("city", "string")))
    with pytest.raises(TypeMismatchError, match="column 'city' is text") as caught:
        make(ALIGN, MODEL, b=b)
    assert caught.value.party == "bank-b"
    assert "bank-b.city" in (caught.value.hint or "")
    assert make(ALIGN, {**MODEL, "drop": ["city"]}, b=b)
    assert make(ALIGN, {**MODEL, "features": "label_holder"}, b=b)


def test_a_column_at_both_parties_needs_the_party() -> None:
    b = Schema((*B.fields, Field("age", "int64")))
    with pytest.raises(ColumnError, match="is at bank-a and bank-b") as caught:
        make(ALIGN, {**MODEL, "drop": ["age"]}, b=b)
    assert "bank-a.age" in (caught.value.hint or "")
    assert "age of bank-b" not in make(ALIGN, {**MODEL, "drop": ["bank-b.age"]}, b=b).text()


def test_two_or_three_parties_compute_without_a_helper_and_four_do_not() -> None:
    other = Schema((Field("id", "string", role=Role.IDENTIFIER), Field("visits", "int64", role=Role.FEATURE)))
    schemas, rows = {"bank-a": A, "bank-b": B, "c": other, "d": other}, {**ROWS, "c": 9, "d": 9}
    model = {**MODEL, "drop": ["bank-a.id", "bank-b.id"]}
    three = {"name": "j", "parties": ["bank-a", "bank-b", "c"], "step": [model]}
    assert "Rests on replicated shares of three parties" in plan(Job.from_dict(three), schemas, rows).text()
    with pytest.raises(JobFileError, match="four or more parties need a helper"):
        plan(Job.from_dict({**three, "parties": list(schemas)}), schemas, rows)
    alone, helped = make(ALIGN, MODEL, helper="none"), make(ALIGN, MODEL)
    assert "Helper   none" in alone.text()
    assert "Rests on oblivious transfer, no LPN" in alone.text()
    assert "Rests on" not in helped.text() + make(ALIGN, helper="none").text()
    assert alone.cost.bytes > 5 * helped.cost.bytes
    assert alone.hash != helped.hash


def test_the_plan_names_the_code_that_silent_transfers_rest_on() -> None:
    silent = make(ALIGN, MODEL, helper="none", randomness="silent")
    assert "LPN with regular noise, expand-convolute code 21x24" in " ".join(silent.text().split())
    assert silent.job.to_dict()["randomness"] == "silent"
    assert silent.hash != make(ALIGN, MODEL, helper="none").hash
    for bad, said in ({"randomness": "silver"}, "'ot' or 'silent'"), ({"randomness": "ot"}, "the job has one"):
        with pytest.raises(JobFileError, match=said):
            make(ALIGN, MODEL, **{"helper": "none" if said.startswith("'ot") else "helper", **bad})


def test_a_party_without_a_schema(toy_job: Callable[..., Job]) -> None:
    with pytest.raises(SchemaError, match="not known") as caught:
        plan(toy_job("toy_total"), {"a": A}, {"a": 1, "b": 1})
    assert caught.value.party == "b"


def test_the_plan_says_what_planning_itself_tells() -> None:
    planned = make(ALIGN)
    assert "names, types and roles of every party's columns" in planned.disclosures[0].what
    assert "names, types and roles" in planned.text().replace("\n     ", " ")
    assert planned.to_dict()["opening"]
