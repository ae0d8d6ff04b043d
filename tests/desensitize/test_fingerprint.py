"""Fingerprints: found again after what a leak does to a file, and nobody innocent accused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from ppc.dataset.dataset import Dataset
from ppc.desensitize import fingerprint
from ppc.desensitize.fingerprint import embed, trace
from ppc.desensitize.keys import Key
from ppc.errors import ColumnError, ConfigError, TypeMismatchError, ValueRangeError

ROWS = 9000
PEOPLE = [f"partner-{i}" for i in range(1000)]
GUILTY = "partner-7"


def data(seed: int = 0, rows: int = ROWS) -> Dataset:
    rng = np.random.default_rng(seed)
    return Dataset.from_arrow(
        pa.table(
            {
                "customer": [f"c{i}" for i in range(rows)],
                "amount": pa.array(np.round(rng.lognormal(6, 1, rows), 2), mask=rng.random(rows) < 0.01),
                "balance": rng.integers(0, 10**6, rows),
                "age": rng.integers(18, 90, rows),
            }
        )
    )


@pytest.fixture(scope="module")
def copy(key: Key) -> Dataset:
    return embed(data(), GUILTY, key, columns=["amount"], anchors=["customer"])


def suspects(leaked: Dataset, key: Key, **more: object) -> list[str]:
    settings = {"columns": ["amount"], "anchors": ["customer"], **more}
    return [s.recipient for s in trace(leaked, key, PEOPLE, **settings) if s.accused]  # type: ignore[arg-type]


def test_the_alteration_is_as_stated(copy: Dataset) -> None:
    before, after = (d.to_arrow() for d in (data(), copy))
    assert after.drop_columns("amount").equals(before.drop_columns("amount"))
    assert after["amount"].is_null().equals(before["amount"].is_null())
    x, y = (np.array(t["amount"].drop_null()) for t in (before, after))
    moved = ~np.isclose(x, y, atol=1e-6)
    # 5% of the cells with one anchor and the value's own digits; five standard errors.
    assert abs(moved.mean() - 0.05) < 5 * (0.05 / len(x)) ** 0.5
    assert np.allclose(np.abs(x - y)[moved], 0.01)
    assert abs(x.mean() - y.mean()) < 0.001


def test_found_in_the_whole_copy(copy: Dataset, key: Key) -> None:
    found = trace(copy, key, PEOPLE, columns=["amount"], anchors=["customer"])
    assert found[0].recipient == GUILTY
    assert found[0].accused
    assert found[0].agreeing == found[0].marks > 700
    assert not any(s.accused for s in found[1:])


@pytest.mark.parametrize("seed", range(5))
def test_found_in_a_shuffled_tenth(seed: int, copy: Dataset, key: Key) -> None:
    some = np.random.default_rng(seed).permutation(ROWS)[: ROWS // 10]
    assert suspects(copy.take(some), key) == [GUILTY]


def test_found_without_the_anchor(copy: Dataset, key: Key) -> None:
    some = np.random.default_rng(1).permutation(ROWS)[: ROWS // 10]
    assert suspects(copy.take(some).drop(["customer"]), key) == [GUILTY]


def test_found_without_some_of_the_columns(key: Key) -> None:
    marked = embed(data(), GUILTY, key, anchors=["customer"])
    some = np.random.default_rng(2).permutation(ROWS)[: ROWS // 10]
    for gone in (["amount"], ["balance"], ["balance", "customer"], ["age", "customer"]):
        leaked = marked.take(some).drop(gone)
        assert suspects(leaked, key, columns=None) == [GUILTY], gone


def test_found_after_a_fifth_of_the_cells_were_changed(copy: Dataset, key: Key) -> None:
    rng = np.random.default_rng(3)
    table = copy.to_arrow()
    amount = np.array(table["amount"].fill_null(0.0)).copy()
    hit = rng.random(ROWS) < 0.2
    amount[hit] = np.round(rng.lognormal(6, 1, int(hit.sum())), 2)
    assert suspects(copy.with_column("amount", pa.array(amount)), key) == [GUILTY]


def test_nobody_is_accused_for_a_file_that_is_not_marked(key: Key) -> None:
    assert suspects(data(), key) == []
    assert suspects(data(5, 500), key) == []
    # A copy marked under another key, or for somebody who is not on the list, accuses nobody.
    assert suspects(embed(data(), GUILTY, Key(bytes(16)), columns=["amount"], anchors=["customer"]), key) == []
    assert suspects(embed(data(), "stranger", key, columns=["amount"], anchors=["customer"]), key) == []


def test_the_false_accusation_rate_is_as_stated(copy: Dataset, key: Key) -> None:
    """At a rate of 0.2 for 40 innocents, at most a fifth of 200 traces may accuse anyone.

    The count is at most Binomial(200, 0.2): 64 or more has a chance of 4e-5. And the test sees a rate that is too high:
    with p-values halved, the bound would be passed by a mean of 0.36 * 200 = 72.
    """
    accused = low = 0
    small = copy.take(np.arange(600))
    for round_ in range(200):
        innocents = [f"{round_}-{i}" for i in range(40)]
        found = trace(small, key, innocents, columns=["amount"], anchors=["customer"], false_accusation=0.2)
        accused += any(s.accused for s in found)
        low += sum(s.p_value <= 0.05 for s in found)
    assert accused < 64
    # 8,000 p-values: those of 0.05 or less are at most 5% and, discrete as they are, not far fewer.
    assert 0.02 * 8000 < low < 0.06 * 8000


def test_repeated_anchors_count_once(key: Key) -> None:
    """A thousand copies of one row are one witness."""
    few = Dataset.from_arrow(pa.table({"g": ["a", "b"] * 1000, "x": [3, 5] * 1000}))
    assert sum(s.marks for s in trace(few, key, ["p"], anchors=["g"], gap=1)) <= 4
    assert not trace(few, key, PEOPLE, anchors=["g"], gap=1)[0].accused


def test_kinds_of_numbers(key: Key) -> None:
    rng = np.random.default_rng(4)
    cents = rng.integers(0, 10**7, 5000)
    for column in (
        pa.array(cents),
        pa.array(cents, pa.int32()),
        pa.array(-cents),
        pa.array(cents / 100),
        pa.array(cents).cast(pa.decimal128(20, 0)),
    ):
        ds = Dataset.from_arrow(pa.table({"x": column}))
        marked = embed(ds, GUILTY, key)
        assert marked.to_arrow().schema.equals(ds.to_arrow().schema)
        assert suspects(marked, key, columns=None, anchors=[]) == [GUILTY]


def test_settings_that_make_no_sense(key: Key) -> None:
    ds = data(rows=50)
    with pytest.raises(ColumnError, match="ammount"):
        embed(ds, "p", key, columns=["ammount"])
    with pytest.raises(TypeMismatchError, match="only numbers"):
        embed(ds, "p", key, columns=["customer"])
    with pytest.raises(ConfigError, match="is an anchor"):
        embed(ds, "p", key, columns=["age"], anchors=["age"])
    with pytest.raises(ConfigError, match="no numeric column"):
        embed(ds.select(["customer"]), "p", key)
    with pytest.raises(ConfigError, match="name"):
        embed(ds, "", key)
    with pytest.raises(ConfigError, match="gap"):
        embed(ds, "p", key, gap=0)
    with pytest.raises(ConfigError, match="recipients"):
        trace(ds, key, [])
    for rate in (0.0, 1.0, float("nan")):
        with pytest.raises(ConfigError, match="false_accusation"):
            trace(ds, key, ["p"], false_accusation=rate)
    with pytest.raises(ValueRangeError, match="decimals") as e:
        embed(Dataset.from_arrow(pa.table({"x": np.random.default_rng(0).random(100)})), "p", key)
    assert "column 'x'" in str(e.value)
    with pytest.raises(ValueRangeError, match="infinite"):
        embed(Dataset.from_arrow(pa.table({"x": [float("inf")]})), "p", key)
    assert fingerprint.GAP == 20
