"""Bad input: one clear error at every party, naming the party, and the column or the step; and never a hang."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ppc.dataset.dataset import Dataset
from ppc.errors import (
    ColumnError,
    DisclosureRefused,
    KeyColumnError,
    LabelError,
    NoMatchError,
    PlanMismatch,
    PpcError,
    ProtocolAbort,
    RemoteFailure,
    TypeMismatchError,
    ValueRangeError,
)
from ppc.joint import Job, outcomes
from ppc.net import memory
from ppc.net.channel import Spec

Jobs = Callable[..., Job]
Banks = Callable[..., dict[str, Dataset]]
Change = Callable[[dict[str, Any]], None]
ALIGN = {"operator": "align", "keys": ["id"]}
MODEL = {"operator": "logistic_regression", "label": "bad"}


def put(column: str, values: Any) -> Change:
    def change(table: dict[str, Any]) -> None:
        table[column] = values(table) if callable(values) else values

    return change


def at(column: str, row: int, value: Any) -> Change:
    def change(table: dict[str, Any]) -> None:
        column_values = table[column].astype(object)
        column_values[row] = value
        table[column] = column_values

    return change


def drop(column: str) -> Change:
    return lambda table: table.pop(column)


# where it is, what is done to the data, the error there, what it says, what it names
CASES: dict[str, tuple[str, Change, type[PpcError], str, str]] = {
    "missing key column": ("b", drop("id"), KeyColumnError, "no key column 'id'", "id"),
    "duplicate ids": ("b", put("id", lambda t: np.array(["C1"] * 540)), KeyColumnError, "repeat", "id"),
    "null ids": ("a", at("id", 3, None), KeyColumnError, "no key", "id"),
    "label of three values": ("a", at("bad", 3, 2), LabelError, "not binary", "bad"),
    "label of one class": ("a", put("bad", np.zeros(540, np.int64)), LabelError, "one class", "bad"),
    "label with nulls": ("a", at("bad", 3, None), LabelError, "missing", "bad"),
    "no label column": ("a", drop("bad"), LabelError, "no party has a column 'bad'", "logistic_regression"),
    "constant column": ("b", put("visits", np.full(540, 4.0)), ColumnError, "'visits' is constant", "visits"),
    "all-null column": ("b", put("visits", pa.nulls(540, pa.float64())), ColumnError, "every row is null", "visits"),
    "text in a number column": ("b", put("visits", np.array(["4", "four"] * 270)), TypeMismatchError, "text", "visits"),
    "infinity": ("a", at("debt", 7, float("inf")), ValueRangeError, "infinite", "debt"),
    "NaN": ("b", at("income", 7, float("nan")), ValueRangeError, "NaN", "income"),
    "null": ("b", at("income", 7, None), ValueRangeError, "1 missing", "income"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_one_clear_error_at_every_party(bank_job: Jobs, bank_data: Banks, case: str) -> None:
    where, change, kind, says, names = CASES[case]
    bank = f"bank-{where}"
    data = bank_data(**{where: change})
    copies = {b: d.to_arrow().to_pydict() for b, d in data.items()}
    began = time.monotonic()
    found = outcomes(bank_job(ALIGN, MODEL), data)
    assert time.monotonic() - began < 20
    for party, error in found.items():
        # What schemas show fails at both with the same error; what data show fails there, and the other is told.
        assert isinstance(error, kind | RemoteFailure)
        text = f"{error} {error.where}"
        assert says in text
        assert names in text
        assert "step" in text
        if kind is not LabelError or case != "no label column":
            assert bank in text, (party, text)
    assert isinstance(found[bank], kind)
    assert {b: str(d.to_arrow().to_pydict()) for b, d in data.items()} == {b: str(c) for b, c in copies.items()}


def test_no_match_at_all(bank_job: Jobs, bank_data: Banks) -> None:
    found = outcomes(bank_job(ALIGN, MODEL), bank_data(b=put("id", np.array([f"X{i}" for i in range(540)]))))
    for error in found.values():
        assert isinstance(error, NoMatchError)
        assert "step 'align'" in str(error)
        assert "'id'" in str(error)


def test_different_job_files(bank_job: Jobs, bank_data: Banks) -> None:
    jobs = {"bank-a": bank_job(ALIGN, MODEL), "bank-b": bank_job({**ALIGN, "holdout": 0.1}, MODEL)}
    for party, error in outcomes(jobs, bank_data()).items():
        assert isinstance(error, PlanMismatch)
        assert error.party in ("bank-a", "bank-b")
        assert error.party != party
        assert "same job file" in (error.hint or "")


def test_a_column_that_is_constant_on_the_matched_rows_only(bank_job: Jobs, bank_data: Banks) -> None:
    def change(table: dict[str, Any]) -> None:
        table["visits"] = np.where(np.arange(540) == 0, 1.0, 4.0)
        table["id"][0] = "NOBODY"

    found = outcomes(bank_job(ALIGN, MODEL), bank_data(b=change))
    assert isinstance(found["bank-b"], ColumnError)
    assert "'visits' is constant on the matched rows" in found["bank-b"].what
    assert isinstance(found["bank-a"], RemoteFailure)
    assert "visits" in str(found["bank-a"])


def test_a_weight_that_is_not_positive(bank_job: Jobs, bank_data: Banks) -> None:
    data = bank_data(b=put("w", np.linspace(0, 1, 540)))
    found = outcomes(bank_job(ALIGN, {**MODEL, "sample_weight": "w"}), data)
    assert isinstance(found["bank-b"], ValueRangeError)
    assert "'w'" in found["bank-b"].what
    assert isinstance(found["bank-a"], RemoteFailure)


BINNED = ("missing key column", "label of three values", "label of one class", "label with nulls", "constant column",
          "all-null column", "infinity")  # fmt: skip


@pytest.mark.parametrize("case", BINNED)
def test_one_clear_error_at_every_party_when_features_are_binned(bank_job: Jobs, bank_data: Banks, case: str) -> None:
    where, change, kind, _, names = CASES[case]
    bank = f"bank-{where}"
    found = outcomes(bank_job(ALIGN, {"operator": "woe", "label": "bad"}), bank_data(**{where: change}))
    assert isinstance(found[bank], kind)
    for error in found.values():
        assert isinstance(error, kind | RemoteFailure)
        text = f"{error} {error.where}"
        assert names in text
        assert bank in text
        assert "step" in text


def test_labels_that_many_counts_would_tell(bank_job: Jobs, bank_data: Banks) -> None:
    # At most five cases among the customers: not even two groups by each of the partner's three features may be told.
    few = put("bad", lambda t: np.isin(t["id"], [f"CUST-{i:05d}" for i in range(5)]).astype(np.int64))
    found = outcomes(bank_job(ALIGN, {"operator": "woe", "label": "bad"}), bank_data(a=few))
    assert isinstance(found["bank-b"], DisclosureRefused)
    assert "labels away" in found["bank-b"].what
    assert isinstance(found["bank-a"], RemoteFailure)
    assert found["bank-a"].party == "bank-b"
    assert "'woe'" in str(found["bank-a"])


@pytest.mark.parametrize("fault", ["length", "tag"])
def test_a_frame_that_does_not_fit_in_mid_training(bank_job: Jobs, bank_data: Banks, fault: str) -> None:
    lines = memory.network(["bank-a", "bank-b", "helper"])
    line, told = lines["bank-b"]["bank-a"], []
    exchange = line.exchange

    def bent(tag: str, *arrays: Any) -> Any:
        told.append(tag)
        if len(told) != 40:
            return exchange(tag, *arrays)
        if fault == "length":
            line.send(tag, *(np.append(a.ravel(), a.ravel()[:1]) for a in arrays))
        else:
            line.send(f"{tag}, not", *arrays)
        return line.recv(tag, *(Spec(a.dtype, a.shape) for a in arrays))

    line.exchange = bent  # type: ignore[method-assign]
    began = time.monotonic()
    found = outcomes(bank_job(ALIGN, {**MODEL, "epochs": 50}), bank_data(), network=lines)
    assert time.monotonic() - began < 20
    assert 40 <= len(told) < 100
    assert isinstance(found["bank-a"], ProtocolAbort)
    assert isinstance(found["bank-b"], RemoteFailure)
    assert ("wrong tag" if fault == "tag" else "shape") in str(found["bank-a"])
    for error in found.values():
        text = f"{error} {error.where} {error.party}"
        assert "bank-b" in text or error.party == "bank-a"
        assert "logistic_regression" in text
    assert found["bank-a"].party == "bank-b"
