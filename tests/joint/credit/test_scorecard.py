from __future__ import annotations

import numpy as np
import pytest

from ppc.errors import DisclosureRefused, JobFileError
from ppc.joint.credit.fit import feature_values
from ppc.joint.credit.points import Scorecard

TRAIN = {"operator": "logistic_regression", "epochs": 5, "batch_size": 256, "learning_rate": 0.3}


def two_banks(n: int = 1200) -> tuple[dict, dict]:
    rng = np.random.default_rng(0)
    age, income, debt = rng.normal(45, 12, n), rng.normal(size=n), rng.gamma(2, size=n)
    home = rng.choice(["own", "rent", "free"], n)
    z = 0.03 * (45 - age) - 0.9 * income + 0.6 * debt + 0.8 * (home == "rent") - 2
    y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(float)
    debt[rng.random(n) < 0.05] = np.nan
    return {"y": y, "age": age, "income": income}, {"debt": debt, "home": home}


@pytest.fixture(scope="module")
def joint(run_credit):
    a, b = two_banks()
    steps = [{"operator": "woe"}, TRAIN, {"operator": "scorecard", "digits": 6}, {"operator": "score"}]
    return a, b, run_credit(a, b, *steps, every=4)


def half(result) -> Scorecard:
    return Scorecard.from_dict(result.artifacts.of("scorecard").json("scorecard"))


def points(result, data: dict) -> np.ndarray:
    import pyarrow as pa

    from ppc.dataset.dataset import Dataset

    card = half(result)
    dataset = Dataset.from_arrow(pa.table({k: pa.array(v, from_pandas=True) for k, v in data.items()}))
    return card.score({n: feature_values(dataset, n) for n in card.features}, dataset.num_rows)


def test_the_halves_add_up_to_the_score_of_the_joint_model(joint) -> None:
    a, b, results = joint
    total = points(results["bank-a"], a) + points(results["bank-b"], b)
    logits = results["bank-a"].artifacts.of("score").table("scores")["logit"].to_numpy()
    scaling = half(results["bank-a"]).scaling
    # Points have six digits; the model's features are rounded to 16 fraction bits.
    np.testing.assert_allclose(total, scaling.offset - scaling.factor * logits, atol=5e-3)
    assert np.std(total) > 5


def test_each_party_has_its_own_half(joint) -> None:
    _, _, results = joint
    assert set(half(results["bank-a"]).features) == {"age", "income"}
    assert set(half(results["bank-b"]).features) == {"debt", "home"}
    assert half(results["bank-a"]).base_points is not None
    assert half(results["bank-b"]).base_points is None
    shown = results["bank-b"].summary("scorecard")["points"]
    assert {r["variable"] for r in shown} == {"debt", "home"}
    assert results["bank-a"].summary("scorecard")["points"][0]["variable"] == "base"


def test_whole_points_are_whole_and_near(joint, run_credit) -> None:
    a, b, exact = joint
    rough = run_credit(a, b, {"operator": "woe"}, TRAIN, {"operator": "scorecard"}, every=4)
    for party in rough:
        for name, feature in half(rough[party]).features.items():
            assert (feature.points == np.round(feature.points)).all()
            np.testing.assert_allclose(feature.points, half(exact[party]).features[name].points, atol=0.51)


def test_the_plan_tells_of_the_one_number_that_the_label_holder_learns(joint) -> None:
    _, _, results = joint
    told = [d for d in results["bank-b"].plan.disclosures if d.step == "scorecard"]
    assert [(d.to, d.about) for d in told] == [("bank-a", "bank-b")]
    assert "one number" in told[0].what


def test_the_selection_decides_which_features_have_points(run_credit) -> None:
    a, b = two_banks()
    a["noise"] = np.random.default_rng(9).normal(size=len(a["y"]))
    results = run_credit(
        a, b, {"operator": "woe"}, {"operator": "select", "iv_min": 0.05}, TRAIN, {"operator": "scorecard"}
    )
    kept = results["bank-a"].summary("select")["kept"]
    for party in results:
        assert list(half(results[party]).features) == kept[party]
    assert "noise" not in kept["bank-a"]


def test_a_model_of_one_party_gives_the_other_an_empty_half(run_credit) -> None:
    a, b = two_banks()
    results = run_credit(a, b, {"operator": "woe"}, {**TRAIN, "features": "label_holder"}, {"operator": "scorecard"})
    assert half(results["bank-b"]).features == {}
    assert set(half(results["bank-a"]).features) == {"age", "income"}


def test_secret_coefficients_give_no_points(run_credit) -> None:
    a, b = two_banks(400)
    with pytest.raises(DisclosureRefused, match="secret"):
        run_credit(a, b, {"operator": "woe"}, {**TRAIN, "weights": "secret"}, {"operator": "scorecard"})


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([{"operator": "scorecard"}], "model"),
        ([{"operator": "woe"}, {"operator": "scorecard"}], "model"),
        ([{"operator": "woe"}, TRAIN, {"operator": "scorecard", "model": "other"}], "model"),
        ([{**TRAIN, "drop": ["home"]}, {"operator": "scorecard"}], "bins"),
        ([{"operator": "woe"}, TRAIN, {"operator": "scorecard", "pdo": 0}], "pdo"),
    ],
)
def test_a_wrong_step_is_refused_before_anything_runs(run_credit, steps: list[dict], why: str) -> None:
    a, b = two_banks(200)
    with pytest.raises(JobFileError) as caught:
        run_credit(a, b, *steps)
    assert why in f"{caught.value} {caught.value.where} {caught.value.hint}"
