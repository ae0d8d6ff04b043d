from __future__ import annotations

import json

import numpy as np
import pyarrow.csv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppc.errors import ColumnError, ConfigError, ModelFileError
from ppc.joint.credit.binning import Binning, Codes
from ppc.joint.credit.counts import WoeTable, tally
from ppc.joint.credit.points import Scaling, Scorecard
from ppc.joint.credit.prebin import prebin

BREAKS = {"age_in_years": [26.0, 35.0, 37.0], "duration_in_month": [8.0, 16.0, 34.0, 44.0]}
GROUPS = {"housing": [["own"], ["for free", "rent"]]}


@pytest.fixture(scope="module")
def german(german_credit):
    table = pyarrow.csv.read_csv(german_credit)
    y = (np.asarray(table["creditability"]) == "bad").astype(float)
    values, tables = {}, {}
    for name, edges in BREAKS.items():
        values[name] = table[name].to_numpy().astype(float)
        k = len(edges) + 1
        tables[name] = Binning(name, "numeric", tuple(edges), (), (), (), k, None, k + 1)
    for name, groups in GROUPS.items():
        values[name] = Codes.of(table[name].to_pylist())
        k = len(groups)
        tables[name] = Binning(name, "categorical", (), tuple(map(tuple, groups)), (), (), k, k + 1, k + 2)
    woe = {n: WoeTable.of(b, tally(b.apply(values[n]), b.n_bins, y)) for n, b in tables.items()}
    return y, values, woe


def test_points_and_scores_agree_with_scorecardpy(german, german_credit, scorecardpy) -> None:
    y, values, woe = german
    theirs = scorecardpy(
        """
from sklearn.linear_model import LogisticRegression
d = pd.read_csv(given["csv"])
bins = sc.woebin(d, y="creditability", x=list(given["breaks"]), breaks_list=given["breaks"], no_cores=1,
                 print_info=False)
names = list(given["breaks"])
X = sc.woebin_ply(d, bins, no_cores=1, print_info=False)[[n + "_woe" for n in names]].astype(float)
lr = LogisticRegression(C=1e6, tol=1e-10).fit(X, d["creditability"] == "bad")
card = sc.scorecard(bins, lr, X.columns, points0=600, odds0=1/19, pdo=50)
score = sc.scorecard_ply(d, card)["score"].astype(float).tolist()
result = {"coef": lr.coef_[0].tolist(), "intercept": float(lr.intercept_[0]), "score": score,
          "base": float(card["basepoints"]["points"][0]),
          "points": {n: card[n]["points"].astype(float).tolist() for n in names}}
""",
        {
            "csv": str(german_credit),
            "breaks": BREAKS | {k: ["%,%".join(g) for g in v] for k, v in GROUPS.items()},
        },
    )
    coefficients = dict(zip([*BREAKS, *GROUPS], theirs["coef"], strict=True))
    card = Scorecard.of(woe, coefficients, theirs["intercept"], Scaling(base_score=600, base_odds=19, pdo=50))
    assert card.base_points == theirs["base"]
    for name, points in theirs["points"].items():
        assert sorted(card.features[name].points[: len(points)].tolist()) == sorted(points)
    assert card.score(values, len(y)).tolist() == theirs["score"]
    assert len(set(theirs["score"])) > 10


def test_without_rounding_a_score_is_the_models_log_odds(german) -> None:
    y, values, woe = german
    coefficients = {n: 0.5 + i for i, n in enumerate(woe)}
    scaling = Scaling(digits=None)
    score = Scorecard.of(woe, coefficients, -0.8, scaling).score(values, len(y))
    z = -0.8 + sum(c * woe[n].transform(values[n]) for n, c in coefficients.items())
    np.testing.assert_allclose(scaling.probability(score), 1 / (1 + np.exp(-z)), rtol=1e-10)


@given(st.floats(-5, 5), st.floats(1, 100), st.floats(1, 100))
def test_the_scale_means_what_it_says(log_odds: float, base_odds: float, pdo: float) -> None:
    s = Scaling(600, base_odds, pdo, digits=None)
    assert s.base_points(-np.log(base_odds)) == pytest.approx(600)
    assert s.base_points(-np.log(2 * base_odds)) == pytest.approx(600 + pdo)
    assert s.probability(np.array([s.base_points(log_odds)]))[0] == pytest.approx(1 / (1 + np.exp(-log_odds)))


def test_extreme_scores_are_probabilities() -> None:
    p = Scaling().probability(np.array([-1e300, 1e300]))
    assert p.tolist() == [1, 0]


def test_halves_of_two_parties_add_up(german) -> None:
    y, values, woe = german
    c = {n: 1.1 + i for i, n in enumerate(woe)}
    whole = Scorecard.of(woe, c, -0.8, Scaling()).score(values, len(y))
    ours = Scorecard.of(woe, {"housing": c["housing"]}, -0.8, Scaling())
    theirs = Scorecard.of(woe, {n: v for n, v in c.items() if n != "housing"}, None, Scaling())
    assert theirs.base_points is None
    assert (ours.score(values, len(y)) + theirs.score(values, len(y))).tolist() == whole.tolist()
    assert [r["variable"] for r in theirs.rows()].count("base") == 0
    assert ours.rows()[0]["variable"] == "base"


def test_unseen_and_missing_values_get_no_points(german) -> None:
    _, _, woe = german
    card = Scorecard.of(woe, {"housing": 1.0}, 0.0, Scaling())
    assert card.features["housing"].score(Codes.of(["castle", None])).tolist() == [0.0, 0.0]


def test_rounding() -> None:
    woe = np.array([0.013, -0.4])
    exact = -20 / np.log(2) * 0.7 * woe
    assert Scaling(digits=None).bin_points(woe, 0.7).tolist() == pytest.approx(exact.tolist())
    assert Scaling(digits=2).bin_points(woe, 0.7).tolist() == np.round(exact, 2).tolist()
    assert Scaling().bin_points(woe, 0.7).tolist() == [0.0, 8.0]
    assert not np.signbit(Scaling().bin_points(woe, 0.7)[0])


@given(st.integers(0, 2**32 - 1))
def test_a_saved_card_is_the_same_bit_for_bit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=60), rng.integers(0, 2, 60).astype(float)
    fine = prebin(x, name="x", bins=4)
    table = WoeTable.of(fine, tally(fine.apply(x), fine.n_bins, y))
    card = Scorecard.of({"x": table}, {"x": float(rng.normal())}, float(rng.normal()), Scaling(digits=None))
    back = Scorecard.from_dict(json.loads(json.dumps(card.to_dict())))
    assert back.to_dict() == card.to_dict()
    assert back.score({"x": x}, 60).tobytes() == card.score({"x": x}, 60).tobytes()


def test_a_damaged_card_is_refused(german) -> None:
    _, _, woe = german
    good = Scorecard.of(woe, {"housing": 1.0}, 0.0, Scaling()).to_dict()
    broken_feature = good["features"][0] | {"points": [1.0]}
    for change in (
        {"format": "x"},
        {"scaling": {"pdo": -1}},
        {"features": [{}]},
        {"features": [broken_feature]},
        {"base_points": "many"},
    ):
        with pytest.raises(ModelFileError):
            Scorecard.from_dict(good | change)


@pytest.mark.parametrize(
    "wrong",
    [{"pdo": 0}, {"pdo": float("nan")}, {"base_odds": -1}, {"base_score": float("inf")}, {"digits": -1}],
)
def test_scales_are_checked(wrong: dict) -> None:
    with pytest.raises(ConfigError):
        Scaling(**wrong)


def test_features_are_checked(german) -> None:
    y, values, woe = german
    with pytest.raises(ColumnError, match="housin"):
        Scorecard.of(woe, {"housin": 1.0}, 0.0, Scaling())
    card = Scorecard.of(woe, {"housing": 1.0}, 0.0, Scaling())
    with pytest.raises(ColumnError, match="housing"):
        card.score({}, 10)
    with pytest.raises(ColumnError, match="housing"):
        card.score(values, len(y) + 1)
