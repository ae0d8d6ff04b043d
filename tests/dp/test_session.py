"""Sessions: explain, plan, release; what is refused before anything is spent; odd data."""

import math
import subprocess
import sys
import threading
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from ppc import dp
from ppc.dataset import Dataset, Field, Schema
from ppc.errors import BudgetExceeded, ColumnError, ConfigError, PpcError, QueryError, TypeMismatchError

SURE = {"epsilon": 1e6}
QUERIES = [
    dp.count(), dp.count("days"), dp.missing("days"), dp.count_distinct("patient"), dp.sum("days"), dp.mean("age"),
    dp.variance("age"), dp.stddev("days"), dp.covariance("age", "days"), dp.correlation("age", "days"),
    dp.quantiles("age", [0.1, 0.5]), dp.median("days"), dp.histogram("age", [0, 60, 120]),
    dp.crosstab("ward", "returned"),
    dp.group_by("ward").agg(dp.count(), dp.mean("days"), dp.median("age")), dp.top_k("ward", 2),
    dp.linear_regression(["age", "returned"], "days"), dp.mean("days").where("age > 40"),
]  # fmt: skip


@pytest.mark.parametrize("query", QUERIES, ids=str)
@pytest.mark.parametrize("price", [{"epsilon": 0.5}, {"rho": 0.05}], ids=["laplace", "gaussian"])
def test_explain_touches_nothing_and_release_costs_what_was_explained(stays, query, price):
    with dp.Session(stays, dp.Budget(100, 1e-6), dp.person("patient", max_rows=4), ":memory:", rows=2000) as s:
        engine, s._engine = s._engine, NoData(s._engine)
        told = s.explain(query, **price)
        assert s.budget.spent == 0
        assert all(f.error is not None and f.error > 0 and f.scale > 0 and f.sensitivity > 0 for f in told.figures)
        assert "costs" in str(told)
        assert told.fits
        s._engine = engine
        result = s.release(query, **price)
        entry = s.history()[-1]
        assert entry.state == "committed"
        assert told.totals == told.totals.__class__().plus(entry.charges)
        for f in result.figures:
            ok = ~np.isnan(f.values)
            assert (f.low[ok] <= f.high[ok]).all()
        assert len(result.dataset) == result.groups
        assert "left" in repr(result)
        cost = told.totals
        assert cost.epsilon <= Decimal("0.5") if "epsilon" in price else cost.rho <= Decimal("0.05")


class NoData:
    """An engine that knows its schema and nothing else."""

    def __init__(self, engine):
        self.schema = engine.schema

    def close(self):
        pass

    def __getattr__(self, name):
        raise AssertionError(f"explain touched the data: {name}")


def test_error_bars_hold(make_stays):
    """Of 400 intervals at 95%, fewer than 40 miss (chance below 1e-5); released errors are as explained."""
    stays = make_stays(3000)
    frame = stays.to_pandas()
    days = frame.days.clip(0, 60)
    right = {"mean(days)": days.mean(), "stddev(days)": days.std(), "count": 3000, "sum(days)": days.sum()}
    missed = 0
    with dp.Session(stays, dp.Budget(1e6), ledger=":memory:", rows=2550) as s:
        for query in (dp.mean("days"), dp.stddev("days"), dp.count(), dp.sum("days")):
            told = s.explain(query, epsilon=0.5).error
            for _ in range(100):
                result = s.release(query, epsilon=0.5)
                low, high = result.interval
                missed += not low - 1e-3 <= right[query.label] <= high + 1e-3
                assert (high - low) / 2 <= told * 1.3
        # a median: the whole interval is chosen privately
        for _ in range(60):
            low, high = s.release(dp.median("age"), epsilon=0.5).interval
            missed += not low - 0.5 <= frame.age.clip(0, 120).median() <= high + 0.5
    assert missed < 46


def test_a_plan_finds_the_smallest_price(stays):
    with dp.Session(stays, dp.Budget(10), ledger=":memory:", rows=2000) as s:
        plan = s.plan([dp.mean("age"), dp.count()], {"mean(age)": 0.5, "count": 20})
        assert s.budget.spent == 0
        for e, (name, error) in zip(plan.explanations, {"mean(age)": 0.5, "count": 20}.items(), strict=True):
            assert e.figures[0].figure == name
            assert e.error <= error
            assert e.error >= error * 0.98, "not much more was paid than needed"
        first, second = plan.release()
        assert abs(float(second) - 2000) < 200
        assert float(s.budget.spent) == pytest.approx(float(plan.totals.epsilon))
        assert "together" in str(plan)
        assert first.price == plan.prices[0]
        with pytest.raises(QueryError, match="no query here gives"):
            s.plan(dp.count(), {"cuont": 3})
        for bad in (0, -1, math.nan, math.inf):
            with pytest.raises(QueryError):
                s.plan(dp.count(), {"count": bad})
    with dp.Session(stays, dp.Budget(10), ledger=":memory:") as s, pytest.raises(QueryError, match="number of rows"):
        s.plan(dp.mean("age"), {"mean(age)": 0.5})


def test_nothing_is_read_or_spent_without_room(stays):
    with dp.Session(stays, dp.Budget(1), ledger=":memory:") as s:
        s.release(dp.count(), epsilon=0.9)
        s._engine = NoData(s._engine)
        assert not s.explain(dp.count(), epsilon=0.2).fits
        with pytest.raises(BudgetExceeded):
            s.release(dp.count(), epsilon=0.2)
        with pytest.raises(BudgetExceeded, match="Gaussian"):
            s.release(dp.count(), rho=0.001)
        assert s.budget.left == Decimal("0.1")
        assert len(s.history()) == 1


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, 1e10, "x"])
def test_prices_that_are_none(session, value):
    for call in (session.release, session.explain):
        for kind in ("epsilon", "rho"):
            with pytest.raises(ConfigError):
                call(dp.count(), **{kind: value})
    assert session.history() == []


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (dp.mean("agee"), ColumnError), (dp.mean("ward"), TypeMismatchError), (dp.mean("patient"), QueryError),
        (dp.histogram("patient"), QueryError), (dp.histogram("ward", [0, 1]), TypeMismatchError),
        (dp.histogram("ward", values=[1, 2]), TypeMismatchError), (dp.count().where("agee > 1"), ColumnError),
        (dp.group_by("ward", dp.unknown("age")).agg(dp.count()), QueryError),
        (dp.group_by(dp.unknown("age")).agg(dp.median("days")), QueryError),
        (dp.group_by(dp.unknown("age")).agg(dp.count()), QueryError),
        (dp.crosstab(dp.bin("age", range(3000)), dp.bin("days", range(3000))), QueryError),
    ],
)  # fmt: skip
def test_what_can_not_be_asked_costs_nothing(session, query, error):
    with pytest.raises(error):
        session.release(query, epsilon=1)
    assert session.history() == []


def test_groups_that_have_to_be_found(make_stays):
    """Small groups stay out; those there have their counts. Without δ it is refused."""
    stays = make_stays(4000)
    table = stays.to_arrow().append_column("code", pa.array(["common"] * 3990 + [f"rare{i}" for i in range(10)]))
    ds = Dataset.from_arrow(table, name="codes")
    for price in ({"epsilon": 1.0}, {"rho": 0.5}):
        with dp.Session(ds, dp.Budget(100, 1e-3), ledger=":memory:") as s:
            result = s.release(dp.group_by(dp.unknown("code")).agg(dp.count()), delta=1e-7, **price)
            assert list(result.keys["code"]) == ["common"]
            assert abs(result["count"].values[0] - 3990) < 60
            assert s.budget.totals.delta == Decimal("1e-7")
            assert "left out" in repr(result)
            assert s.explain(dp.group_by(dp.unknown("code")).agg(dp.count()), delta=1e-7, **price).threshold > 5
            means = s.release(dp.group_by(dp.unknown("code")).agg(dp.mean("age", (0, 120))), delta=1e-7, **price)
            assert [f.name for f in means.figures] == ["mean(age)"]
            top = s.release(dp.top_k(dp.unknown("code"), 3), delta=1e-7, **price)
            assert list(top.keys["code"]) == ["common"]


ODD = {
    "empty": [], "one row": [5.0], "nulls": [None, None], "nan": [math.nan] * 3, "infinite": [math.inf, -math.inf],
    "mixed": [None, math.nan, math.inf, -math.inf, 1.0, 1e308, -1e308, 5e-324],
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_odd_columns(case):
    """Nothing fails for any values; nulls and NaN are missing, infinities lie at the bounds."""
    schema = Schema((Field("x", "float64", bounds=(0, 10)), Field("k", "string", domain=("a", "b"))))
    table = pa.table({"x": pa.array(ODD[case], pa.float64()), "k": pa.array(["a"] * len(ODD[case]), pa.string())})
    there = [min(max(v, 0.0), 10.0) for v in ODD[case] if v is not None and not math.isnan(v)]
    with dp.Session(Dataset.from_arrow(table, schema), dp.Budget(1e9), ledger=":memory:") as s:
        assert float(s.release(dp.count(), **SURE)) == len(ODD[case])
        assert float(s.release(dp.count("x"), **SURE)) == len(there)
        assert float(s.release(dp.missing("x"), **SURE)) == len(ODD[case]) - len(there)
        assert float(s.release(dp.sum("x"), **SURE)) == pytest.approx(sum(there), abs=1e-3)
        mean, variance = (float(s.release(q, **SURE)) for q in (dp.mean("x"), dp.variance("x")))
        assert math.isnan(mean) if not there else mean == pytest.approx(np.mean(there), abs=1e-2)
        assert (
            math.isnan(variance)
            if len(there) < 2
            else variance == pytest.approx(np.var(there, ddof=1), rel=1e-2, abs=1e-2)
        )
        grouped = s.release(dp.group_by("k").agg(dp.count(), dp.mean("x"), dp.median("x")), **SURE)
        assert grouped["count"].values.tolist() == [len(ODD[case]), 0]
        assert math.isnan(grouped["mean(x)"].values[1]), "an empty group has no mean, and says so"
        assert 0 <= grouped["median(x)"].values[1] <= 10
        assert s.release(dp.histogram("x", [0, 5, 10]), **SURE).groups == 2
        low = s.release(dp.mean("x"), epsilon=0.01)
        assert math.isnan(float(low)) or 0 <= float(low) <= 10


def test_counts_are_signed(session):
    """A noisy count of an empty group is negative half of the time; cut off at 0, sums over groups would be too big."""
    values = [session.release(dp.count().where("age > 129"), epsilon=0.1).value for _ in range(60)]
    assert min(values) < 0 < max(values)
    assert abs(np.mean(values)) < 10


def test_large_integers_do_not_overflow():
    big = 2**63 - 1
    schema = Schema((Field("x", "int64", bounds=(-(2**60), 2**60)), Field("y", "int64", bounds=(0, 2**31))))
    table = pa.table({"x": [big, big, -big, -big - 1, 2**60], "y": [2**31] * 5})
    with dp.Session(Dataset.from_arrow(table, schema), dp.Budget(1e9), ledger=":memory:") as s:
        assert float(s.release(dp.sum("x"), epsilon=1e6)) == pytest.approx(2**60, rel=1e-5)
        assert float(s.release(dp.sum("y"), epsilon=1e6)) == pytest.approx(5 * 2**31)
        assert float(s.release(dp.mean("x"), epsilon=1e6)) == pytest.approx(2**60 / 5, rel=1e-5)


def test_a_person_is_one_unit(stays):
    with dp.Session(stays, dp.Budget(1e9), dp.person("patient", max_rows=2), ":memory:") as s:
        persons = stays.to_pandas().patient
        most = persons.value_counts().clip(upper=2).sum()
        assert float(s.release(dp.count(), **SURE)) == most
        assert s.explain(dp.count(), epsilon=1).figures[0].sensitivity == 2
        assert s.explain(dp.mean("age"), epsilon=1).figures[0].sensitivity == 240
        assert "patient" in repr(s)
    with pytest.raises(ColumnError):
        dp.Session(stays, dp.Budget(1), dp.person("nobody", max_rows=1), ":memory:")
    with pytest.raises(ConfigError):
        dp.Session(stays, dp.Budget(1), "person", ":memory:")


def test_bounds_can_be_found_for_a_price(stays):
    bare = Dataset.from_arrow(stays.to_arrow().select(["days", "ward"]))
    with dp.Session(bare, dp.Budget(10), ledger=":memory:") as s:
        low, high = s.suggest_bounds("days", epsilon=1)
        assert s.budget.spent == 1, "it says what it costs"
        days = stays.to_pandas().days
        assert 0 <= low <= days.quantile(0.05)
        assert days.quantile(0.95) <= high <= 4 * days.max()
        with pytest.raises(TypeMismatchError):
            s.suggest_bounds("ward")
    few = Dataset.from_arrow(pa.table({"x": [3.0]}))
    with dp.Session(few, dp.Budget(10), ledger=":memory:") as s, pytest.raises(QueryError, match="noise"):
        s.suggest_bounds("x", epsilon=0.1)


def test_threads_take_turns(stays):
    with dp.Session(stays, dp.Budget(1), ledger=":memory:") as s:
        done, refused = [], []

        def ask():
            for _ in range(5):
                try:
                    done.append(float(s.release(dp.mean("age"), epsilon=0.1)))
                except BudgetExceeded:
                    refused.append(1)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert (len(done), len(refused)) == (10, 10)
        assert s.budget.left == 0


def test_a_forked_child_is_refused():
    code = """
import os, sys
import pyarrow as pa
from ppc import dp
from ppc.dataset import Dataset
from ppc.errors import ConfigError
s = dp.Session(Dataset.from_arrow(pa.table({"x": [1.0]})), dp.Budget(1), ledger=":memory:")
pid = os.fork()
if pid == 0:
    try:
        s.release(dp.count(), epsilon=0.1)
    except ConfigError as e:
        os._exit(7 if "spawn" in e.hint else 1)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == 7


def test_errors_and_reprs_hold_no_values(stays):
    secret = Dataset.from_arrow(pa.table({"x": ["hunter2"], "y": [123456.5]}), name="d")
    with dp.Session(secret, dp.Budget(1), ledger=":memory:") as s:
        texts = [repr(s), repr(dp.protect(secret, dp.Budget(1), ledger=":memory:"))]
        for query in (dp.mean("x"), dp.mean("y"), dp.histogram("x"), dp.count().where("x > 3")):
            try:
                s.release(query)
            except PpcError as e:
                texts.append(repr(e) + str(e.hint))
        assert len(texts) == 6
        assert not any("hunter2" in t or "123456" in t for t in texts)


def test_without_a_price_a_tenth_is_spent(stays):
    for budget, left in ((dp.Budget(1), "0.9"), (dp.Budget(rho=1), "0.9")):
        with dp.Session(stays, budget, ledger=":memory:") as s:
            s.release(dp.count())
            assert s.budget.left == Decimal(left)
    with dp.Session(stays, dp.Budget(1), ledger=":memory:") as s, pytest.raises(ConfigError):
        s.release(dp.count(), epsilon=1, price=dp.Price(1))
    with pytest.raises(TypeMismatchError):
        dp.Session(object(), dp.Budget(1), ledger=":memory:")


def test_a_private_dataset_answers_only_its_own_questions(stays):
    one = dp.protect(stays, dp.Budget(100), ledger=":memory:").at(epsilon=10)
    other = dp.protect(stays, dp.Budget(100), ledger=":memory:")
    question = one.mean("age")
    assert one.session.history() == [], "a question costs nothing"
    assert 0 < one.release(question) < 120
    with pytest.raises(TypeMismatchError):
        other.release(question)
    with pytest.raises(TypeMismatchError):
        one.release(3.0)
    assert "mean(age)" in repr(question)
    assert one.ask(dp.count()).price == dp.Price(10)
    one.close()
    other.close()


@pytest.mark.parametrize(
    "ask",
    [
        lambda s: s.release(dp.group_by("ward").agg(dp.count(), dp.mean("days")), epsilon=1),
        lambda s: s.release(dp.quantiles("days", [0.1, 0.5]), epsilon=1),
        lambda s: s.release(dp.group_by(dp.unknown("ward")).agg(dp.mean("days")), epsilon=1, delta=1e-7),
        lambda s: s.release(dp.logistic_regression(["days"], "old", steps=4), epsilon=1),
        lambda s: s.synthesize(["ward", "days", "old"], epsilon=1),
        lambda s: s.synthesize(["ward", "days", "old"], rho=0.1),
    ],
    ids=["groups", "quantiles", "found groups", "regression", "rows", "rows, gaussian"],
)
def test_as_many_charges_as_draws(ask, monkeypatch):
    """Whoever draws noise for the same data twice has told twice: each draw and each choice is one charge."""
    from ppc.dp import noise

    drawn = []
    for kind, name in ((noise.Noise, "draw"), (noise.Selection, "choose")):
        whole = getattr(kind, name)

        def counted(self, given, whole=whole):
            drawn.append(self.charge)
            return whole(self, given)

        monkeypatch.setattr(kind, name, counted)
    rng = np.random.default_rng(2)
    table = pa.table({"ward": ["A", "B"] * 200, "days": rng.uniform(0, 40, 400), "old": rng.random(400) < 0.4})
    schema = Schema(
        (Field("ward", "string", domain=("A", "B")), Field("days", "float64", bounds=(0, 40)), Field("old", "bool"))
    )
    with dp.Session(Dataset.from_arrow(table, schema), dp.Budget(10, 1e-5), ledger=":memory:") as s:
        ask(s)
        (entry,) = s.history()
    told = [(c.mechanism.replace("threshold", "laplace"), c.rho) for c in entry.charges]
    assert sorted(told) == sorted((c.mechanism, c.rho) for c in drawn)


def test_questions_under_a_declared_price(stays):
    """Without a price a release costs the declared one; what is of another kind is refused before anything is read."""
    with dp.Session(stays, dp.Budget(4.7, 1e-6, each=0.1), ledger=":memory:", rows=2000) as s:
        for query in (
            dp.count(),
            dp.mean("days"),
            dp.group_by("ward").agg(dp.count(), dp.mean("age")),
            dp.top_k("ward", 1),
        ):
            assert s.explain(query).fits
            s.release(query)
        assert s.budget.entries == 4
        for query, price in ((dp.median("days"), {}), (dp.count(), {"rho": 0.001}), (dp.count(), {"epsilon": 0.2})):
            assert not s.explain(query, **price).fits
            with pytest.raises(ConfigError, match=r"costs ε = 0\.1"):
                s.release(query, **price)
        assert s.budget.entries == 4
    with dp.Session(stays, dp.Budget(4.7, 1e-6, each=0.5), ledger=":memory:") as s:
        s.release(dp.count())
        s.release(dp.median("days"))
        assert s.budget.spent <= 1
