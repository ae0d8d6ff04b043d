"""Every statistic's part of the report: with an answer, with suppressed cells, and with the reason for none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ppc.joint import Job, plan, report, simulate
from ppc.joint.registry import operators
from ppc.joint.statistics.report import PARTS
from ppc.joint.statistics.study import Statistic
from ppc.report import html
from ppc.report.survival import Curve, Effect, forest, survival

LEVELS = {"arm": ["a", "b"], "g": [0, 1, 2]}
SURVIVAL = {"time": "t", "event": "e", "horizon": 60.0, "interval": 5.0}
STEPS: list[dict[str, Any]] = [
    {"operator": "align_schema", "columns": [
        {"name": "x", "unit": "kg"}, {"name": "y"}, {"name": "t"}, {"name": "e"},
        {"name": "arm", "type": "category", "levels": ["a", "b"]},
        {"name": "g", "type": "category", "levels": [0, 1, 2]},
    ]},
    {"operator": "describe", "columns": ["x", "y"], "by": "arm"},
    {"operator": "histogram", "column": "x", "edges": [-1, 0, 1]},
    {"operator": "quantiles", "columns": ["x"], "low": -4, "high": 4, "resolution": 0.1},
    {"operator": "crosstab", "rows": "arm", "columns": "e", "levels": {"e": [0, 1]}},
    {"operator": "ttest", "column": "x", "by": "arm"},
    {"operator": "anova", "column": "x", "by": "g"},
    {"operator": "mann_whitney", "column": "x", "by": "arm", "low": -4, "high": 4, "resolution": 0.1},
    {"operator": "correlation", "columns": ["x", "y"]},
    {"operator": "linear_model", "outcome": "y", "terms": ["x", "arm"]},
    {"operator": "glm", "outcome": "e", "terms": ["x", "arm"]},
    {"operator": "kaplan_meier", **SURVIVAL, "by": "arm"},
    {"operator": "log_rank", **SURVIVAL, "by": "arm"},
    {"operator": "cox", **SURVIVAL, "terms": ["x", "arm"]},
    {"operator": "table_one", "columns": ["x", "g"], "by": "arm"},
    {"operator": "meta_analysis", "outcome": "x", "by": "arm"},
    {"operator": "private_release", "counts": ["arm"], "means": {"x": [-3.0, 3.0]}, "rho": 0.5},
]  # fmt: skip


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(12)
    n = 600
    x = rng.normal(size=n).round(2)
    arm = rng.choice(["a", "b"], n)
    t = (rng.exponential(30 * np.exp(0.4 * (arm == "b") - 0.2 * x)) + 1).round()
    return pd.DataFrame({"x": x, "y": x + rng.normal(size=n), "t": np.minimum(t, 60), "e": (t < 60).astype(int),
                         "arm": arm, "g": rng.choice([0, 1, 2], n)})  # fmt: skip


def pages(sites: Any, steps: list[dict[str, Any]]) -> str:
    job = Job.from_dict({"name": "j", "parties": list(sites), "step": steps})
    return html.render(report.build(report.record(next(iter(simulate(job, sites).values())))))


def test_every_statistic_has_a_part() -> None:
    assert (
        {n for n, o in operators().items() if isinstance(o, Statistic)} == set(PARTS) == {s["operator"] for s in STEPS}
    )


def test_a_report_of_everything(frame: Any, split: Any) -> None:
    page = pages(split(frame), STEPS)
    for text in ("Table one", "Survival", "hazard ratio", "odds ratio", "Fisher", "Meta-analysis", "fixed effects",
                 "Mann–Whitney", "sd of the noise", "All rows of site-0, site-1, site-2 together"):  # fmt: skip
        assert text in page, text
    assert page.count("<svg") >= 5
    assert "nan" not in page.lower().replace("nano", "")


def test_a_report_where_nothing_could_be_told(frame: Any, split: Any) -> None:
    few = split(frame.head(9))
    page = pages(few, STEPS[:1] + [s for s in STEPS[1:] if s["operator"] not in ("private_release",)])
    assert page.count("Refused by the limits of disclosure") >= 10


def test_suppressed_cells_say_so(split: Any) -> None:
    rows = [
        (r, c)
        for r, line in enumerate([[3, 40, 30], [20, 25, 30], [9, 8, 20]])
        for c, n in enumerate(line)
        for _ in range(n)
    ]
    sites = split(pd.DataFrame(rows, columns=["r", "c"]))
    levels = {"r": [0, 1, 2], "c": [0, 1, 2]}
    page = pages(sites, [
        {"operator": "crosstab", "rows": "r", "columns": "c", "levels": levels},
        {"operator": "table_one", "columns": ["c"], "by": "r", "levels": levels},
    ])  # fmt: skip
    assert "&lt;5 or hidden" in page
    assert "cells are suppressed" in page


def test_two_sites_are_told_what_subtraction_gives(frame: Any, split: Any) -> None:
    for n, said in ((2, True), (3, False)):
        sites = split(frame, n=n)
        job = Job.from_dict({"name": "j", "parties": list(sites), "step": [{"operator": "describe", "columns": ["x"]}]})
        text = plan(job, {p: d.schema for p, d in sites.items()}, dict.fromkeys(sites, 0)).text()
        assert ("by subtracting its own" in " ".join(text.split())) == said


def test_drawings_of_no_and_of_extreme_data() -> None:
    empty = survival([Curve("none", [], [])])
    flat = survival([Curve("a", [1.0], [1.0], [1.0], [1.0], [4]), Curve("b", [2.0], [0.0], [None], [None], [3])])
    wide = forest(
        [Effect("a", 1e3, 1e-3, 1e6), Effect("all", 1.0, 0.9, 1.1, summary=True)], title="T", xlabel="x", ratio=True
    )
    assert all(p.svg.startswith("<svg") for p in (empty, flat, wide))
