"""Linear and generalised linear models on shares against scikit-learn and statsmodels on the same rows."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import statsmodels.api as sm
from sklearn import linear_model

from ppc.errors import ConfigError, SecretMisuse, TypeMismatchError
from ppc.mpc import array, learn, run

ENGINES = [("plain", 1), ("additive", 2), ("replicated", 3)]
N = 600


def data():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(N, 4))
    x[:, 3] += 0.5 * x[:, 0]
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    eta = x @ np.array([0.4, -0.3, 0.0, 0.2]) + 0.3
    mean = np.exp(eta)
    counts = rng.poisson(mean)
    return x, {
        "linear": eta + rng.normal(size=N),
        "logistic": (rng.random(N) < 1 / (1 + np.exp(-eta))).astype(float),
        "poisson": counts.astype(float),
        "gamma": rng.gamma(2.0, mean / 2),
        "tweedie": np.array([rng.gamma(2.0, 0.7, size=c).sum() for c in counts]),
        "weight": rng.uniform(0.5, 2.0, size=N),
        "exposure": rng.uniform(0.3, 1.0, size=N),
    }


X, Y = data()
MODELS = {
    "linear": (learn.LinearRegression, lambda a: linear_model.Ridge(alpha=N * a), 5e-5),
    "logistic": (
        learn.LogisticRegression,
        lambda a: linear_model.LogisticRegression(C=1 / (N * a) if a else np.inf, tol=1e-10),
        4e-3,
    ),
    "poisson": (learn.PoissonRegressor, lambda a: linear_model.PoissonRegressor(alpha=a, tol=1e-10), 1e-4),
    "gamma": (learn.GammaRegressor, lambda a: linear_model.GammaRegressor(alpha=a, tol=1e-10), 1e-4),
    "tweedie": (learn.TweedieRegressor, lambda a: linear_model.TweedieRegressor(power=1.5, alpha=a, tol=1e-10), 1e-4),
}  # fmt: skip


def table(s, rows=slice(None)):
    """The columns, split among the session's parties."""
    parts = np.array_split(np.arange(4), len(s.parties))
    own = X[rows][:, parts[s.rank]]
    return learn.vertical(s, own, widths=[len(p) for p in parts], rows=len(X[rows]))


def secret(s, values, owner=0):
    return array(s, values if s.rank == owner else None, owner=owner, shape=len(values))


def weights_of(model):
    return np.r_[model.intercept_.reveal(), model.coef_.reveal()]


@pytest.mark.parametrize(("engine", "parties"), ENGINES)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("alpha", [0.0, 0.05])
def test_as_scikit_learn(name, engine, parties, alpha):
    ours, theirs, tolerance = MODELS[name]
    clear = theirs(alpha).fit(X, Y[name])

    def program(s):
        model = ours(alpha=alpha).fit(table(s), secret(s, Y[name]))
        return weights_of(model), model.predict(table(s, slice(0, 20))).reveal()

    for got, predicted in run(program, parties=parties, engine=engine):
        np.testing.assert_allclose(got, np.r_[clear.intercept_, clear.coef_.ravel()], atol=tolerance)
        if name != "logistic":
            np.testing.assert_allclose(predicted, clear.predict(X[:20]), atol=5e-4)


@pytest.mark.parametrize("name", ["poisson", "logistic", "gamma"])
def test_weights_and_standard_errors_as_statsmodels(name):
    family = {
        "poisson": sm.families.Poisson(),
        "logistic": sm.families.Binomial(),
        "gamma": sm.families.Gamma(sm.families.links.Log()),
    }[name]
    clear = sm.GLM(Y[name], sm.add_constant(X), family=family, freq_weights=Y["weight"]).fit(scale=1.0)

    def program(s):
        model = MODELS[name][0](errors=True).fit(table(s), secret(s, Y[name]), sample_weight=secret(s, Y["weight"], 1))
        return weights_of(model), np.r_[model.intercept_error_.reveal(), model.coef_errors_.reveal()]

    got, errors = run(program)[0]
    np.testing.assert_allclose(got, clear.params, atol=4e-3 if name == "logistic" else 2e-4)
    np.testing.assert_allclose(errors, clear.bse, rtol=4e-3)


def test_an_offset_is_the_log_of_an_exposure():
    clear = sm.GLM(Y["poisson"], sm.add_constant(X), family=sm.families.Poisson(), exposure=Y["exposure"]).fit()

    def program(s):
        shift = secret(s, np.log(Y["exposure"]), 1)
        model = learn.PoissonRegressor().fit(table(s), secret(s, Y["poisson"]), offset=shift)
        return weights_of(model), model.predict(table(s), offset=shift).reveal()

    got, predicted = run(program)[0]
    np.testing.assert_allclose(got, clear.params, atol=2e-4)
    np.testing.assert_allclose(
        predicted, clear.predict(sm.add_constant(X), exposure=Y["exposure"]), rtol=2e-3, atol=1e-3
    )


@pytest.mark.parametrize(("engine", "parties"), ENGINES)
def test_batches_reach_the_same_model(engine, parties):
    clear = linear_model.LogisticRegression(C=np.inf, tol=1e-10).fit(X, Y["logistic"])

    def program(s):
        model = learn.LogisticRegression(solver="sgd", epochs=15, batch_size=60, learning_rate=0.2, decay=0.5)
        model.fit(table(s), secret(s, Y["logistic"]))
        return weights_of(model), model.predict_proba(table(s)).reveal(), model.predict(table(s)).reveal()

    got, p, labels = run(program, parties=parties, engine=engine)[0]
    np.testing.assert_allclose(got, np.r_[clear.intercept_, clear.coef_.ravel()], atol=0.05)
    assert ((p > 0.5) == labels).mean() > 0.995
    assert abs(((p > 0.5) == Y["logistic"]).mean() - clear.score(X, Y["logistic"])) < 0.02


def test_l1_moves_weights_to_zero_as_in_the_clear():
    clear = linear_model.LogisticRegression(C=1 / (N * 0.08), l1_ratio=1.0, solver="saga", tol=1e-8, max_iter=2000)
    clear.fit(X, Y["logistic"])

    def program(s):
        model = learn.LogisticRegression(solver="sgd", l1=0.08, epochs=60, batch_size=N, decay=0.0, learning_rate=0.2)
        return weights_of(model.fit(table(s), secret(s, Y["logistic"])))

    got = run(program)[0]
    assert (clear.coef_ == 0).any()
    np.testing.assert_allclose(got, np.r_[clear.intercept_, clear.coef_.ravel()], atol=0.03)
    assert np.abs(got[1:][clear.coef_.ravel() == 0]).max() < 0.01


def test_rows_of_both_parties_as_a_secret_array():
    """Horizontally split rows: each party's rows one above the other in one secret array."""
    from ppc.mpc.secure_functions import concatenate

    half = N // 2
    clear = linear_model.LinearRegression().fit(X, Y["linear"])

    def program(s):
        rows = [slice(0, half), slice(half, N)]
        x = concatenate([array(s, X[r] if s.rank == i else None, i, (half, 4)) for i, r in enumerate(rows)])
        y = concatenate([array(s, Y["linear"][r] if s.rank == i else None, i, half) for i, r in enumerate(rows)])
        return weights_of(learn.LinearRegression().fit(x, y))

    np.testing.assert_allclose(run(program)[0], np.r_[clear.intercept_, clear.coef_], atol=5e-5)


def test_stopping_early_tells_the_iterations_only_when_asked():
    def program(s, **options):
        model = learn.PoissonRegressor(**options).fit(table(s), secret(s, Y["poisson"]))
        return model.n_iter_

    assert run(lambda s: program(s, max_iter=12, tol=1e-3))[0] < 8
    assert run(lambda s: program(s, max_iter=3))[0] == 3


def test_large_tables_are_read_in_pieces(monkeypatch):
    from ppc.mpc.learn import linear

    monkeypatch.setattr(linear, "CHUNK_WORDS", 700)
    clear = linear_model.PoissonRegressor(alpha=0, tol=1e-10).fit(X, Y["poisson"])
    got = run(lambda s: weights_of(learn.PoissonRegressor().fit(table(s), secret(s, Y["poisson"]))))[0]
    np.testing.assert_allclose(got, np.r_[clear.intercept_, clear.coef_], atol=1e-4)


# --- the manner of scikit-learn ---
def test_parameters_are_named_and_checked():
    assert repr(learn.PoissonRegressor(alpha=0.5)) == "PoissonRegressor(alpha=0.5)"
    assert learn.GammaRegressor().get_params()["max_iter"] == 8
    with pytest.raises(ConfigError, match="no parameter 'alhpa'") as info:
        learn.PoissonRegressor(alhpa=1)
    assert "alpha" in str(info.value.hint)
    for bad in (
        lambda: learn.PoissonRegressor(power=1.5),
        lambda: learn.TweedieRegressor(power=3),
        lambda: learn.TweedieRegressor(reach=20),
        lambda: learn.LogisticRegression(solver="lbfgs"),
        lambda: learn.LogisticRegression(l1=0.1),
        lambda: learn.MLPClassifier(hidden=(0,)),
        lambda: learn.MLPClassifier(solver="rmsprop"),
        lambda: learn.MLPClassifier(learning_rate=0.0),
    ):
        with pytest.raises(ConfigError):
            bad()


def test_what_is_not_fitted_says_so_and_nothing_is_pickled():
    model = learn.LinearRegression()
    with pytest.raises(ConfigError, match="not fitted"):
        _ = model.coef_
    with pytest.raises(SecretMisuse):
        pickle.dumps(model)


def test_shapes_that_do_not_fit_are_named():
    def program(s, wrong):
        x = table(s)
        if wrong == "y":
            learn.LinearRegression().fit(x, secret(s, Y["linear"][:-1]))
        elif wrong == "public":
            learn.LinearRegression().fit(x, Y["linear"])
        elif wrong == "numpy":
            learn.LinearRegression().fit(X, secret(s, Y["linear"]))
        elif wrong == "few":
            learn.LinearRegression().fit(table(s, slice(0, 3)), secret(s, Y["linear"][:3]))
        elif wrong == "flat":
            learn.LinearRegression().fit(secret(s, Y["linear"]), secret(s, Y["linear"]))

    for wrong in ("y", "public", "numpy", "few", "flat"):
        with pytest.raises(TypeMismatchError):
            run(lambda s, w=wrong: program(s, w))
    with pytest.raises(ConfigError, match="widths"):
        run(lambda s: learn.vertical(s, None, widths=(1,), rows=3))
    with pytest.raises(TypeMismatchError, match="announced"):
        run(lambda s: learn.vertical(s, np.zeros((3, 2)), widths=(2, 1), rows=3))


def test_a_step_of_descent_costs_what_it_says():
    """Three rounds besides the sigmoid's four; a party sends 34.25 bytes a row for that, 8 for the residual."""
    size, steps = 60, N // 60

    def program(s, epochs):
        x, y = table(s), secret(s, Y["logistic"])
        before = s.meter
        learn.LogisticRegression(solver="sgd", epochs=epochs, batch_size=size).fit(x, y)
        return s.meter - before

    one, two = (run(lambda s, e=e: program(s, e))[0] for e in (1, 2))
    spent = two - one
    assert spent.rounds == 7 * steps
    assert spent.sent <= steps * (43 * size + 24 * 5 + 7 * 120)
