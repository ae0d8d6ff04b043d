"""`PrivateDataset`: a dataset that answers the questions of `Analysable` with noise, paid from a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppc.dataset import types
from ppc.dataset.aggregates import check_edges
from ppc.dataset.schema import Schema
from ppc.dp import ask
from ppc.dp.budget import Budget, Price
from ppc.dp.ledger import Ledger, Limit
from ppc.dp.query import Query
from ppc.dp.release import Release
from ppc.dp.session import Session
from ppc.dp.unit import Unit
from ppc.errors import ColumnError, ProtectionError, QueryError, TypeMismatchError, did_you_mean


@dataclass(frozen=True, eq=False)
class Question:
    """A question that was asked of a private dataset and not answered yet: only `release` spends and answers."""

    query: Query
    owner: object

    def __repr__(self) -> str:
        return f"<Question {self.query.label}>"


class PrivateDataset:
    """A dataset under differential privacy. Make one with `protect`.

    `count`, `sum`, `mean`, `variance` and `histogram` give questions; `release` answers one, at the price of `at`.
    Everything else is asked of `session`.
    """

    def __init__(self, session: Session, price: Price | None = None) -> None:
        self._session = session
        self._price = price
        self._token = session

    @property
    def session(self) -> Session:
        """Explain, plan, release, SQL, history."""
        return self._session

    @property
    def schema(self) -> Schema:
        """The columns and what they mean."""
        return self._session.schema

    def at(self, *, epsilon: float | None = None, rho: float | None = None) -> PrivateDataset:
        """The same dataset, each of whose releases costs this much. Without it, a tenth of the budget."""
        return PrivateDataset(self._session, Price(epsilon, rho=rho))

    def __repr__(self) -> str:
        account = self._session.account
        return f"<PrivateDataset '{account.dataset}' columns={len(self.schema)} unit={self._session.unit.by or 'row'}>"

    def close(self) -> None:
        """Let go of the data and the ledger."""
        self._session.close()

    # --- Analysable ---
    def count(self, col: str | None = None) -> Question:
        """How many rows; with `col`, how many of its values are not missing."""
        if col is not None:
            self._field(col)
        return self._ask(ask.count(col))

    def sum(self, col: str) -> Question:
        """The sum of a column, each value moved into its bounds."""
        self._numeric(col)
        return self._ask(ask.sum(col))

    def mean(self, col: str) -> Question:
        """The mean of a column; NaN if the noisy number of values is too small."""
        self._numeric(col)
        return self._ask(ask.mean(col))

    def variance(self, col: str) -> Question:
        """The sample variance of a column."""
        self._numeric(col)
        return self._ask(ask.variance(col))

    def histogram(self, col: str, edges: Sequence[float] | NDArray[np.float64]) -> Question:
        """Counts by bin."""
        self._numeric(col)
        checked = check_edges(edges, name=col)
        return self._ask(ask.histogram(col, [float(e) for e in checked]))

    def release(self, value: Any) -> Any:
        """Answer a question: a number, or an array of counts for a histogram. This spends budget."""
        if not isinstance(value, Question) or value.owner is not self._token:
            raise TypeMismatchError(
                f"expected a question asked of this dataset, found {type(value).__name__}",
                where="release",
                hint="release(ds.mean('age')): a value is released by the dataset that it came from.",
            )
        answer = self.ask(value.query)
        figure = answer.figures[0]
        if value.query.keys:
            return figure.values
        return int(figure.values[0]) if figure.whole else float(figure.values[0])

    def ask(self, query: Query) -> Release:
        """Answer any query at this dataset's price, with its intervals."""
        return self._session.release(query, price=self._price)

    # --- helpers ---
    def _ask(self, query: Query) -> Question:
        try:
            self._session.compile(query)
        except QueryError as e:
            raise ProtectionError(
                e.what, where=e.where, hint=e.hint or "Differential privacy needs bounds; clear data do not."
            ) from None
        return Question(query, self._token)

    def _field(self, name: str) -> Any:
        if name not in self.schema:
            where = f"dataset '{self._session.account.dataset}'"
            raise ColumnError(
                f"there is no column '{name}'", where=where, hint=did_you_mean(str(name), self.schema.names)
            )
        return self.schema[name]

    def _numeric(self, name: str) -> None:
        field = self._field(name)
        if not types.is_numeric(field.type):
            raise TypeMismatchError(
                f"column '{name}' is {field.type}, and numbers are needed",
                where=f"dataset '{self._session.account.dataset}', column '{name}'",
                hint="Choose another column, or give the schema a numeric type for it.",
            )


def protect(
    data: Any,
    budget: Budget,
    unit: Unit | str = "row",
    ledger: Ledger | str | Path | None = None,
    *,
    owner: str | None = None,
    dataset: str | None = None,
    schema: Schema | None = None,
    rows: float | None = None,
    limits: Sequence[Limit] = (),
) -> PrivateDataset:
    """Put data under differential privacy. Arguments as for `Session`.

        private = protect(stays, Budget(epsilon=1), unit=person("patient_id", max_rows=5))

    The account in the ledger goes by the dataset's name and its owner: whoever protects the same dataset again goes on
    with what is left. Two names for one dataset would be two budgets: give a dataset one name.
    """
    session = Session(data, budget, unit, ledger, owner=owner, dataset=dataset, schema=schema, rows=rows, limits=limits)
    return PrivateDataset(session)
