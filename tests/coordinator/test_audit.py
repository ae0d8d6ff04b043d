from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from ppc.coordinator.audit import GENESIS, AuditLog, head_path, read, verify
from ppc.errors import FileError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log of six records."""
    log = AuditLog(tmp_path / "audit.jsonl")
    log.write("started", datasets=["a", "b"])
    for number in range(4):
        log.write("asked", f"job-{number}", plan="p" * 64, submitter="bank-b", rows=0)
    log.write("stopped")
    return log.path


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_an_untouched_log_verifies(path: Path) -> None:
    records = verify(path)
    assert [r.seq for r in records] == [1, 2, 3, 4, 5, 6]
    assert records[0].prev == GENESIS
    assert records[1].detail == {"plan": "p" * 64, "submitter": "bank-b", "rows": 0}
    assert [r.event for r in read(path)] == [r.event for r in records]


def test_the_log_is_private_and_goes_on_where_it_was(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(head_path(path).stat().st_mode) == 0o600
    again = AuditLog(path)
    assert again.head == verify(path)[-1].hash
    again.write("started")
    assert len(verify(path)) == 7


@pytest.mark.parametrize("number", range(6))
def test_a_changed_line_is_found(path: Path, number: int) -> None:
    content = lines(path)
    record = json.loads(content[number])
    record["event"] = "approved by rule"
    content[number] = json.dumps(record).encode() + b"\n"
    path.write_bytes(b"".join(content))
    with pytest.raises(FileError, match="chain of the audit log is broken") as caught:
        verify(path)
    assert caught.value.where is not None
    assert caught.value.where.endswith(f"line {number + 1}")


@pytest.mark.parametrize("number", range(5))
def test_a_removed_line_is_found(path: Path, number: int) -> None:
    content = lines(path)
    del content[number]
    path.write_bytes(b"".join(content))
    with pytest.raises(FileError, match="broken"):
        verify(path)


def test_swapped_and_doubled_lines_are_found(path: Path) -> None:
    content = lines(path)
    for bad in (
        [content[1], content[0], *content[2:]],
        [*content[:3], content[2], *content[3:]],
        [*content, content[-1]],
    ):
        path.write_bytes(b"".join(bad))
        with pytest.raises(FileError):
            verify(path)


@pytest.mark.parametrize("left", [0, 1, 4, 5])
def test_a_cut_end_is_found(path: Path, left: int) -> None:
    path.write_bytes(b"".join(lines(path)[:left]))
    with pytest.raises(FileError, match="cut off"):
        verify(path)


def test_a_removed_log_or_head_is_found(path: Path) -> None:
    head = head_path(path).read_bytes()
    head_path(path).unlink()
    with pytest.raises(FileError, match="head file of the audit log is gone"):
        verify(path)
    head_path(path).write_bytes(b"{}")
    with pytest.raises(FileError, match="not readable"):
        verify(path)
    head_path(path).write_bytes(head)
    path.unlink()
    with pytest.raises(FileError, match="the audit log is gone"):
        verify(path)
    with pytest.raises(FileError, match="gone"):
        AuditLog(path)


def test_a_chain_that_was_made_anew_from_some_line_on_does_not_fit_the_head(path: Path, tmp_path: Path) -> None:
    other = AuditLog(tmp_path / "other" / "audit.jsonl")
    for _ in range(6):
        other.write("asked", "another-job")
    path.write_bytes(other.path.read_bytes())
    with pytest.raises(FileError, match="does not fit"):
        verify(path)


def test_a_line_that_is_no_record_is_named(path: Path) -> None:
    for bad in (b"\n", b"[]\n", b'{"seq": 7}\n', b"\xff\n"):
        whole = path.read_bytes()
        path.write_bytes(whole + bad)
        with pytest.raises(FileError, match="not a record"):
            verify(path)
        path.write_bytes(whole)


def test_a_crash_in_the_middle_of_a_write_is_mended_at_the_next_start(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"seq": 7, "ti')
    with pytest.raises(FileError, match="unfinished"):
        verify(path)
    AuditLog(path).write("started")
    assert len(verify(path)) == 7


def test_a_crash_between_the_line_and_the_head_is_no_tampering(path: Path) -> None:
    head = head_path(path).read_bytes()
    AuditLog(path).write("started")
    head_path(path).write_bytes(head)
    assert len(verify(path)) == 7
    AuditLog(path).write("asked")
    assert len(verify(path)) == 8


def test_a_tampered_log_is_not_continued(path: Path) -> None:
    content = lines(path)
    path.write_bytes(b"".join(content[1:]))
    with pytest.raises(FileError, match="broken"):
        AuditLog(path)
