"""A report is one file, escapes what it is given, and asks nothing of the network."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from ppc.report import html, plots
from ppc.report.document import Figure, Gallery, Report, Section, Table, Text


def _report() -> Report:
    x = np.linspace(0, 1, 11)
    return Report(
        title="Joint <scorecard>",
        subtitle="bank-a & bank-b",
        figures=[Figure("AUC", "0.80", "pooled 0.80")],
        sections=[
            Section(
                "How good it is",
                [
                    Text("<script>alert(1)</script>"),
                    Table(["bin", "points", "share"], [["<b>", 12, 0.25], [None, -3, float("nan")]], caption="half"),
                    Gallery([plots.roc({"joint": (x, x**0.5), "alone": (x, x)}), plots.ks(x, x**0.5, x)]),
                    plots.calibration(x, x**2, np.arange(11)),
                ],
            )
        ],
        footer="made today",
    )


class _Strict(HTMLParser):
    """Collects tags, and fails on a tag closed out of order."""

    VOID = frozenset({"meta", "link", "br", "path", "use", "circle", "line", "rect", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.ids += [v for k, v in attrs if k == "id" and v]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.ids += [v for k, v in attrs if k == "id" and v]

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_is_well_formed_and_self_contained() -> None:
    page = html.render(_report())
    parser = _Strict()
    parser.feed(page)
    assert parser.open == []
    assert not parser.seen & {"script", "link", "img", "iframe"}
    assert len(parser.ids) == len(set(parser.ids)), "two drawings share an id"
    assert not re.search(r"(src|href)=\"(?!#)", page)


def test_what_a_report_is_given_is_escaped() -> None:
    page = html.render(_report())
    assert "<script>" not in page
    assert "Joint &lt;scorecard&gt;" in page
    assert "&lt;b&gt;" in page


def test_numbers_are_shown_as_people_read_them() -> None:
    page = html.render(_report())
    assert "n/a" in page
    assert ">−3<" in page or ">-3<" in page
    assert ">0.25<" in page


def test_the_same_report_gives_the_same_bytes(tmp_path: Path) -> None:
    a, b = html.write(_report(), tmp_path / "a.html"), html.write(_report(), tmp_path / "b.html")
    assert a.read_bytes() == b.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.html", "b.html"]


@pytest.mark.parametrize(
    "plot",
    [
        plots.score_distribution([0, 1, 2], [1, 2], [2, 1]),
        plots.lift([0.1, 0.5, 1.0], [3.0, 2.0, 1.0]),
        plots.woe("age", ["a very long label of a bin", "[2, 3)"], [0.3, -0.2], [0.4, 0.6]),
        plots.bars(["x", "y"], [1, 2], title="IV", xlabel="IV", groups=["bank-a", "bank-b"]),
        plots.lines({"loss": ([1, 2], [3, 2])}, title="Loss", xlabel="epoch", ylabel="loss"),
    ],
    ids=["scores", "lift", "woe", "bars", "lines"],
)
def test_every_plot_is_one_svg_with_words(plot: plots.Plot) -> None:
    assert plot.svg.startswith('<svg role="img" aria-label="')
    assert plot.svg.rstrip().endswith("</svg>")
    assert plot.svg.count("<svg") == 1
