"""What privacy costs: budgets, prices, and the exact decimals that they are added up in.

An ε of 0.1 is the decimal 0.1 here, not the double nearest to it: ten releases at 0.1 spend exactly 1. Noise is then
scaled so that its exact loss is at most that decimal (`noise.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal
from typing import Any, Final

from ppc.errors import ConfigError

#: Sums and squares of costs are rounded up at the 60th digit.
EXACT: Final = Context(prec=60, rounding=ROUND_CEILING)
ZERO: Final = Decimal(0)
_LARGEST: Final = Decimal(10) ** 9  # no budget and no price is larger: it would protect nothing


def cost(value: object, name: str, *, zero: bool = False) -> Decimal:
    """A positive, finite number as the decimal that its shortest spelling means.

    Raises:
        ConfigError: it is not a number, is NaN, infinite, negative, above 1e9, or 0 (unless `zero`).
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ConfigError(f"{name} must be a number, not {type(value).__name__}", where=name)
    try:
        exact = Decimal(repr(float(value)) if isinstance(value, float) else str(value))
    except ArithmeticError:
        raise ConfigError(f"{name} must be a number", where=name) from None
    if not exact.is_finite() or not (ZERO < exact <= _LARGEST or (zero and exact == 0)):
        at_least = "0 or more" if zero else "more than 0"
        raise ConfigError(
            f"{name} must be {at_least}, finite and at most 1e9",
            where=name,
            hint="Usual values: epsilon from 0.1 to 5.",
        )
    return exact


def shown(value: Decimal | float, digits: int = 4) -> str:
    """A cost for people: rounded up to a few digits."""
    number = value if isinstance(value, Decimal) else Decimal(repr(float(value)))
    if not number.is_finite():
        return "∞"
    return f"{float(Context(prec=digits, rounding=ROUND_CEILING).plus(number)):g}"


@dataclass(frozen=True)
class Budget:
    """The most that may ever be lost about one unit (a row, or a person) of a dataset.

    Give one of: `epsilon` (pure ε-DP); `epsilon` and `delta` ((ε, δ)-DP); `rho` (ρ-zCDP).

    Args:
        epsilon: > 0.
        delta: 0 <= delta < 1; far below one over the number of people.
        rho: > 0.
        adaptive: whether prices may be chosen after earlier answers were seen. Then costs are added up by rules that
            hold for such choices (basic composition, zCDP). If all prices are settled beforehand (a script, a plan),
            say `adaptive=False`: the tighter accounting by privacy loss distributions is valid then.
        each: with ε and δ: every release costs this ε, and the ledger takes no other (below 0.2 Laplace noise only).
            Then prices are settled by construction, questions may be chosen with answers in view, `adaptive` is False.

    Raises:
        ConfigError: a value is not positive and finite, or the combination means nothing.
    """

    epsilon: Decimal | None = None
    delta: Decimal = ZERO
    rho: Decimal | None = None
    adaptive: bool = True
    each: Decimal | None = None

    def __init__(
        self,
        epsilon: float | str | Decimal | None = None,
        delta: float | str | Decimal = 0,
        *,
        rho: float | str | Decimal | None = None,
        adaptive: bool = True,
        each: float | str | Decimal | None = None,
    ) -> None:
        if (epsilon is None) == (rho is None):
            raise ConfigError("a budget is given in epsilon or in rho", where="budget", hint="Budget(epsilon=1)")
        d = cost(delta, "delta", zero=True)
        if not d < 1:
            raise ConfigError("delta must be below 1", where="delta", hint="A usual value is 1e-6.")
        if rho is not None and d:
            raise ConfigError("a budget in rho has no delta", where="budget", hint="Budget(epsilon=1, delta=1e-6)")
        object.__setattr__(self, "epsilon", None if epsilon is None else cost(epsilon, "epsilon"))
        object.__setattr__(self, "delta", d)
        object.__setattr__(self, "rho", None if rho is None else cost(rho, "rho"))
        if each is not None and not d:
            raise ConfigError("a price of each release goes with epsilon and delta", where="each")
        object.__setattr__(self, "each", None if each is None else cost(each, "each"))
        object.__setattr__(self, "adaptive", bool(adaptive) and each is None)

    @property
    def kind(self) -> str:
        """`"pure"`, `"approximate"` or `"zcdp"`."""
        if self.rho is not None:
            return "zcdp"
        return "approximate" if self.delta else "pure"

    def __str__(self) -> str:
        if self.rho is not None:
            return f"ρ = {shown(self.rho)} (zCDP)"
        text = f"ε = {shown(self.epsilon or ZERO)}"
        text = f"{text}, δ = {shown(self.delta)}" if self.delta else text
        return f"{text}, each release {shown(self.each)}" if self.each else text

    def to_dict(self) -> dict[str, Any]:
        """The budget as plain strings, exactly."""
        parts = {"epsilon": self.epsilon, "delta": self.delta or None, "rho": self.rho, "each": self.each}
        given: dict[str, Any] = {k: str(v) for k, v in parts.items() if v is not None}
        return given if self.adaptive else {**given, "adaptive": False}

    @staticmethod
    def from_dict(parts: Mapping[str, Any]) -> Budget:
        """The budget that `to_dict` described."""
        return Budget(
            parts.get("epsilon"), parts.get("delta", 0), rho=parts.get("rho"), adaptive=parts.get("adaptive", True),
            each=parts.get("each"),
        )  # fmt: skip

    def share(self, part: float) -> Price:
        """A price that is this part of the budget; the declared one if there is one."""
        if not 0 < part <= 1:
            raise ConfigError("a share of a budget is above 0 and at most 1", where="share")
        p = Decimal(repr(part))
        if self.each is not None:
            return Price(self.each)
        if self.rho is not None:
            return Price(rho=self.rho * p)
        return Price((self.epsilon or ZERO) * p, self.delta * p)


@dataclass(frozen=True)
class Price:
    """What one release may cost: `epsilon` (with `delta` where a query needs it), or `rho`.

    Raises:
        ConfigError: as for `Budget`.
    """

    epsilon: Decimal | None = None
    delta: Decimal = ZERO
    rho: Decimal | None = None

    def __init__(
        self,
        epsilon: float | str | Decimal | None = None,
        delta: float | str | Decimal = 0,
        *,
        rho: float | str | Decimal | None = None,
    ) -> None:
        if (epsilon is None) == (rho is None):
            raise ConfigError("a price is given in epsilon or in rho", where="price", hint="epsilon=0.1")
        d = cost(delta, "delta", zero=True)
        if not d < 1:
            raise ConfigError("delta must be below 1", where="delta", hint="A usual value is 1e-6.")
        object.__setattr__(self, "epsilon", None if epsilon is None else cost(epsilon, "epsilon"))
        object.__setattr__(self, "delta", d)
        object.__setattr__(self, "rho", None if rho is None else cost(rho, "rho"))

    def part(self, weight: Decimal) -> Price:
        """This price times a weight between 0 and 1; δ is not divided."""
        if self.rho is not None:
            return Price(rho=self.rho * weight)
        return Price((self.epsilon or ZERO) * weight)

    def times(self, factor: float) -> Price:
        """This price times any positive factor; δ stays."""
        f = Decimal(repr(factor))
        if self.rho is not None:
            return Price(rho=self.rho * f, delta=self.delta)
        return Price((self.epsilon or ZERO) * f, self.delta)

    @property
    def measure(self) -> Decimal:
        """The ε or ρ of it."""
        return self.rho if self.rho is not None else (self.epsilon or ZERO)

    def __str__(self) -> str:
        text = f"ρ = {shown(self.rho)}" if self.rho is not None else f"ε = {shown(self.epsilon or ZERO)}"
        return f"{text}, δ = {shown(self.delta)}" if self.delta else text
