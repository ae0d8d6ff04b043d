"""An audit of every query on neighbouring datasets: no promise is disproved, and planted bugs are caught.

Each bound holds with confidence 1 − 10⁻⁵: about 60 audits here raise a false alarm once in 1,600 runs.
"""

import math
import os

import numpy as np
import pyarrow as pa
import pytest

from ppc import dp
from ppc.dataset import Dataset, Field, Schema
from ppc.dp import auditing, logistic, recipe
from ppc.dp.engines.duck import DuckEngine
from ppc.dp.query import LogisticRegression
from ppc.dp.unit import ROW
from ppc.errors import ConfigError

HEAVY = os.environ.get("PPC_HEAVY") == "1"
RUNS = 100_000 if HEAVY else 6_000
SURE = 1 - 1e-5

SCHEMA = Schema(
    (
        Field("p", "int64"),
        Field("x", "float64", bounds=(-1, 3)),
        Field("k", "int64", bounds=(0, 10)),
        Field("w", "string", domain=("a", "b")),
        Field("b", "bool"),
    ),
    name="d",
)
# the row that differs lies at the bounds, where it weighs most
ROWS = [(1, 0.5, 3, "a", True), (1, -1.0, 10, "b", False), (2, 2.0, 0, "a", None), (3, None, 5, "b", True)] * 3
MORE = (9, 3.0, 10, "a", True)


def table(rows):
    columns = list(zip(*rows, strict=True)) if rows else [[]] * 5
    kinds = SCHEMA.to_arrow()
    return pa.table({f.name: pa.array(c, kinds.field(f.name).type) for f, c in zip(SCHEMA, columns, strict=True)})


def dataset(rows):
    return Dataset.from_arrow(table(rows), SCHEMA)


QUERIES = [
    dp.count(), dp.count("x"), dp.missing("x"), dp.count_distinct("p"), dp.sum("x"), dp.sum("k"), dp.mean("x"),
    dp.variance("k"), dp.stddev("x"), dp.covariance("x", "k"), dp.correlation("x", "k"), dp.histogram("x", [-1, 1, 3]),
    dp.crosstab("w", "b"), dp.group_by("w").agg(dp.count(), dp.mean("k")), dp.top_k("w", 1),
    dp.linear_regression(["x"], "k"), dp.mean("k").where("x > 0"),
]  # fmt: skip


@pytest.mark.heavy
@pytest.mark.parametrize("query", QUERIES, ids=str)
@pytest.mark.parametrize("price", [{"epsilon": 1.0}, {"rho": 0.1}], ids=["laplace", "gaussian"])
def test_no_promise_is_disproved(query, price):
    found = auditing.audit(query, dataset(ROWS), dataset([*ROWS, MORE]), runs=RUNS, confidence=SURE, **price)
    assert not found.broken, found
    assert "promised" in str(found)


@pytest.mark.parametrize(
    "query", [dp.median("k"), dp.quantiles("x", [0.1, 0.9], candidates=40, interval=False)], ids=str
)
def test_selections_are_not_disproved(query):
    found = auditing.audit(query, dataset(ROWS), dataset([*ROWS, MORE]), epsilon=2.0, runs=1500, confidence=SURE)
    assert not found.broken, found


# what is answered in several steps, each of which sees what the steps before it told
STEPWISE = [
    dp.logistic_regression(["x", "k"], "b", steps=3), dp.logistic_regression(["k"], "b", steps=1).where("x > 0"),
    ["w", "b"], ["w", "b", "k"] if HEAVY else ["w", dp.bin("k", [0, 5, 11])],
]  # fmt: skip
STEP_RUNS = 20_000 if HEAVY else 500


@pytest.mark.heavy
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("query", STEPWISE, ids=["regression", "steps", "rows", "bins"])
@pytest.mark.parametrize("price", [{"epsilon": 2.0}, {"rho": 0.3}], ids=["laplace", "gaussian"])
def test_all_steps_together_keep_one_promise(query, price):
    found = auditing.audit(query, dataset(ROWS), dataset([*ROWS, MORE]), runs=STEP_RUNS, confidence=SURE, **price)
    assert not found.broken, found
    three = dp.person("p", max_rows=3)
    more = [*ROWS, *([MORE] * 6)]
    found = auditing.audit(query, dataset(ROWS), dataset(more), unit=three, runs=STEP_RUNS, confidence=SURE, **price)
    assert not found.broken, found


@pytest.mark.parametrize("query", [STEPWISE[0], STEPWISE[2]], ids=["regression", "rows"])
def test_a_planted_bug_in_one_step_is_caught(query, monkeypatch):
    """Noise for a twelfth of the sensitivity in the gradients; in the counts of columns and pairs."""
    module = logistic if isinstance(query, LogisticRegression) else recipe
    whole = module.scaled
    monkeypatch.setattr(module, "scaled", lambda p, l1, l2: whole(p.times(12.0), l1, l2))
    found = auditing.audit(query, dataset(ROWS), dataset([*ROWS, MORE]), epsilon=1.0, runs=2000, confidence=SURE)
    assert found.broken, found


def test_the_audit_sees_nearly_all_of_the_loss():
    """A count loses just what was promised, and the audit finds most of it: it is not blind."""
    found = auditing.audit(dp.count(), dataset(ROWS), dataset([*ROWS, MORE]), epsilon=1.0, runs=8 * RUNS)
    assert 0.75 < found.bound <= 1.0


@pytest.mark.parametrize("rows", [2, 4])
def test_a_persons_rows_are_one_promise(rows):
    unit = dp.person("p", max_rows=rows)
    more = [*ROWS, *([MORE] * 10)]  # the person has ten rows
    for query in (dp.count(), dp.mean("k"), dp.group_by("w").agg(dp.sum("x"))):
        found = auditing.audit(query, dataset(ROWS), dataset(more), epsilon=1.0, unit=unit, runs=RUNS, confidence=SURE)
        assert not found.broken, found
    # the same data under a promise for rows, which ten rows break: the harness would have seen too little bounding
    found = auditing.audit(dp.count(), dataset(ROWS), dataset(more), epsilon=1.0, unit=ROW, runs=RUNS, confidence=SURE)
    assert found.broken


@pytest.mark.parametrize("query", [dp.count(), dp.mean("k"), dp.variance("k"), dp.histogram("w")], ids=str)
@pytest.mark.parametrize("price", [{"epsilon": 1.0}, {"rho": 0.1}], ids=["laplace", "gaussian"])
def test_a_planted_bug_is_caught(query, price, monkeypatch):
    """Noise for a third of the sensitivity: the audit disproves the promise."""
    whole = recipe.scaled
    monkeypatch.setattr(recipe, "scaled", lambda p, l1, l2: whole(p.times(3.0 if p.rho is None else 9.0), l1, l2))
    found = auditing.audit(query, dataset(ROWS), dataset([*ROWS, MORE]), runs=4 * RUNS, confidence=SURE, **price)
    assert found.broken, found


def test_a_threshold_that_is_too_low_is_caught():
    """Groups to be found: one that is there because of one row passes with chance δ at most; a lower one shows."""
    query = dp.group_by(dp.unknown("w")).agg(dp.count())
    priced = recipe.price(recipe.compile(query, SCHEMA, ROW), dp.Price(1, 0.01))
    step = priced.steps[0]
    n = 4 * RUNS
    noisy = 1 + np.array(step.noise.draw(n), dtype=float) / step.fine
    share = np.count_nonzero(noisy >= priced.threshold) / n
    assert share <= 0.01 + 5 * math.sqrt(0.01 / n)
    assert np.count_nonzero(noisy >= priced.threshold - 3) / n > 0.03


def test_the_bound_is_a_lower_bound():
    """On mechanisms of known loss: never above it, and near it; 0 for two equal ones."""
    rng = np.random.default_rng(3)
    for epsilon in (0.3, 1.0, 2.0):
        one = lambda n, e=epsilon: rng.laplace(0, 1 / e, (n, 1))  # noqa: E731
        two = lambda n, e=epsilon: rng.laplace(1, 1 / e, (n, 1))  # noqa: E731
        found = auditing.lower_bound(one, two, runs=40_000, confidence=0.999)
        assert 0.6 * epsilon < found <= epsilon
        assert auditing.lower_bound(one, one, runs=10_000, confidence=SURE) < 0.2
    with pytest.raises(ConfigError):
        auditing.lower_bound(one, two, runs=3)


def test_opendp_under_the_same_audit():
    """The harness also measures OpenDP's own sampler: the promise holds with the right sensitivity, not with half."""
    import opendp.prelude as opendp

    opendp.enable_features("contrib")
    m = opendp.m.make_laplace(opendp.vector_domain(opendp.atom_domain(T="i64")), opendp.l1_distance(T="i64"), scale=1.0)
    zero, one, two = (lambda n, v=v: np.array(m([v] * n), dtype=float)[:, None] for v in (0, 1, 2))
    assert auditing.lower_bound(zero, one, runs=RUNS, confidence=SURE) <= 1.0
    assert auditing.lower_bound(zero, two, runs=RUNS, confidence=SURE) > 1.0


def test_both_datasets_are_only_read():
    a = DuckEngine(table(ROWS), SCHEMA)
    auditing.audit(dp.count(), a, dataset([*ROWS, MORE]), epsilon=1.0, runs=200)
    assert a.schema["x"].bounds == (-1, 3)
    a.close()
