from __future__ import annotations

import json

import numpy as np
import pytest

from ppc.errors import LabelError
from ppc.joint.credit import metrics
from ppc.joint.credit.assess import AGGREGATES, CURVE_POINTS, assess


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(0)
    p = rng.random(3000)
    return (rng.random(3000) < p).astype(float), p, rng.random(3000) + 0.5


def test_figures_are_those_of_the_metrics(sample) -> None:
    from sklearn.metrics import roc_auc_score

    y, p, w = sample
    out = assess(y, p, w, cutoff=0.3)
    assert out["auc"] == pytest.approx(roc_auc_score(y, p, sample_weight=w))
    assert out["ks"] == pytest.approx(metrics.ks(y, p, w)[0])
    assert out["confusion"] == metrics.confusion(y, p, 0.3, w).to_dict()
    assert out["bad_rate"] == pytest.approx(np.average(y, weights=w))
    assert set(AGGREGATES) <= set(out)


def test_it_is_plain_json_and_curves_are_short(sample) -> None:
    y, p, _ = sample
    out = assess(y, p)
    assert json.loads(json.dumps(out, allow_nan=False)) == out
    assert len(out["curve"]["bad"]) == CURVE_POINTS
    assert out["curve"]["bad"][0] == 0
    assert out["curve"]["bad"][-1] == 1
    assert out["confusion"]["cutoff"] == metrics.ks(y, p)[1]


def test_the_histogram_counts_every_row_once(sample) -> None:
    y, p, w = sample
    h = assess(y, p, w)["scores"]
    assert sum(h["bad"]) == pytest.approx((w * y).sum())
    assert sum(h["good"]) == pytest.approx((w * (1 - y)).sum())
    edge = assess(np.array([0.0, 1.0]), np.array([0.0, 1.0]))["scores"]
    assert (edge["good"][0], edge["bad"][-1]) == (1, 1)


def test_what_is_not_defined_is_none() -> None:
    out = assess(np.array([0.0, 1, 0, 1]), np.array([0.5, 0.5, 0.5, 0.5]))
    assert out["hosmer_lemeshow_p"] is None
    assert out["auc"] == 0.5
    assert out["ks"] == 0
    json.dumps(out, allow_nan=False)


def test_one_class_is_refused() -> None:
    with pytest.raises(LabelError):
        assess(np.ones(3), np.full(3, 0.5))
