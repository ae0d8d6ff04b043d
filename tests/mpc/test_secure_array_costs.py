"""The table of docs/secure_array.md, held against the channel's meter. Every row is measured, none is missing."""

import re
from pathlib import Path

import numpy as np
import pytest

from ppc.mpc import array, run, where
from ppc.mpc import secure_functions as f
from ppc.mpc import secure_tables as t

PAGE = Path(__file__).parents[2] / "docs" / "secure_array.md"
C = 0.3  # a public number

# The first cell of a row, and one expression for each thing that it names. x and y are computed numbers (n,), i whole
# numbers 0 … 7, a and b booleans, m a matrix (n, 8), w a vector (8,), s the session.
ROWS = {
    "`x + y`, `x - 1`, `-x`, `3 * x`": (
        lambda v: v.x + v.y, lambda v: v.x - 1, lambda v: -v.x, lambda v: 3 * v.x,
    ),
    "slices, `reshape`, `T`, `flip`, `repeat`, `take`, `concatenate`, `x[i] = y`": (
        lambda v: v.x[::2], lambda v: v.m.reshape(8, -1), lambda v: v.m.T, lambda v: np.flip(v.x),
        lambda v: np.repeat(v.x, 2), lambda v: np.take(v.x, [0, 1]), lambda v: np.concatenate([v.x, v.y]),
        lambda v: v.x.__setitem__(slice(0, 5), v.y[:5]),
    ),
    "`sum`, `cumsum`, `diff`, `trace`": (
        lambda v: v.m.sum(axis=0), lambda v: v.x.cumsum(), lambda v: np.diff(v.x), lambda v: np.trace(v.m),
    ),
    "`x @ C` for whole numbers C": (lambda v: v.m @ np.arange(8),),
    "`x * c`, `x / c`": (lambda v: v.x * C, lambda v: v.x / C),
    "`m @ C` (n, 8) to (n,)": (lambda v: v.m @ np.full(8, C),),
    "`mean`, `average`": (lambda v: v.x.mean(), lambda v: np.average(v.x)),
    "`x * y`": (lambda v: v.x * v.y,),
    "`x ** 2`": (lambda v: v.x**2,),
    "`m @ w` (n, 8) to (n,)": (lambda v: v.m @ v.w,),
    "`outer(x, w)` (n,) to (n, 8)": (lambda v: np.outer(v.x, v.w),),
    "`x < y`, `<=`, `>`, `>=`": (
        lambda v: v.x < v.y, lambda v: v.x <= 1, lambda v: v.x > v.y, lambda v: v.x >= 1,
    ),
    "`x == y`, `!=`": (lambda v: v.x == v.y, lambda v: v.x != 1),
    "`a & b`, `a \\| b`": (lambda v: v.a & v.b, lambda v: v.a | v.b),
    "`a ^ b`, `~a`, `a & C`": (lambda v: v.a ^ v.b, lambda v: ~v.a, lambda v: v.a & np.True_),
    "`where(a, x, y)`, `a * x`": (
        lambda v: where(v.a, v.x, v.y), lambda v: np.where(v.a, v.x, 1.0), lambda v: v.a * v.x,
    ),
    "`where(C, x, y)`": (lambda v: np.where(np.True_, v.x, v.y),),
    "`where(a, b, c)` of booleans": (lambda v: where(v.a, v.b, v.b[::-1]),),
    "boolean `sum`": (lambda v: v.a.sum(), lambda v: np.count_nonzero(v.a)),
    "`any`, `all`": (lambda v: v.a.any(), lambda v: np.all(v.a)),
    "`abs`, `maximum`, `minimum`": (
        lambda v: abs(v.x), lambda v: np.maximum(v.x, v.y), lambda v: np.minimum(v.x, 1.0),
    ),
    "`clip`": (lambda v: np.clip(v.x, 0.5, 1.0),),
    "`sign`": (lambda v: np.sign(v.x),),
    "`floor`, `ceil`, `round_half_up`": (
        lambda v: np.floor(v.x), lambda v: np.ceil(v.x), lambda v: f.round_half_up(v.x),
    ),
    "`astype(int)`": (lambda v: v.x.astype(int),),
    "`max`, `min`": (lambda v: v.x.max(), lambda v: np.min(v.x)),
    "`argmax`, `argmin`": (lambda v: v.x.argmax(), lambda v: np.argmin(v.x)),
    "`var`": (lambda v: v.x.var(),),
    "`cov(m)` (n, 8)": (lambda v: np.cov(v.m, rowvar=False),),
    "`x / y`": (lambda v: v.x / v.y,),
    "`1 / y`": (lambda v: 1 / v.y,),
    "`y ** -1`": (lambda v: v.y**-1,),
    "`sqrt`, `x ** 0.5`": (lambda v: np.sqrt(v.x), lambda v: v.x**0.5),
    "`x ** -0.5`": (lambda v: v.x**-0.5,),
    "`exp` (x ≤ 17)": (lambda v: np.exp(v.x),),
    "`log`": (lambda v: np.log(v.x),),
    "`sigmoid`, `tanh`": (lambda v: f.sigmoid(v.x), lambda v: np.tanh(v.x)),
    "`softmax` of (n, 8)": (lambda v: f.softmax(v.m),),
    "`sort`": (lambda v: np.sort(v.x),),
    "`argsort`": (lambda v: np.argsort(v.x),),
    "`median`, `quantile`, `percentile`": (
        lambda v: np.median(v.x), lambda v: np.quantile(v.x, 0.3), lambda v: np.percentile(v.x, [30]),
    ),
    "`top_k`": (lambda v: f.top_k(v.x, 3),),
    "`shuffle`": (lambda v: f.shuffle(v.x),),
    "`histogram` of 4 bins": (lambda v: np.histogram(v.x, [0, 1, 2, 3, 4]),),
    "`one_hot` of 8": (lambda v: t.one_hot(v.i, 8),),
    "`lookup` in a public table of 8": (lambda v: t.lookup(np.full(8, C), v.i),),
    "`lookup`, `take` in a secret table of 8": (lambda v: t.lookup(v.w, v.i), lambda v: np.take(v.w, v.i)),
    "`group_by` with 8 known categories": (lambda v: t.group_by(v.i, v.x, categories=8),),
    "`group_by` of one column": (lambda v: t.group_by(v.i, v.x),),
    "`inner_join_count`, `inner_join_sum`": (
        lambda v: t.inner_join_count(v.i, v.i[:8]), lambda v: t.inner_join_sum(v.i, v.x, v.i[:8]),
    ),
    "`random_uniform`": (lambda v: t.random_uniform(v.s, v.n),),
    "`bernoulli`": (lambda v: t.bernoulli(v.s, 0.3, v.n),),
    "`discrete_laplace`, scale 10": (lambda v: t.discrete_laplace(v.s, 10.0, v.n),),
    "`discrete_gaussian`, σ = 3": (lambda v: t.discrete_gaussian(v.s, 3.0, v.n),),
    "`reveal`": (lambda v: v.x.reveal(), lambda v: v.i.reveal()),
    "`reveal` of booleans": (lambda v: v.a.reveal(),),
}  # fmt: skip


class Values:
    """The operands of a row, none of them an input any more."""

    def __init__(self, s, n):
        give = lambda x, owner: array(s, x if s.rank == owner else None, owner, np.shape(x)) + 0.0  # noqa: E731
        self.s, self.n = s, n
        self.x = give(np.linspace(0.5, 3, n), 0)
        self.y = give(np.linspace(3, 0.5, n), 1)
        self.m = give(np.linspace(0.5, 1, 8 * n).reshape(n, 8), 0)
        self.w = give(np.linspace(0.5, 3, 8), 1)
        self.i = f.integers(s, np.arange(n) % 8 if s.rank == 0 else None, 0, n) + 0
        self.a = f.booleans(s, np.arange(n) % 2 > 0 if s.rank == 0 else None, 0, n)
        self.b = f.booleans(s, np.arange(n) % 3 > 0 if s.rank == 1 else None, 1, n)


def measured(expression, n):
    def program(s):
        v = Values(s, n)
        before = s.meter
        expression(v)
        return s.meter - before

    return max(run(program), key=lambda m: m.sent)


def rows():
    """The cells of the page's table by their first one."""
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("|")]
    cells = [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert cells[0] == ["NumPy", "with", "rounds", "bytes an element", "error"]
    return {c[0]: c for c in cells[2:]}


def figure(cell, n):
    """A number, or `4 log₂ n` and the like; and whether it is about that."""
    about = cell.startswith("about ")
    text = cell.removeprefix("about ").replace(" log₂ n", f" * {np.log2(n)}")
    assert re.fullmatch(r"[0-9. +*]+", text), cell
    return eval(text), about  # digits, dots, + and * alone


def test_every_row_of_the_page_is_measured():
    assert list(rows()) == list(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_the_price_on_the_page(name):
    _, _, rounds_cell, bytes_cell, error = rows()[name]
    assert error
    for expression in ROWS[name]:
        small, large = measured(expression, 1024), measured(expression, 2048)
        rounds, about = figure(rounds_cell, 2048)
        slope, about_bytes = figure(bytes_cell, 2048)
        got = (large.sent - small.sent) / 1024
        if about:
            assert 0.4 * rounds <= large.rounds <= 2 * rounds
        else:
            assert large.rounds == pytest.approx(rounds)
        if about_bytes:
            assert 0.4 * slope <= got <= 2 * slope
        else:
            assert got == pytest.approx(slope)
