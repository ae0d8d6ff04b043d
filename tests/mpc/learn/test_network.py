"""Networks on shares: they learn what networks learn, step for step as the plain engine does, at their stated cost."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_iris, make_moons

from ppc.errors import TypeMismatchError
from ppc.mpc import array, learn, run

X, LABELS = make_moons(200, noise=0.1, random_state=1)
X = (X - X.mean(axis=0)) / X.std(axis=0)
ENGINES = [("plain", 1), ("additive", 2), ("replicated", 3)]


def moons(s, **options):
    parts = np.array_split(np.arange(2), len(s.parties))
    x = learn.vertical(s, X[:, parts[s.rank]], widths=[len(p) for p in parts], rows=len(X))
    y = array(s, LABELS.astype(float) if s.rank == 0 else None, owner=0, shape=len(X))
    before = s.meter
    model = learn.MLPClassifier(**options).fit(x, y)
    cost = s.meter - before
    return model.predict(x).reveal(), model.predict_proba(x).reveal(), [c.reveal() for c in model.coefs_], cost


@pytest.mark.parametrize(("engine", "parties"), ENGINES)
def test_it_learns_what_a_line_cannot_and_as_the_plain_engine(engine, parties):
    options = {"solver": "sgd", "epochs": 8, "learning_rate": 0.3, "batch_size": 40}
    labels, p, *_ = run(lambda s: moons(s, **options), parties=parties, engine=engine)[0]
    assert (labels == LABELS).mean() >= 0.95  # a line separates 0.88 of them
    assert ((p > 0.5) == labels).mean() > 0.99
    # The sigmoid's 7e-4 turn a unit on or off sooner or later, so only the first steps are the same.
    first = {**options, "epochs": 1}
    secret = run(lambda s: moons(s, **first), parties=parties, engine=engine)[0][2]
    plain = run(lambda s: moons(s, **first), engine="plain")[0][2]
    for mine, theirs in zip(secret, plain, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=0.02)


@pytest.mark.parametrize(("engine", "parties"), ENGINES[:2])
def test_adam_learns_it_too(engine, parties):
    options = {"epochs": 6, "learning_rate": 0.1, "batch_size": 40, "alpha": 1e-3}
    labels, *_ = run(lambda s: moons(s, **options), parties=parties, engine=engine)[0]
    assert (labels == LABELS).mean() >= 0.91


def test_two_hidden_layers_and_more_epochs_separate_the_moons():
    labels, *_ = run(lambda s: moons(s, hidden=(12, 6), epochs=15, learning_rate=0.05, batch_size=40), engine="plain")[
        0
    ]
    assert (labels == LABELS).mean() > 0.98


def test_classes_by_softmax():
    iris = load_iris()
    order = np.random.default_rng(0).permutation(150)
    x = (iris.data - iris.data.mean(axis=0)) / iris.data.std(axis=0)
    x, y = x[order], np.eye(3)[iris.target[order]]

    def program(s):
        model = learn.MLPClassifier(hidden=(8,), solver="sgd", epochs=6, learning_rate=0.2, batch_size=30)
        secret = array(s, x if s.rank == 0 else None, 0, (150, 4))
        model.fit(secret, array(s, y if s.rank == 1 else None, 1, (150, 3)))
        return model.predict(secret).reveal(), model.predict_proba(secret).reveal()

    labels, p = run(program)[0]
    assert (labels == iris.target[order]).mean() > 0.9
    np.testing.assert_allclose(p.sum(axis=1), 1.0, atol=1e-3)
    assert (p.argmax(axis=1) == labels).mean() > 0.99


def test_numbers_by_regression():
    rng = np.random.default_rng(2)
    x = rng.uniform(-2, 2, size=(300, 1))
    y = np.abs(x[:, 0]) - 1

    def program(s):
        secret = array(s, x if s.rank == 0 else None, 0, x.shape)
        target = array(s, y if s.rank == 0 else None, 0, y.shape)
        model = learn.MLPRegressor(hidden=(8,), solver="sgd", epochs=15, learning_rate=0.05, batch_size=30)
        return model.fit(secret, target).predict(secret).reveal()

    predicted = run(program, engine="plain")[0]
    assert np.mean((predicted - y) ** 2) < 0.1 * np.var(y)


def test_other_shapes_are_refused():
    def program(s, columns):
        secret = array(s, X if s.rank == 0 else None, 0, X.shape)
        y = array(s, LABELS.astype(float) if s.rank == 0 else None, 0, len(X))
        model = learn.MLPClassifier(hidden=(2,), epochs=1, batch_size=200, solver="sgd").fit(secret, y)
        model.predict(array(s, np.zeros((3, columns)) if s.rank == 0 else None, 0, (3, columns)))

    with pytest.raises(TypeMismatchError, match="reads 2 columns"):
        run(lambda s: program(s, 3), engine="plain")


@pytest.mark.parametrize(("solver", "rounds"), [("sgd", 18), ("adam", 54)])
def test_rounds_of_a_step(solver, rounds):
    options = {"solver": solver, "batch_size": 50, "hidden": (4,)}
    one, two = (run(lambda s, e=e: moons(s, epochs=e, **options))[0][3] for e in (1, 2))
    assert (two - one).rounds == rounds * 4
