"""Tables, groups, selection and random numbers on shares, between real processes as benchmarks/mpc.py runs them.

    python benchmarks/ops.py                 a table
    python benchmarks/ops.py --json          one JSON object a figure
    python benchmarks/ops.py --only median   lines whose name contains a word
    python benchmarks/ops.py --engine replicated  three parties, no dealer

No peer installs with pip and has these operations on shares of numbers with equal leakage, so the lines stand alone;
`wrong` counts elements that are off by more than stated (of random numbers: moments beyond six standard errors) and
must be zero. Lines that open a random order (groups, joins, selection) are timed with the dealer at work.
"""

from __future__ import annotations

from typing import Any

import mpc
import numpy as np
from mpc import STEP, Work, data, given, off

from ppc.mpc import Session, ops

M = 1_000_000
N = 100_000


def whole(s: Session, x: Any, owner: int = 0) -> Any:
    """Integers that are no input any more."""
    return ops.share(s, x if s.rank == owner else None, owner, x.shape, frac_bits=0) + 0


def moments(s: Session, result: Any, mean: float, variance: float) -> int:
    """Whether mean and variance of random numbers lie within six standard errors."""
    got = ops.open_bits(s, result).astype(float) if hasattr(result, "_shape") else ops.open(s, result)
    n = got.size
    far = abs(got.mean() - mean) > 6 * np.sqrt(variance / n)
    kurtosis = ((got - mean) ** 4).mean() - variance**2
    return int(far) + int(abs(((got - mean) ** 2).mean() - variance) > 6 * np.sqrt(kurtosis / n) + 1e-4)


def works() -> list[Work]:
    r = np.random.default_rng(7)
    x, small = data(4, M, 3.0), data(5, N, 3.0)
    keys, few = r.integers(0, 5000, N), r.integers(0, 10, M)
    left, right = r.integers(0, 200_000, N), r.integers(0, 200_000, N)
    index, table = r.integers(0, 10_000, N), data(6, 10_000, 30.0)
    groups, counts = np.unique(keys, return_counts=True)
    edges = np.linspace(-10, 10, 21)
    pairs = int((np.bincount(left, minlength=200_000) * np.bincount(right, minlength=200_000)).sum())

    def group_wrong(s: Session, v: Any, g: Any) -> int:
        m = len(groups)
        return (
            off(s, g.counts[:m], counts, 0)
            + off(s, g.keys[:m], groups, 0)
            + off(s, g.sums[0][:m], np.bincount(keys, weights=small)[groups], STEP)
        )

    laplace = 2 * np.exp(-0.1) / (1 - np.exp(-0.1)) ** 2
    return [
        Work(f"group_by {N:,} rows", lambda s: (whole(s, keys), given(s, small, 1)), lambda s, v: ops.group_by(s, *v),
             group_wrong, repeats=2, ahead=False),
        Work(f"group_by {M:,} rows, 10 known categories", lambda s: (whole(s, few), given(s, x, 1)),
             lambda s, v: ops.group_by(s, *v, categories=10),
             lambda s, v, g: off(s, g.counts, np.bincount(few), 0)
             + off(s, g.sums[0], np.bincount(few, weights=x), STEP), repeats=2),
        Work(f"inner join of {N:,} and {N:,}", lambda s: (whole(s, left), whole(s, right, 1)),
             lambda s, v: ops.inner_join_count(s, *v), lambda s, v, c: off(s, c, pairs, 0), repeats=2, ahead=False),
        Work(f"lookup {N:,} in a public table of 100", lambda s: whole(s, index % 100),
             lambda s, v: ops.lookup(s, table[:100], v), lambda s, v, z: off(s, z, table[index % 100], 0), repeats=2),
        Work(f"gather {N:,} from a secret table of 10,000", lambda s: (given(s, table, 1), whole(s, index)),
             lambda s, v: ops.gather(s, *v), lambda s, v, z: off(s, z, table[index], 0), repeats=2, ahead=False),
        Work(f"histogram of {M:,}, 20 bins", lambda s: given(s, x, 0), lambda s, v: ops.histogram(s, v, edges),
             lambda s, v, h: off(s, h, np.histogram(x, edges)[0], 0), repeats=2),
        Work(f"median of {M:,}", lambda s: given(s, x, 0), lambda s, v: ops.median(s, v),
             lambda s, v, q: off(s, q, np.median(x), STEP), repeats=2, ahead=False),
        Work(f"nine deciles of {M:,}", lambda s: given(s, x, 0),
             lambda s, v: ops.quantile(s, v, (np.arange(1, 10) / 10).tolist()),
             lambda s, v, q: off(s, q, np.quantile(x, np.arange(1, 10) / 10), 2 * STEP), repeats=2, ahead=False),
        Work(f"the 100 largest of {M:,}", lambda s: given(s, x, 0), lambda s, v: ops.top_k(s, v, 100)[0],
             lambda s, v, z: off(s, z, np.sort(x)[::-1][:100], 0), repeats=2, ahead=False),
        Work(f"floor of {M:,}", lambda s: given(s, x, 0), lambda s, v: ops.floor(s, v),
             lambda s, v, z: off(s, z, np.floor(x), 0), repeats=2),
        Work(f"{M:,} uniform numbers", lambda s: None, lambda s, v: ops.random_uniform(s, M),
             lambda s, v, z: moments(s, z, 0.5, 1 / 12), repeats=2),
        Work(f"{M:,} coins of 0.3", lambda s: None, lambda s, v: ops.bernoulli(s, 0.3, M),
             lambda s, v, z: moments(s, z, 0.3, 0.21), repeats=2),
        Work(f"{N:,} discrete Gaussian numbers, sigma 4", lambda s: None, lambda s, v: ops.discrete_gaussian(s, 4.0, N),
             lambda s, v, z: moments(s, z, 0.0, 16.0), repeats=2),
        Work(f"{N:,} discrete Laplace numbers, scale 10", lambda s: None,
             lambda s, v: ops.discrete_laplace(s, 10.0, N), lambda s, v, z: moments(s, z, 0.0, laplace), repeats=2),
    ]  # fmt: skip


if __name__ == "__main__":
    mpc.works = works
    mpc.__file__ = __file__  # its parties are processes that run this file
    mpc.main()
