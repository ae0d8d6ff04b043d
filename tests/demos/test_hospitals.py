"""`ppc demo hospitals`: five processes, one of them killed, every figure beside the pooled one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppc.dataset import read
from ppc.demos import clear, clinics
from ppc.errors import FileError
from ppc.joint import Job, simulate


def test_the_bundled_trial_is_dealt_out_whole_and_in_four_forms(tmp_path: Path) -> None:
    study = clinics.bundled(tmp_path)
    data = {site: read(path) for site, path in study.files.items()}
    assert sum(d.num_rows for d in data.values()) == 686
    assert "tumour_cm" in data["south"].columns
    assert "Alter" in data["east"].columns
    assert len({tuple(d.columns) for d in data.values()}) == 3


def test_every_figure_is_the_pooled_one(tmp_path: Path) -> None:
    study = clinics.bundled(tmp_path)
    found = simulate(Job.from_toml(study.job), {site: read(path) for site, path in study.files.items()})
    steps: dict[str, Any] = {s.operator: s.summary for s in found["east"].steps}
    pairs = clear.compare(study, steps)
    assert {p.step for p in pairs} == {
        "table one", "logistic model", "survival", "log-rank test", "proportional hazards"
    }  # fmt: skip
    assert clear.worst(pairs) < 1e-7
    shifted = {**steps, "log_rank": {**steps["log_rank"], "chi2": steps["log_rank"]["chi2"] * 1.001}}
    assert clear.worst(clear.compare(study, shifted)) > 1e-4


def test_a_directory_without_hospitals_is_refused(tmp_path: Path) -> None:
    (tmp_path / "processed.one.data").write_text("1,2\n")
    with pytest.raises(FileError, match="three or more files"):
        clinics.heart(tmp_path, tmp_path)
    for name in ("two", "three"):
        (tmp_path / f"processed.{name}.data").write_text("1,2\n")
    with pytest.raises(FileError, match="every line has 14 values"):
        clinics.heart(tmp_path, tmp_path)


@pytest.mark.integration
@pytest.mark.xdist_group("processes")
def test_the_demonstration_survives_a_killed_hospital(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ppc.cli", "demo", "hospitals", "--json", "--out", str(tmp_path)],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["processes"] == 5
    assert found["killed"] == "west"
    assert "vanished" in found["lost"]["west"]
    assert found["sites"] == ["north", "south", "east"]
    assert found["max_difference"] < 1e-6
    assert len(found["figures"]) > 35
    assert not found["refused"]
    page = Path(found["report"]).read_text()
    for text in ("Table one", "Kaplan–Meier", "hazard ratio", "Jointly and pooled", "Lost on the way"):
        assert text in page
    assert np.isfinite(found["max_difference"])
    # What the coordinator keeps of it all: who was lost, and no figure.
    kept = b"".join(p.read_bytes() for p in tmp_path.rglob("cluster/coordinator/*") if p.is_file())
    assert b"vanished" in kept
    for figure in found["figures"]:
        assert f"{figure['joint']:.9g}".encode() not in kept or float(f"{figure['joint']:.4g}") == figure["joint"]
