"""Drawings of clinical studies: survival curves with their bands and the numbers at risk, forest plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppc.report.document import Plot
from ppc.report.plots import COLORS, DASHES, INK, LINE, SOFT, _short, draw


@dataclass(frozen=True)
class Curve:
    """One group's survival after each time. `low` and `high` may hold `None`; `at_risk` is just before each time."""

    name: str
    times: Sequence[float]
    survival: Sequence[float]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()
    at_risk: Sequence[int] = ()


def survival(curves: Sequence[Curve], *, title: str = "Survival", xlabel: str = "time") -> Plot:
    """Step curves from 1 at time 0, shaded limits, and the number at risk in each group under the axis."""
    end = max((c.times[-1] for c in curves if len(c.times)), default=1.0)

    def paint(axes: Any) -> None:
        ticks = [t for t in axes.xaxis.get_major_locator().tick_values(0, end) if 0 <= t <= end]
        for i, curve in enumerate(curves):
            color = COLORS[i % len(COLORS)]
            x = np.concatenate([[0.0], curve.times])
            axes.step(x, np.concatenate([[1.0], curve.survival]), where="post", color=color, lw=1.6,
                      ls=DASHES[i % len(DASHES)], label=_short(curve.name, 28))  # fmt: skip
            if len(curve.low):
                low, high = (np.array([np.nan if v is None else v for v in b], float) for b in (curve.low, curve.high))
                axes.fill_between(x, np.concatenate([[1.0], low]), np.concatenate([[1.0], high]), step="post",
                                  color=color, alpha=0.15, lw=0)  # fmt: skip
            if len(curve.at_risk):
                y = -0.24 - 0.075 * i
                axes.annotate(_short(curve.name, 14), (0, y), (-16, 0), xycoords="axes fraction",
                              textcoords="offset points", ha="right", va="center", fontsize=7, color=color)  # fmt: skip
                for t in ticks:
                    later = np.flatnonzero(np.asarray(curve.times) >= t)
                    n = curve.at_risk[later[0]] if len(later) else 0
                    axes.annotate(str(n), (t, y), xycoords=("data", "axes fraction"), ha="center", va="center",
                                  fontsize=7, color=INK)  # fmt: skip
        axes.set_xticks(ticks)
        axes.set(xlabel=xlabel, ylabel="survival", xlim=(0, end * 1.02), ylim=(0, 1.02))
        axes.legend(loc="lower left")

    rows = sum(1 for c in curves if len(c.at_risk))
    return draw(paint, title=title, caption="Numbers at risk stand under the axis." if rows else "", width=5.6,
                height=3.2 + 0.25 * rows)  # fmt: skip


@dataclass(frozen=True)
class Effect:
    """One line of a forest plot: an estimate and its limits; a `summary` is drawn as a diamond."""

    name: str
    value: float
    low: float
    high: float
    weight: float = 1.0
    summary: bool = False


def forest(effects: Sequence[Effect], *, title: str, xlabel: str, ratio: bool = False) -> Plot:
    """Estimates with their limits, the first on top; `ratio` has a logarithmic axis and no effect at 1."""
    none = 1.0 if ratio else 0.0
    heaviest = max((e.weight for e in effects if not e.summary), default=1.0)

    def paint(axes: Any) -> None:
        if ratio:
            axes.set_xscale("log")
        axes.axvline(none, color=SOFT, lw=0.9, ls="--")
        at = np.arange(len(effects))[::-1]
        for y, e in zip(at, effects, strict=True):
            if e.summary:
                axes.fill([e.low, e.value, e.high, e.value], [y, y + 0.28, y, y - 0.28], color=COLORS[1])
            else:
                axes.plot([e.low, e.high], [y, y], color=COLORS[0], lw=1.3)
                axes.scatter([e.value], [y], marker="s", s=14 + 50 * e.weight / heaviest, color=COLORS[0], zorder=3)
            axes.annotate(f"{e.value:.2f} ({e.low:.2f}, {e.high:.2f})", (1.02, y), xycoords=("axes fraction", "data"),
                          va="center", fontsize=8, color=INK)  # fmt: skip
        axes.set_yticks(at, [_short(e.name, 30) for e in effects])
        axes.set_ylim(-0.7, len(effects) - 0.3)
        axes.set_xlabel(xlabel)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="x", which="minor", labelbottom=False)
        if ratio:
            axes.set_xticks(_ratio_ticks(effects), labels=[f"{t:g}" for t in _ratio_ticks(effects)])
            axes.minorticks_off()
        axes.axhline(-0.7, color=LINE, lw=0.5)

    return draw(paint, title=title, width=6.4, height=max(1.8, 0.9 + 0.32 * len(effects)))


def _ratio_ticks(effects: Sequence[Effect]) -> list[float]:
    low = min([e.low for e in effects], default=0.5)
    high = max([e.high for e in effects], default=2.0)
    ticks = [t for t in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if low / 1.6 <= t <= high * 1.6]
    return sorted({*ticks, 1.0})
