"""A table's anonymity as lines for a terminal, and as a report with plots."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from ppc.report.document import Cell, Figure, Gallery, Report, Section, Table, Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ppc.desensitize.anonymity import Summary
    from ppc.report.document import Plot

Floats: TypeAlias = "NDArray[np.float64]"
_EDGES: Final = (1, 2, 3, 5, 10, 20, 50, 100, 1000, 10**12)


def lines(s: Summary) -> list[list[str]]:
    """(measure, value, what it means) for each figure."""
    return [[name, _text(value), meaning] for name, value, meaning in _figures(s)]


def _figures(s: Summary) -> list[tuple[str, Cell, str]]:
    r = s.risk
    out: list[tuple[str, Cell, str]] = [
        ("quasi-identifiers", ", ".join(s.quasi_identifiers), "columns by which a person could be recognised"),
        ("classes", r.classes, "different combinations of their values"),
        ("k", r.k, "rows of the smallest class (k-anonymity)"),
        ("unique", r.unique, "share of rows alone in their class"),
        ("highest risk", r.highest, "of linking one row, for who knows the person is in the data (prosecutor)"),
        ("average risk", r.average, "share of rows linked rightly by who tries all (marketer)"),
        ("at risk", r.at_risk, f"share of rows whose risk is above {r.threshold:g}"),
    ]
    if s.k_map is not None and s.presence is not None:
        out += [
            ("k-map", s.k_map, "least number of people of the population that a row could be"),
            ("highest risk, journalist", r.journalist_highest, "for who knows only the population"),
            ("average risk, journalist", r.journalist_average, ""),
            ("δ-presence, least", s.presence[0], "least probability that a person of the population is in the data"),
            ("δ-presence, greatest", s.presence[1], "greatest probability of that"),
        ]
    for m in s.sensitive:
        out += [
            (f"{m.column}: α", m.alpha, "greatest share of one value in a class ((α,k)-anonymity)"),
            (f"{m.column}: l, distinct", m.distinct_l, "least number of values in a class"),
            (f"{m.column}: l, entropy", m.entropy_l, "e to the least entropy of a class"),
            (f"{m.column}: c, recursive", m.recursive_c, "of recursive (c, 2)-diversity"),
            (f"{m.column}: t, {m.distance}", m.t, "greatest distance of a class from the whole table"),
            (f"{m.column}: β, basic", m.basic_beta, "greatest relative gain on a value"),
            (f"{m.column}: β, enhanced", m.enhanced_beta, ""),
            (f"{m.column}: δ-disclosure", m.delta_disclosure, "greatest |ln| of a value's gain or loss"),
        ]
    out += [
        ("discernibility", s.discernibility, "0 every row by itself, 1 all alike"),
        ("average class", s.average_class, "mean class size over k"),
        ("left out", s.suppressed, "share of the original's rows"),
    ]
    if s.scores is not None:
        out += [
            ("model before", s.scores[0], "accuracy of a tree on the original"),
            ("model after", s.scores[1], "accuracy of the same on this table"),
        ]
    return out


def _text(value: Cell) -> str:
    if isinstance(value, float):
        return "∞" if math.isinf(value) else f"{value:.4g}"
    return "" if value is None else str(value)


def report(s: Summary) -> Report:
    """The report: key figures, class sizes, risk, what each column adds, all measures."""
    r = s.risk
    sections = [
        Section(
            "Risk",
            [Gallery([_sizes(s), _curve(s)])],
            intro="How many rows share their quasi-identifiers with how many others, and how many rows an attacker "
            "links with what probability.",
        )
    ]
    if s.without:
        rows: list[list[Cell]] = [[w.column, w.k, w.unique, w.average] for w in s.without]
        sections.append(
            Section(
                "What each column adds",
                [_drivers(s), Table(("without", "k", "unique", "average risk"), rows)],
                intro="The figures if that column were taken out: the lower, the more of the risk is its own.",
            )
        )
    sections.append(
        Section("All measures", [Table(("measure", "value", "meaning"), [[n, v, m] for n, v, m in _figures(s)])])
    )
    sections.append(
        Section(
            "How to read this",
            [
                Text(
                    "The figures hold for an attacker who knows these quasi-identifiers and no other column. A column "
                    "that was not named is taken to be unknown to him.",
                    kind="note",
                )
            ],
        )
    )
    return Report(
        f"Anonymity of {s.dataset}",
        f"{r.rows:,} rows, {len(s.quasi_identifiers)} quasi-identifiers",
        (
            Figure("k", str(r.k), "smallest class"),
            Figure("unique", f"{r.unique:.2%}", "of rows"),
            Figure("at risk", f"{r.at_risk:.2%}", f"above {r.threshold:g}"),
            Figure("average risk", f"{r.average:.2%}", "marketer"),
        ),
        sections,
    )


def _sizes(s: Summary) -> Plot:
    from ppc.report import plots

    sizes = np.array([a for a, _ in s.risk.class_sizes])
    rows = np.array([a * b for a, b in s.risk.class_sizes], dtype=float)
    names, values = [], []
    for low, high in pairwise(_EDGES):
        inside = (sizes >= low) & (sizes < high)
        if inside.any():
            last = f"{high - 1:,}"
            names.append(
                f"{low:,}" if high == low + 1 else f"{low:,} or more" if high == _EDGES[-1] else f"{low:,}-{last}"
            )
            values.append(float(rows[inside].sum() / s.risk.rows))
    return plots.bars(names, values, title="Rows by size of their class", xlabel="share of rows")


def _curve(s: Summary) -> Plot:
    from ppc.report import plots

    x, y = steps(s.risk.class_sizes)
    return plots.lines(
        {"rows": (x, y)},
        title="Rows at or above a risk",
        xlabel="probability of linking the row",
        ylabel="share of rows",
    )


def steps(class_sizes: Sequence[tuple[int, int]]) -> tuple[Floats, Floats]:
    """For (size, classes) pairs: corners of the curve of the share of rows whose risk, 1/size, is x or more."""
    size = np.array([a for a, _ in class_sizes], dtype=np.float64)
    rows = size * np.array([b for _, b in class_sizes], dtype=np.float64)
    order = np.argsort(-size)  # risk rises
    risk, rows = 1 / size[order], rows[order]
    above = np.cumsum(rows[::-1])[::-1] / rows.sum()
    x = np.concatenate([[0.0], np.repeat(risk, 2)])
    y = np.concatenate([[1.0], np.repeat(above, 2)[1:], [0.0]])
    return x, y


def _drivers(s: Summary) -> Plot:
    from ppc.report import plots

    fall = [max(s.risk.average - w.average, 0.0) for w in s.without]
    order = np.argsort(fall)[::-1]
    return plots.bars(
        [s.without[i].column for i in order],
        [fall[i] for i in order],
        title="What average risk loses without a column",
        xlabel="fall of the average risk",
    )
