"""An audit: how much of a query's promise can be disproved by running it on neighbouring datasets.

The mechanism is run many times on two datasets that differ in one unit. An event that is likely on one and unlikely
on the other bounds ε from below: ε >= log((P − δ)/Q) for lower and upper confidence bounds P and Q (Clopper–Pearson).
A bound above the price is proof of a defect; one below it proves nothing, but one near it shows that the audit sees.

Source: Ding, Wang, Wang, Zhang, Kifer, "Detecting violations of differential privacy", CCS 2018; Jagielski, Ullman,
Oprea, NeurIPS 2020, section 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ppc.dp import recipe as recipes
from ppc.dp.accountant import zcdp_epsilon
from ppc.dp.budget import Price
from ppc.dp.engines.base import Engine, empty
from ppc.dp.query import By, LogisticRegression, Query
from ppc.dp.recipe import Chosen, Priced
from ppc.dp.unit import ROW, Unit
from ppc.errors import ConfigError

if TYPE_CHECKING:
    from ppc.dp.logistic import Prepared as Fitted
    from ppc.dp.synth import Prepared as Synthesis

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

    Half of the runs choose the event (a threshold on one of `_view`), the
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
    view = _view(a[:half], b[:half])
    a, b = view(a), view(b)
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
    return np.nan_to_num(x, nan=-1e100, posinf=1e100, neginf=-1e100)


def _view(a: NDArray[np.float64], b: NDArray[np.float64]) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """What of an output is looked at, learnt from outputs on either side: the coordinates that differ most, and sums
    over all that grow with the ratio of likelihoods if the noise is Gaussian, or Laplace."""
    spread = np.sqrt((a.var(axis=0) + b.var(axis=0)) / 2)
    spread[~(spread > 0)] = 1.0
    direction = (a.mean(axis=0) - b.mean(axis=0)) / spread
    middles = np.median(a, axis=0), np.median(b, axis=0)
    most = np.argsort(-np.abs(direction))[:4]

    def view(x: NDArray[np.float64]) -> NDArray[np.float64]:
        nearer = ((np.abs(x - middles[1]) - np.abs(x - middles[0])) / spread).sum(axis=1)
        # Rounded, as beyond both middles it is one value: the last bits would tell how a test's own noise was computed.
        return np.column_stack([(x / spread) @ direction, np.round(nearer, 9), x[:, most]])

    return view


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
    query: Query | LogisticRegression | Sequence[str | By],
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

    The exact aggregates are computed once each; the noise is drawn `runs` times. What is held against the promise is
    all that is measured, before anything is made of it: every noisy vector and choice, also those that later steps of
    a regression or of synthetic rows build upon. This reads data in the clear and is for test data only.

    Args:
        query: the question; its groups must be known. A list of columns stands for synthetic rows of them.
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
    price = Price(epsilon, delta, rho=rho)
    make = _maker(query, one, unit, price)
    promised = float(epsilon) if epsilon is not None else zcdp_epsilon(float(rho or 0), 1e-5)
    at = float(delta) if epsilon is not None else 1e-5
    bound = lower_bound(make(one), make(two), runs=runs, confidence=confidence, delta=at)
    for given, made in ((first, one), (second, two)):
        if made is not given:
            made.close()
    return Finding(bound, promised, confidence, at)


def _maker(query: Any, engine: Engine, unit: Unit, price: Price) -> Callable[[Engine], Mechanism]:
    if isinstance(query, Query):
        priced = recipes.price(recipes.compile(query, engine.schema, unit), price)
        return lambda e: mechanism(priced, e)
    if isinstance(query, LogisticRegression):
        from ppc.dp import logistic

        fitted = logistic.prepare(query, engine.schema, unit, price)
        return lambda e: _regression(fitted, e)
    from ppc.dp import synth

    made = synth.prepare(query, engine.schema, unit, price)
    return lambda e: _synthesis(made, e)


def _regression(made: Fitted, engine: Engine) -> Mechanism:
    """The noisy moments, then the noisy gradient of each step, taken where the steps before it led."""
    from ppc.dp import logistic

    vector, z, y = logistic.exact(made, engine)
    flat = np.array(vector.ravel(), dtype=np.float64) * made.moments.fine

    def run(times: int) -> NDArray[np.float64]:
        noise = np.array(made.moments.noise.draw(times * flat.size), dtype=np.float64).reshape(times, flat.size)
        raw = (flat + noise) / made.moments.fine
        steps = [np.array(n.draw(times * made.size), dtype=np.float64).reshape(times, made.size) for n in made.noises]
        out = []
        for i in range(times):
            told = logistic.descend(made, z, y, raw[i], [s[i] for s in steps])
            out.append(np.concatenate([raw[i], *(noisy for noisy, _ in told)]))
        return np.array(out)

    return run


def _synthesis(made: Synthesis, engine: Engine) -> Mechanism:
    """The noisy counts of columns, which pairs were chosen, their noisy counts (0 for the others), the distances."""
    from ppc.dp import synth

    counts = synth.exact(made, engine)

    def once() -> NDArray[np.float64]:
        found = synth.measure(made, counts)
        blocks = list(found.ones)
        for pair, table in counts.two.items():
            blocks += [np.array([float(pair in found.tables)]), found.tables.get(pair, np.zeros_like(table)).ravel()]
        return np.concatenate([*blocks, np.array(found.distances)])

    return lambda times: np.array([once() for _ in range(times)])


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
