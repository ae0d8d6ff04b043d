"""What a question would cost and how exact the answer would be, before any of it is spent."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ppc.dp import recipe
from ppc.dp.accountant import Totals
from ppc.dp.budget import Price, shown
from ppc.dp.ledger import Status
from ppc.dp.query import LogisticRegression, Query
from ppc.dp.recipe import Expected, Priced

if TYPE_CHECKING:
    from ppc.dp.logistic import Prepared
    from ppc.dp.release import Release
    from ppc.dp.session import Session


@dataclass(frozen=True)
class Explanation:
    """What is known of a release beforehand. Nothing was read and nothing spent.

    Args:
        query: the question in one line.
        unit: whose privacy is kept, in words.
        figures: mechanism, sensitivity, scale and 95% error of each figure.
        price: what it would cost.
        totals: the same as sums: pure ε, ρ, δ.
        status: how the account stands now.
        rows: how many rows the errors are for; `None` if nothing is known.
        threshold: with groups to be found, the noisy count from which one is shown.
        fits: whether the budget has room for it now.
    """

    query: str
    unit: str
    figures: tuple[Expected, ...]
    price: Price
    totals: Totals
    status: Status
    rows: float | None
    threshold: float | None
    fits: bool

    @property
    def error(self) -> float | None:
        """The 95% error of the first figure."""
        return self.figures[0].error

    def __str__(self) -> str:
        lines = [self.query, f"  keeps the privacy of {self.unit}"]
        for f in self.figures:
            error = "depends on the number of rows: give rows=…" if f.error is None else f"± {_short(f.error)}"
            if f.unit == "rows" and f.error is not None:
                error += " rows" if f.mechanism != "selection" else " rows in rank"
            how = f"{f.mechanism}, sensitivity {_short(f.sensitivity)}, scale {_short(f.scale)}"
            lines.append(f"  {f.figure}: {error} (95%); {how}")
        if self.threshold is not None:
            lines.append(f"  groups are shown from a noisy count of {self.threshold:.0f} rows on")
        if self.rows is not None:
            lines.append(f"  for about {self.rows:,.0f} rows")
        lines.append(f"  costs {self.price}; left {shown(self.status.left)} of {self.status.budget}")
        if not self.fits:
            lines.append("  the budget has no room for it")
        return "\n".join(lines)

    __repr__ = __str__


def _short(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "unbounded (too few rows for the noise)"


def explain(priced: Priced, status: Status, rows: float | None, fits: bool) -> Explanation:
    """The explanation of a priced recipe."""
    figures = tuple(recipe.expected(priced, rows))
    totals = Totals().plus(priced.charges)
    return Explanation(
        priced.recipe.query.label, str(priced.recipe.unit), figures, priced.price, totals, status, rows,
        priced.threshold, fits,
    )  # fmt: skip


def explain_fit(made: Prepared, status: Status, rows: float | None, fits: bool) -> Explanation:
    """The explanation of a logistic regression: of its gradients' noise."""
    from ppc.dp import logistic

    totals = Totals().plus(made.charges)
    figures = logistic.explained(made, rows)
    return Explanation(made.question.label, str(made.unit), figures, made.price, totals, status, rows, None, fits)


@dataclass(frozen=True)
class Plan:
    """Several questions with the smallest prices that give the accuracy asked for.

    Nothing was read and nothing spent; `release()` answers all of them.
    """

    session: Session
    queries: tuple[Query | LogisticRegression, ...]
    explanations: tuple[Explanation, ...]

    @property
    def prices(self) -> tuple[Price, ...]:
        """One for each question."""
        return tuple(e.price for e in self.explanations)

    @property
    def totals(self) -> Totals:
        """The sums over all questions."""
        out = Totals()
        for e in self.explanations:
            t = e.totals
            out = Totals(out.epsilon + t.epsilon, out.rho + t.rho, out.delta + t.delta, out.gaussian + t.gaussian)
        return out

    def release(self) -> tuple[Release, ...]:
        """Answer the questions, in order, at these prices."""
        return tuple(self.session.release(q, price=p) for q, p in zip(self.queries, self.prices, strict=True))

    def __str__(self) -> str:
        total = self.totals
        text = f"ε = {shown(total.epsilon)}" if not total.gaussian else f"ρ = {shown(total.rho)}"
        if total.delta:
            text += f", δ = {shown(total.delta)}"
        return "\n".join([*(str(e) for e in self.explanations), f"together {text} (basic composition)"])

    __repr__ = __str__


def figures(session: Session, query: Query | LogisticRegression) -> tuple[str, ...]:
    """What the figures of a question are called."""
    return query.figures if isinstance(query, LogisticRegression) else session.compile(query).figures


def cheapest(
    session: Session,
    queries: Sequence[Query | LogisticRegression],
    accuracy: dict[str, float],
    rows: float | None,
    like: Price,
) -> Plan:
    """The plan of smallest prices. See `Session.plan`."""
    explanations = []
    for query in queries:
        asked = {f: accuracy[f] for f in figures(session, query) if f in accuracy}
        found = recipe.smallest_price(_expecting(session, query, rows), asked, like) if asked else like
        explanations.append(session.explain(query, price=found, rows=rows))
    return Plan(session, tuple(queries), tuple(explanations))


def _expecting(
    session: Session, query: Query | LogisticRegression, rows: float | None
) -> Callable[[Price], Sequence[Expected]]:
    if isinstance(query, LogisticRegression):
        from ppc.dp import logistic

        fit = query
        return lambda offered: logistic.explained(logistic.prepare(fit, session.schema, session.unit, offered), rows)
    compiled = session.compile(query)
    return lambda offered: recipe.expected(recipe.price(compiled, offered), rows)
