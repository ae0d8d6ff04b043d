"""Releases with their error bars, and error against price."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ppc.errors import QueryError

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Plot

    from ppc.dp.query import Query
    from ppc.dp.release import Release
    from ppc.dp.session import Session


def _new(panels: int = 1) -> tuple[Any, Any]:
    """A figure without any display or global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    plot = Figure(figsize=(7, 3.2 * panels), layout="constrained")
    FigureCanvasAgg(plot)
    return plot, plot.subplots(panels, 1, squeeze=False)[:, 0]


def release(result: Release, path: str | None = None) -> Plot:
    """Each figure in a panel: a point and its 95% interval for each group."""
    if not result.figures:
        raise QueryError("there is nothing to draw", where=result.query)
    plot, axes = _new(len(result.figures))
    names = [", ".join(str(v[i]) for v in result.keys.values()) for i in range(result.groups)]
    for axis, figure in zip(axes, result.figures, strict=True):
        at = np.arange(result.groups)
        below, above = (
            np.where(np.isfinite(d), d, 0) for d in (figure.values - figure.low, figure.high - figure.values)
        )
        axis.errorbar(at, figure.values, yerr=np.maximum([below, above], 0), fmt="o", capsize=3, color="#1f5a94")
        axis.set_ylabel(figure.name)
        many = result.groups > 30
        axis.set_xticks([] if many else at, [] if many else (names if result.keys else [""] * len(at)))
        if not many and max((len(n) for n in names), default=0) * result.groups > 60:
            axis.tick_params(axis="x", rotation=60)
        axis.grid(axis="y", alpha=0.3)
    axes[0].set_title(f"{result.query}\n95% intervals for the noise; spent {result.price}", fontsize=10)
    if path is not None:
        plot.savefig(path)
    return plot  # type: ignore[no-any-return]


def tradeoff(
    session: Session,
    query: Query,
    *,
    rows: float | None = None,
    epsilons: Sequence[float] = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0),
    delta: float | None = None,
    path: str | None = None,
) -> Plot:
    """Draw the 95% error of a query's figures against ε. Touches no data and spends nothing.

    Args:
        session: whose schema and unit to use.
        query: the question.
        rows: about how many rows there are; needed for means and other ratios.
        epsilons: prices to show.
        delta: for groups that have to be found.
        path: where to write the picture.
    """
    points: dict[str, list[float]] = {}
    for epsilon in epsilons:
        for figure in session.explain(query, epsilon=epsilon, delta=delta, rows=rows).figures:
            if figure.error is None:
                raise QueryError(
                    f"the error of {figure.figure} depends on the number of rows", where="tradeoff", hint="Give rows=…"
                )
            points.setdefault(figure.figure, []).append(figure.error if math.isfinite(figure.error) else math.nan)
    plot, (axis,) = _new()
    for name, errors in points.items():
        axis.loglog(epsilons, errors, marker="o", label=name)
    axis.set_xlabel("ε of one release")
    axis.set_ylabel("95% error (±)")
    axis.set_title(query.label, fontsize=10)
    axis.grid(alpha=0.3, which="both")
    axis.legend(fontsize=8)
    if path is not None:
        plot.savefig(path)
    return plot  # type: ignore[no-any-return]
