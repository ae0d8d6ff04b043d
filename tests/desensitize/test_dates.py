"""Dates: shifted alike per entity, truncated, aged."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from ppc.desensitize import transforms as t
from ppc.desensitize.keys import Key
from ppc.errors import ConfigError, ValueRangeError


def test_shift_keeps_intervals_and_never_stands_still(key: Key) -> None:
    n = 2000
    who = pa.array([f"p{i // 2}" for i in range(n)])
    days = pa.array([dt.date(2020, 1, 1) + dt.timedelta(days=i % 300) for i in range(n)])
    moved = t.date_shift(days, entity=who, days=30, key=key).to_pylist()
    shifts = [(m - d).days for m, d in zip(moved, days.to_pylist(), strict=True)]
    assert shifts[0::2] == shifts[1::2]
    assert set(shifts) == set(range(-30, 31)) - {0}
    assert t.date_shift(days, entity=who, days=30, scope="x", key=key).to_pylist() != moved


def test_shift_is_alike_on_all_types_of_dates(key: Key) -> None:
    who = pa.array(["a", "b", None])
    date = pa.array([dt.date(2020, 2, 28), None, dt.date(1969, 12, 31)])
    stamp = pa.array([dt.datetime(2020, 2, 28, 5, 6, 7, 8), None, dt.datetime(1969, 12, 31)], pa.timestamp("us"))
    text = pa.array(["2020-02-28", None, "1969-12-31"])
    out = [t.date_shift(x, entity=who, key=key).to_pylist() for x in (date, stamp, text)]
    assert out[0][0].isoformat() == out[1][0].date().isoformat() == out[2][0]
    assert out[1][0].time() == dt.time(5, 6, 7, 8)
    assert all(o[1:] == [None, None] for o in out)
    assert t.date_shift(date.cast(pa.date64()), entity=who, key=key).type == pa.date64()
    with_zone = pa.array([dt.datetime(2020, 1, 1)], pa.timestamp("ms", "Asia/Shanghai"))
    assert t.date_shift(with_zone, entity=pa.array([1]), key=key).type == with_zone.type


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ("day", dt.date(2023, 11, 16)),
        ("week", dt.date(2023, 11, 13)),
        ("month", dt.date(2023, 11, 1)),
        ("quarter", dt.date(2023, 10, 1)),
        ("year", dt.date(2023, 1, 1)),
        ("decade", dt.date(2020, 1, 1)),
    ],
)
def test_truncate(to: str, expected: dt.date) -> None:
    day = dt.date(2023, 11, 16)
    assert t.truncate_date(pa.array([day, None]), to=to).to_pylist() == [expected, None]
    text = t.truncate_date(pa.array(["16.11.2023", None]), to=to, format="%d.%m.%Y").to_pylist()
    assert text == [expected.strftime("%d.%m.%Y"), None]
    stamp = t.truncate_date(pa.array([dt.datetime(2023, 11, 16, 9, 30)]), to=to).to_pylist()
    assert stamp == [dt.datetime.combine(expected, dt.time())]


def test_truncate_before_1970_and_by_hour() -> None:
    assert t.truncate_date(pa.array([dt.date(1955, 5, 5)]), to="decade").to_pylist() == [dt.date(1950, 1, 1)]
    assert t.truncate_date(pa.array([dt.date(1955, 5, 5)]), to="quarter").to_pylist() == [dt.date(1955, 4, 1)]
    at = dt.datetime(2023, 1, 2, 3, 4, 5)
    assert t.truncate_date(pa.array([at]), to="hour").to_pylist() == [dt.datetime(2023, 1, 2, 3)]


def test_a_zone_says_what_a_day_is() -> None:
    new_year = dt.datetime(2021, 12, 31, 20, tzinfo=dt.UTC)  # 04:00 of the next day in Shanghai
    array = pa.array([new_year, None], pa.timestamp("ms", "Asia/Shanghai"))
    for to, year in (("year", 2022), ("decade", 2020), ("day", 2022)):
        out = t.truncate_date(array, to=to)
        assert out.type == array.type
        assert out[0].as_py().replace(tzinfo=None) == dt.datetime(year, 1, 1)
    # One instant has one token, in whatever zone it is written.
    key = Key(bytes(32))
    assert t.token(array, key=key).equals(t.token(array.cast(pa.timestamp("us", "UTC")), key=key))


@pytest.mark.parametrize(
    ("born", "on", "age"),
    [
        ("2000-05-06", "2024-05-05", 23),
        ("2000-05-06", "2024-05-06", 24),
        ("2000-02-29", "2023-02-28", 22),
        ("2000-02-29", "2023-03-01", 23),
        ("1900-01-01", "2024-05-06", 90),
        ("2024-05-06", "2024-05-06", 0),
    ],
)
def test_age(born: str, on: str, age: int) -> None:
    day = dt.date.fromisoformat(on)
    for array in (pa.array([born, None]), pa.array([dt.date.fromisoformat(born), None])):
        out = t.age_from_birthdate(array, on=day)
        assert out.to_pylist() == [age, None]
        assert out.type == pa.int32()


def test_births_after_the_day() -> None:
    later = pa.array([dt.date(2025, 1, 1), dt.date(2000, 1, 1)])
    with pytest.raises(ValueRangeError, match="1 value"):
        t.age_from_birthdate(later, on=dt.date(2024, 1, 1))
    assert t.age_from_birthdate(later, on=dt.date(2024, 1, 1), invalid="null").to_pylist() == [None, 24]
    assert t.age_from_birthdate(pa.array([dt.date(1900, 1, 1)]), on=dt.date(2024, 1, 1), top=None).to_pylist() == [124]


@pytest.mark.parametrize("bad", ["2020-13-01", "2020-2-1", "20200201", " 2020-02-01", "yesterday", "", "2020-02-30"])
def test_texts_that_are_no_dates(bad: str) -> None:
    array = pa.array(["2020-02-01", bad])
    with pytest.raises(ValueRangeError, match="1 value") as e:
        t.truncate_date(array)
    assert not bad.strip() or bad not in str(e.value.to_dict())
    assert t.truncate_date(array, invalid="null").to_pylist() == ["2020-02-01", None]


def test_dates_that_leave_the_calendar(key: Key) -> None:
    edge = pa.array([dt.date(9999, 12, 31)] * 50)
    out = t.date_shift(edge, entity=pa.array([str(i) for i in range(50)]), key=key)
    assert len(out) == 50  # Arrow's days go on after year 9999
    with pytest.raises(ConfigError):
        t.date_shift(edge, entity=edge, days=0, key=key)
