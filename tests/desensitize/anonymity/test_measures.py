"""The measures against their definitions, written out row by row, on tables that hypothesis makes up."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.dataset import Dataset
from ppc.desensitize import anonymity
from ppc.desensitize.hierarchy import Hierarchy
from ppc.errors import ColumnError, ConfigError

Row = tuple[int, str | None, int]
ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(["x", "y", None]), st.integers(-2, 4)), min_size=1, max_size=40
)
QI = ["a", "b"]
FAST = settings(max_examples=60, deadline=None)


def _dataset(rows: list[Row]) -> Dataset:
    a, b, s = zip(*rows, strict=True)
    return Dataset.from_arrow(
        pa.table({"a": pa.array(a, pa.int64()), "b": pa.array(b, pa.string()), "s": pa.array(s, pa.int64())})
    )


def _groups(rows: list[Row]) -> list[list[int]]:
    groups: dict[tuple[int, str | None], list[int]] = defaultdict(list)
    for a, b, s in rows:
        groups[a, b].append(s)
    return list(groups.values())


def _shares(values: list[int], support: list[int]) -> list[float]:
    counts = Counter(values)
    return [counts[v] / len(values) for v in support]


def _worst(rows: list[Row], distance: Callable[[list[float], list[float]], float]) -> float:
    everything = [s for *_, s in rows]
    support = sorted(set(everything))
    p = _shares(everything, support)
    return max(distance(_shares(g, support), p) for g in _groups(rows))


@given(ROWS)
@FAST
def test_k_l_and_alpha(rows: list[Row]) -> None:
    ds, groups = _dataset(rows), _groups(rows)
    assert anonymity.k_anonymity(ds, QI) == min(map(len, groups))
    assert anonymity.distinct_l_diversity(ds, QI, "s") == min(len(set(g)) for g in groups)
    alpha = max(max(Counter(g).values()) / len(g) for g in groups)
    assert anonymity.alpha_k_anonymity(ds, QI, "s") == (pytest.approx(alpha), min(map(len, groups)))
    entropy = min(-sum(n / len(g) * math.log(n / len(g)) for n in Counter(g).values()) for g in groups)
    assert anonymity.entropy_l_diversity(ds, QI, "s") == pytest.approx(math.exp(entropy))


@given(ROWS, st.integers(2, 4))
@FAST
def test_recursive_diversity(rows: list[Row], l: int) -> None:
    def c(group: list[int]) -> float:
        r = sorted(Counter(group).values(), reverse=True)
        return r[0] / sum(r[l - 1 :]) if len(r) >= l else math.inf

    expected = max(map(c, _groups(rows)))
    assert anonymity.recursive_l_diversity(_dataset(rows), QI, "s", l=l) == pytest.approx(expected)


@given(ROWS)
@FAST
def test_t_closeness_equal_and_ordered(rows: list[Row]) -> None:
    def equal(q: list[float], p: list[float]) -> float:
        return sum(abs(x - y) for x, y in zip(q, p, strict=True)) / 2

    def ordered(q: list[float], p: list[float]) -> float:
        run = total = 0.0
        for x, y in zip(q, p, strict=True):
            run += x - y
            total += abs(run)
        return total / (len(p) - 1) if len(p) > 1 else 0.0

    ds = _dataset(rows)
    assert anonymity.t_closeness(ds, QI, "s", distance="equal") == pytest.approx(_worst(rows, equal), abs=1e-12)
    assert anonymity.t_closeness(ds, QI, "s") == pytest.approx(_worst(rows, ordered), abs=1e-12)


def test_t_closeness_as_in_the_paper() -> None:
    """Li et al. 2007, §3.2 and §3.3: salaries 3k to 11k, D = 0.375 and 0.167; and their disease hierarchy."""
    salaries = [3, 5, 9, 6, 11, 8, 4, 7, 10]
    table = pa.table({"q": ["1"] * 3 + ["2"] * 3 + ["3"] * 3, "s": [3, 4, 5, 6, 8, 11, 7, 9, 10]})
    assert sorted(table["s"].to_pylist()) == sorted(salaries)
    assert anonymity.t_closeness(Dataset.from_arrow(table), ["q"], "s") == pytest.approx(0.375)
    only = pa.table({"q": ["2"] * 3 + ["1"] * 6, "s": [6, 8, 11, 3, 4, 5, 7, 9, 10]})
    assert anonymity.t_closeness(Dataset.from_arrow(only), ["q"], "s") == pytest.approx(1 / 6)


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abcd")), min_size=1, max_size=30))
@FAST
def test_hierarchical_distance_is_the_earth_movers(rows: list[tuple[int, str]]) -> None:
    """With a tree of two levels the optimal transport is known: what a branch lacks crosses the root (cost 1)."""
    tree = {"a": "left", "b": "left", "c": "right", "d": "right"}
    hierarchy = Hierarchy.of([[v, up, "*"] for v, up in tree.items()])
    q_col, s_col = zip(*rows, strict=True)
    ds = Dataset.from_arrow(pa.table({"q": pa.array(q_col), "s": pa.array(s_col)}))
    p = Counter(s_col)
    worst = 0.0
    for group in set(q_col):
        mine = Counter(s for q, s in rows if q == group)
        extra = {v: mine[v] / mine.total() - p[v] / p.total() for v in tree}
        across = abs(extra["a"] + extra["b"])
        within = sum(
            min(max(extra[x], 0) + max(extra[y], 0), max(-extra[x], 0) + max(-extra[y], 0))
            for x, y in (("a", "b"), ("c", "d"))
        )
        worst = max(worst, across * 1.0 + within * 0.5)
    measured = anonymity.t_closeness(ds, ["q"], "s", distance="hierarchical", hierarchy=hierarchy)
    assert measured == pytest.approx(worst, abs=1e-12)


@given(ROWS)
@FAST
def test_beta_and_delta(rows: list[Row]) -> None:
    ds = _dataset(rows)
    everything = [s for *_, s in rows]
    p = {v: n / len(everything) for v, n in Counter(everything).items()}
    gains, logs = [0.0], [0.0]
    for g in _groups(rows):
        q = {v: n / len(g) for v, n in Counter(g).items()}
        gains += [(q[v] - p[v]) / p[v] for v in q]
        logs += [abs(math.log(q[v] / p[v])) for v in q]
    beta = max(gains)
    assert anonymity.basic_beta_likeness(ds, QI, "s") == pytest.approx(beta, abs=1e-12)
    expected = max(min(beta, -math.log(x)) for x in p.values())
    assert anonymity.enhanced_beta_likeness(ds, QI, "s") == pytest.approx(expected, abs=1e-12)
    assert anonymity.delta_disclosure(ds, QI, "s") == pytest.approx(max(logs), abs=1e-12)


def test_population_measures() -> None:
    people = Dataset.from_arrow(pa.table({"a": [1, 1, 1, 2, 2, 3], "b": ["x"] * 6}))
    sample = people.take([0, 1, 3])
    assert anonymity.k_map(sample, QI, people) == 2
    assert anonymity.delta_presence(sample, QI, people) == (0.0, pytest.approx(2 / 3))
    r = anonymity.risk(sample, QI, population=people)
    assert (r.journalist_highest, r.highest, r.unique) == (0.5, 1.0, pytest.approx(1 / 3))
    assert r.journalist_average == pytest.approx((1 / 3 + 1 / 3 + 1 / 2) / 3)
    with pytest.raises(ConfigError, match="nobody in the population"):
        anonymity.risk(people, QI, population=sample)
    with pytest.raises(ConfigError, match="more rows than the population"):
        anonymity.delta_presence(people, QI, sample)


@given(ROWS)
@FAST
def test_risk(rows: list[Row]) -> None:
    groups = _groups(rows)
    r = anonymity.risk(_dataset(rows), QI, threshold=0.4)
    assert r.highest == pytest.approx(1 / min(map(len, groups)))
    assert r.average == pytest.approx(sum(1 / len(g) for g in groups for _ in g) / len(rows))
    assert r.at_risk == pytest.approx(sum(len(g) for g in groups if 1 / len(g) > 0.4) / len(rows))
    assert sum(size * count for size, count in r.class_sizes) == len(rows)


def test_bad_input_names_the_column() -> None:
    ds = _dataset([(1, "x", 2)])
    with pytest.raises(ColumnError, match="'aa'"):
        anonymity.k_anonymity(ds, ["aa"])
    with pytest.raises(ConfigError, match="different columns"):
        anonymity.k_anonymity(ds, [])
    with pytest.raises(ConfigError, match="also a quasi-identifier"):
        anonymity.t_closeness(ds, ["a", "s"], "s")
    with pytest.raises(ColumnError, match="no rows"):
        anonymity.k_anonymity(ds.where([False]), QI)
    with pytest.raises(ConfigError, match="at least 2"):
        anonymity.recursive_l_diversity(ds, QI, "s", l=1)
    with pytest.raises(ConfigError, match="hierarchy"):
        anonymity.t_closeness(ds, QI, "s", distance="hierarchical")
    nulls = Dataset.from_arrow(pa.table({"a": [1, 2], "s": pa.array([1, None], pa.int64())}))
    with pytest.raises(ColumnError, match="missing values"):
        anonymity.t_closeness(nulls, ["a"], "s")
    with pytest.raises(ConfigError, match="threshold"):
        anonymity.risk(ds, QI, threshold=float("nan"))
