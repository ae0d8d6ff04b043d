"""Arrays drawn as SVG text. Every function takes plain numbers and gives a `Plot`.

Matplotlib is used without pyplot: no window system, no global state, safe in threads.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ppc.report.document import Plot

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    Axes: TypeAlias = Any

INK, SOFT, LINE = "#1d2733", "#5b6876", "#dfe5ea"
COLORS = ("#1f6f8b", "#c8553d", "#7a9e3b", "#8c6bb1", "#d8a133", "#4d4d4d")
# Curves that lie on each other stay visible, and are told apart without colours.
DASHES = ("-", (0, (4, 2)), (0, (1, 1.2)), "-.")
_SETTINGS: Any = {
    "font.family": "sans-serif",
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "ppc",
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "legend.frameon": False,
    "legend.fontsize": 8,
}


def draw(
    paint: Callable[[Axes], None], *, title: str, caption: str = "", width: float = 4.2, height: float = 3.1
) -> Plot:
    """A plot of `width` × `height` inches, painted by a function that is given Matplotlib's axes."""
    with _canvas(width, height) as (figure, axes):
        axes.set_title(title)
        paint(axes)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    # Only the drawing goes into the page: the XML head has no place inside HTML, and the metadata name other sites.
    svg = re.sub(r"^.*?(?=<svg)|<metadata>.*?</metadata>", "", buffer.getvalue(), flags=re.DOTALL)
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{_attribute(title)}" ', 1)
    return Plot(_unique_ids(svg, title), caption)


@contextmanager
def _canvas(width: float, height: float) -> Iterator[tuple[Any, Axes]]:
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure, figure.add_subplot()


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")


def _unique_ids(svg: str, title: str) -> str:
    """Matplotlib numbers its ids anew in each drawing; several drawings share one page."""
    prefix = f"p{zlib.crc32(svg.encode() + title.encode()):08x}-"
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}\1)", svg)
    return re.sub(r'href="#([^"]+)"', rf'href="#{prefix}\1"', svg)


Curve: TypeAlias = "tuple[ArrayLike, ArrayLike]"


def roc(curves: Mapping[str, Curve]) -> Plot:
    """Receiver operating characteristic: for each name the false and the true positive rates, both ascending."""

    def paint(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=LINE, lw=1)
        for style, (name, (fpr, tpr)) in zip(_styles(), curves.items(), strict=False):
            axes.plot(fpr, tpr, lw=1.6, label=name, **style)
        axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1.01))
        axes.legend(loc="lower right")

    return draw(paint, title="ROC")


def ks(share: ArrayLike, cumulative_bad: ArrayLike, cumulative_good: ArrayLike) -> Plot:
    """Kolmogorov–Smirnov: cumulative shares of bad and good customers, riskiest first; the widest gap is marked."""
    x, bad, good = (np.asarray(a, dtype=float) for a in (share, cumulative_bad, cumulative_good))
    at = int(np.argmax(np.abs(bad - good)))

    def paint(axes: Axes) -> None:
        axes.plot(x, bad, color=COLORS[1], lw=1.6, label="bad")
        axes.plot(x, good, color=COLORS[0], lw=1.6, label="good")
        axes.vlines(x[at], min(bad[at], good[at]), max(bad[at], good[at]), color=INK, lw=1, ls="--")
        axes.annotate(
            f"KS {abs(bad[at] - good[at]):.3f}", (x[at], (bad[at] + good[at]) / 2), (6, 0),
            textcoords="offset points", color=INK,
        )  # fmt: skip
        axes.set(xlabel="share of customers, riskiest first", ylabel="cumulative share", xlim=(0, 1), ylim=(0, 1.01))
        axes.legend(loc="lower right")

    return draw(paint, title="KS")


def score_distribution(edges: ArrayLike, bad: ArrayLike, good: ArrayLike) -> Plot:
    """Shares of bad and of good customers by score: `edges` has one element more than each of the counts."""
    e, b, g = (np.asarray(a, dtype=float) for a in (edges, bad, good))

    def paint(axes: Axes) -> None:
        for counts, color, name in ((g, COLORS[0], "good"), (b, COLORS[1], "bad")):
            axes.stairs(counts / max(counts.sum(), 1), e, fill=True, color=color, alpha=0.45, label=name)
        axes.set(xlabel="score", ylabel="share of customers")
        axes.legend()

    return draw(paint, title="Score distribution")


def lift(share: ArrayLike, value: ArrayLike) -> Plot:
    """Cumulative lift: how many times more bad customers than average are among the riskiest share."""

    def paint(axes: Axes) -> None:
        axes.axhline(1, color=LINE, lw=1)
        axes.plot(share, value, color=COLORS[0], lw=1.6, marker="o", ms=3)
        axes.set(xlabel="share of customers, riskiest first", ylabel="lift", xlim=(0, 1.02))
        axes.set_ylim(bottom=0)

    return draw(paint, title="Lift")


def calibration(predicted: ArrayLike, observed: ArrayLike, counts: ArrayLike | None = None) -> Plot:
    """Predicted against observed rate by bin; the size of a point grows with its count."""
    p, o = np.asarray(predicted, dtype=float), np.asarray(observed, dtype=float)
    n = np.ones_like(p) if counts is None else np.asarray(counts, dtype=float)
    top = float(max(p.max(initial=0), o.max(initial=0), 0.05)) * 1.08

    def paint(axes: Axes) -> None:
        axes.plot([0, top], [0, top], color=LINE, lw=1)
        axes.scatter(p, o, s=12 + 60 * n / max(n.max(initial=1), 1), color=COLORS[0], alpha=0.8, lw=0)
        axes.set(xlabel="predicted rate", ylabel="observed rate", xlim=(0, top), ylim=(0, top))

    return draw(paint, title="Calibration")


def woe(name: str, labels: Sequence[str], values: ArrayLike, shares: ArrayLike | None = None) -> Plot:
    """Weight of evidence by bin of one feature; the share of customers in each bin stands behind it."""
    v = np.asarray(values, dtype=float)
    at = np.arange(len(v))

    def paint(axes: Axes) -> None:
        axes.bar(at, v, color=np.where(v >= 0, COLORS[1], COLORS[0]), width=0.7)
        axes.axhline(0, color=SOFT, lw=0.8)
        axes.set_xticks(at, [_short(label) for label in labels], rotation=30, ha="right")
        axes.set_ylabel("WOE")
        axes.grid(axis="x", visible=False)
        if shares is not None:
            for x, y, share in zip(at, v, np.asarray(shares, dtype=float), strict=True):
                axes.annotate(f"{share:.0%}", (x, y), (0, 3 if y >= 0 else -10), textcoords="offset points",
                              ha="center", fontsize=7, color=SOFT)  # fmt: skip
            axes.margins(y=0.15)

    return draw(paint, title=name)


def bars(
    names: Sequence[str], values: ArrayLike, *, title: str, xlabel: str, groups: Sequence[str] | None = None
) -> Plot:
    """Horizontal bars, the first on top; `groups` gives each bar's colour and a legend (say, its owner)."""
    v = np.asarray(values, dtype=float)
    kinds = list(dict.fromkeys(groups)) if groups is not None else []

    def paint(axes: Axes) -> None:
        at = np.arange(len(v))[::-1]
        if groups is None:
            axes.barh(at, v, color=COLORS[0], height=0.7)
        for color, kind in zip(_colors(), kinds, strict=False):
            mine = np.array([g == kind for g in groups or ()])
            axes.barh(at[mine], v[mine], color=color, height=0.7, label=kind)
        axes.set_yticks(at, [_short(n, 28) for n in names])
        axes.set_xlabel(xlabel)
        axes.grid(axis="y", visible=False)
        if kinds:
            axes.legend(loc="lower right")

    return draw(paint, title=title, height=max(2.0, 0.9 + 0.2 * len(v)), width=5.0)


def lines(curves: Mapping[str, Curve], *, title: str, xlabel: str, ylabel: str, log_x: bool = False) -> Plot:
    """Several named curves on one pair of axes."""

    def paint(axes: Axes) -> None:
        for style, (name, (x, y)) in zip(_styles(), curves.items(), strict=False):
            axes.plot(x, y, lw=1.6, label=name, **style)
        if log_x:
            axes.set_xscale("log")
        axes.set(xlabel=xlabel, ylabel=ylabel)
        if len(curves) > 1:
            axes.legend()

    return draw(paint, title=title)


def _colors() -> Iterator[str]:
    return cycle(COLORS)


def _styles() -> Iterator[dict[str, Any]]:
    return ({"color": color, "ls": dash} for color, dash in zip(cycle(COLORS), cycle(DASHES), strict=False))


def _short(text: str, length: int = 18) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
