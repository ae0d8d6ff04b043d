"""From a question to what is measured: checked against the schema, priced, with error bars, before data are touched."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ppc.dataset import types
from ppc.dataset.schema import Schema
from ppc.dp import condition, parts, quantile
from ppc.dp import query as q
from ppc.dp.accountant import STEPS, WHOLE_ROWS, Charge
from ppc.dp.budget import Price
from ppc.dp.engines.base import Key, Request, Term
from ppc.dp.noise import Noise, scaled, split
from ppc.dp.parts import Part
from ppc.dp.quantile import Choice, QuantilePart
from ppc.dp.unit import Reach, Unit
from ppc.errors import QueryError, TypeMismatchError

MAX_CELLS: Final = 4_000_000
Z95: Final = 1.959963984540054  # of a normal distribution
L95: Final = math.log(20)  # of a Laplace distribution of scale 1: P(|η| > log 20) = 1/20
S95: Final = L95 / math.sqrt(2)  # the same in standard deviations; sums of Laplace variables need no more


@dataclass(frozen=True)
class Recipe:
    """A question that fits the schema.

    Args:
        query: the question.
        keys: what its cells are; all known, or all open.
        parts: how each aggregate is measured.
        where: which rows.
        unit: whose privacy.
    """

    query: q.Query
    keys: tuple[Key, ...]
    parts: tuple[Part | QuantilePart, ...]
    where: condition.Condition | None
    unit: Unit

    @property
    def open(self) -> bool:
        """Whether the groups have to be found."""
        return any(k.open for k in self.keys)

    @property
    def cells(self) -> int:
        """How many known cells; 0 if they have to be found."""
        return math.prod(k.size for k in self.keys)

    @property
    def reach(self) -> Reach:
        """What one unit may change."""
        return self.unit.reach(bool(self.keys))

    @property
    def figures(self) -> tuple[str, ...]:
        """The names of all figures, in order."""
        return tuple(f for p in self.parts for f in p.figures)

    @property
    def linear(self) -> tuple[Part, ...]:
        """The parts that are sums with noise."""
        return tuple(p for p in self.parts if isinstance(p, Part))

    def request(self) -> Request:
        """What the engine adds up for the linear parts; equal terms once."""
        terms = dict.fromkeys(t for p in self.linear for t in p.terms)
        return Request(tuple(terms), self.keys, self.where, self.unit)

    def quantile_request(self, part: QuantilePart) -> Request:
        """What the engine counts for quantiles."""
        return Request((part.term,), (*self.keys, part.key), self.where, self.unit)


@dataclass(frozen=True)
class Measured:
    """A part with its noise.

    Args:
        part: what is measured.
        sensitivity: by how much one unit changes the vector, in L1 (Laplace) or L2 (Gaussian), in rows' units.
        noise: on the vector times `fine`.
        fine: the vector is multiplied by this first, so that the grid of the noise is fine against its sensitivity.
    """

    part: Part
    sensitivity: float
    noise: Noise
    fine: int

    @property
    def sd(self) -> float:
        """The noise's standard deviation, in units of the vector."""
        return self.noise.sd / self.fine

    def half_widths(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Half the width of a 95% interval, shape (figures, cells), at these vectors (rows, cells).

        Each coordinate is moved by its standard deviation either way, and the squares of the differences are added up:
        the delta method with finite steps. A single coordinate has the exact quantile of its noise.
        """
        finish, sd = self.part.finish, self.sd
        total = np.zeros((len(self.part.figures), raw.shape[1]))
        for i in range(raw.shape[0]):
            up, down = raw.copy(), raw.copy()
            up[i] += sd
            down[i] -= sd
            total += ((finish(up, sd) - finish(down, sd)) / 2) ** 2
        factor = Z95 if self.noise.kind == "gaussian" else S95
        # where a step leaves too few rows to tell anything, so does the figure
        return np.where(np.isnan(total), math.inf, factor * np.sqrt(total))


@dataclass(frozen=True)
class Chosen:
    """Quantiles with their selections."""

    part: QuantilePart
    choices: tuple[Choice, ...]


@dataclass(frozen=True)
class Priced:
    """A recipe with noise: what a release of it costs, and how exact it is.

    Args:
        recipe: what is measured.
        price: what was offered.
        steps: each part with its noise, in the order of `recipe.parts`.
        threshold: with open keys, the noisy count (in rows) from which a group is shown.
        charges: what the release costs.
    """

    recipe: Recipe
    price: Price
    steps: tuple[Measured | Chosen, ...]
    threshold: float | None
    charges: tuple[Charge, ...]


def compile(query: q.Query, schema: Schema, unit: Unit) -> Recipe:
    """Check a question against a schema.

    Raises:
        QueryError: bounds or categories are missing, the condition is malformed, or there are too many cells.
        ColumnError: an unknown column. TypeMismatchError: a column that is not numeric, where numbers are needed.
    """
    if unit.by is not None:
        schema[unit.by]
    where = condition.parse(query.condition, schema) if query.condition else None
    keys = tuple(_key(k, schema) for k in query.keys)
    if any(k.open for k in keys) and not all(k.open for k in keys):
        raise QueryError(
            "keys are either all known or all open",
            where=query.label,
            hint="Give the known ones as open too, or give categories of the others.",
        )
    built: list[Part | QuantilePart] = []
    for a in query.aggregates:
        built.append(quantile.build(a, schema) if isinstance(a, q.Quantiles) else parts.build(a, schema))
    recipe = Recipe(query, keys, tuple(built), where, unit)
    if not recipe.open:
        size = max((p.number.most + 1 for p in built if isinstance(p, QuantilePart)), default=1)
        if recipe.cells * size > MAX_CELLS:
            raise QueryError(
                f"{recipe.cells * size:,} cells are more than {MAX_CELLS:,}", where=query.label, hint="Use fewer keys."
            )
    elif any(isinstance(p, QuantilePart) for p in built):
        raise QueryError("quantiles need known groups", where=query.label, hint="known('ward', ['A', 'B', …])")
    if query.top is not None and not (len(built) == 1 and isinstance(query.aggregates[0], q.Count) and keys):
        raise QueryError("top needs counts by category", where=query.label)
    return recipe


def _key(by: q.By, schema: Schema) -> Key:
    field = schema[by.column]
    if by.edges is not None:
        if not types.is_numeric(field.type):
            raise TypeMismatchError(
                f"column '{by.column}' is {field.type}, and numbers are needed for bins", where=f"key '{by.column}'"
            )
        return Key(by.column, edges=by.edges)
    if by.open:
        return Key(by.column)
    values: tuple[Any, ...] | None = by.values if by.values is not None else field.domain
    if values is None and field.type == "bool":
        values = (False, True)
    if values is None:
        raise QueryError(
            f"the categories of column '{by.column}' are not known",
            where=f"key '{by.column}'",
            hint=f"Give its public list as the schema's domain, or known('{by.column}', […]), or bin() for numbers;"
            f" unknown('{by.column}') finds them, which needs δ.",
        )
    for v in values:
        fits = isinstance(v, str) if field.type == "string" else not isinstance(v, str)
        if not fits:
            raise TypeMismatchError(
                f"column '{by.column}' is {field.type}, and a category is of another type", where=f"key '{by.column}'"
            )
    return Key(by.column, values=tuple(values))


# --- pricing ---
def price(recipe: Recipe, offered: Price) -> Priced:
    """Noise for a price: each aggregate gets an equal part of it.

    Raises:
        QueryError: open keys without δ, or δ without them.
        ConfigError: the price is too small for the noise to fit.
    """
    threshold: float | None = None
    charges: list[Charge] = []
    steps: list[Measured | Chosen] = []
    listed: tuple[Part | QuantilePart, ...] = recipe.parts
    reach = recipe.reach
    if recipe.open:
        if not offered.delta:
            raise QueryError(
                "groups that have to be found need a delta", where=recipe.query.label, hint="release(…, delta=1e-7)"
            )
        if not _counts_rows(recipe.parts[0]):  # groups are found by their number of rows
            listed = (parts.build(q.Count(), _NO_COLUMNS), *recipe.parts)
    elif offered.delta:
        offered = replace_delta(offered)  # nothing here can fail: it is not charged
    for i, (part, share) in enumerate(zip(listed, split(offered, [1] * len(listed)), strict=True)):
        if isinstance(part, QuantilePart):
            choices = tuple(part.choices(share, reach))
            steps.append(Chosen(part, choices))
            charges += [c.selection.charge for c in choices]
            continue
        measured = measure(part, share, reach)
        charge = measured.noise.charge
        if recipe.open and i == 0:
            # A group that is there because of one unit alone has at most `rows_in_cell` rows, and there are at most
            # `cells` such groups. Each is shown with chance P(rows + η >= threshold) <= δ/cells.
            tail = measured.noise.tail(Fraction(offered.delta) / reach.cells)
            threshold = reach.rows_in_cell + tail / measured.fine
            charge = replace(charge, mechanism="threshold").with_delta(offered.delta)
        charges.append(charge)
        steps.append(measured)
    return Priced(recipe, offered, tuple(steps), threshold, tuple(charges))


_NO_COLUMNS: Final = Schema(())


def replace_delta(price: Price) -> Price:
    """The same price without δ."""
    return Price(rho=price.rho) if price.rho is not None else Price(price.epsilon)


def _counts_rows(part: Part | QuantilePart) -> bool:
    return isinstance(part.aggregate, q.Count) and part.aggregate.column is None


def measure(part: Part, share: Price, reach: Reach) -> Measured:
    """A part with its noise: one unit is at most `reach.rows` rows, spread as `reach` says."""
    l1 = part.row_l1 * reach.rows
    # A fine grid makes the PLD of Laplace noise tight. Counts at a high price stay on whole rows: there the discrete
    # distribution has less variance than the continuous one (by 1/6), and rounding would add 1/12.
    coarse = share.rho is not None or (part.whole and share.measure >= WHOLE_ROWS * l1)
    fine = 1 if coarse else STEPS // math.gcd(l1, STEPS)
    l2 = part.row_l2 * reach.l2
    noise = scaled(share, l1 * fine, math.nextafter(l2 * fine, math.inf))
    return Measured(part, float(l1) if noise.kind == "laplace" else l2, noise, fine)


# --- error bars before the data are touched ---
@dataclass(frozen=True)
class Expected:
    """What is known of a figure before it is released.

    Args:
        figure: its name.
        mechanism: `"laplace"`, `"gaussian"` or `"selection"`.
        sensitivity: what one unit changes at most: of the measured vector, in its own units.
        scale: of the noise, in the same units.
        error: half the width of its 95% interval; `None` if that depends on the number of rows, and none was given.
        unit: of the error: `"rows"` for counts and the ranks of quantiles, else the column's own.
    """

    figure: str
    mechanism: str
    sensitivity: float
    scale: float
    error: float | None
    unit: str


def expected(priced: Priced, rows: float | None) -> list[Expected]:
    """What each figure's error will be, if there are about so many rows (over all cells).

    The error of a mean depends on how many rows there are, a little on the values. The largest over a few plausible
    shapes of data is given: all values at one end, half at either end, evenly spread.
    """
    out: list[Expected] = []
    wanted = set(priced.recipe.figures)
    each = None if rows is None else max(1.0, rows / max(1, priced.recipe.cells))
    for step in priced.steps:
        if isinstance(step, Chosen):
            per = 3 if step.part.aggregate.interval else 1
            for figure, choice in zip(step.part.figures, step.choices[::per], strict=True):
                error = float(choice.rank_error(0.05))
                scale = choice.selection.scale / choice.prob.denominator
                sensitivity = choice.sensitivity / choice.prob.denominator
                out.append(Expected(figure, "selection", sensitivity, scale, error, "rows"))
            continue
        part = step.part
        errors = _errors(step, each)
        for i, figure in enumerate(part.figures):
            if figure in wanted:
                kind, scale = step.noise.kind, step.noise.scale / step.fine
                out.append(
                    Expected(figure, kind, step.sensitivity, scale, errors[i], "rows" if part.whole else "value")
                )
    return out


def _errors(step: Measured, rows: float | None) -> Sequence[float | None]:
    part = step.part
    if part.linear:  # the same for any data
        raw = np.zeros((len(part.matrix), 1))
        return [float(v) for v in step.half_widths(raw)[:, 0]]
    if rows is None:
        return [None] * len(part.figures)
    shapes = np.array(part.references(rows)).T
    widths = step.half_widths(shapes)
    return [float(v) for v in widths.max(axis=1)]


def smallest_price(expect: Callable[[Price], Sequence[Expected]], accuracy: dict[str, float], like: Price) -> Price:
    """The least price at which every figure's 95% error is within what is asked of it; found by halving.

    Args:
        expect: what is known of the figures beforehand, at a price.
        accuracy: the errors asked for, by figure.
        like: a price of the kind to find.

    Raises:
        QueryError: a figure's error depends on the number of rows and none was given, or no price will do.
    """

    def good(offered: Price) -> bool:
        for e in expect(offered):
            if e.figure in accuracy:
                if e.error is None:
                    raise QueryError(
                        f"the error of {e.figure} depends on the number of rows",
                        where="plan",
                        hint="Give a public estimate: rows=10_000.",
                    )
                if not e.error <= accuracy[e.figure]:
                    return False
        return True

    def at(log_measure: float) -> Price:
        value = Decimal(f"{math.exp(log_measure):.3g}")
        return Price(rho=value) if like.rho is not None else Price(value, like.delta)

    low, high = math.log(1e-5), math.log(1e3)
    if not good(at(high)):
        raise QueryError(
            "no price gives this accuracy", where="plan", hint="Ask for less, or give closer bounds or fewer groups."
        )
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (low, middle) if good(at(middle)) else (middle, high)
    result = at(high)
    while not good(result):
        result = Price(rho=result.rho * Decimal("1.005")) if result.rho is not None else result.times(1.005)
    return result


def term_index(request: Request, terms: tuple[Term, ...]) -> list[int]:
    """Where the terms of a part are among those of a request."""
    at = {t: i for i, t in enumerate(request.terms)}
    return [at[t] for t in terms]
