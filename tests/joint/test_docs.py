"""What the pages and the example show is what happens."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ppc.dataset.dataset import Dataset
from ppc.joint import Job, simulate

ROOT = Path(__file__).parents[2]
HEAD = 'name = "doc"\nparties = ["bank-a", "bank-b"]\nhelper = "helper"\n'


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.S | re.M)


@pytest.mark.parametrize("page", ["jobs.md", "credit.md"])
def test_every_job_and_step_on_the_pages_is_valid(page: str) -> None:
    found = blocks(page, "toml")
    assert found
    for text in found:
        job = Job.from_toml(text if text.startswith("name") else HEAD + text)
        assert job.steps


def test_the_operator_on_the_page_runs_with_three_parties() -> None:
    code = next(b for b in blocks("jobs.md", "python") if "class JointMean" in b)
    exec(compile(code, "docs/jobs.md", "exec"), {"__name__": "docs_jobs"})
    parties = {"a": [1.0, 2.0], "b": [6.0], "c": [3.0]}
    job = Job.from_dict(
        {"name": "m", "parties": list(parties), "helper": "h", "step": [{"operator": "joint_mean", "column": "x"}]}
    )
    data = {p: Dataset.from_arrow(pa.table({"x": v})) for p, v in parties.items()}
    for result in simulate(job, data).values():
        assert result.summary("joint_mean")["mean"] == pytest.approx(3.0, abs=1e-4)


def test_the_example_runs(capsys: Any) -> None:
    runpy.run_path(str(ROOT / "examples" / "02_joint_credit.py"), run_name="__main__")
    out = capsys.readouterr().out
    assert "bank-b learns the coefficients of its own features" in out.replace("\n     ", " ")
    assert re.search(r"matched 2[34]\d\d customers", out)
    assert out.count("±") == 3
