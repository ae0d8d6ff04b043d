"""Matching sets that do not fit in memory: bucket by bucket, each padded to a size that tells nothing, and resumable.

1. both announce their sizes, key types, settings and a nonce; the nonces make the session's salt, after both sets are
   fixed. From the larger size both know the number of buckets
2. each spreads its keys over the buckets by a hash under the salt, so that equal keys meet in one bucket, and fills up
   each bucket with dummies to `capacity` keys, which depends on the size of its set and nothing else
3. they match the buckets one after another by `ppc.mpc.psi.protocols.intersect`, and put the results one after another

A dummy is 32 random bytes where a key has a SHA-256 digest: it meets a key or another dummy with probability below
2^-128 · n², and cannot be told from a key that does not match.

Threat: that of the protocol that runs in the buckets: semi-honest unless it says more. If that withstands a party that
    deviates, such a party learns from the whole run what some set of its own would give, as large as the protocol lets
    it grow in each bucket, and may choose its part in a bucket when it knows the results of those before. Every run,
    and every one that goes on where an earlier one was cut off, is a question of its own: a party that deviates can
    bring other keys to the buckets that it says it lacks. The peer's announced number bounds one run; count the runs.
Leaks: what that protocol leaks of a whole set, and nothing more: to both the number of the other's keys, and which of
    its own rows matched. The sizes of buckets that travel are the padded ones. The bucket of a matching row is known
    to whoever knows its key and the salt. The order of the result is that of buckets, which are a hash of the key under
    a salt, and in a bucket that of pseudo-random tags: where rows stand in either table has no part in it.
Cost: of the protocol, for sets larger by the padding: 0.8 % for 16 buckets of 2^20. One greeting a bucket. Time grows
    linearly, memory does not: it is that of one bucket, and 16 bytes for each matching row.
Failure: a bucket overflows with probability below 2^-40 in a whole run (union bound over buckets of Chernoff's
    exp(−n·KL), for a hash that is random after the sets are fixed). It is an error, and the run is not repeated by
    itself with another salt: that would tell about the keys.

**Resuming.** With a folder to work in, the result of each bucket is kept, and the salt. A run over the same set (by its
digest) and with the same peer and settings goes on at the first bucket that either party lacks. A bucket that was cut
off is matched again from the start, with fresh randomness: the same function of the same sets, so nothing more is
learned. The folder then holds row numbers, the salt and a digest of the set; never keys, once the run has ended in any
way but by the machine's death, in which case the next run removes them.

Source: bucketing by hash with padding as in Pinkas, Schneider, Zohner, USENIX Security 2014 (section 6); Chernoff.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ppc.core import rng
from ppc.core.files import atomic_write
from ppc.errors import ConfigError, FileError, FrameError, ProtocolAbort
from ppc.mpc.psi import okvs
from ppc.mpc.psi.ecdh import Progress
from ppc.mpc.psi.greeting import MAX_ROWS, greet
from ppc.mpc.psi.keys import Keys
from ppc.mpc.psi.spool import RECORD, KeySet, Spool
from ppc.net.channel import Channel

BUCKET_ROWS: Final = 1 << 20  # keys of the larger set in a bucket: half a gigabyte of memory for rr22
FAILURE_BITS: Final = 40
_MAX_BUCKETS: Final = 1 << 16
_MAX_HELLO: Final = 1024

Rows = NDArray[np.int64]
Match = Callable[[Channel, Keys, int, Progress | None], Rows]


def buckets_for(rows: int, bucket_rows: int = BUCKET_ROWS) -> int:
    """The number of buckets if the larger set has `rows` keys: one up to a quarter more than `bucket_rows`."""
    return 1 if rows <= bucket_rows * 5 // 4 else math.ceil(rows / bucket_rows)


def capacity(rows: int, buckets: int) -> int:
    """Keys a bucket holds when `rows` are spread over `buckets`: any gets more with a chance of at most 2^-40."""
    return okvs.room(rows, buckets, FAILURE_BITS)


@dataclass(frozen=True)
class Found:
    """My matching rows in the order that both parties share, and the number of the peer's keys."""

    rows: Rows
    theirs: int
    buckets: int
    resumed_at: int  # the first bucket that was matched in this run


def intersect(
    channel: Channel,
    keys: KeySet,
    match: Match,
    name: str,
    *,
    max_peer_rows: int = MAX_ROWS,
    bucket_rows: int = BUCKET_ROWS,
    work: Work | None = None,
    label: str = "1",
    progress: Progress | None = None,
) -> Found:
    """My rows whose keys the peer has too, from sets of any size. Both parties call this at the same time.

    Args:
        keys: from `ppc.mpc.psi.spool.gather`.
        match: matches one bucket: called with the channel, my keys, how many the peer has at most, and progress.
        name: of `match` and its settings; must be the same at both.
        max_peer_rows: refuse a peer that announces more keys.
        bucket_rows: keys of the larger set in a bucket; must be the same at both.
        work: a folder in which to keep what is done, so that a run that was cut off is resumed. label: of this
            matching, if there are several in one folder.

    Raises: as `ppc.mpc.psi.ecdh.intersect`; FileError if the folder is damaged or full.
    """
    if not 1 <= bucket_rows <= MAX_ROWS:
        raise ConfigError(f"a bucket has 1 to {MAX_ROWS} keys, not {bucket_rows}")
    full_name = f"large {bucket_rows} {name} v1"
    state = _State(work, label, channel, keys, full_name)
    theirs, salt, start = _agree(channel, keys, full_name, max_peer_rows, state)
    buckets = buckets_for(max(len(keys), theirs), bucket_rows)
    if not buckets <= _MAX_BUCKETS:
        raise ConfigError(f"{buckets} buckets are too many", hint="match with larger buckets")
    if not len(keys) or not theirs:
        return Found(np.empty(0, np.int64), theirs, buckets, start)
    mine, coming = capacity(len(keys), buckets), capacity(theirs, buckets)
    found = [state.bucket(b) for b in range(start)]
    if start < buckets:
        with keys.split(salt, buckets, work.folder if work else None) as spool:
            for b in range(start, buckets):
                padded = _padded(keys, spool, b, mine, buckets)
                rows = match(channel, padded, coming, _named(b, buckets, progress))
                rows = rows[rows >= 0]
                spool.drop(b)
                state.done(b, rows)
                found.append(rows)
    return Found(np.concatenate(found), theirs, buckets, start)


def _named(bucket: int, buckets: int, progress: Progress | None) -> Progress | None:
    if progress is None or buckets == 1:
        return progress
    return lambda fraction, what: progress((bucket + fraction) / buckets, f"bucket {bucket + 1} of {buckets}: {what}")


def _padded(keys: KeySet, spool: Spool, bucket: int, size: int, buckets: int) -> Keys:
    """The keys of a bucket and dummies, `size` together. A dummy's row is -1."""
    records = spool.part(bucket)
    missing = size - len(records)
    if missing < 0:
        raise ProtocolAbort(
            "the hash spread the keys too unevenly, which happens once in 2^40 runs",
            where=f"bucket {bucket + 1} of {buckets}",
            hint="has the set been made to fit a known salt? Keep this run's files, and tell the other party",
        )
    if not missing:
        return keys.keys(records)
    dummies = np.empty(missing, RECORD)
    raw = np.frombuffer(rng.os_stream().bytes(missing * 32), np.uint8)
    dummies["digest"] = raw.reshape(missing, 32)
    dummies["row"] = -1
    return keys.keys(np.concatenate([records, dummies]))


# --- what is kept ---
def _agree(channel: Channel, keys: KeySet, name: str, max_peer_rows: int, state: _State) -> tuple[int, bytes, int]:
    """The peer's size, the session's salt, and the bucket to begin with."""
    offer = {"session": state.session, "next": state.next}
    channel.send_bytes("psi resume", json.dumps(offer).encode())
    try:
        theirs = json.loads(channel.recv_bytes("psi resume", _MAX_HELLO))
        session, next_bucket = theirs["session"], theirs["next"]
        good = isinstance(session, str) and type(next_bucket) is int and 0 <= next_bucket <= _MAX_BUCKETS
    except (ValueError, TypeError, KeyError, RecursionError):
        good = False
    if not good:
        raise FrameError(
            f"{channel.peer} sent a greeting that cannot be read", where="tag 'psi resume'", party=channel.peer
        )
    if state.session and state.session == session:
        announced, _ = greet(channel, keys, name, max_peer_rows)
        if announced != state.theirs:
            raise ProtocolAbort(
                f"{channel.peer} has another number of keys than when this run began",
                hint="begin anew: remove the working folder at both parties",
                party=channel.peer,
            )
        start = min(state.next, next_bucket)
        state.next = start
        return state.theirs, state.salt, start
    announced, salt = greet(channel, keys, name, max_peer_rows)
    state.begin(announced, salt)
    return announced, salt, 0


class Work:
    """A folder for a resumable run: one run at a time, nobody else may read it.

    Results of buckets stay in it until `clear`; keys only for as long as the run lives.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = folder = Path(folder)
        self._done = False
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder.stat().st_mode & 0o077:
                raise FileError(
                    "others can read the working folder", where=str(folder), hint=f"chmod 700 {folder}, or name another"
                )
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as e:
            raise FileError(f"the working folder cannot be used: {e.strerror}", where=str(folder)) from None
        try:
            _lock_file(self._lock, folder)
        except BaseException:
            os.close(self._lock)
            raise
        # What a run left when it was killed: keys, and files half written. Nobody's now, by the lock.
        for left in folder.glob("ppc-psi-*"):
            shutil.rmtree(left, ignore_errors=True)
        for left in folder.glob(".pass-*.part"):
            left.unlink(missing_ok=True)

    def clear(self) -> None:
        """All is done: at the end remove what was kept, and the folder if it holds nothing else."""
        self._done = True

    def _remove(self) -> None:
        for path in [*self.folder.glob("pass-*.json"), *self.folder.glob("pass-*.npy"), self.folder / "lock"]:
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def __enter__(self) -> Work:
        return self

    def __exit__(self, *_: object) -> None:
        if self._done:
            self._remove()
        os.close(self._lock)


class _State:
    """How far one matching has come; without a folder, nothing is kept."""

    def __init__(self, work: Work | None, label: str, channel: Channel, keys: KeySet, name: str) -> None:
        self.folder = work.folder if work is not None else None
        self.session = ""
        self.next = 0
        self.theirs = 0
        self.salt = b""
        self._label = label
        self._sums: list[str] = []
        self._about = {"me": channel.me, "peer": channel.peer, "set": keys.digest, "name": name}
        if self.folder is not None:
            self._load(self.folder / f"pass-{label}.json")

    def begin(self, theirs: int, salt: bytes) -> None:
        """A new run; what an earlier one left is removed."""
        self.next, self.theirs, self.salt, self._sums = 0, theirs, salt, []
        self.session = hashlib.sha256(b"ppc psi session v1" + salt).hexdigest()
        self._save()

    def done(self, bucket: int, rows: Rows) -> None:
        """Keep the result of a bucket."""
        if self.folder is None:
            return
        data = io.BytesIO()
        np.save(data, rows, allow_pickle=False)
        with atomic_write(self._path(bucket), mode=0o600) as f:
            f.write(data.getvalue())
        self._sums[bucket:] = [hashlib.sha256(data.getvalue()).hexdigest()]
        self.next = bucket + 1
        self._save()

    def bucket(self, bucket: int) -> Rows:
        """The result of a bucket that was matched before."""
        path = self._path(bucket)
        try:
            data = path.read_bytes()
        except OSError as e:
            raise FileError(f"a result of the earlier run cannot be read: {e.strerror}", where=str(path)) from None
        if hashlib.sha256(data).hexdigest() != self._sums[bucket]:
            raise _damaged(path)
        rows: Rows = np.load(io.BytesIO(data), allow_pickle=False)
        return rows

    def _path(self, bucket: int) -> Path:
        return Path(self.folder or "") / f"pass-{self._label}-bucket-{bucket:05}.npy"

    def _load(self, path: Path) -> None:
        """Take up the earlier run, if it was over the same set, with the same peer and settings."""
        if not path.exists():
            return
        try:
            found: dict[str, Any] = json.loads(path.read_bytes())
            if found["about"] != self._about:
                return
            salt, sums, theirs = bytes.fromhex(found["salt"]), list(found["sums"]), int(found["theirs"])
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            raise _damaged(path) from None
        self.session = hashlib.sha256(b"ppc psi session v1" + salt).hexdigest()
        self.next, self.theirs, self.salt, self._sums = len(sums), theirs, salt, sums

    def _save(self) -> None:
        if self.folder is None:
            return
        state = {"about": self._about, "salt": self.salt.hex(), "theirs": self.theirs, "sums": self._sums}
        with atomic_write(self.folder / f"pass-{self._label}.json", mode=0o600) as f:
            f.write(json.dumps(state).encode())


def _lock_file(handle: int, folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # not on Windows
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise FileError(
            "another run works in this folder", where=str(folder), hint="wait for it, or name another folder"
        ) from None


def _damaged(path: Path) -> FileError:
    return FileError(
        "what an earlier run left is damaged", where=str(path), hint="remove the working folder at both parties"
    )
