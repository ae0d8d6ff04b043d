"""A model's columns: numbers as they are, a category as one 0/1 column for each level but the first, a site's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppc.errors import InternalError
from ppc.joint.statistics.study import Floats, Stopped, Study


@dataclass(frozen=True)
class Design:
    """This site's rows of the model: x (n, p), and what every column is called."""

    x: Floats
    names: tuple[str, ...]
    binary: NDArray[np.bool_]


def build(study: Study[Any], terms: Sequence[str], *, intercept: bool, site_effects: bool = False) -> Design:
    """The columns of `terms`; with `site_effects` one 0/1 column for every site but the first."""
    n = len(study.data)
    made: list[tuple[str, bool, Callable[[], Any]]] = [("intercept", False, partial(float, 1))] if intercept else []
    for term in terms:
        levels = study.levels(term)
        if levels is None:
            made.append((term, False, partial(study.numeric, term)))
            continue
        code = study.codes(term)
        made += [(f"{term}={v}", True, partial(np.equal, code, i)) for i, v in enumerate(levels[1:], 1)]
    if site_effects:
        for site in [p for p in study.ctx.parties if p in study.sites][1:]:
            made.append((f"site={site}", False, partial(float, site == study.ctx.me)))
    x = np.empty((n, len(made)))
    for j, (_, _, values) in enumerate(made):  # one column in memory beside the matrix
        x[:, j] = values()
    return Design(x, tuple(name for name, _, _ in made), np.array([b for _, b, _ in made], bool))


def check_levels(study: Study[Any], design: Design, outcome: NDArray[np.int64] | None = None, kinds: int = 1) -> None:
    """Refuse a model with a 0/1 column that few rows have (within each class of a categorical outcome)."""
    at = np.flatnonzero(design.binary)
    if not len(at):
        return
    each = outcome if outcome is not None else np.zeros(len(design.x), np.int64)
    counts = np.array([[int(design.x[each == k, j].sum()) for k in range(kinds)] for j in at])
    bad = [design.names[j] for j, small in zip(at, study.any_small(counts), strict=True) if small]
    if bad:
        what = "rows have" if kinds == 1 else "rows of one outcome have"
        raise Stopped("refused", f"fewer than {study.limits.min_cell} {what} {' and '.join(bad)}: merge levels")


def gram(x: Floats, weight: Floats) -> Floats:
    """x' diag(weight) x for x (n, p). A kernel: a threaded matrix library fights with the other parties for cores."""
    from ppc.joint.statistics import _kernels

    out = np.zeros((x.shape[1], x.shape[1]))
    _kernels.gram(np.ascontiguousarray(x), np.ascontiguousarray(weight), out)
    return out


def gram_numpy(x: Floats, weight: Floats) -> Floats:
    """The twin of `gram` in NumPy alone."""
    return np.asarray((x * weight[:, None]).T @ x)


def solve(h: Floats, g: Floats, names: Sequence[str]) -> tuple[Floats, Floats]:
    """(h⁻¹ g, h⁻¹) of a symmetric positive definite matrix, scaled to a unit diagonal first.

    Raises:
        Stopped: columns that depend on each other, by name.
    """
    size = np.sqrt(np.diag(h))
    flat = [n for n, s in zip(names, size, strict=True) if not s > 0]
    if flat:
        raise Stopped("problem", f"nothing can be estimated of {' and '.join(flat)}: no row has another value than 0")
    scaled = h / np.outer(size, size)
    values, vectors = np.linalg.eigh(scaled)
    if not values[0] > 1e-11:
        weight = np.abs(vectors[:, 0])
        both = [n for n, w in zip(names, weight, strict=True) if w > 0.1]
        raise Stopped("problem", f"{' and '.join(both)} depend on each other: leave one of them out")
    inverse = np.linalg.inv(scaled) / np.outer(size, size)
    inverse = (inverse + inverse.T) / 2
    if not np.isfinite(inverse).all():
        raise InternalError("an inverse is not finite")
    return np.asarray(np.linalg.solve(scaled, g / size) / size), inverse


def coefficients(names: Sequence[str], beta: Floats, se: Floats, *, df: float | None) -> list[dict[str, Any]]:
    """A line for each coefficient: estimate, standard error, t (with df) or z, p, 95 % limits."""
    from scipy import stats

    law = stats.norm if df is None else stats.t(df)
    half = float(law.ppf(0.975))
    out = []
    for name, b, s in zip(names, beta, se, strict=True):
        t = float(b / s) if s > 0 else float("nan")
        out.append(
            {
                "name": name,
                "coef": float(b),
                "se": float(s),
                "z" if df is None else "t": t,
                "p": float(2 * law.sf(abs(t))),
                "low": float(b - half * s),
                "high": float(b + half * s),
            }
        )
    return out
