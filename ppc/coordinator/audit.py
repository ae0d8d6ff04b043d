"""A party's own record of what it was asked, what it allowed, and what it ran.

One JSON object a line. Each holds the hash of the line before it, so a line that is changed, moved or removed breaks
the chain; the number and hash of the last line also lie in a second file, so a cut end shows too. A person who may
write both files can forge a whole new chain: against that the head is told to the coordinator with every report, which
keeps it among the job's events (`ppc audit verify --coordinator` compares).
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ppc.core.files import atomic_write
from ppc.errors import FileError

GENESIS: Final = "0" * 64
_KEYS: Final = {"seq", "time", "event", "job", "detail", "prev", "hash"}


@dataclass(frozen=True)
class Record:
    """One line of the log."""

    seq: int
    time: float
    event: str
    job: str
    detail: dict[str, Any]
    prev: str
    hash: str


def _digest(body: Mapping[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


class AuditLog:
    """The log of one agent; one process writes it (the agent's lock on its working folder sees to that)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._seq, self.head = 0, GENESIS
        if path.exists() or head_path(path).exists():
            for record in verify(path, torn_end=True):
                self._seq, self.head = record.seq, record.hash
            _cut_torn_end(path)

    def write(self, event: str, job: str = "", **detail: Any) -> str:
        """Appends a record and returns its hash. `detail` holds names, hashes and states; never a value of the data."""
        with self._lock:
            body = {
                "seq": self._seq + 1,
                "time": round(time.time(), 3),
                "event": event,
                "job": job,
                "detail": {k: v for k, v in detail.items() if v not in (None, "", [], ())},
                "prev": self.head,
            }
            body = json.loads(json.dumps(body))
            line = json.dumps({**body, "hash": _digest(body)}, ensure_ascii=False) + "\n"
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, line.encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            self._seq, self.head = self._seq + 1, _digest(body)
            with atomic_write(head_path(self.path), mode=0o600) as file:
                file.write(json.dumps({"seq": self._seq, "hash": self.head}).encode())
            return self.head


def head_path(path: Path) -> Path:
    """Where the number and hash of the last record of the log at `path` lie."""
    return path.with_suffix(".head")


def read(path: Path) -> Iterator[Record]:
    """The records as they stand, unchecked; raises `FileError` at a line that is no record."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                yield _parse(line, path, number)
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"cannot read the audit log ({type(error).__name__})", where=str(path)) from error


def verify(path: Path, *, torn_end: bool = False) -> list[Record]:
    """All records, after every link of the chain and the head were checked; raises `FileError` at the first bad line.

    With `torn_end` an unfinished last line is left out: a crash in the middle of a write leaves one.
    """
    records: list[Record] = []
    prev = GENESIS
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        if head_path(path).exists():
            raise FileError("the audit log is gone, but its head file is there", where=str(path)) from None
        raise FileError("there is no audit log", where=str(path)) from None
    except OSError as error:
        raise FileError(f"cannot read the audit log ({type(error).__name__})", where=str(path)) from error
    tail = lines.pop()
    if tail and not torn_end:
        raise FileError("the last line of the audit log is unfinished", where=f"{path}, line {len(lines) + 1}")
    for number, raw in enumerate(lines, 1):
        record = _parse(raw.decode("utf-8", "replace"), path, number)
        body = {k: v for k, v in vars(record).items() if k != "hash"}
        if record.seq != number or record.prev != prev or record.hash != _digest(body):
            raise FileError(
                "the chain of the audit log is broken: a line was changed, moved or removed",
                where=f"{path}, line {number}",
            )
        prev = record.hash
        records.append(record)
    _check_head(path, records)
    return records


def _check_head(path: Path, records: list[Record]) -> None:
    """The head may lag one record behind (a crash between the two writes), never run ahead."""
    file = head_path(path)
    try:
        head = json.loads(file.read_text("utf-8"))
        seq, digest = int(head["seq"]), str(head["hash"])
    except FileNotFoundError:
        if len(records) <= 1:
            return
        raise FileError("the head file of the audit log is gone", where=str(file)) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileError("the head file of the audit log is not readable", where=str(file)) from error
    if seq > len(records):
        raise FileError(
            f"the end of the audit log was cut off: {len(records)} lines, the head says {seq}", where=str(path)
        )
    if seq < len(records) - 1 or (seq > 0 and records[seq - 1].hash != digest):
        raise FileError("the head of the audit log does not fit its lines", where=str(file))


def _parse(line: str, path: Path, number: int) -> Record:
    try:
        parts = json.loads(line)
        if not isinstance(parts, dict) or set(parts) != _KEYS:
            raise ValueError
        return Record(**parts)
    except (ValueError, TypeError):
        raise FileError("a line of the audit log is not a record", where=f"{path}, line {number}") from None


def _cut_torn_end(path: Path) -> None:
    data = path.read_bytes() if path.exists() else b""
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) != len(data):
        with atomic_write(path, mode=0o600) as file:
            file.write(whole)
