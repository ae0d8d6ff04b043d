"""Asking questions of one private dataset: see the error and the price, then release."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppc.dataset.dataset import Dataset
from ppc.dataset.schema import Schema
from ppc.dp import explain as explaining
from ppc.dp import measuring, recipe
from ppc.dp import query as q
from ppc.dp.budget import Budget, Price, shown
from ppc.dp.engines.base import Engine
from ppc.dp.explain import Explanation, Plan
from ppc.dp.ledger import Account, Entry, Ledger, Limit, Status
from ppc.dp.recipe import Recipe
from ppc.dp.release import Release
from ppc.dp.unit import ROW, Unit
from ppc.errors import ConfigError, QueryError, TypeMismatchError

if TYPE_CHECKING:
    from ppc.dp.accountant import Charge
    from ppc.dp.logistic import LogisticModel

_SHARE = 0.1  # of the budget, for a release without a price


class Session:
    """Questions about one dataset, answered with noise, paid from one account of a ledger.

    Args:
        data: a `Dataset`, the path (or glob) of Parquet files, a Spark data frame, or an engine.
        budget: the most that may ever be lost about one unit. Of an account that exists it has to be the same.
        unit: `"row"`, or `person("patient_id", max_rows=…)`.
        ledger: a `Ledger`, the path of its SQLite file, a URL, or `":memory:"`; else the user's own one.
        owner: whose account; else the user of this process.
        dataset: the account's dataset; else the data's name.
        schema: of Parquet files or a data frame: bounds and domains. A `Dataset` brings its own.
        rows: about how many rows there are, if that is public; for error bars given beforehand.
        limits: of a new account.
        who: the user who asks, for the ledger; else that of this process.

    A session is used by one process; threads take turns. After a fork it refuses to answer.
    """

    def __init__(
        self,
        data: Any,
        budget: Budget | None = None,
        unit: Unit | str = "row",
        ledger: Ledger | str | Path | None = None,
        *,
        owner: str | None = None,
        dataset: str | None = None,
        schema: Schema | None = None,
        rows: float | None = None,
        limits: Sequence[Limit] = (),
        who: str | None = None,
    ) -> None:
        self._unit = _unit(unit)
        self._engine, name = _engine(data, schema)
        self._owned = self._engine is not data
        try:
            if self._unit.by is not None:
                self._engine.schema[self._unit.by]
            self._ledger = ledger if isinstance(ledger, Ledger) else Ledger(ledger)
            self._ledger_owned = self._ledger is not ledger
            self._account = self._ledger.account(
                dataset or name, owner, budget, unit=self._unit.to_dict(), limits=limits
            )
            self._budget = self._account.status().budget
        except BaseException:
            self.close()
            raise
        self._rows = rows
        self._who = who
        self._lock = threading.RLock()
        self._pid = os.getpid()

    # --- what it is ---
    @property
    def schema(self) -> Schema:
        """The columns, with bounds and domains. Public."""
        return self._engine.schema

    @property
    def unit(self) -> Unit:
        """Whose privacy is kept."""
        return self._unit

    @property
    def account(self) -> Account:
        """Where releases are paid from."""
        return self._account

    @property
    def budget(self) -> Status:
        """How the account stands."""
        return self._account.status()

    def history(self) -> list[Entry]:
        """Everything ever reserved, the oldest first."""
        return self._account.history()

    def __repr__(self) -> str:
        return f"<Session of dataset '{self._account.dataset}', unit {self._unit.by or 'row'}>"

    def close(self) -> None:
        """Let go of the data and the ledger."""
        if self._owned:
            self._engine.close()
        if getattr(self, "_ledger_owned", False):
            self._ledger.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --- before anything is spent ---
    def compile(self, query: q.Query) -> Recipe:
        """Check a question against the schema. Touches no data. Errors as for `recipe.compile`."""
        if not isinstance(query, q.Query):
            raise TypeMismatchError(
                f"expected a query, found {type(query).__name__}", where="session", hint='For example: mean("age")'
            )
        return recipe.compile(query, self.schema, self._unit)

    def explain(
        self,
        query: q.Query | q.LogisticRegression,
        *,
        epsilon: float | None = None,
        delta: float | None = None,
        rho: float | None = None,
        price: Price | None = None,
        rows: float | None = None,
    ) -> Explanation:
        """Mechanism, sensitivity, noise, 95% error and cost of a release, and what is left. Touches no data.

        Args:
            query: the question.
            epsilon, delta, rho, price: as for `release`.
            rows: about how many rows the question is about, if that is public; else the session's.
        """
        status, about = self._account.status(), rows if rows is not None else self._rows
        if isinstance(query, q.LogisticRegression):
            from ppc.dp import logistic

            made = logistic.prepare(query, self.schema, self._unit, self.price_of(epsilon, rho, price, delta))
            return explaining.explain_fit(made, status, about, self._fits(made.charges, status))
        priced = recipe.price(self.compile(query), self._price(query, epsilon, delta, rho, price))
        return explaining.explain(priced, status, about, self._fits(priced.charges, status))

    def _fits(self, charges: Sequence[Charge], status: Status) -> bool:
        from ppc.dp import accountant

        counted = None
        try:
            charges = accountant.settled(status.budget, charges)
        except ConfigError:
            return False
        if not status.budget.adaptive:
            counted = dict[Any, int]()
            for c in (*(c for e in self.history() for c in e.charges), *charges):
                counted[c] = counted.get(c, 0) + 1
        return accountant.fits(status.budget, status.totals.plus(charges), counted)

    def plan(
        self,
        queries: q.Query | q.LogisticRegression | Sequence[q.Query | q.LogisticRegression],
        accuracy: dict[str, float],
        *,
        rows: float | None = None,
        epsilon: float | None = None,
        delta: float | None = None,
        rho: float | None = None,
    ) -> Plan:
        """The smallest prices at which every figure named in `accuracy` is within its 95% error.

        Args:
            queries: one or more questions.
            accuracy: `{"mean(age)": 0.5}`: half widths of 95% intervals, in the column's unit (rows for counts).
            rows: about how many rows there are.
            epsilon, delta, rho: the price of questions that `accuracy` does not name, and which kind of price to find.
        """
        asked = (queries,) if isinstance(queries, q.Query | q.LogisticRegression) else tuple(queries)
        if not asked:
            raise QueryError("there is nothing to plan", where="plan", hint='session.plan([mean("age")], …)')
        known = [f for query in asked for f in explaining.figures(self, query)]
        for name, error in accuracy.items():
            if name not in known:
                from ppc.errors import did_you_mean

                raise QueryError(f"no query here gives '{name}'", where="plan", hint=did_you_mean(name, known))
            if not 0 < error < math.inf:
                raise QueryError(f"the accuracy of {name} must be above 0 and finite", where="plan")
        first = asked[0] if isinstance(asked[0], q.Query) else None
        like = self._price(first, epsilon, delta, rho, None)
        return explaining.cheapest(self, asked, accuracy, rows if rows is not None else self._rows, like)

    # --- releasing ---
    def release(
        self,
        query: q.Query | q.LogisticRegression,
        *,
        epsilon: float | None = None,
        delta: float | None = None,
        rho: float | None = None,
        price: Price | None = None,
    ) -> Release:
        """Answer a question: reserve its cost, read the data, add noise, commit.

        Args:
            query: the question.
            epsilon: pay in ε: Laplace noise.
            delta: for groups that have to be found.
            rho: pay in ρ: Gaussian noise; better where one person is in many groups.
            price: the same as one thing. Without any, a tenth of the whole budget.

        Raises:
            BudgetExceeded: it would overspend; nothing was read.
            QueryError, ColumnError, TypeMismatchError, ConfigError: it can not be asked; nothing was read or spent.
        """
        if isinstance(query, q.LogisticRegression):
            from ppc.dp import logistic

            model = logistic.fit(self, query, self.price_of(epsilon, rho, price, delta))
            return Release(query.label, {}, model.figures, model.price, self._left())
        offered = self._price(query, epsilon, delta, rho, price)
        priced = recipe.price(self.compile(query), offered)
        with self._reserved(priced.charges, query, query.label) as engine:
            figures, keys, notes = measuring.answer(priced, engine)
        return Release(query.label, keys, figures, priced.price, self._left(), notes)

    def sql(
        self,
        text: str,
        *,
        epsilon: float | None = None,
        delta: float | None = None,
        rho: float | None = None,
        price: Price | None = None,
    ) -> Release:
        """Answer a SELECT: aggregates, WHERE, GROUP BY. What the queries here do not cover is refused with the reason.

        Raises:
            QueryError: it is not valid SQL, or asks for more than that. Else as for `release`.
        """
        return self.release(self.parse(text), epsilon=epsilon, delta=delta, rho=rho, price=price)

    def parse(self, text: str) -> q.Query:
        """The query that a SELECT means. Touches no data."""
        from ppc.dp import sql

        return sql.parse(text, self.schema, self._account.dataset)

    def suggest_bounds(
        self, column: str, *, epsilon: float | None = None, rho: float | None = None, price: Price | None = None
    ) -> tuple[float, float]:
        """Bounds that hold nearly all values of a numeric column. This spends budget, as any release does.

        Values are counted by their power of two, with noise. The bounds are the powers beyond which no count is
        distinguishable from noise. Source: Wilson et al., "Differentially private SQL with bounded user contribution",
        PoPETs 2020, section 5.1.1.

        Raises:
            QueryError: all counts drown in the noise: spend more, or know the bounds. The price is spent then, too.
        """
        from ppc.dp import bounds

        query = bounds.query(column, self.schema)
        counts = self.release(query, epsilon=epsilon, rho=rho, price=price).figures[0]
        return bounds.read(counts, column)

    def logistic_regression(
        self,
        features: Sequence[str],
        label: str,
        *,
        epsilon: float | None = None,
        rho: float | None = None,
        price: Price | None = None,
        bounds: Sequence[tuple[float, float]] | None = None,
        where: str | None = None,
        steps: int = 12,
    ) -> LogisticModel:
        """Fit a logistic regression by noisy gradients: a model that predicts. `release` of the same question gives its
        coefficients as figures.

        Args:
            features: numeric columns, with bounds in the schema or in `bounds`.
            label: a bool column, or one of the integers 0 and 1.
            epsilon, rho, price: what to pay; ρ does much better than ε here.
            bounds: of the features.
            where: which rows.
            steps: how many noisy gradients, 1 to 100.

        Raises:
            BudgetExceeded: it would overspend. QueryError, ColumnError, TypeMismatchError: it can not be asked.
        """
        from ppc.dp import ask, logistic

        question = ask.logistic_regression(features, label, bounds, steps=steps)
        question = question if where is None else question.where(where)
        return logistic.fit(self, question, self.price_of(epsilon, rho, price))

    def synthesize(self, columns: Sequence[str], **options: Any) -> Any:
        """Synthetic rows with the marginals of these columns. See `synth.synthesize`."""
        from ppc.dp import synth

        return synth.synthesize(self, columns, **options)

    # --- for modules of this package ---
    def pay(self, charges: Sequence[Any], what: str, query: dict[str, Any]) -> _Paid:
        """Reserve, hand out the engine, commit: `with session.pay(…) as engine`. For mechanisms in this package."""
        return _Paid(self, charges, what, query)

    def price_of(
        self, epsilon: float | None, rho: float | None, price: Price | None, delta: float | None = None
    ) -> Price:
        """The price that these arguments mean; a tenth of the budget without any."""
        return self._price(None, epsilon, delta, rho, price)

    def left(self) -> str:
        """What is left, for people."""
        return self._left()

    def _reserved(self, charges: Sequence[Any], query: q.Query, what: str) -> _Paid:
        return _Paid(self, charges, what, query.to_dict())

    def _price(
        self, query: q.Query | None, epsilon: float | None, delta: float | None, rho: float | None, price: Price | None
    ) -> Price:
        if price is not None:
            if (epsilon, delta, rho) != (None, None, None):
                raise ConfigError("give a price, or epsilon, delta and rho, not both", where="release")
            return price
        if epsilon is not None or rho is not None:
            return Price(epsilon, delta or 0, rho=rho)
        share = self._budget.share(_SHARE)
        opens = query is not None and any(k.open for k in query.keys)
        d = Decimal(repr(delta)) if delta is not None else (share.delta if opens else Decimal(0))
        return Price(share.epsilon, d, rho=share.rho)

    def _left(self) -> str:
        status = self._account.status()
        return f"{shown(status.left)} of {status.budget}"


class _Paid:
    """Reserve on entry, commit on exit. If the body fails the reservation stays spent."""

    def __init__(self, session: Session, charges: Sequence[Any], what: str, query: dict[str, Any]) -> None:
        self._s = session
        self._charges = charges
        self._what = what
        self._query = query
        self._number = 0

    def __enter__(self) -> Engine:
        s = self._s
        if os.getpid() != s._pid:
            raise ConfigError(
                "this session belongs to another process",
                where="session",
                hint="Make a session in each process; start processes with the 'spawn' method, not 'fork'.",
            )
        s._lock.acquire()
        try:
            self._number = s._account.reserve(self._charges, self._query, self._what, s._who)
        except BaseException:
            s._lock.release()
            raise
        return s._engine

    def __exit__(self, kind: object, *exc: object) -> None:
        try:
            if kind is None:
                self._s._account.commit(self._number)
        finally:
            self._s._lock.release()


def _unit(unit: Unit | str) -> Unit:
    if isinstance(unit, Unit):
        return unit
    if unit == "row":
        return ROW
    raise ConfigError(
        f'unit is "row" or person(…), not {unit!r}', where="unit", hint='person("patient_id", max_rows=10)'
    )


def _engine(data: Any, schema: Schema | None) -> tuple[Engine, str]:
    """The engine for what was given, and a name for it."""
    if isinstance(data, Dataset):
        from ppc.dp.engines.duck import DuckEngine

        return DuckEngine(data.to_arrow(), schema or data.schema), data.name
    if isinstance(data, str | Path):
        from ppc.dp.engines.duck import DuckEngine

        return DuckEngine(data, schema), Path(str(data)).stem
    if type(data).__module__.startswith("pyspark.") and hasattr(data, "createOrReplaceTempView"):
        from ppc.dp.engines.spark import SparkEngine

        return SparkEngine(data, schema), "data"
    if isinstance(data, q.Query) or not hasattr(data, "sums"):
        raise TypeMismatchError(
            f"expected a Dataset, a path of Parquet files, or a Spark data frame, found {type(data).__name__}",
            where="session",
        )
    engine: Engine = data
    return engine, "data"
