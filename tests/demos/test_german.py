"""The demonstration's data: real applicants, split by columns, always in the same way."""

from pathlib import Path

import pytest

from ppc.dataset import Role, read
from ppc.demos import credit, german
from ppc.errors import ConfigError, FileError, KeyColumnError, LabelError


def test_each_bank_has_its_own_columns_and_a_tenth_is_at_one_only(tmp_path: Path) -> None:
    a, b = (read(p) for p in german.split(tmp_path))
    assert set(a.columns) & set(b.columns) == {german.KEY}
    assert set(a.columns) | set(b.columns) == {*german.table().columns, german.KEY}
    ids = [set(d.column(german.KEY).to_pylist()) for d in (a, b)]
    assert [len(i) for i in ids] == [a.num_rows, b.num_rows] == [950, 950]
    assert len(ids[0] | ids[1]) == 1000
    assert len(ids[0] & ids[1]) == 900
    assert a.schema[german.LABEL].role is Role.LABEL
    assert a.column(german.KEY).to_pylist()[:50] != b.column(german.KEY).to_pylist()[:50]


def test_no_row_is_changed(tmp_path: Path) -> None:
    a, b = (read(p).to_arrow() for p in german.split(tmp_path))
    joined = a.join(b, german.KEY, join_type="inner")
    columns = german.table().columns
    pooled = sorted(map(str, joined.select(columns).to_pylist()))
    everyone = sorted(map(str, german.table().to_arrow().to_pylist()))
    assert len(pooled) == 900
    for row in set(pooled):
        assert pooled.count(row) <= everyone.count(row)


def test_the_files_are_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        german.split(tmp_path / name)
    for file in ("bank-a.csv", "bank-b.csv", "bank-a.schema.toml"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_own_files_are_checked_before_anything_starts(tmp_path: Path) -> None:
    a, b = german.split(tmp_path)
    own = credit.inputs(tmp_path, left=a, right=b, key=german.KEY, label=german.LABEL, positive="bad")
    assert own.holder == "bank-a"
    swapped = credit.inputs(tmp_path, left=b, right=a, key=german.KEY, label=german.LABEL, positive="bad")
    assert swapped.holder == "bank-b"
    with pytest.raises(ConfigError, match="two files"):
        credit.inputs(tmp_path, left=a)
    with pytest.raises(KeyColumnError) as key:
        credit.inputs(tmp_path, left=a, right=b, key="custmer_id", label=german.LABEL)
    assert key.value.hint == "Did you mean 'customer_id'?"
    with pytest.raises(LabelError, match="neither file") as label:
        credit.inputs(tmp_path, left=a, right=b, key=german.KEY, label="creditabilty")
    assert label.value.hint == "Did you mean 'creditability'?"
    with pytest.raises(FileError, match="no such file"):
        credit.inputs(tmp_path, left=tmp_path / "x.csv", right=b, key=german.KEY, label=german.LABEL)
