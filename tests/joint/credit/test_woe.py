from __future__ import annotations

import numpy as np
import pytest

from ppc.errors import ColumnError, FrameError, JobFileError, LabelError, ValueRangeError
from ppc.joint.credit import features
from ppc.joint.credit.counts import WoeTable
from ppc.joint.credit.fit import BinningRule
from ppc.joint.credit.woe import _check_iv, _transform, _usable
from ppc.joint.job import Job
from ppc.joint.plan import plan


def two_banks(n: int = 1500, seed: int = 0) -> tuple[dict, dict, np.ndarray]:
    """Bank-a has the label and two features, bank-b three: a number with nulls and a special value, a text, a flag."""
    rng = np.random.default_rng(seed)
    age, income, debt = rng.integers(18, 80, n).astype(float), rng.normal(size=n), rng.gamma(2, size=n)
    region = rng.choice(["north", "south", "east", "west", "isle"], n, p=[0.3, 0.3, 0.2, 0.19, 0.01])
    flag = rng.random(n) < 0.3
    z = 0.02 * (45 - age) - 0.8 * income + 0.5 * debt + 0.6 * (region == "south") + 0.7 * flag - 2
    y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(float)
    debt[rng.random(n) < 0.06] = np.nan
    debt[rng.random(n) < 0.05] = -9
    return {"y": y, "age": age, "income": income}, {"debt": debt, "region": region, "flag": flag}, y


def tables(result, step: str = "woe") -> dict[str, WoeTable]:
    return {n: WoeTable.from_dict(t) for n, t in result.artifacts.of(step).json("woe").items()}


@pytest.mark.parametrize("method", ["optimal", "chi_merge", "equal_frequency", "equal_width"])
def test_joint_tables_equal_those_of_pooled_data(run_credit, method: str) -> None:
    a, b, y = two_banks()
    results = run_credit(a, b, {"operator": "woe", "method": method, "specials": {"debt": [-9]}}, every=4)
    train = np.arange(len(y)) % 4 != 0
    seen = 0
    for party, data in (("bank-a", a), ("bank-b", b)):
        for name, table in tables(results[party]).items():
            rule = BinningRule(method, specials=(-9.0,) if name == "debt" else ())
            values = data[name]
            if name == "region":
                from ppc.joint.credit.binning import Codes

                values = Codes.of(values.tolist())
            clear = rule.fit(
                values.take(np.flatnonzero(train)) if name == "region" else values[train].astype(float), y[train], name
            )
            assert table.binning == clear.binning
            assert table.counts.bad.tolist() == clear.counts.bad.tolist()
            assert table.counts.good.tolist() == clear.counts.good.tolist()
            assert table.woe.tobytes() == clear.woe.tobytes()
            seen += 1
    assert seen == 5


def test_thirty_thousand_real_rows(run_credit, taiwan) -> None:
    names = [n for n in taiwan if n not in ("USER_ID", "DID_DEFAULT_PAYMENT")]
    y = taiwan["DID_DEFAULT_PAYMENT"].astype(float)
    a = {"y": y, **{n: taiwan[n] for n in names[:11]}}
    b = {n: taiwan[n] for n in names[11:]}
    results = run_credit(a, b, {"operator": "woe", "on_constant": "drop"}, every=4)
    train = np.arange(len(y)) % 4 != 0
    found = tables(results["bank-a"]) | tables(results["bank-b"])
    assert len(found) == len(names) == 23
    for name, table in found.items():
        clear = BinningRule().fit(taiwan[name][train].astype(float), y[train], name)
        assert table.binning == clear.binning
        assert table.counts.bad.tolist() == clear.counts.bad.tolist()
        rate = table.counts.bad[: table.binning.n_regular] / table.counts.rows[: table.binning.n_regular]
        assert (np.diff(rate) > 0).all() or (np.diff(rate) < 0).all()


def test_information_values_are_known_to_both_and_nothing_else_is(run_credit) -> None:
    a, b, _ = two_banks()
    results = run_credit(a, b, {"operator": "woe"})
    iv = {p: r.summary("woe")["iv"] for p, r in results.items()}
    assert iv["bank-a"] == iv["bank-b"]
    assert set(iv["bank-a"]["bank-b"]) == {"debt", "region", "flag"}
    assert set(results["bank-a"].summary("woe")["tables"]) == {"age", "income"}
    assert set(results["bank-b"].summary("woe")["tables"]) == {"debt", "region", "flag"}
    own = tables(results["bank-b"])
    # Told to four decimals: of a feature with two bins all bits would give the counts.
    assert iv["bank-a"]["bank-b"] == {n: round(t.iv, 4) for n, t in own.items()}
    assert any(t.iv != round(t.iv, 4) for t in own.values())


def test_weighted_counts(run_credit) -> None:
    a, b, y = two_banks()
    rng = np.random.default_rng(3)
    a["w"] = rng.integers(1, 5, len(y)) / 4
    results = run_credit(a, b, {"operator": "woe", "weight": "w"})
    assert "w" not in results["bank-a"].summary("woe")["tables"]
    table = tables(results["bank-b"])["flag"]
    clear = BinningRule().fit(b["flag"].astype(float), y, "flag", a["w"])
    np.testing.assert_allclose(table.counts.bad, clear.counts.bad, atol=1e-9)
    np.testing.assert_allclose(table.counts.good, clear.counts.good, atol=1e-9)
    assert table.iv == pytest.approx(clear.iv, abs=1e-9)


def test_every_count_that_is_told_is_of_enough_rows(run_credit) -> None:
    a, b, _ = two_banks()
    b["debt"][:] = np.where(np.isnan(b["debt"]), 1.0, b["debt"])
    b["debt"][:7] = np.nan  # seven missing values: too few for a bin of their own
    results = run_credit(a, b, {"operator": "woe", "min_bin_rows": 40})
    for table in tables(results["bank-b"]).values():
        rows = table.counts.rows
        assert ((rows == 0) | (rows >= 40)).all()
    debt = tables(results["bank-b"])["debt"]
    assert debt.binning.missing_bin < debt.binning.n_regular


def test_text_as_label_and_codes_as_categories(run_credit) -> None:
    a, b, y = two_banks()
    a["y"] = np.where(y == 1, "bad", "good")
    b["code"] = np.random.default_rng(1).integers(1, 4, len(y))
    results = run_credit(a, b, {"operator": "woe", "positive": "bad", "categorical": ["code"]})
    table = tables(results["bank-b"])["code"]
    assert table.binning.kind == "categorical"
    assert {c for g in table.binning.groups for c in g} <= {"1", "2", "3"}


def test_new_rows_go_through_the_same_pipeline(run_credit) -> None:
    import pyarrow as pa

    from ppc.dataset.dataset import Dataset

    a, b, _ = two_banks()
    results = run_credit(a, b, {"operator": "woe", "specials": {"debt": [-9]}})
    chain = results["bank-b"].artifacts.of("woe").json("features")
    new = Dataset.from_arrow(
        pa.table(
            {
                "region": ["atlantis", None, "north"],
                "flag": [True, None, False],
                "debt": [-9.0, None, 1e9],
                "unused": [1, 2, 3],
            }
        )
    )
    made = features.apply(chain, new)
    own = tables(results["bank-b"])
    assert np.isfinite(made.matrix).all()
    at = {n: i for i, n in enumerate(made.names)}
    debt = own["debt"]
    assert made.matrix[0, at["debt"]] == debt.woe[debt.binning.special_bins[0]]
    assert made.matrix[1, at["debt"]] == debt.woe[debt.binning.missing_bin]
    assert made.matrix[1, at["flag"]] == 0.0  # no flag was missing in training: no evidence
    assert _transform(chain[0], new.take(np.arange(0)), None).matrix.shape == (0, 3)


@pytest.mark.parametrize(
    ("column", "why"),
    [(np.full(1500, 3.0), "one value"), (np.full(1500, np.nan), "all null"), (np.array(["x"] * 1500), "one value")],
)
def test_a_feature_that_tells_nothing_is_named_or_left_out(run_credit, column, why: str) -> None:
    a, b, _ = two_banks()
    b["dull"] = column
    with pytest.raises(ColumnError, match=why) as caught:
        run_credit(a, b, {"operator": "woe"})
    assert "dull" in str(caught.value)
    assert caught.value.party == "bank-b"
    results = run_credit(a, b, {"operator": "woe", "on_constant": "drop"})
    for party in results:
        assert results[party].summary("woe")["dropped"] == {"bank-a": [], "bank-b": ["dull"]}
    kept = run_credit(a, b, {"operator": "woe", "drop": ["bank-b.dull"]})
    assert kept["bank-a"].summary("woe")["iv"] == results["bank-a"].summary("woe")["iv"]


def test_infinite_values_name_the_column(run_credit) -> None:
    a, b, _ = two_banks()
    b["debt"][3] = np.inf
    with pytest.raises(ValueRangeError, match="debt"):
        run_credit(a, b, {"operator": "woe"})


@pytest.mark.parametrize("label", [np.zeros(1500), np.arange(1500.0) % 3, np.where(np.arange(1500) == 5, np.nan, 1.0)])
def test_a_label_that_is_not_binary_with_both_classes(run_credit, label) -> None:
    a, b, _ = two_banks()
    a["y"] = label
    with pytest.raises(LabelError) as caught:
        run_credit(a, b, {"operator": "woe"})
    assert caught.value.party == "bank-a"


def test_training_rows_of_one_class(run_credit) -> None:
    a, b, y = two_banks()
    a["y"] = (np.arange(len(y)) % 4 == 0).astype(float)  # every bad row is held out
    with pytest.raises(LabelError):
        run_credit(a, b, {"operator": "woe"}, every=4)


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ({"label": "nobody"}, "nobody"),
        ({"weight": "flag"}, "weight"),
        ({"drop": ["agee"]}, "agee"),
        ({"specials": {"y": [1]}}, "not a feature"),
        ({"categorical": ["y"]}, "not a feature"),
        ({"trends": {"debtt": "peak"}}, "debtt"),
        ({"min_bin_rows": 1}, "min_bin_rows"),
        ({"method": "magic"}, "method"),
        ({"specials": {"debt": [1, 1.0]}}, "distinct"),
        ({"prebinss": 3}, "prebinss"),
    ],
)
def test_a_wrong_step_is_refused_before_anything_runs(run_credit, step: dict, why: str) -> None:
    a, b, _ = two_banks(60)
    with pytest.raises((ColumnError, LabelError, JobFileError)) as caught:
        run_credit(a, b, {"operator": "woe", **step})
    error = caught.value
    assert why in f"{error} {error.where} {error.hint}"


def test_rows_must_be_matched_before() -> None:
    from ppc.dataset.schema import Field, Role, Schema

    schemas = {
        "bank-a": Schema((Field("y", "int64", role=Role.LABEL), Field("age", "int64"))),
        "bank-b": Schema((Field("debt", "float64"),)),
    }
    doc = {"name": "j", "parties": list(schemas), "helper": "helper", "step": [{"operator": "woe"}]}
    with pytest.raises(JobFileError, match="matched"):
        plan(Job.from_dict(doc), schemas, {"bank-a": 10, "bank-b": 10})


def test_the_plan_says_who_learns_what(run_credit) -> None:
    a, b, _ = two_banks()
    planned = run_credit(a, b, {"operator": "woe", "min_bin_rows": 33})["bank-a"].plan
    told = [d for d in planned.disclosures if d.step == "woe"]
    to_b = [d for d in told if d.to == "bank-b"]
    assert len(to_b) == 1
    assert to_b[0].columns == ("y",)
    assert to_b[0].about == "bank-a"
    assert "33 rows" in to_b[0].what
    assert [d for d in told if d.to == "bank-a"] == []
    assert {d.about for d in told if d.to == "every party"} == {"bank-a", "bank-b"}


def test_the_cost_is_as_announced(run_credit) -> None:
    a, b, _ = two_banks()
    result = run_credit(a, b, {"operator": "woe"})["bank-b"]
    announced = next(s.cost for s in result.plan.steps if s.step.name == "woe")
    real = result.step("woe")
    assert announced.bytes / 1.5 < real.sent < announced.bytes * 1.5
    assert real.rounds <= announced.rounds


def test_a_peer_that_tells_nonsense_is_named() -> None:
    known = {"bank-a": ("x", "z"), "bank-b": ("u",)}
    assert _usable({"bank-a": ["x"], "bank-b": []}, known) == {"bank-a": ["x"], "bank-b": []}
    for names in (["z", "x"], ["x", "x"], ["other"], "x", None):
        with pytest.raises(FrameError) as caught:
            _usable({"bank-a": names, "bank-b": []}, known)
        assert caught.value.party == "bank-a"
    for values in ({}, {"x": float("nan")}, {"x": -1.0}, {"x": "1"}, {"y": 1.0}, [1.0]):
        with pytest.raises(FrameError):
            _check_iv({"bank-a": values}, {"bank-a": ["x"]})
