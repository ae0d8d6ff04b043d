"""Boosted trees as an estimator: as the same trees in the clear, for a label that nobody knows. More in
tests/joint/credit/test_boosted.py."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ppc.core.rng import Stream
from ppc.errors import ConfigError, TypeMismatchError
from ppc.joint.credit import boosted_clear
from ppc.joint.credit.boosted_training import TreesParams
from ppc.mpc import array, learn, run

N = 500
PARAMS = {"trees": 3, "depth": 2, "bins": 12}


def data():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(N, 5))
    z = x[:, 0] + 2 * np.sin(2 * x[:, 3]) + x[:, 1] * x[:, 4] - 0.5
    return x, (rng.random(N) < 1 / (1 + np.exp(-z))).astype(float)


X, Y = data()


def table(s):
    parts = np.array_split(np.arange(5), len(s.parties))
    return learn.vertical(s, X[:, parts[s.rank]], widths=[len(p) for p in parts], rows=N)


@pytest.mark.parametrize(("engine", "parties"), [("plain", 1), ("additive", 2), ("replicated", 3)])
def test_as_in_the_clear(engine, parties):
    half = np.where(np.arange(N) % 2, Y, 0.0)  # the label itself is shared by two parties: nobody has it

    def program(s):
        x = table(s)
        y = array(s, half if s.rank == 0 else None, 0, N)
        other = len(s.parties) - 1
        y = y + array(s, Y - half if s.rank == other else None, other, N)
        model = learn.BoostedTreesClassifier(**PARAMS).fit(x, y)
        return model.decision_function(x).reveal(), model.predict_proba(x).reveal(), model.predict(x).reveal(), model

    logits, p, labels, model = run(program, parties=parties, engine=engine)[0]
    clear = boosted_clear.fit([X], Y, TreesParams(**PARAMS), Stream((0).to_bytes(16, "little")))
    assert abs(roc_auc_score(Y, logits) - roc_auc_score(Y, clear.logits(X))) < 0.005
    assert np.median(np.abs(logits - clear.logits(X))) < 1e-3
    np.testing.assert_allclose(p, 1 / (1 + np.exp(-logits)), atol=1e-3)
    assert (labels == (logits > 0)).all()
    assert model.splits_.owner.shape == (3, 3)
    assert repr(model) == "BoostedTreesClassifier(trees=3, depth=2, bins=12)"


def test_what_it_cannot_read_is_named():
    with pytest.raises(ConfigError, match="depth lies between 1 and 6"):
        learn.BoostedTreesClassifier(depth=9)

    def secret(s):
        x = array(s, X if s.rank == 0 else None, 0, X.shape)
        learn.BoostedTreesClassifier(**PARAMS).fit(x, array(s, Y if s.rank == 0 else None, 0, N))

    with pytest.raises(TypeMismatchError, match="columns that parties know"):
        run(secret)

    def constant(s):
        x = learn.vertical(s, np.zeros((N, 1)), widths=(1, 1), rows=N)
        learn.BoostedTreesClassifier(**PARAMS).fit(x, array(s, Y if s.rank == 0 else None, 0, N))

    with pytest.raises(TypeMismatchError, match="no column has a candidate"):
        run(constant)
