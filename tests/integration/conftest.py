"""Clusters of real processes, and an operator of the tests' own whose every party can be told to fail."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

OPERATORS = '''
"""An operator that adds up row counts, slowly if wanted, and fails at a party if wanted."""
import os, signal, time
from ppc.errors import ColumnError
from ppc.joint.operator import EVERYONE, Cost, Disclosure, Operator, Params
from ppc.joint.registry import register


class ProbeParams(Params):
    column: str = "x"
    seconds: float = 0.0
    fail_at: str = ""
    how: str = "column"
    deaf: bool = False


@register
class Probe(Operator):
    name = "probe"
    summary = "adds up the numbers of rows"
    Params = ProbeParams
    needs_helper = False

    def disclosures(self, params, view):
        what, columns = "the number of rows", (params.column,)
        return [Disclosure(to=EVERYONE, what=what, about=p, columns=columns) for p in view.parties]

    def cost(self, params, view):
        return Cost(1, 8)

    def run(self, ctx):
        counts = ctx.gather("rows", ctx.dataset.num_rows)
        end = time.monotonic() + ctx.params.seconds
        while time.monotonic() < end:
            left = end - time.monotonic()
            if not ctx.params.deaf:
                ctx.report(max(0.0, 1 - left / ctx.params.seconds), "waiting")
            time.sleep(0.05)
        if ctx.params.fail_at == ctx.me:
            if ctx.params.how == "column":
                raise ColumnError("column 'x' is constant", where="/home/someone/private/data.csv")
            if ctx.params.how == "crash":
                raise ValueError("the value 4711-secret is not good")
            os.kill(os.getpid(), signal.SIGKILL)
        ctx.gather("again", 1)
        return {"rows": sum(counts.values())}
'''


@pytest.fixture(scope="session")
def operators(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the module `probe_operators`."""
    folder = tmp_path_factory.mktemp("operators")
    (folder / "probe_operators.py").write_text(OPERATORS)
    return folder


@pytest.fixture
def job() -> Callable[..., str]:
    """The text of a job for bank-a and bank-b with one step of `probe`."""

    def make(helper: str = "none", **params: Any) -> str:
        def toml(value: Any) -> str:
            return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')

        lines = "\n".join(f"{k} = {toml(v)}" for k, v in params.items())
        return textwrap.dedent("""\
            name = "probe"
            parties = ["bank-a", "bank-b"]
            helper = "{helper}"
            [datasets]
            bank-a = "left"
            bank-b = "right"
            [[step]]
            operator = "probe"
            {lines}
            """).format(helper=helper, lines=lines)

    return make


@pytest.fixture
def load_probe(operators: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the operator known in this process too: whoever submits plans the job."""
    monkeypatch.syspath_prepend(str(operators))
    import importlib

    importlib.import_module("probe_operators")


@pytest.fixture
def cluster(operators: Path, load_probe: None, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Starts a cluster of bank-a, bank-b and the helper; everything ends with the test."""
    from ppc.coordinator.local import LocalCluster

    (tmp_path / "a.csv").write_text("id,x\n" + "".join(f"{i},{i % 7}\n" for i in range(40)))
    (tmp_path / "b.csv").write_text("id,x\n" + "".join(f"{i},{i % 5}\n" for i in range(60)))
    started: list[LocalCluster] = []

    def start(**options: Any) -> LocalCluster:
        parties = {"bank-a": {"left": tmp_path / "a.csv"}, "bank-b": {"right": tmp_path / "b.csv"}}
        options.setdefault("folder", tmp_path / "cluster")
        path = os.pathsep.join(p for p in (str(operators), os.environ.get("PYTHONPATH", "")) if p)
        one = LocalCluster(parties, operators=["probe_operators"], environment={"PYTHONPATH": path}, **options)
        started.append(one)
        one.start()
        return one

    yield start
    for one in started:
        one.stop()
