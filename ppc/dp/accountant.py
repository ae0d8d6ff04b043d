"""What several releases cost together: basic composition, zCDP, and privacy loss distributions.

Which rule may be used when:

- Costs chosen one after another, with earlier answers in view, add up by basic composition (each pure release bounds
  the loss itself, so sums of ε do) and by zCDP (Feldman, Zrnic, NeurIPS 2021: sums of ρ that are kept below a limit).
  A path of releases may satisfy either rule: where Σε <= ε holds the loss never exceeds ε at all, so such paths add
  nothing to δ, and the rest are paths of the zCDP rule.
- Costs settled beforehand may be composed by privacy loss distributions as well, which is tightest. The questions may
  be chosen with answers in view, as long as the distribution that dominates the i-th release is fixed (Zhu, Dong, Wang,
  AISTATS 2022, theorem 10). For costs that were themselves chosen with answers in view that is not known to be valid:
  filters for such choices are known for basic composition, for Rényi DP and zCDP (Rogers, Roth, Ullman, Vadhan 2016;
  Feldman, Zrnic 2021), and for approximate DP at the rate of advanced composition (Whitehouse et al. 2023).
- A budget with a declared price (`Budget.each`) makes the condition hold by construction: `settled`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from ppc.dp.budget import EXACT, ZERO, Budget, cost, shown
from ppc.errors import ConfigError

#: Steps of a discrete Laplace distribution that are told apart; more change ε by less than 1e-6 of it.
STEPS: Final = 1024
#: From this ε on counts have noise on whole rows, of less variance; below it all Laplace noise is on a fine grid.
WHOLE_ROWS: Final = Decimal("0.2")
_GRID: Final = 1e-4  # of privacy loss distributions; rounded pessimistically


@dataclass(frozen=True)
class Charge:
    """What one mechanism costs.

    Args:
        mechanism: `"laplace"`, `"gaussian"`, `"selection"`, `"threshold"`, `"pure"`…: for people, and for the PLD.
        epsilon: its pure ε; `None` if it has none (Gaussian).
        rho: it is ρ-zCDP (up to `delta`).
        delta: the chance that all of this does not hold.
        steps: of a discrete Laplace distribution, how many steps of its grid the sensitivity has.
    """

    mechanism: str
    epsilon: Decimal | None
    rho: Decimal
    delta: Decimal = ZERO
    steps: int = 1

    @staticmethod
    def pure(epsilon: Decimal, mechanism: str = "pure", steps: int = 1) -> Charge:
        """Any ε-DP mechanism: ε²/2-zCDP (Bun, Steinke 2016, proposition 1.4)."""
        e = cost(epsilon, "epsilon")
        return Charge(mechanism, e, EXACT.divide(EXACT.multiply(e, e), Decimal(2)), ZERO, steps)

    @staticmethod
    def laplace(epsilon: Decimal, sensitivity: int) -> Charge:
        """Discrete Laplace noise on integers of this L1 sensitivity.

        Its privacy loss is no worse than that of a coarser grid: a geometric variable is j·Q + R with Q geometric and R
        independent of it, so a Laplace variable on the fine grid is one on a j times coarser grid plus independent
        noise. A vector is no worse than one coordinate that takes the whole change: for shifts a >= b,
        δ(a, b; t) <= δ(a; t − b) = δ(a + b; t) for t >= 0, as the loss of the second never exceeds b.
        """
        steps = STEPS if sensitivity % STEPS == 0 else 1
        return Charge.pure(epsilon, "laplace", steps)

    @staticmethod
    def gaussian(rho: Decimal, mechanism: str = "gaussian") -> Charge:
        """Any ρ-zCDP mechanism."""
        return Charge(mechanism, None, cost(rho, "rho"))

    def with_delta(self, delta: Decimal) -> Charge:
        """The same with a chance of failure."""
        return Charge(self.mechanism, self.epsilon, self.rho, cost(delta, "delta"), self.steps)

    def to_dict(self) -> dict[str, Any]:
        """Plain strings, exact."""
        parts = {"mechanism": self.mechanism, "epsilon": self.epsilon, "rho": self.rho, "delta": self.delta or None}
        out: dict[str, Any] = {k: str(v) for k, v in parts.items() if v is not None}
        return {**out, "steps": self.steps} if self.steps != 1 else out

    @staticmethod
    def from_dict(parts: Mapping[str, Any]) -> Charge:
        """The charge that `to_dict` described."""
        epsilon = parts.get("epsilon")
        return Charge(
            str(parts["mechanism"]),
            None if epsilon is None else Decimal(epsilon),
            Decimal(parts["rho"]),
            Decimal(parts.get("delta", "0")),
            int(parts.get("steps", 1)),
        )


@dataclass(frozen=True)
class Totals:
    """Sums over charges. `epsilon` counts those that have a pure ε; `gaussian` is the ρ of those that have none."""

    epsilon: Decimal = ZERO
    rho: Decimal = ZERO
    delta: Decimal = ZERO
    gaussian: Decimal = ZERO

    def plus(self, charges: Iterable[Charge]) -> Totals:
        """With more charges; sums are rounded up."""
        e, r, d, g = self.epsilon, self.rho, self.delta, self.gaussian
        for c in charges:
            e = EXACT.add(e, c.epsilon or ZERO)
            r = EXACT.add(r, c.rho)
            d = EXACT.add(d, c.delta)
            g = EXACT.add(g, c.rho if c.epsilon is None else ZERO)
        return Totals(e, r, d, g)


# --- conversions ---
def zcdp_epsilon(rho: float, delta: float) -> float:
    """The ε of (ε, δ)-DP that ρ-zCDP gives: the best over Rényi orders α.

    Source: Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential Privacy", proposition 12:
    ε = αρ + log(1 − 1/α) − (log δ + log α)/(α − 1). Any α gives a valid ε.
    """
    if not 0 <= rho < math.inf:
        raise ConfigError("rho must be 0 or more, and finite", where="rho")
    if not 0 < delta < 1:
        raise ConfigError("delta must be above 0 and below 1", where="delta")
    if rho == 0:
        return 0.0

    def at(log_excess: float) -> float:
        excess = math.exp(log_excess)  # α − 1
        alpha = 1 + excess
        return alpha * rho + math.log(excess / alpha) - (math.log(delta) + math.log(alpha)) / excess

    low, high = -20.0, 40.0  # unimodal in log(α − 1): golden section
    ratio = (math.sqrt(5) - 1) / 2
    a, b = high - ratio * (high - low), low + ratio * (high - low)
    fa, fb = at(a), at(b)
    for _ in range(80):
        if fa <= fb:
            high, b, fb = b, a, fa
            a = high - ratio * (high - low)
            fa = at(a)
        else:
            low, a, fa = a, b, fb
            b = low + ratio * (high - low)
            fb = at(b)
    return max(0.0, min(fa, fb))


def pld_epsilon(charges: Mapping[Charge, int], delta: float) -> float:
    """The ε at δ of these charges together, their numbers given, by privacy loss distributions.

    Mechanisms that are known as ρ-zCDP only are composed by zCDP at half of δ, the rest by their distributions at the
    other half. Valid for costs that were settled beforehand.
    """
    spent = float(sum((EXACT.multiply(c.delta, Decimal(n)) for c, n in charges.items()), ZERO))
    left = delta - spent
    if not 0 < left < 1:
        return math.inf
    gaussian = float(sum((EXACT.multiply(c.rho, Decimal(n)) for c, n in charges.items() if c.epsilon is None), ZERO))
    pure: Counter[tuple[float, int]] = Counter()
    for c, n in charges.items():
        if c.epsilon is not None:
            pure[(math.nextafter(float(c.epsilon), math.inf), c.steps)] += n
    if not pure:
        return zcdp_epsilon(gaussian, left)
    basic = math.fsum(e * n for (e, _), n in pure.items())
    if basic > 100 or max(e for e, _ in pure) > 50:  # distributions as long as that tell nothing more
        return basic + zcdp_epsilon(gaussian, left) if gaussian else basic
    share = left / 2 if gaussian else left
    epsilon = _composed(frozenset(pure.items())).get_epsilon_for_delta(share)
    return float(epsilon) + (zcdp_epsilon(gaussian, left / 2) if gaussian else 0.0)


@lru_cache(maxsize=64)
def _composed(pure: frozenset[tuple[tuple[float, int], int]]) -> Any:
    parts = sorted(pure)
    together = _one(*parts[0])
    for part in parts[1:]:
        together = together.compose(_one(*part))
    return together


_POWERS: Final[dict[tuple[float, int], tuple[int, Any]]] = {}  # what was composed last, for one more


def _one(kind: tuple[float, int], times: int) -> Any:
    """The distribution of one kind of charge, `times` over."""
    done, together = _POWERS.get(kind, (0, None))
    if not 0 <= times - done <= 3 or together is None:
        done, together = times, _single(kind) if times == 1 else _single(kind).self_compose(times)
    while done < times:
        done, together = done + 1, together.compose(_single(kind))
    if len(_POWERS) > 64:
        _POWERS.clear()
    _POWERS[kind] = (done, together)
    return together


@lru_cache(maxsize=64)
def _single(kind: tuple[float, int]) -> Any:
    from dp_accounting.pld import common, privacy_loss_distribution

    epsilon, steps = kind
    if steps == 1:
        return privacy_loss_distribution.from_privacy_parameters(
            common.DifferentialPrivacyParameters(epsilon, 0), value_discretization_interval=_GRID
        )
    return privacy_loss_distribution.from_discrete_laplace_mechanism(
        epsilon / steps, sensitivity=steps, value_discretization_interval=_GRID, use_connect_dots=True
    )


# --- answers ---
@dataclass(frozen=True)
class Comparison:
    """The same charges by each rule, as ε at one δ. `math.inf` where a rule can not say."""

    delta: float
    basic: float
    zcdp: float
    pld: float

    @property
    def best(self) -> float:
        """The smallest: all rules are sound."""
        return min(self.basic, self.zcdp, self.pld)

    def __str__(self) -> str:
        rows = {"basic": self.basic, "zCDP": self.zcdp, "PLD": self.pld}
        return "\n".join(f"{n:<6} ε = {shown(v)} at δ = {self.delta:g}" for n, v in rows.items())


def compare(charges: Iterable[Charge], delta: float) -> Comparison:
    """What charges settled beforehand cost together, by basic composition, zCDP and PLD.

    Args:
        charges: one for each use of a mechanism.
        delta: 0 < delta < 1.
    """
    if not 0 < delta < 1:
        raise ConfigError("delta must be above 0 and below 1", where="delta")
    counted = Counter(charges)
    if not counted:
        return Comparison(delta, 0.0, 0.0, 0.0)
    totals = Totals().plus(counted.elements())
    return Comparison(delta, _basic(totals, delta), _zcdp(totals, delta), pld_epsilon(counted, delta))


def _basic(totals: Totals, delta: float) -> float:
    if totals.delta > Decimal(repr(delta)):
        return math.inf
    if not totals.gaussian:
        return float(totals.epsilon)
    left = delta - float(totals.delta)
    return float(totals.epsilon) + zcdp_epsilon(float(totals.gaussian), left) if left > 0 else math.inf


def _zcdp(totals: Totals, delta: float) -> float:
    left = delta - float(totals.delta)
    return zcdp_epsilon(float(totals.rho), left) if left > 0 else math.inf


def settled(budget: Budget, charges: Iterable[Charge]) -> tuple[Charge, ...]:
    """What is entered for a release: its charges; under a declared price one charge of that price.

    Any release whose pure ε adds up to at most the price is dominated by the worst of that price. A price below
    `WHOLE_ROWS` is one of Laplace noise on a fine grid, which loses less: charges whose ε add up to it are dominated by
    one of the whole, as δ(a, b; t) <= δ(a + b; t) for shifts a, b of two coordinates (`Charge.laplace`). Which of the
    two holds follows from the budget alone, so the i-th release has a distribution that is known beforehand, whatever
    is asked.

    Raises:
        ConfigError: a declared price, and the release is dearer, or of another kind.
    """
    given = tuple(charges)
    if budget.each is None or not given:
        return given
    fine = budget.each < WHOLE_ROWS
    fits = all(c.epsilon is not None and not c.delta for c in given) and Totals().plus(given).epsilon <= budget.each
    if not fits or (fine and any(c.mechanism != "laplace" or c.steps != STEPS for c in given)):
        kind = "by Laplace noise" if fine else "of pure differential privacy"
        raise ConfigError(
            f"each release of this budget costs ε = {shown(budget.each)} {kind}, and this one is another",
            where="price",
            hint="Ask at that price, without delta or rho"
            + ("; quantiles, regressions in steps and synthetic rows need another budget." if fine else "."),
        )
    return (Charge.laplace(budget.each, STEPS) if fine else Charge.pure(budget.each),)


def spent(budget: Budget, totals: Totals, charges: Mapping[Charge, int] | None = None) -> Decimal:
    """How much of a budget's ε or ρ is gone, by the tightest rule that is valid for it; infinite if it can not be said.

    Args:
        budget: its kind and whether prices are adaptive say which rules hold.
        totals: of all charges so far.
        charges: how often each was made; needed for prices settled beforehand only.
    """
    if budget.rho is not None:
        return totals.rho if not totals.delta else Decimal("Infinity")
    pure = totals.epsilon if not totals.gaussian else Decimal("Infinity")
    if not budget.delta:
        return pure if not totals.delta else Decimal("Infinity")
    if totals.delta > budget.delta:
        return Decimal("Infinity")
    left = float(budget.delta - totals.delta)
    if left <= 0:
        return pure
    options = [pure, Decimal(zcdp_epsilon(float(totals.rho), left))]
    if not budget.adaptive and charges:
        epsilon = pld_epsilon(charges, float(budget.delta))
        if math.isfinite(epsilon):
            options.append(Decimal(epsilon))
    return min(options)


def fits(budget: Budget, totals: Totals, charges: Mapping[Charge, int] | None = None) -> bool:
    """Whether all of these charges are within a budget; the cheap rules are tried first."""
    limit = budget.rho if budget.rho is not None else budget.epsilon
    if limit is None:
        return False
    if spent(budget, totals) <= limit:
        return True
    return not budget.adaptive and bool(charges) and spent(budget, totals, charges) <= limit
