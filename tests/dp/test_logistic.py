"""Logistic regression with noisy gradients: near the fit in the clear, and bounded row by row."""

import math

import numpy as np
import pyarrow as pa
import pytest

from ppc import dp
from ppc.dataset import Dataset, Field, Schema
from ppc.dp import logistic
from ppc.dp.query import LogisticRegression
from ppc.errors import BudgetExceeded, QueryError

SCHEMA = Schema(
    (
        Field("a", "float64", bounds=(0, 100)),
        Field("b", "float64", bounds=(-1, 1)),
        Field("y", "bool"),
        Field("t", "string"),
    )
)


def data(n):
    rng = np.random.default_rng(8)
    a, b = rng.uniform(10, 90, n), rng.normal(0, 0.4, n)
    y = rng.random(n) < 1 / (1 + np.exp(-(0.05 * (a - 50) + 1.5 * np.clip(b, -1, 1) - 0.4)))
    table = pa.table({"a": pa.array(a, mask=rng.random(n) < 0.02), "b": b, "y": y, "t": ["x"] * n})
    return Dataset.from_arrow(table, SCHEMA)


def test_near_the_fit_in_the_clear():
    from sklearn.linear_model import LogisticRegression

    ds = data(20_000)
    frame = ds.to_pandas().dropna()
    x = np.column_stack([frame.a, frame.b.clip(-1, 1)])
    clear = LogisticRegression(C=1e9, max_iter=1000).fit(x, frame.y)
    right = np.r_[clear.intercept_, clear.coef_[0]]
    with dp.Session(ds, dp.Budget(rho=1000), ledger=":memory:") as s:
        exact = s.logistic_regression(["a", "b"], "y", rho=900, steps=40)
        assert np.r_[exact.intercept, exact.coefficients] == pytest.approx(right, rel=0.02)
        noisy = [s.logistic_regression(["a", "b"], "y", rho=0.2) for _ in range(20)]
        off = np.array([np.abs(np.r_[m.intercept, m.coefficients] - right) / m.errors for m in noisy])
        assert (off < 1.5).mean() > 0.8, "errors are about what is said"
        assert np.abs(noisy[0].predict(x) - clear.predict_proba(x)[:, 1]).mean() < 0.05
        assert s.budget.entries == 21
        assert "±" in repr(noisy[0])
    with dp.Session(ds, dp.Budget(epsilon=5), ledger=":memory:") as s:
        model = s.logistic_regression(["a", "b"], "y", epsilon=4, where="b > -1")
        assert model.coefficients == pytest.approx(right[1:], rel=0.5)
        assert float(s.budget.spent) == pytest.approx(4)


def test_a_row_changes_the_gradient_by_no_more_than_is_said():
    rng = np.random.default_rng(3)
    for size in (2, 5, 20):
        l1 = logistic._gradient_noise(dp.Price(1), size, 1, 1.0).scale
        l2 = logistic._gradient_noise(dp.Price(rho=0.5), size, 1, 1.0).scale
        for _ in range(200):
            z = np.sign(rng.normal(size=(1, size))) if rng.random() < 0.5 else rng.uniform(-1, 1, (1, size))
            y, w = np.array([float(rng.random() < 0.5)]), rng.normal(0, 100, size)
            assert np.abs(logistic._gradient(z, y, w, float(size))).sum() <= l1
            assert np.linalg.norm(logistic._gradient(z, y, w, math.sqrt(size))) <= l2


def test_a_rows_part_does_not_hang_on_its_place():
    rng = np.random.default_rng(1)
    z, y, w = rng.uniform(-1, 1, (1001, 7)), (rng.random(1001) < 0.5).astype(float), rng.normal(size=7)
    whole = logistic._gradient(z, y, w, 7.0)
    for i in (0, 3, 500, 1000):
        rest = np.delete(np.arange(1001), i)
        alone = logistic._gradient(z[i : i + 1], y[i : i + 1], w, 7.0)
        assert (whole - logistic._gradient(z[rest], y[rest], w, 7.0) == alone).all()


def test_what_can_not_be_fitted():
    with dp.Session(data(50), dp.Budget(1), ledger=":memory:") as s:
        for features, label in ((["a"], "t"), (["a", "a"], "y"), ([], "y"), (["y"], "y"), (["a"], "b")):
            with pytest.raises(QueryError):
                s.logistic_regression(features, label)
        with pytest.raises(QueryError):
            s.logistic_regression(["a"], "y", steps=0)
        assert s.history() == []
        with pytest.raises(BudgetExceeded):
            s.logistic_regression(["a"], "y", epsilon=2)


def test_a_question_like_the_others():
    """Frozen, through JSON and back; explained before it is asked; released with intervals, as a dataset."""
    import json

    asked = dp.logistic_regression(["a", "b"], "y", steps=6).where("b > -0.5")
    again = LogisticRegression.from_dict(json.loads(json.dumps(asked.to_dict())))
    assert again == asked
    for bad in ({}, {"logistic_regression": {"column": "y"}}, {"logistic_regression": 3}, {"aggregates": []}):
        with pytest.raises(QueryError):
            LogisticRegression.from_dict(bad)
    with pytest.raises(QueryError):
        dp.logistic_regression(["a"], "y", [(0, 1), (0, 1)])
    with dp.Session(data(4000), dp.Budget(rho=10), ledger=":memory:", rows=4000) as s:
        told = s.explain(asked, rho=1)
        assert s.history() == []
        assert [f.figure for f in told.figures] == ["intercept", "coefficient(a)", "coefficient(b)"]
        assert told.fits
        assert float(told.totals.rho) == pytest.approx(1)
        assert s.explain(dp.logistic_regression(["a"], "y"), rho=1, rows=10**6).error < told.error
        found = s.release(asked, rho=1)
        assert found.dataset.columns[:3] == ["intercept", "intercept_low", "intercept_high"]
        widths = np.array([f.high[0] - f.values[0] for f in found.figures])
        # said beforehand for evenly spread features; these are narrower, so it is a matter of a small factor
        ratio = widths / [f.error for f in told.figures]
        assert ((ratio > 0.2) & (ratio < 5)).all()
        assert json.loads(s.history()[0].query) == asked.to_dict()
        with pytest.raises(BudgetExceeded):
            s.release(asked, rho=9.5)


def test_with_less_data_than_noise_no_error_is_claimed():
    """The steps are held back there, so that coefficients come out near 0: an interval around them would be wrong."""
    asked = dp.logistic_regression(["a", "b"], "y", steps=4)
    with dp.Session(data(60), dp.Budget(100), ledger=":memory:", rows=60) as s:
        assert all(f.error == math.inf for f in s.explain(asked, epsilon=0.01).figures)
        assert "too few rows" in str(s.explain(asked, epsilon=0.01))
        found = s.release(asked, epsilon=0.01)
        assert all(f.low[0] == -math.inf and f.high[0] == math.inf for f in found.figures)
        assert "too few rows" in str(found)
        assert "too few rows" in repr(s.logistic_regression(["a", "b"], "y", epsilon=0.01))


def test_a_plan_may_hold_one():
    asked = dp.logistic_regression(["a", "b"], "y", steps=4)
    for kind in ({"epsilon": 0.1}, {"rho": 0.1}):
        budget = dp.Budget(1000) if "epsilon" in kind else dp.Budget(rho=1000)
        with dp.Session(data(4000), budget, ledger=":memory:", rows=4000) as s:
            plan = s.plan([asked, dp.count()], {"coefficient(a)": 0.5, "count": 20}, **kind)
            told = {f.figure: f.error for e in plan.explanations for f in e.figures}
            assert told["coefficient(a)"] <= 0.5
            assert told["count"] <= 20
            less = plan.prices[0].times(0.98)
            assert next(f for f in s.explain(asked, price=less).figures if f.figure == "coefficient(a)").error > 0.5
            assert s.history() == []
            first, _ = plan.release()
            assert [f.name for f in first.figures] == ["intercept", "coefficient(a)", "coefficient(b)"]
            # a question that the accuracy does not name has the price that was given
            assert s.plan([asked, dp.count()], {"count": 20}, **kind).prices[0] == dp.Price(**kind)
            with pytest.raises(QueryError, match="coeficient") as e:
                s.plan(asked, {"coeficient(a)": 0.5})
            assert "coefficient(a)" in e.value.hint
    with dp.Session(data(50), dp.Budget(1), ledger=":memory:") as s:
        with pytest.raises(QueryError, match="number of rows"):
            s.plan(asked, {"intercept": 0.5})
        with pytest.raises(QueryError, match="nothing to plan"):
            s.plan([], {})
