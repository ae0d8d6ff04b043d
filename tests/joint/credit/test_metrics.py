from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppc.errors import ConfigError, LabelError, ValueRangeError
from ppc.joint.credit import metrics


@st.composite
def scored(draw, weighted: bool = True):
    """Labels of both classes, scores with many ties in [0, 1], weights."""
    n = draw(st.integers(2, 60))
    y = np.asarray(draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)), dtype=float)
    y[0], y[1] = 0, 1
    s = np.asarray(draw(st.lists(st.integers(0, 12), min_size=n, max_size=n)), dtype=float) / 12
    w = np.asarray(draw(st.lists(st.integers(1, 5), min_size=n, max_size=n)), dtype=float)
    return y, s, (w if weighted and draw(st.booleans()) else None)


@given(scored())
def test_auc_and_roc_agree_with_scikit_learn(data) -> None:
    from sklearn.metrics import roc_auc_score, roc_curve

    y, s, w = data
    assert metrics.auc(y, s, w) == pytest.approx(roc_auc_score(y, s, sample_weight=w), abs=1e-12)
    fpr, tpr, threshold = roc_curve(y, s, sample_weight=w, drop_intermediate=False)
    c = metrics.curve(y, s, w)
    np.testing.assert_allclose(c.good, fpr, atol=1e-12)
    np.testing.assert_allclose(c.bad, tpr, atol=1e-12)
    assert c.threshold.tolist() == threshold.tolist()
    assert metrics.gini(y, s, w) == pytest.approx(2 * roc_auc_score(y, s, sample_weight=w) - 1, abs=1e-12)


@given(scored(weighted=False))
def test_auc_is_the_share_of_pairs_in_order(data) -> None:
    y, s, _ = data
    pairs = (s[y == 1][:, None] > s[y == 0][None, :]) + 0.5 * (s[y == 1][:, None] == s[y == 0][None, :])
    assert metrics.auc(y, s) == pytest.approx(pairs.mean(), abs=1e-12)


@given(scored(weighted=False))
def test_ks_agrees_with_scipy(data) -> None:
    from scipy.stats import ks_2samp

    y, s, _ = data
    value, threshold = metrics.ks(y, s)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy warns of its p-value, which is not what is compared
        expected = ks_2samp(s[y == 1], s[y == 0], method="exact").statistic
    assert value == pytest.approx(expected, abs=1e-12)
    gap = abs((s[y == 1] >= threshold).mean() - (s[y == 0] >= threshold).mean())
    assert gap == pytest.approx(value, abs=1e-12)


@given(scored(), st.randoms(use_true_random=False))
def test_no_figure_depends_on_the_order_of_rows(data, random) -> None:
    y, s, w = data
    order = list(range(len(y)))
    random.shuffle(order)
    v = None if w is None else w[order]
    assert metrics.auc(y[order], s[order], v) == pytest.approx(metrics.auc(y, s, w), abs=1e-12)
    assert metrics.ks(y[order], s[order], v)[0] == pytest.approx(metrics.ks(y, s, w)[0], abs=1e-12)
    np.testing.assert_allclose(
        metrics.gains(y[order], s[order], v).captured, metrics.gains(y, s, w).captured, atol=1e-12
    )


@given(scored())
def test_weights_are_repeated_rows(data) -> None:
    y, s, w = data
    if w is None:
        return
    k = w.astype(int)
    yy, ss = np.repeat(y, k), np.repeat(s, k)
    assert metrics.auc(y, s, w) == pytest.approx(metrics.auc(yy, ss), abs=1e-12)
    assert metrics.ks(y, s, w)[0] == pytest.approx(metrics.ks(yy, ss)[0], abs=1e-12)
    assert metrics.brier(y, s, w) == pytest.approx(metrics.brier(yy, ss), abs=1e-12)
    assert metrics.log_loss(y, s, w) == pytest.approx(metrics.log_loss(yy, ss), abs=1e-9)
    np.testing.assert_allclose(metrics.gains(y, s, w).lift, metrics.gains(yy, ss).lift, atol=1e-9)
    a, b = metrics.confusion(y, s, 0.5, w).to_dict(), metrics.confusion(yy, ss, 0.5).to_dict()
    assert a == pytest.approx(b, nan_ok=True)


@given(scored(), st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0]))
def test_the_confusion_table_agrees_with_scikit_learn(data, cutoff: float) -> None:
    from sklearn import metrics as sk

    y, s, w = data
    called = (s >= cutoff).astype(float)
    c = metrics.confusion(y, s, cutoff, w)
    table = sk.confusion_matrix(y, called, labels=[0, 1], sample_weight=w)
    assert [[c.true_good, c.false_bad], [c.false_good, c.true_bad]] == table.tolist()
    given = {"sample_weight": w, "zero_division": np.nan}
    assert c.accuracy == pytest.approx(sk.accuracy_score(y, called, sample_weight=w))
    assert c.precision == pytest.approx(sk.precision_score(y, called, **given), nan_ok=True)
    assert c.recall == pytest.approx(sk.recall_score(y, called, **given), nan_ok=True)
    assert c.specificity == pytest.approx(sk.recall_score(y, called, pos_label=0, **given), nan_ok=True)
    assert c.f1 == pytest.approx(sk.f1_score(y, called, **given), nan_ok=True)
    assert c.balanced_accuracy == pytest.approx(sk.balanced_accuracy_score(y, called, sample_weight=w))
    assert c.matthews == pytest.approx(sk.matthews_corrcoef(y, called, sample_weight=w), abs=1e-12)
    assert c.approval_rate == pytest.approx(np.average(1 - called, weights=w))


@given(scored())
def test_brier_and_log_loss_agree_with_scikit_learn(data) -> None:
    from sklearn.metrics import brier_score_loss, log_loss

    y, p, w = data
    assert metrics.brier(y, p, w) == pytest.approx(brier_score_loss(y, p, sample_weight=w), abs=1e-12)
    assert metrics.log_loss(y, p, w) == pytest.approx(log_loss(y, p, sample_weight=w), rel=1e-9)


@pytest.mark.parametrize("cut", ["uniform", "quantile"])
def test_calibration_agrees_with_scikit_learn(cut: str) -> None:
    from sklearn.calibration import calibration_curve

    rng = np.random.default_rng(4)
    p = rng.random(2000)
    y = (rng.random(2000) < p).astype(float)
    observed, predicted = calibration_curve(y, p, n_bins=10, strategy=cut)
    c = metrics.calibration(y, p, cut=cut)
    np.testing.assert_allclose(c.observed, observed, atol=1e-12)
    np.testing.assert_allclose(c.predicted, predicted, atol=1e-12)
    assert c.weight.sum() == 2000


def test_hosmer_lemeshow_by_hand() -> None:
    from scipy.stats import chi2

    # Four groups of 50 whose expected bads are 5, 10, 20, 30 and whose observed ones are 4, 12, 18, 33.
    p = np.repeat([0.1, 0.2, 0.4, 0.6], 50)
    y = np.concatenate([np.repeat([1.0, 0.0], [k, 50 - k]) for k in (4, 12, 18, 33)])
    expected = 1 / (5 * 0.9) + 4 / (10 * 0.8) + 4 / (20 * 0.6) + 9 / (30 * 0.4)
    statistic, p_value = metrics.hosmer_lemeshow(y, p, groups=4)
    assert statistic == pytest.approx(expected)
    assert p_value == pytest.approx(chi2.sf(expected, 2))


def test_hosmer_lemeshow_tells_a_calibrated_model_from_a_shifted_one() -> None:
    """A right model is refused at 0.001 with probability 0.001 (the seed is fixed); a shifted one always here."""
    rng = np.random.default_rng(5)
    p = rng.random(5000) * 0.5
    y = (rng.random(5000) < p).astype(float)
    assert metrics.hosmer_lemeshow(y, p)[1] > 0.001
    assert metrics.hosmer_lemeshow(y, np.minimum(p * 1.3, 1))[1] < 1e-6


def test_hosmer_lemeshow_of_impossible_predictions() -> None:
    statistic, p_value = metrics.hosmer_lemeshow(np.array([0.0, 1, 0, 1]), np.array([0.0, 0, 0.5, 1]))
    assert statistic == np.inf
    assert not p_value > 0


def test_gains_of_a_perfect_and_of_a_useless_score() -> None:
    y = np.repeat([1.0, 0.0], [20, 80])
    perfect = metrics.gains(y, y)
    assert perfect.lift.tolist() == pytest.approx([5, 5] + [0] * 8)
    assert perfect.captured.tolist() == pytest.approx([0.5] + [1.0] * 9)
    assert perfect.bad_rate.tolist() == pytest.approx([1, 1] + [0] * 8)
    useless = metrics.gains(y, np.zeros(100))
    assert useless.lift.tolist() == pytest.approx([1.0] * 10)
    assert useless.cumulative_lift.tolist() == pytest.approx([1.0] * 10)


def test_gains_against_counting_by_hand() -> None:
    rng = np.random.default_rng(6)
    s = rng.permutation(1000).astype(float)
    y = (rng.random(1000) < 1 / (1 + np.exp((500 - s) / 200))).astype(float)
    top = y[np.argsort(-s)].reshape(10, 100)
    g = metrics.gains(y, s)
    assert g.bad_rate.tolist() == pytest.approx(top.mean(axis=1).tolist())
    assert g.captured.tolist() == pytest.approx((top.sum(axis=1).cumsum() / y.sum()).tolist())


def test_stability_by_hand() -> None:
    e, a = np.array([0.25, 0.5, 0.25, 0.0]), np.array([0.3, 0.4, 0.2, 0.1])
    by_hand = 0.05 * np.log(0.3 / 0.25) - 0.1 * np.log(0.8) - 0.05 * np.log(0.8) + 0.0999 * np.log(0.1 / 1e-4)
    assert metrics.stability_index(e, a) == pytest.approx(by_hand)
    rng = np.random.default_rng(7)
    x = rng.normal(size=20_000)
    same = metrics.stability(x, rng.normal(size=20_000))
    moved = metrics.stability(x, rng.normal(loc=1, size=20_000))
    assert same.psi < 0.01
    assert moved.psi > 0.25
    np.testing.assert_allclose(same.expected, 0.1, atol=1e-3)
    assert metrics.stability(x, x).psi == 0


def test_stability_takes_constant_scores_and_weights() -> None:
    assert metrics.stability(np.ones(5), np.ones(3)).psi == 0
    x = np.array([0.0, 1.0, 2.0, 3.0])
    w = metrics.stability(x, x[:3], groups=4, weight_actual=np.array([1.0, 1.0, 2.0]))
    r = metrics.stability(x, np.array([0.0, 1.0, 2.0, 2.0]), groups=4)
    assert w.psi == pytest.approx(r.psi)


ONE = np.array([0.2, 0.4, 0.9])


@pytest.mark.parametrize(
    "label", [np.zeros(3), np.ones(3), np.array([0, 1, np.nan]), np.array([0, 1, 2.0]), np.zeros(0), np.ones((3, 1))]
)
def test_a_label_that_is_not_binary_with_both_classes_is_refused(label) -> None:
    for call in (metrics.auc, metrics.ks, metrics.gains, metrics.brier, metrics.calibration):
        with pytest.raises(LabelError):
            call(label, ONE)


@pytest.mark.parametrize("score", [np.array([0.1, np.nan, 0.2]), np.array([0.1, np.inf, 0.2]), np.ones(2), np.zeros(0)])
def test_a_score_that_is_not_finite_or_of_another_length_is_refused(score) -> None:
    with pytest.raises(ValueRangeError):
        metrics.auc(np.array([0.0, 1, 0]), score)


@pytest.mark.parametrize("weight", [np.zeros(3), np.array([1, -1, 1.0]), np.array([1, np.nan, 1]), np.ones(2)])
def test_weights_are_checked(weight) -> None:
    with pytest.raises(ValueRangeError):
        metrics.auc(np.array([0.0, 1, 0]), ONE, weight)


def test_probabilities_and_settings_are_checked() -> None:
    y = np.array([0.0, 1, 0])
    for call in (metrics.brier, metrics.log_loss, metrics.calibration):
        with pytest.raises(ValueRangeError):
            call(y, np.array([0.1, 0.2, 1.1]))
    for call in (
        lambda: metrics.gains(y, ONE, groups=0),
        lambda: metrics.calibration(y, ONE, groups=0),
        lambda: metrics.calibration(y, ONE, cut="log"),
        lambda: metrics.stability(ONE, ONE, groups=1),
        lambda: metrics.confusion(y, ONE, float("nan")),
    ):
        with pytest.raises(ConfigError):
            call()


def test_the_confusion_table_as_plain_values() -> None:
    table = metrics.confusion(np.array([0.0, 1]), np.array([0.1, 0.2]), 0.9).to_dict()
    assert table["precision"] is None
    assert table["recall"] == 0
    assert table["approval_rate"] == 1
