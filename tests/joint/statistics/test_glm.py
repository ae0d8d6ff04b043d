"""Generalised linear models against statsmodels on pooled rows: coefficients and errors to 1e-6 and better."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from ppc.joint.statistics import _kernels
from ppc.joint.statistics.design import gram_numpy
from ppc.joint.statistics.families import ALLOWED, FAMILIES, LINKS, Model

LEVELS = {"sex": [0, 1], "cp": [1, 2, 3, 4]}


def design(frame: pd.DataFrame, terms: list[str]) -> pd.DataFrame:
    parts = [pd.Series(1.0, frame.index, name="intercept")]
    for t in terms:
        if t in LEVELS:
            parts += [(frame[t] == v).astype(float).rename(f"{t}={v}") for v in LEVELS[t][1:]]
        else:
            parts.append(frame[t].astype(float))
    return pd.concat(parts, axis=1)


def check(found: Any, peer: Any, names: list[str]) -> None:
    lines = found["coefficients"]
    assert [c["name"] for c in lines] == names
    np.testing.assert_allclose([c["coef"] for c in lines], peer.params, rtol=1e-6)
    np.testing.assert_allclose([c["se"] for c in lines], peer.bse, rtol=1e-6)
    np.testing.assert_allclose([c["p"] for c in lines], peer.pvalues, rtol=1e-4, atol=1e-12)
    assert found["deviance"] == pytest.approx(peer.deviance, rel=1e-8)
    assert found["loglik"] == pytest.approx(peer.llf, rel=1e-8)
    assert found["aic"] == pytest.approx(peer.aic, rel=1e-8)
    assert found["null_deviance"] == pytest.approx(peer.null_deviance, rel=1e-6)


def test_logistic(heart: Any, pooled: Any, run: Any) -> None:
    terms = ["age", "sex", "cp", "trestbps", "thalach"]
    (found,) = run(heart, {"operator": "glm", "outcome": "sick", "terms": terms, "levels": LEVELS})
    frame = pooled(heart).dropna(subset=terms)
    x = design(frame, terms)
    check(found, sm.GLM(frame.sick, x, sm.families.Binomial()).fit(tol=1e-12), list(x.columns))


def test_logistic_with_site_effects_and_a_named_outcome(heart: Any, pooled: Any, run: Any) -> None:
    step = {"operator": "glm", "outcome": "target", "positive": [1, 2, 3, 4], "terms": ["age"], "site_effects": True}
    (found,) = run(heart, step)
    frame = pooled(heart)
    x = design(frame, ["age"])
    for site in list(heart)[1:]:
        x[f"site={site}"] = (frame.site == site).astype(float)
    check(found, sm.GLM(frame.sick, x, sm.families.Binomial()).fit(tol=1e-12), list(x.columns))


@pytest.fixture(scope="module")
def counts() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    n = 900
    x, z = rng.normal(50, 12, n), rng.random(n) * 3
    mean = np.exp(0.5 + 0.02 * (x - 50) - 0.3 * z)
    visits, cost = rng.poisson(mean * 2), rng.gamma(2.0, mean * 500)
    frame = pd.DataFrame({"x": x, "z": z, "visits": visits, "cost": cost})
    return frame.assign(log2=np.log(2.0), w=rng.integers(1, 4, n).astype(float))


@pytest.mark.parametrize(
    ("family", "link", "outcome", "peer"),
    [
        ("poisson", "log", "visits", sm.families.Poisson()),
        ("gamma", "log", "cost", sm.families.Gamma(sm.families.links.Log())),
        ("gamma", "inverse", "cost", sm.families.Gamma()),
        ("gaussian", "identity", "cost", sm.families.Gaussian()),
    ],
)
@pytest.mark.filterwarnings("ignore:The InversePower link")
def test_families(split: Any, run: Any, counts: Any, family: str, link: str, outcome: str, peer: Any) -> None:
    step = {"operator": "glm", "outcome": outcome, "terms": ["x", "z"], "family": family, "link": link}
    (found,) = run(split(counts), step)
    x = design(counts, ["x", "z"])
    check(found, sm.GLM(counts[outcome], x, peer).fit(tol=1e-13, maxiter=200), list(x.columns))


def test_offset_and_weights(split: Any, run: Any, counts: Any) -> None:
    step = {
        "operator": "glm",
        "outcome": "visits",
        "terms": ["x"],
        "family": "poisson",
        "offset": "log2",
        "weight": "w",
    }
    (found,) = run(split(counts), step)
    x = design(counts, ["x"])
    peer = sm.GLM(counts.visits, x, sm.families.Poisson(), offset=counts.log2, var_weights=counts.w).fit(tol=1e-13)
    check(found, peer, list(x.columns))


# --- what cannot be fitted is said ---
def test_separation_is_detected_and_named(split: Any, run: Any) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=300)
    frame = pd.DataFrame({"x": x, "z": rng.normal(size=300), "y": (x > 0).astype(int)})
    (found,) = run(split(frame), {"operator": "glm", "outcome": "y", "terms": ["x", "z"]})
    assert "separation" in found["problem"]
    assert "x" in found["problem"]


def test_one_class_is_said(split: Any, run: Any) -> None:
    frame = pd.DataFrame({"x": np.arange(90.0), "y": np.zeros(90, int)})
    (found,) = run(split(frame), {"operator": "glm", "outcome": "y", "terms": ["x"]})
    assert "one class" in found["problem"]


def test_too_many_parameters_for_the_rows_are_refused(split: Any, run: Any) -> None:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame(rng.normal(size=(40, 9)), columns=list("abcdefghi")).assign(y=np.arange(40) % 2)
    (found,) = run(split(frame), {"operator": "glm", "outcome": "y", "terms": list("abcdefghi")})
    assert "fewer than 50 rows for 10 parameters" in found["refused"]


def test_a_rare_level_is_refused_by_name(heart: Any, run: Any) -> None:
    rare = {p: d.with_column("rare", (np.arange(len(d)) == 0).astype(float)) for p, d in heart.items()}
    (found,) = run(rare, {"operator": "glm", "outcome": "sick", "terms": ["age", "rare"], "levels": {"rare": [0, 1]}})
    assert "rare=1" in found["refused"]


def test_the_kernel_is_its_numpy_twin() -> None:
    from ppc.joint.statistics.design import gram, gram_numpy

    rng = np.random.default_rng(9)
    for n, p in ((0, 3), (1, 1), (5000, 7)):
        x, w = rng.normal(size=(n, p)), rng.random(n)
        np.testing.assert_allclose(gram(x, w), gram_numpy(x, w), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("family", "link"), [(f, k) for f, links in ALLOWED.items() for k in links])
@pytest.mark.parametrize("given", [True, False])
def test_a_step_of_every_model_is_its_numpy_twin(family: str, link: str, given: bool) -> None:
    rng = np.random.default_rng(3)
    n, p = 2500, 4
    x = np.column_stack([np.ones(n), rng.uniform(-1, 1, (n, p - 1))])
    beta = np.array([2.0, 0.3, -0.2, 0.1])
    y = {"binomial": rng.integers(0, 2, n), "poisson": rng.poisson(2, n), "gamma": rng.gamma(2, 1, n)}
    outcome = np.asarray(y.get(family, rng.normal(size=n)), np.float64)
    offset, weight = rng.uniform(0, 0.2, n), rng.uniform(0.5, 2, n)
    model = Model(family, link)
    eta = model.eta(model.start(np.abs(outcome) + 0.1 if link == "log" else outcome)) if given else x @ beta + offset
    mu = model.mu(eta)
    slope = model.slope(mu)
    w = weight / (slope**2 * model.variance(mu))
    z = eta - offset + (outcome - mu) * slope
    h, g = np.zeros((p, p)), np.zeros(p)
    codes = FAMILIES.index(family), LINKS.index(link)
    deviance = _kernels.irls(x, outcome, offset, weight, beta, eta, given, *codes, h, g)
    np.testing.assert_allclose(h, gram_numpy(x, w), rtol=1e-11)
    np.testing.assert_allclose(g, x.T @ (w * z), rtol=1e-9, atol=1e-9)
    assert deviance == pytest.approx(model.deviance(outcome, mu, weight), rel=1e-11)
