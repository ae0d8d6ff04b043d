"""Matching customers, and the holdout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ppc.dataset.dataset import Dataset
from ppc.errors import DisclosureRefused, JobFileError, KeyColumnError, NoMatchError, PpcError, RemoteFailure
from ppc.joint import Job, outcomes, plan, simulate

Jobs = Callable[..., Job]
Banks = Callable[..., dict[str, Dataset]]
ALIGN = {"operator": "align", "keys": ["id"]}


def test_rows_meet_in_one_order(bank_job: Jobs, bank_data: Banks) -> None:
    data = bank_data()
    results = simulate(bank_job({**ALIGN, "holdout": 0.25}, helper="none"), data)
    ids = []
    for bank, dataset in data.items():
        rows = results[bank].artifacts.of("align").array("rows")
        ids.append(dataset.take(rows).column("id").to_pylist())
    common = set(data["bank-a"].column("id").to_pylist()) & set(data["bank-b"].column("id").to_pylist())
    assert ids[0] == ids[1]
    assert set(ids[0]) == common
    held = [results[bank].artifacts.of("align").array("holdout") for bank in data]
    assert np.array_equal(*held)
    assert held[0].sum() == round(0.25 * len(common))
    summary = results["bank-a"].summary("align")
    assert summary["matched"] == len(common)
    assert summary["train"] + summary["holdout"] == len(common)
    assert summary["own_rows"] == 540


def test_columns_of_other_names_and_normalised_keys(bank_job: Jobs, bank_data: Banks) -> None:
    def other_names(table: dict[str, Any]) -> None:
        table["customer"] = np.array([f"  {i.lower()}" for i in table.pop("id")])

    data = bank_data(b=other_names)
    keys = {"bank-a": ["id"], "bank-b": ["customer"]}
    results = simulate(bank_job({**ALIGN, "keys": keys, "normalise": True}, helper="none"), data)
    assert results["bank-b"].summary("align")["matched"] > 450
    with pytest.raises(NoMatchError):
        simulate(bank_job({**ALIGN, "keys": keys}, helper="none"), data)


def test_several_key_columns(bank_job: Jobs, bank_data: Banks) -> None:
    def split(table: dict[str, Any]) -> None:
        ids = table.pop("id")
        table["branch"], table["number"] = np.array([i[:6] for i in ids]), np.array([int(i[6:]) for i in ids])

    results = simulate(bank_job({**ALIGN, "keys": ["branch", "number"]}, helper="none"), bank_data(a=split, b=split))
    assert results["bank-a"].summary("align")["matched"] > 450


def test_duplicates_and_nulls_as_the_job_says(bank_job: Jobs, bank_data: Banks) -> None:
    def spoil(table: dict[str, Any]) -> None:
        ids = table["id"].astype(object)
        ids[1] = ids[0]
        ids[2] = None
        table["id"] = ids

    data = bank_data(b=spoil)
    results = simulate(bank_job({**ALIGN, "duplicates": "first", "nulls": "drop"}, helper="none"), data)
    summary = results["bank-b"].summary("align")
    assert (summary["duplicates"], summary["without_key"]) == (1, 1)
    rows = results["bank-b"].artifacts.of("align").array("rows")
    assert 1 not in rows
    assert 2 not in rows
    for more, message in (({"nulls": "drop"}, "repeat"), ({"duplicates": "first"}, "have no key")):
        found = outcomes(bank_job({**ALIGN, **more}, helper="none"), data)
        assert isinstance(found["bank-b"], KeyColumnError)
        assert message in found["bank-b"].what
        assert "id" in (found["bank-b"].where or "")
        assert isinstance(found["bank-a"], RemoteFailure)
        assert found["bank-a"].party == "bank-b"


def test_too_few_matches(bank_job: Jobs, bank_data: Banks) -> None:
    found = outcomes(bank_job({**ALIGN, "min_rows": 541}, helper="none"), bank_data())
    for error in found.values():
        assert isinstance(error, NoMatchError)
        assert "only 4" in error.what


@pytest.mark.parametrize(
    "setting",
    [
        {"protocol": "ecdh"},
        {"protocol": "kkrt"},
        {"protocol": "rr22"},
        {"protocol": "rr22", "randomness": "ot"},
        {"protocol": "rr22", "security": "malicious"},
    ],
)
def test_every_protocol_finds_the_same_and_says_what_it_rests_on(
    bank_job: Jobs, bank_data: Banks, setting: dict[str, str]
) -> None:
    data = bank_data()
    job = bank_job({**ALIGN, **setting}, helper="none")
    results = simulate(job, data)
    ids = [d.take(results[b].artifacts.of("align").array("rows")).column("id").to_pylist() for b, d in data.items()]
    assert ids[0] == ids[1]
    assert set(ids[0]) == set.intersection(*(set(d.column("id").to_pylist()) for d in data.values()))
    text = " ".join(
        plan(job, {b: d.schema for b, d in data.items()}, {b: d.num_rows for b, d in data.items()}).text().split()
    )
    assert f"protocol {setting['protocol']}" in text
    assert ("128 bits against linear tests" in text) == (setting["protocol"] == "rr22" and "randomness" not in setting)
    assert ("parties that follow the protocol" in text) == ("security" not in setting)
    assert ("a party that deviates" in text) == ("security" in setting)


@pytest.mark.parametrize("protocol", ["ecdh", "kkrt"])
def test_a_protocol_that_does_not_withstand_deviation_is_refused_when_planned(
    bank_job: Jobs, bank_data: Banks, protocol: str
) -> None:
    data = bank_data()
    job = bank_job({**ALIGN, "protocol": protocol, "security": "malicious"}, helper="none")
    with pytest.raises(JobFileError, match="deviates") as caught:
        plan(job, {b: d.schema for b, d in data.items()}, {b: d.num_rows for b, d in data.items()})
    assert "security" in str(caught.value.where)


def test_a_peer_with_more_keys_than_this_party_allows(bank_job: Jobs, bank_data: Banks) -> None:
    job, data = bank_job(ALIGN, helper="none"), bank_data()
    limits = {"bank-a": {"bank-b": data["bank-b"].num_rows - 1}, "bank-b": {"bank-a": data["bank-a"].num_rows}}
    found = outcomes(job, data, peer_rows=limits)
    refused = found["bank-a"]
    assert isinstance(refused, DisclosureRefused)
    assert "bank-b announces" in refused.what
    assert f"at most {limits['bank-a']['bank-b']}" in refused.what
    assert "peer_rows_above_plan" in str(refused.hint)
    assert isinstance(found["bank-b"], RemoteFailure)
    limits["bank-a"]["bank-b"] += 1
    assert simulate(job, data, peer_rows=limits)["bank-a"].summary("align")["matched"] > 450


def test_the_plan_does_not_depend_on_the_number_of_rows_but_its_cost_does(bank_job: Jobs, bank_data: Banks) -> None:
    data = bank_data()
    job = bank_job(ALIGN, helper="none")
    schemas = {b: d.schema for b, d in data.items()}
    small, large = (plan(job, schemas, dict.fromkeys(data, n)) for n in (1000, 1_000_000))
    assert small.hash == large.hash
    assert small.cost.bytes >= 40 * 1000
    assert large.cost.bytes < 30 * 1_000_000


def test_other_keys_for_rows_without_a_partner(bank_job: Jobs, bank_data: Banks) -> None:
    plain = bank_data()
    ids = {bank: d.column("id").to_pylist() for bank, d in plain.items()}
    number = {i: f"030 {234_000 + n}" for n, i in enumerate(sorted(set(ids["bank-a"]) | set(ids["bank-b"])))}

    def first(table: dict[str, Any]) -> None:
        table["phone"] = np.array([number[i] for i in table["id"]])
        table["id"] = np.array([None if n % 4 == 0 else i for n, i in enumerate(table["id"])], object)

    def second(table: dict[str, Any]) -> None:
        table["tel"] = np.array(["+49" + number[i][1:].replace(" ", "-") for i in table["id"]])

    data = bank_data(a=first, b=second)
    step = {
        **ALIGN,
        "or_keys": [{"bank-a": ["phone"], "bank-b": ["tel"]}],
        "forms": {"phone": "phone:DE", "tel": "phone"},
    }
    job = bank_job(step, helper="none")
    results = simulate(job, data)
    rows = {bank: results[bank].artifacts.of("align").array("rows") for bank in data}
    matched = [[ids[bank][r] for r in rows[bank]] for bank in data]
    assert matched[0] == matched[1]
    assert set(matched[0]) == set(ids["bank-a"]) & set(ids["bank-b"])
    summary = results["bank-a"].summary("align")
    assert summary["without_key"] == 0
    assert sum(summary["matched_by"]) == summary["matched"] == len(matched[0])
    assert all(summary["matched_by"])
    text = plan(
        job, {bank: d.schema for bank, d in data.items()}, {bank: d.num_rows for bank, d in data.items()}
    ).text()
    assert "by which of the 2 keys each of its own matching rows matched" in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"or_keys": [["phone"]]}, "no key column 'phone'"),
        ({"or_keys": [[]]}, "names no key column"),
        ({"or_keys": [{"bank-a": ["id"], "bank-c": ["id"]}]}, "'bank-c' is not a party"),
        ({"or_keys": [{"bank-a": ["id"], "bank-b": ["id", "id"]}]}, "different numbers"),
        ({"forms": {"idd": "email"}}, "'idd' is no key column"),
        ({"forms": {"id": "fone"}}, "no form 'fone'"),
    ],
)
def test_other_keys_are_checked_before_anything_runs(
    bank_job: Jobs, bank_data: Banks, change: dict[str, Any], said: str
) -> None:
    data = bank_data()
    with pytest.raises(PpcError, match=said):
        job = bank_job({**ALIGN, **change}, helper="none")
        plan(job, {bank: d.schema for bank, d in data.items()}, {bank: d.num_rows for bank, d in data.items()})
