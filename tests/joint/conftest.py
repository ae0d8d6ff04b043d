"""Toy operators and small jobs for the tests of the framework."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pytest

from ppc.dataset.dataset import Dataset
from ppc.errors import ColumnError
from ppc.joint import EVERYONE, Context, Cost, Disclosure, Job, Operator, Params, PlanView
from ppc.joint.registry import register


class _ToyParams(Params):
    at: str = ""
    column: str = "x"
    amount: int = 1


class _Toy(Operator[_ToyParams]):
    Params = _ToyParams
    needs_helper = False

    def disclosures(self, params: _ToyParams, view: PlanView) -> list[Disclosure]:
        return [Disclosure(EVERYONE, "the sum of the rows", columns=(params.column,), why="a test")]

    def cost(self, params: _ToyParams, view: PlanView) -> Cost:
        return Cost(1, 8 * view.max_rows)


@register
class _Total(_Toy):
    name = "toy_total"
    summary = "add up the row counts"
    runs: ClassVar[list[tuple[str, str]]] = []

    def check(self, params: _ToyParams, view: PlanView) -> None:
        for party in view.parties:
            view.column(party, params.column)

    def run(self, ctx: Context[_ToyParams]) -> dict[str, Any]:
        type(self).runs.append((ctx.me, ctx.step))
        told = ctx.gather("rows", ctx.dataset.num_rows)
        ctx.report(0.5, "half way")
        ctx.artifacts.put_array("x", ctx.dataset.numpy(ctx.params.column) * ctx.params.amount)
        return {"total": sum(told.values())}


@register
class _Fails(_Toy):
    name = "toy_fails"
    summary = "fail at one party"

    def run(self, ctx: Context[_ToyParams]) -> None:
        if ctx.me == ctx.params.at:
            raise ColumnError("column 'x' is no good", where="column 'x'")
        ctx.gather("rows", 0)


@register
class _Breaks(_Toy):
    name = "toy_breaks"
    summary = "a defect at one party"

    def run(self, ctx: Context[_ToyParams]) -> None:
        if ctx.me == ctx.params.at:
            raise ZeroDivisionError("the secret value 4711")
        ctx.gather("rows", 0)


@register
class _Waits(_Toy):
    name = "toy_waits"
    summary = "wait for a message that never comes"
    waiting: ClassVar[threading.Event] = threading.Event()

    def run(self, ctx: Context[_ToyParams]) -> None:
        if ctx.rank == 0:
            type(self).waiting.set()
            ctx.channels[ctx.peers[0]].recv_bytes("never", 8)
        else:
            threading.Event().wait(0.05)
            while not ctx.cancelled:
                threading.Event().wait(0.01)
            ctx.report(0.5, "was cancelled")


@register
class _Shares(_Toy):
    name = "toy_shares"
    summary = "keep a share, and open it in a later step"
    needs_helper = True

    class Params(_ToyParams):
        do: Literal["keep", "open"] = "keep"

    def run(self, ctx: Context[Any]) -> dict[str, Any] | None:
        from ppc.mpc import ops

        s = ctx.session
        if ctx.params.do == "keep":
            x = ops.share(s, np.arange(5.0) if ctx.rank == 0 else None, 0, (5,))
            ctx.artifacts.put_share("x", x)
            return None
        left = ctx.find("x")
        assert left is not None
        return {"x": ops.open(s, left.share(s, "x") + 1.0).tolist()}


@pytest.fixture
def toys() -> Any:
    """The toy operators' records: `runs` of `toy_total`, `waiting` of `toy_waits`."""
    _Total.runs.clear()
    _Waits.waiting.clear()
    return {"runs": _Total.runs, "waiting": _Waits.waiting}


@pytest.fixture
def toy_job() -> Callable[..., Job]:
    """A job of toy steps (dicts, or names of operators) between a and b."""

    def make(*steps: dict[str, Any] | str, helper: str = "none", name: str = "toy", seed: int = 0) -> Job:
        tables = [{"operator": s, "name": f"{s}{i}"} if isinstance(s, str) else s for i, s in enumerate(steps)]
        return Job.from_dict({"name": name, "parties": ["a", "b"], "helper": helper, "seed": seed, "step": tables})

    return make


@pytest.fixture
def toy_data() -> dict[str, Dataset]:
    """Three rows at a, four at b."""
    return {
        p: Dataset.from_arrow(pa.table({"x": [float(i) for i in range(n)]}), name=p) for p, n in (("a", 3), ("b", 4))
    }


BANKS = ["bank-a", "bank-b"]


@pytest.fixture
def bank_job() -> Callable[..., Job]:
    """A job of bank-a and bank-b with a helper; the result goes to bank-a."""

    def make(*steps: dict[str, Any], **more: Any) -> Job:
        return Job.from_dict({"name": "credit", "parties": BANKS, "helper": "helper", "step": list(steps), **more})

    return make


@pytest.fixture
def bank_data() -> Callable[..., dict[str, Dataset]]:
    """600 made-up customers, 540 of them at each bank, in different orders: bank-a has age, debt and the label `bad`,
    bank-b has income, visits and calls. `a` and `b` change a table before it becomes a dataset."""

    def make(
        a: Callable[[dict[str, Any]], Any] | None = None, b: Callable[[dict[str, Any]], Any] | None = None
    ) -> dict[str, Dataset]:
        rng = np.random.default_rng(11)
        n = 600
        age, debt = rng.normal(45, 12, n).round(), rng.gamma(2.0, 1500.0, n).round(2)
        income, visits = rng.normal(3000, 800, n).round(2), rng.poisson(4, n).astype(float)
        calls = rng.normal(size=n).round(4)
        z = -0.02 * (age - 45) + 0.0003 * debt - 0.0008 * (income - 3000) + 0.15 * visits - 2.0
        bad = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(np.int64)
        ids = np.array([f"CUST-{i:05d}" for i in range(n)])
        first, second = rng.permutation(n)[:540], rng.permutation(n)[:540]
        tables: list[dict[str, Any]] = [
            {"id": ids[first], "age": age[first], "debt": debt[first], "bad": bad[first]},
            {"id": ids[second], "income": income[second], "visits": visits[second], "calls": calls[second]},
        ]
        for table, change in zip(tables, (a, b), strict=True):
            if change is not None:
                change(table)
        return {
            bank: Dataset.from_arrow(pa.table({k: pa.array(v) for k, v in table.items()}), name=f"{bank} table")
            for bank, table in zip(BANKS, tables, strict=True)
        }

    return make
