"""Private scoring against the clear model."""

from __future__ import annotations

import contextlib
import json
import warnings

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression, Perceptron
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from ppc.dataset import Dataset
from ppc.errors import (
    ColumnError,
    ConfigError,
    EnvelopeError,
    KeyMismatch,
    ModelFileError,
    ParameterMismatch,
    PpcError,
    ProtectionError,
    TypeMismatchError,
    ValueRangeError,
)
from ppc.he import keys
from ppc.he.ckks_matrix import CkksMatrix
from ppc.he.models import Card
from ppc.he.scoring import Client, Model, Scores, Server, score_in_process

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 6)) * np.array([1, 10, 100, 1e3, 1e4, 1e5]) + 3
Y = ((X / np.abs(X).max(0)) @ RNG.normal(size=6) * 4 + RNG.normal(size=300) > 0).astype(int)


@pytest.fixture(scope="module")
def logistic():
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)


class TestModels:
    def test_logistic_regression(self, logistic):
        scores = score_in_process(Model.from_sklearn(logistic, ranges=X), X)
        assert np.abs(scores.values - logistic.predict_proba(X)[:, 1]).max() < 1e-6
        assert not scores.out_of_range.any()
        assert repr(scores) == "<Scores shape=(300,) out_of_range=0>"

    def test_linear_regression(self):
        y = X @ np.array([5, 1, 0.1, 0.0, 1e-3, 1e-4]) + 7
        fitted = LinearRegression().fit(X, y)
        assert np.abs(score_in_process(Model.from_sklearn(fitted, ranges=X), X).values - fitted.predict(X)).max() < 1e-4
        by_hand = Model.linear(fitted.coef_, fitted.intercept_, ranges=np.abs(X).max(0))
        assert np.allclose(by_hand.predict(X), fitted.predict(X))

    def test_logistic_by_hand(self):
        model = Model.logistic([1.0, -2.0], 0.5, ranges=[4, 4], features=["a", "b"])
        x = np.array([[1.0, 1.0], [-4.0, 4.0], [0, 0]])
        exact = 1 / (1 + np.exp(-(x @ [1.0, -2.0] + 0.5)))
        assert np.abs(score_in_process(model, x).values - exact).max() < 1e-6
        table = Dataset.from_arrow(pa.table({"b": x[:, 1], "a": x[:, 0], "other": ["x", "y", "z"]}))
        server = Server(model)
        client = Client(server.card)
        server.accept(client.public_bytes())
        assert np.abs(client.read(server.score(client.encrypt(table))).values - exact).max() < 1e-6
        with pytest.raises(ColumnError):
            client.encrypt(table.drop(["a"]))

    def test_a_scorecard(self):
        points = {"age": ([25, 40, 60], [10, 20, 35, 30, 5]), "income": ([1000.0], [-12.5, 40, 0])}
        model = Model.scorecard(points, base=600)
        rows = np.array([[24.9, 999], [25, 1000], [39, 5000], [60, 0], [np.nan, np.nan]])
        exact = [600 + 10 - 12.5, 600 + 20 + 40, 600 + 20 + 40, 600 + 30 - 12.5, 600 + 5 + 0]
        assert model.predict(rows).tolist() == exact
        assert np.abs(score_in_process(model, rows).values - exact).max() < 1e-3
        for bad in ({"a": ([1, 2], [1, 2, 3])}, {"a": ([2, 1], [1, 2, 3, 4])}, {"a": ([1], [1, np.nan, 1])}, {}):
            with pytest.raises(ConfigError):
                Model.scorecard(bad)

    def test_a_small_network(self):
        settings = {"activation": "tanh", "solver": "lbfgs", "max_iter": 40, "random_state": 0, "alpha": 1.0}
        classifier = MLPClassifier(hidden_layer_sizes=(4,), **settings)
        scaled = StandardScaler().fit_transform(X)
        with _quiet():
            classifier.fit(scaled, Y)
        model = Model.from_sklearn(classifier, ranges=scaled, calibration=scaled)
        assert len(model.reaches) == 1
        scores = score_in_process(model, scaled)
        clear = classifier.predict_proba(scaled)[:, 1]
        assert np.abs(model.predict(scaled) - clear).max() < 1e-12
        assert np.abs(scores.values - model.predict(scaled, polynomial=True)).max() < 1e-4
        assert np.abs(scores.values - clear).max() < 0.05
        wide = Model.from_sklearn(classifier, ranges=scaled)
        assert wide.reaches[0] >= model.reaches[0]

    def test_models_that_are_not_scored_blind(self):
        relu = MLPRegressor(hidden_layer_sizes=(3,), max_iter=1)
        with _quiet():
            relu.fit(X, Y)
        three = LogisticRegression().fit(StandardScaler().fit_transform(X), np.arange(300) % 3)
        for bad in (
            relu,
            three,
            Perceptron().fit(X, Y),
            make_pipeline(MinMaxScaler(), LogisticRegression()).fit(X, Y),
            object(),
        ):
            with pytest.raises(ProtectionError):
                Model.from_sklearn(bad, ranges=X)

    def test_impossible_models(self):
        for arguments in (
            {"ranges": [1.0]},
            {"ranges": [1.0, 0.0]},
            {"ranges": [1.0, np.inf]},
            {"ranges": [1.0, np.nan]},
            {"ranges": [1.0, 1.0], "features": ["a"]},
        ):
            with pytest.raises(PpcError):
                Model.linear([1.0, 2.0], 0.0, **arguments)
        with pytest.raises(ValueRangeError):
            Model.linear([1.0, np.nan], 0.0, ranges=[1, 1])


@contextlib.contextmanager
def _quiet():
    """Without scikit-learn's warnings about training that was stopped early."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class TestRanges:
    def test_rows_out_of_range_are_reported_and_the_others_scored(self):
        model = Model.logistic([1.0, 1.0], 0.0, ranges=[2, 3])
        x = np.array([[2.0, -3.0], [2.1, 0.0], [0.0, -3.1], [1.0, 1.0]])
        scores = score_in_process(model, x)
        assert scores.out_of_range.tolist() == [False, True, True, False]
        assert np.isnan(scores.values).tolist() == [False, True, True, False]
        assert np.abs(scores.values[[0, 3]] - model.predict(x)[[0, 3]]).max() < 1e-6

    def test_the_link_at_the_server_reports_what_is_beyond_its_reach(self):
        model = Model.logistic([1.0], 0.0, ranges=[10])
        server = Server(model, link="server", reach=8.0)
        assert (server.card.link, server.card.reach, server.card.products) == ("identity", 8.0, True)
        client = Client(server.card)
        server.accept(client.public_bytes())
        x = np.linspace(-8, 8, 50)[:, None]
        scores = client.read(server.score(client.encrypt(x)))
        assert not scores.out_of_range.any()
        assert np.abs(scores.values - model.predict(x)).max() < 1e-4
        near = client.read(server.score(client.encrypt([[8.1], [1.0]])))
        assert near.out_of_range.tolist() == [True, False]
        assert abs(near.values[1] - model.predict([[1.0]])[0]) < 1e-4
        with pytest.raises(ValueRangeError, match="position 1; the batch is lost"):
            client.read(server.score(client.encrypt([[0.0], [10.0]])))

    def test_values_that_are_none(self):
        model = Model.linear([1.0, 1.0], 0.0, ranges=[1, 1], features=["a", "b"])
        client = Client(Server(model).card)
        for bad in ([[0.0, np.nan]], [[np.inf, 0.0]]):
            with pytest.raises(ValueRangeError, match="row 0") as caught:
                client.encrypt(bad)
            assert caught.value.where in ("feature 'a'", "feature 'b'")
        for bad in ([[1.0]], [1.0, 2.0], [["a", "b"]], [[1.0, 2.0], [1.0]]):
            with pytest.raises(TypeMismatchError):
                client.encrypt(bad)
        with pytest.raises(ConfigError):
            client.encrypt(np.zeros((0, 2)))


class TestProtocol:
    @pytest.fixture(scope="class")
    @classmethod
    def pair(cls):
        server = Server(Model.logistic([1.0, -1.0], 0.25, ranges=[2, 2]), max_rows=100)
        client = Client(json.dumps(server.card.to_json()))
        server.accept(client.public_bytes())
        return server, client

    def test_the_key_is_sent_once_and_small(self, pair):
        server, client = pair
        assert len(client.public_bytes()) < 1_000_000  # no Galois and no relinearisation keys
        for _ in range(2):
            assert len(client.read(server.score(client.encrypt([[1.0, 1.0]]))).values) == 1

    def test_an_answer_says_nothing_of_the_weights_in_the_clear(self, pair):
        _, client = pair
        headers = []
        for weights in ([1.0, -1.0], [0.001, 2.0]):
            server = Server(Model.linear(weights, 3.0, ranges=[2, 2]))
            server.accept(client.public_bytes())
            answer = server.score(client.encrypt([[1.0, 1.0]]))
            client.read(answer)
            column = CkksMatrix.from_bytes(answer, client.key).columns[0]
            headers.append((column.bound, column.error, column.gain, column.level, column.sizes))
        assert headers[0] == headers[1]

    def test_a_key_that_was_not_sent(self, pair):
        server, _ = pair
        stranger = Client(server.card)
        with pytest.raises(KeyMismatch, match="does not know"):
            server.score(stranger.encrypt([[1.0, 1.0]]))

    def test_keys_that_do_not_do(self, pair, paillier_key):
        server, _ = pair
        with pytest.raises(ParameterMismatch, match="CKKS"):
            server.accept(paillier_key.public.to_bytes())
        with pytest.raises(ParameterMismatch, match="depth 0"):
            server.accept(keys.generate("ckks", depth=0).public.to_bytes())
        with pytest.raises(KeyMismatch):
            Client(server.card, paillier_key)
        with pytest.raises(PpcError):
            server.accept(b"{}")

    def test_requests_of_another_shape(self, pair):
        server, client = pair
        for rows, bound in ((np.zeros((2, 3)), 1.0), (np.zeros((101, 2)), 1.0), (np.zeros((2, 2)), 5.0)):
            with pytest.raises(ParameterMismatch):
                server.score(CkksMatrix.encrypt(client.key, rows, max_abs=bound).to_bytes())
        with pytest.raises(ParameterMismatch, match="level"):
            used = CkksMatrix.encrypt(client.key, np.zeros((2, 2)), max_abs=1.0) * 1.0
            server.score(used.to_bytes())
        with pytest.raises(EnvelopeError):
            server.score(client.encrypt([[1.0, 1.0]])[:-1])
        client._pending.clear()

    def test_answers_of_another_shape(self, pair):
        server, client = pair
        answer = server.score(client.encrypt([[1.0, 1.0]]))
        client.read(answer)
        with pytest.raises(ConfigError, match="no request"):
            client.read(answer)
        client.encrypt([[1.0, 1.0], [0.0, 0.0]])
        with pytest.raises(EnvelopeError, match="shape"):
            client.read(answer)
        client._pending.clear()

    def test_cards_of_another_form(self, pair):
        card = pair[0].card.to_json()
        for change in (
            {"features": []},
            {"max_abs": [1.0]},
            {"max_abs": [1.0, -1.0]},
            {"max_abs": [1.0, "x"]},
            {"link": "probit"},
            {"depth": 99},
            {"bins": [[1]]},
        ):
            with pytest.raises(ModelFileError):
                Card.from_json({**card, **change})
        for bad in ("{", "[]", "5", '{"features": ["a"]}'):
            with pytest.raises(ModelFileError):
                Client(bad)

    def test_options_of_a_server(self):
        model = Model.linear([1.0], 0.0, ranges=[1])
        for options in ({"link": "both"}, {"max_rows": 0}, {"max_rows": 1 << 30}):
            with pytest.raises(ConfigError):
                Server(model, **options)
        assert Server(model, link="server").card.reach is None  # an identity link has nothing to evaluate

    def test_old_keys_are_forgotten(self, pair, monkeypatch):
        from ppc.he import scoring

        server = Server(pair[0].model)
        monkeypatch.setattr(scoring, "_MAX_SESSIONS", 1)
        first, second = pair[1], Client(server.card)
        server.accept(first.public_bytes())
        server.accept(second.public_bytes())
        with pytest.raises(KeyMismatch):
            server.score(first.encrypt([[0.0, 0.0]]))
        first._pending.clear()


def test_scores_hold_no_rows_in_their_repr():
    assert "0.123" not in repr(Scores(np.array([0.123]), np.array([False])))
