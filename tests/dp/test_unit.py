"""What one unit may change, held against every way that its rows can lie in cells."""

import itertools
import math

import pytest

from ppc import dp
from ppc.dp.unit import ROW
from ppc.errors import ConfigError


@pytest.mark.parametrize("groups", [None, 1, 2, 3])
@pytest.mark.parametrize("in_group", [None, 1, 2, 4])
@pytest.mark.parametrize("rows", [1, 2, 4, 5])
def test_reach_is_the_worst_of_all_ways_to_lie_in_cells(rows, groups, in_group):
    unit = dp.person("p", max_rows=rows, max_groups=groups, max_rows_per_group=in_group)
    ways = [
        c
        for c in itertools.product(range(min(rows, in_group or rows) + 1), repeat=rows)
        if sum(c) <= rows and sum(x > 0 for x in c) <= (groups or rows)
    ]
    reach = unit.reach(True)
    assert reach.rows == max(map(sum, ways))
    assert reach.l2 == pytest.approx(max(math.sqrt(sum(x * x for x in c)) for c in ways))
    assert reach.cells == max(sum(x > 0 for x in c) for c in ways) or reach.cells >= reach.rows / reach.rows_in_cell
    assert reach.rows_in_cell == max(map(max, ways))
    assert unit.reach(False).rows == rows


def test_a_row_changes_one_row_in_one_cell():
    reach = ROW.reach(True)
    assert (reach.cells, reach.rows, reach.rows_in_cell, reach.l2) == (1, 1, 1, 1.0)


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, "2", 10**7])
def test_limits_are_whole_numbers(bad):
    with pytest.raises(ConfigError):
        dp.person("p", max_rows=bad)
    with pytest.raises(ConfigError):
        dp.person("p", max_rows=2, max_groups=bad)


def test_limits_need_a_person():
    with pytest.raises(ConfigError):
        dp.Unit(None, 3)
    with pytest.raises(ConfigError):
        dp.person("", max_rows=2)
    assert "patient" in str(dp.person("patient", max_rows=3))
