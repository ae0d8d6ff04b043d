from __future__ import annotations

import numpy as np
import pytest

from ppc.errors import ColumnError, FrameError, JobFileError
from ppc.joint.credit import features
from ppc.joint.credit.collinear import inflation
from ppc.joint.credit.select import _block


def two_banks(n: int = 2000) -> tuple[dict, dict]:
    """x and its copies at both banks, an independent feature at each, and noise that knows nothing of the label."""
    rng = np.random.default_rng(0)
    x, u, v = rng.normal(size=(3, n))
    y = (rng.random(n) < 1 / (1 + np.exp(1 - 1.2 * x - 0.6 * u + 0.8 * v))).astype(float)
    a = {"y": y, "x": x, "u": u, "noise": rng.normal(size=n)}
    b = {"twin": x + 0.05 * rng.normal(size=n), "v": v, "static": rng.normal(size=n)}
    return a, b


def kept(results) -> dict[str, list[str]]:
    answers = [r.summary("select")["kept"] for r in results.values()]
    assert answers[0] == answers[1]
    for party, r in results.items():
        chain = r.artifacts.of("select").json("features")
        assert list(features.apply(chain, _source(r)).names) == answers[0][party]
    return answers[0]


def _source(result):
    """Any dataset with the party's columns: no rows are needed to see which features a pipeline makes."""
    import pyarrow as pa

    from ppc.dataset.dataset import Dataset

    tables = result.artifacts.of("woe").json("woe")
    return Dataset.from_arrow(pa.table({n: pa.array([], pa.float64()) for n in tables}))


WOE = {"operator": "woe", "method": "equal_frequency"}


@pytest.mark.parametrize("disclose", ["decisions", "correlations"])
def test_of_two_features_at_two_banks_that_repeat_each_other_one_stays(run_credit, disclose: str) -> None:
    a, b = two_banks()
    results = run_credit(a, b, WOE, {"operator": "select", "iv_min": 0.05, "disclose": disclose}, every=5)
    iv = results["bank-a"].summary("woe")["iv"]
    stays = ("bank-a", "x") if iv["bank-a"]["x"] > iv["bank-b"]["twin"] else ("bank-b", "twin")
    expected = {"bank-a": ["u"], "bank-b": ["v"]}
    expected[stays[0]] = [n for n in ("x", "u", "twin", "v") if n in (stays[1], *expected[stays[0]])]
    assert kept(results) == expected
    removed = results["bank-b"].summary("select")["removed"]
    assert removed["bank-a.noise"] == "information value too low"
    assert sorted(removed.values()).count("correlation") == 1


def test_the_joint_correlation_matrix_is_that_of_the_pooled_features(run_credit) -> None:
    a, b = two_banks()
    step = {"operator": "select", "iv_min": 0.0, "max_correlation": 1.0, "disclose": "correlations", "max_vif": 1000}
    results = run_credit(a, b, WOE, step, every=5)
    train = np.arange(2000) % 5 != 0
    columns = {}
    for party, data in (("bank-a", a), ("bank-b", b)):
        chain = results[party].artifacts.of("woe").json("features")
        made = features.apply(chain, _dataset(data))
        columns |= {f"{party}.{n}": made.matrix[train, j] for j, n in enumerate(made.names)}
    told = results["bank-a"].summary("select")["correlations"]
    pooled = np.corrcoef([columns[n] for n in told["names"]])
    np.testing.assert_allclose(told["matrix"], pooled, atol=1e-6)
    assert results["bank-b"].summary("select")["correlations"] == told
    vif = results["bank-a"].summary("select")["vif"]
    np.testing.assert_allclose(list(vif.values()), inflation(pooled), rtol=1e-3)


def _dataset(data: dict):
    import pyarrow as pa

    from ppc.dataset.dataset import Dataset

    return Dataset.from_arrow(pa.table(data))


def test_nothing_of_the_matrix_is_told_unless_asked_for(run_credit) -> None:
    a, b = two_banks()
    results = run_credit(a, b, WOE, {"operator": "select"})
    for r in results.values():
        assert "correlations" not in r.summary("select")
    words = " ".join(d.what for d in results["bank-a"].plan.disclosures if d.step == "select")
    assert "whether their correlation exceeds 0.7" in words
    assert "matrix" not in words


def test_inflated_features_leave(run_credit) -> None:
    rng = np.random.default_rng(1)
    n = 3000
    x, u, v = rng.normal(size=(3, n))
    y = (rng.random(n) < 1 / (1 + np.exp(1 - x - u - v))).astype(float)
    both = x + u + v + 0.1 * rng.normal(size=n)
    a, b = {"y": y, "x": x, "both": both}, {"u": u, "v": v}
    woe = {"operator": "woe", "prebins": 50, "max_bins": 20, "min_share": 0.01, "min_bin_rows": 20}
    step = {"operator": "select", "disclose": "correlations", "max_correlation": 1.0}
    before = run_credit(a, b, woe, {**step, "max_vif": 100.0})["bank-a"].summary("select")
    assert max(before["vif"].values()) > 4
    after = run_credit(a, b, woe, {**step, "max_vif": 4.0})["bank-b"].summary("select")
    assert "vif" in after["removed"].values()
    assert max(after["vif"].values()) <= 4
    assert after["removed"] != before["removed"]


def test_what_is_to_be_kept_is_kept(run_credit) -> None:
    a, b = two_banks()
    for keep in (["x", "twin"], ["bank-a.noise"]):
        found = kept(run_credit(a, b, WOE, {"operator": "select", "keep": keep}))
        assert {n.removeprefix("bank-a.") for n in keep} <= {n for names in found.values() for n in names}


def test_suspicious_features_leave(run_credit) -> None:
    a, b = two_banks()
    b["leak"] = a["y"] + 0.01 * np.arange(2000) / 2000
    results = run_credit(a, b, WOE, {"operator": "select", "iv_max": 2.0})
    assert results["bank-a"].summary("select")["removed"]["bank-b.leak"] == "information value too high"


def test_no_feature_left_is_an_error(run_credit) -> None:
    a, b = two_banks()
    with pytest.raises(ColumnError, match="no feature is left"):
        run_credit(a, b, WOE, {"operator": "select", "iv_min": 100.0})


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ({"max_vif": 5.0}, "correlations"),
        ({"iv_min": 0.5, "iv_max": 0.1}, "iv_max"),
        ({"keep": ["nobody"]}, "nobody"),
        ({"keep": ["y"]}, "not a feature"),
        ({"max_correlation": 0.0}, "max_correlation"),
        ({"max_correlation": 1.5}, "max_correlation"),
    ],
)
def test_a_wrong_step_is_refused_before_anything_runs(run_credit, step: dict, why: str) -> None:
    a, b = two_banks(200)
    with pytest.raises((ColumnError, JobFileError)) as caught:
        run_credit(a, b, WOE, {"operator": "select", **step})
    assert why in f"{caught.value} {caught.value.where} {caught.value.hint}"


def test_information_values_must_be_known(run_credit) -> None:
    a, b = two_banks(200)
    with pytest.raises(JobFileError, match="information values"):
        run_credit(a, b, {"operator": "select"})


def test_one_party_without_features(run_credit) -> None:
    a, b = two_banks()
    results = run_credit(a, {"static": b["static"]}, WOE, {"operator": "select", "iv_min": 0.05})
    assert kept(results)["bank-b"] == []
    assert kept(results)["bank-a"] == ["x", "u"]


@pytest.mark.parametrize("block", [[[1.0, float("nan")], [0.5, 1.0]], [[1.0]], "x", None, [[1.0, 2.0], [1.0]]])
def test_a_malformed_block_of_correlations_names_who_sent_it(block) -> None:
    with pytest.raises(FrameError) as caught:
        _block(block, 2, "bank-b")
    assert caught.value.party == "bank-b"
