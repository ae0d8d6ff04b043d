"""Debug mode: no false alarm on any operation, and the operation and line of the first one that goes wrong."""

import numpy as np
import pytest

from ppc.core.fixedpoint import FixedPoint
from ppc.errors import CheckFailed, ConfigError
from ppc.mpc import ops, run
from ppc.mpc.additive import _kernels
from tests.conformance.test_engines import CASES, check, compute, draw

ENGINES = {
    "plain": {"engine": "plain"},
    "additive": {"engine": "additive", "parties": 2},
    "replicated": {"engine": "replicated", "parties": 3},
}
on_every_engine = pytest.mark.parametrize("engine", ENGINES)


@pytest.mark.parametrize("name", CASES)
def test_no_operation_raises_a_false_alarm(name):
    case = CASES[name]
    arrays = draw(case, 9, 3, 5)
    for how in (ENGINES["plain"], ENGINES["additive"]):
        check(run(lambda s: compute(s, case, arrays), check=True, **how), case, arrays)


def given(s, x, owner=0):
    return ops.share(s, x if s.rank == owner else None, owner, np.shape(x))


OVERFLOWS = {
    "product": ("mul", lambda s: ops.mul(s, given(s, np.full(3, 1e4)), given(s, np.full(3, 1e4)))),
    "matrix product": (
        "matmul",
        lambda s: ops.matmul(s, given(s, np.full((2, 90), 1e3)), given(s, np.full((90, 2), 1e3))),
    ),
    "public factor": ("truncate", lambda s: ops.mul_public(s, given(s, np.full(3, 1e7)), 10.0)),
    "integer factor": ("scale", lambda s: given(s, np.full(3, 1e13)) * 1000),
    "sum": ("sum", lambda s: given(s, np.full(100, 1e12)).sum()),
    "addition": ("add", lambda s: sum([given(s, np.full(3, 1.7e13))] * 3)),
    "comparison": ("sub", lambda s: ops.less_than(s, given(s, np.full(3, 1.7e13)) * 2, -given(s, np.full(3, 1.7e13)))),
    "variance": ("matmul_t", lambda s: ops.variance(s, given(s, np.arange(1000.0) * 10))),
}


@on_every_engine
@pytest.mark.parametrize("name", OVERFLOWS)
def test_the_first_value_out_of_range_is_reported_with_its_line(engine, name):
    operation, program = OVERFLOWS[name]
    with pytest.raises(CheckFailed, match=f"'{operation}'.* range") as e:
        run(program, check=True, **ENGINES[engine])
    assert "test_checked.py" in (e.value.where or "")
    assert "ring_bits=128" in (e.value.hint or "")


def test_the_line_is_the_callers():
    def program(s):
        x = given(s, np.full(3, 9e3))
        y = ops.mul(s, x, x - x)
        z = ops.mul(s, x, x)  # the one
        return ops.open(s, y + z)

    with pytest.raises(CheckFailed) as e:
        run(program, check=True)
    assert "# the one" in (e.value.where or "")


def test_a_wrong_result_is_reported(monkeypatch):
    def wrong(c, hi, top, drop, mine, out):
        out[...] = 0

    monkeypatch.setattr(_kernels, "truncate", wrong)
    with pytest.raises(CheckFailed, match=r"'mul'.*stated error"):
        run(lambda s: ops.mul(s, given(s, np.ones(3)), given(s, np.ones(3))), check=True)


def test_other_errors_pass_and_nobody_waits_for_ever():
    def program(s):
        x = given(s, np.ones(3))
        if s.rank == 1:
            raise RuntimeError("mine")
        return ops.open(s, x)

    with pytest.raises(RuntimeError, match="mine"):
        run(program, check=True)


def test_only_the_small_ring_is_checked():
    with pytest.raises(ConfigError, match="Z_2\\^64"):
        run(lambda s: None, check=True, fx=FixedPoint(18, 128))
