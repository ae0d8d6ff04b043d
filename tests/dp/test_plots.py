"""Pictures of releases and of error against price; results that read well."""

import math

import pytest

from ppc import dp
from ppc.errors import ColumnError, QueryError


def test_releases_are_drawn_with_error_bars(session, tmp_path):
    for i, query in enumerate(
        (dp.mean("age"), dp.histogram("ward"), dp.group_by("ward").agg(dp.count(), dp.mean("days"), dp.median("age")),
         dp.histogram("age", range(0, 121, 2)))
    ):  # fmt: skip
        path = tmp_path / f"{i}.png"
        plot = session.release(query, epsilon=1).plot(str(path))
        assert path.stat().st_size > 5000
        assert len(plot.axes) == len(query.aggregates)


def test_error_against_price(session, tmp_path):
    plot = dp.tradeoff(session, dp.mean("age"), rows=2000, path=str(tmp_path / "t.png"))
    (line,) = plot.axes[0].lines
    errors = [e for e in line.get_ydata() if not math.isnan(e)]
    assert errors == sorted(errors, reverse=True)
    assert session.history() == []
    with pytest.raises(QueryError, match="number of rows"):
        dp.tradeoff(session, dp.mean("age"))


def test_a_release_reads_well(session):
    result = session.release(dp.group_by("ward").agg(dp.count(), dp.mean("days")), epsilon=100)
    text = repr(result)
    assert text.split("\n")[0].split() == ["ward", "count", "mean(days)"]
    assert "±" in text
    assert "Spent ε = 100" in text
    assert result.dataset.columns == [
        "ward", "count", "count_low", "count_high", "mean(days)", "mean(days)_low", "mean(days)_high",
    ]  # fmt: skip
    with pytest.raises(ColumnError, match="no figure"):
        result["mean(day)"]
    with pytest.raises(QueryError, match="not one number"):
        float(result)
    one = session.release(dp.count(), epsilon=100)
    assert one.interval[0] <= one.value <= one.interval[1]
    assert "more groups" in repr(session.release(dp.histogram("age", range(0, 121, 2)), epsilon=1))
