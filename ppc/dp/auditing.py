"""An audit: how much of a query's promise can be disproved by running it on neighbouring datasets.

The mechanism is run many times on two datasets that differ in one unit. An event that is likely on one and unlikely
on the other bounds ε from below: ε >= log((P − δ)/Q) for lower and upper confidence bounds P and Q (Clopper–Pearson).
A bound above the price is proof of a defect; one below it proves nothing, but one near it shows that the audit sees.

Source: Ding, Wang, Wang, Zhang, Kifer, "Detecting violations of differential privacy", CCS 2018; Jagielski, Ullman,
Oprea, NeurIPS 2020, section 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppc.dp import recipe as recipes
from ppc.dp.accountant import zcdp_epsilon
from ppc.dp.budget import Price
from ppc.dp.engines.base import Engine, empty
from ppc.dp.query import Query
from ppc.dp.recipe import Chosen, Priced
from ppc.dp.unit import ROW, Unit
from ppc.errors import ConfigError

Mechanism = Callable[[int], NDArray[np.float64]]  # so many runs: outputs, shape (runs, coordinates)


@dataclass(frozen=True)
class Finding:
    """What an audit found.

    Args:
        bound: ε is at least this, with the confidence asked for.
        promised: the ε that the price means (at `delta`).
        confidence: that `bound` holds.
        delta: that the bound and the promise are at.
    """

    bound: float
    promised: float
    confidence: float
    delta: float

    @property
    def broken(self) -> bool:
        """Whether the promise is disproved."""
        return self.bound > self.promised

    def __str__(self) -> str:
        verdict = "BROKEN" if self.broken else "not disproved"
        return f"ε >= {self.bound:.3f} ({self.confidence:.1%} sure), promised {self.promised:.3f}: {verdict}"


def lower_bound(
    first: Mechanism, second: Mechanism, *, runs: int, confidence: float = 0.999, delta: float = 0.0
) -> float:
    """A lower bound of ε for two mechanisms: the outputs on two neighbouring datasets.

    Half of the runs choose the event (a threshold on a coordinate or on the direction in which the means differ), the
    other half are counted, so that the choice does not spoil the confidence.

    Args:
        first, second: give outputs of so many runs, shape (runs, coordinates).
        runs: of each.
        confidence: that the bound holds.
        delta: of (ε, δ).
    """
    if runs < 100 or not 0 < confidence < 1 or not 0 <= delta < 1:
        raise ConfigError("an audit needs 100 runs or more, 0 < confidence < 1 and 0 <= delta < 1", where="audit")
    a, b = _flat(first(runs)), _flat(second(runs))
    half = runs // 2
    direction = a[:half].mean(axis=0) - b[:half].mean(axis=0)
    a, b = _features(a, direction), _features(b, direction)
    best, event = 0.0, None
    for j in range(a.shape[1]):
        values = np.r_[a[:half, j], b[:half, j]]
        for t in np.unique(np.quantile(values, np.linspace(0.005, 0.995, 61))):
            for above in (True, False):
                p, q = _share(a[:half, j], t, above), _share(b[:half, j], t, above)
                for x, y, swapped in ((p, q, False), (q, p, True)):
                    # the event whose bound is best on the first half, judged by rough confidence limits
                    low, high = _limits(x, half, confidence)[0], _limits(y, half, confidence)[1]
                    value = math.log((low - delta) / high) if low > delta else 0.0
                    if value > best:
                        best, event = value, (j, t, above, swapped)
    if event is None:
        return 0.0
    j, t, above, swapped = event
    p, q = _share(a[half:, j], t, above), _share(b[half:, j], t, above)
    if swapped:
        p, q = q, p
    rest = runs - half
    low, high = _limits(p, rest, confidence)[0], _limits(q, rest, confidence)[1]
    return max(0.0, math.log((low - delta) / high)) if low > delta else 0.0


def _flat(outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.asarray(outputs, dtype=np.float64).reshape(len(outputs), -1)
    return np.nan_to_num(x, nan=-1e300, posinf=1e300, neginf=-1e300)


def _features(x: NDArray[np.float64], direction: NDArray[np.float64]) -> NDArray[np.float64]:
    most = np.argsort(-np.abs(direction))[:4]
    return np.column_stack([x @ direction, x @ np.sign(direction), x[:, most]])


def _share(x: NDArray[np.float64], t: float, above: bool) -> int:
    return int(np.count_nonzero(x >= t) if above else np.count_nonzero(x < t))


def _limits(k: int, n: int, confidence: float) -> tuple[float, float]:
    """Clopper–Pearson limits, each at half of the rest of the confidence."""
    from scipy.special import betaincinv

    rest = (1 - confidence) / 2
    low = float(betaincinv(k, n - k + 1, rest)) if k else 0.0
    high = float(betaincinv(k + 1, n - k, 1 - rest)) if k < n else 1.0
    return low, high


def audit(
    query: Query,
    first: Any,
    second: Any,
    *,
    epsilon: float | None = None,
    delta: float = 0,
    rho: float | None = None,
    unit: Unit = ROW,
    runs: int = 20_000,
    confidence: float = 0.999,
) -> Finding:
    """Audit a query on two datasets that differ in one unit (which is for the caller to see to).

    The exact aggregates are computed once each; the noise is drawn `runs` times. This reads data in the clear and is
    for test data only.

    Args:
        query: the question; its groups must be known.
        first, second: datasets, or engines.
        epsilon, delta, rho: the price.
        unit: whose privacy.
        runs: of the mechanism on each.
        confidence: that the bound holds.
    """
    from ppc.dp.session import _engine

    one, two = _engine(first, None)[0], _engine(second, None)[0]
    # Which of a person's rows are kept is drawn at random, and the proof couples the two datasets by the same draw. The
    # aggregates are computed once, so with two draws the audit would see the draws, not the person.
    two.salt = one.salt
    priced = recipes.price(recipes.compile(query, one.schema, unit), Price(epsilon, delta, rho=rho))
    promised = float(epsilon) if epsilon is not None else zcdp_epsilon(float(rho or 0), 1e-5)
    at = float(delta) if epsilon is not None else 1e-5
    bound = lower_bound(mechanism(priced, one), mechanism(priced, two), runs=runs, confidence=confidence, delta=at)
    for given, made in ((first, one), (second, two)):
        if made is not given:
            made.close()
    return Finding(bound, promised, confidence, at)


def mechanism(priced: Priced, engine: Engine) -> Mechanism:
    """What a priced recipe gives out on one dataset: noisy vectors and chosen values, before anything is read off."""
    r = priced.recipe
    request = r.request()
    sums = engine.sums(request) if request.terms else empty(0, r.cells)
    counts = {
        i: engine.sums(r.quantile_request(s.part))[0].reshape(r.cells, -1)
        for i, s in enumerate(priced.steps)
        if isinstance(s, Chosen)
    }

    def run(times: int) -> NDArray[np.float64]:
        blocks = []
        for i, step in enumerate(priced.steps):
            if isinstance(step, Chosen):
                drawn = [
                    np.concatenate([v.ravel() for v in step.part.release(counts[i], list(step.choices))])
                    for _ in range(times)
                ]
                blocks.append(np.array(drawn))
                continue
            vector = step.part.vector(sums[recipes.term_index(request, step.part.terms)]) * step.fine
            flat = np.array(vector.ravel(), dtype=np.float64)
            noise = np.array(step.noise.draw(times * flat.size), dtype=np.float64).reshape(times, flat.size)
            blocks.append((flat + noise) / step.fine)
        return np.hstack(blocks)

    return run
