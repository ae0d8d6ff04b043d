"""Keys on disk: more of them than memory holds, split into parts by a hash, each part small enough to work on.

`Spool` keeps records of a key's digest and its row. What it buffers is bounded; beyond that, records lie in files of a
folder that only the owner can read, and that goes away with the spool. The files are encrypted under a key that is in
memory only (AES-128-CTR, each record at its own place of the stream of its part), so if the machine dies, what is left
on the disk is noise. `KeySet` is a party's whole set of keys in such
a spool, made from batches of a table: distinct keys, with what happened to nulls and repetitions.

Cost: 40 bytes a row on disk, each written and read once; memory for one part and the buffer.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ppc.core import rng
from ppc.errors import ConfigError, FileError, KeyColumnError, ProtocolAbort
from ppc.mpc.psi.keys import DIGEST_BYTES, Keys, Normalise, digest_rows, first_of_each

if TYPE_CHECKING:
    import pyarrow as pa

RECORD: Final = np.dtype([("digest", "u1", DIGEST_BYTES), ("row", "<i8")])
_RECORD_WORDS: Final = RECORD.itemsize // 8
_BUFFER_BYTES: Final = 64 << 20
_LOCAL_PARTS: Final = 64

Repeated = Literal["reject", "first", "all", "drop"]
Records = NDArray[Any]


class Spool:
    """Records in `parts` parts; each part's records come back in the order in which they were added."""

    def __init__(self, parts: int, folder: Path | str | None = None, *, buffer_bytes: int = _BUFFER_BYTES) -> None:
        self.parts = parts
        self._parent = folder
        self._limit = buffer_bytes
        self._folder: Path | None = None
        self._key = rng.random_key()
        self._spilled = [0] * parts  # records on disk
        self._buffers: list[list[Records]] = [[] for _ in range(parts)]
        self._buffered = 0
        self.counts = np.zeros(parts, np.int64)

    def add(self, records: Records, part: NDArray[np.int64]) -> None:
        """Add records, each to its part."""
        order = np.argsort(part, kind="stable")
        counts = np.bincount(part, minlength=self.parts)
        ends = np.cumsum(counts)
        ranked = records[order]
        for i in np.flatnonzero(counts):
            self._buffers[i].append(ranked[ends[i] - counts[i] : ends[i]])
        self.counts += counts
        self._buffered += records.nbytes
        if self._buffered > self._limit:
            self._spill()

    def part(self, i: int) -> Records:
        """The records of part `i`."""
        found = self._buffers[i]
        if self._folder is not None and (path := self._path(i)).exists():
            try:
                found = [self._covered(i, 0, np.fromfile(path, RECORD)), *found]
            except OSError as e:
                raise FileError(f"cannot read what was set aside: {e.strerror}", where=str(path)) from None
        out: Records = np.concatenate(found) if found else np.empty(0, RECORD)
        if len(out) != self.counts[i]:
            raise FileError("a file of this run was changed or cut", where=str(self._folder))
        return out

    def drop(self, i: int) -> None:
        """Forget part `i`; nothing is added to it any more."""
        self._buffers[i] = []
        self.counts[i] = 0
        if self._folder is not None:
            self._path(i).unlink(missing_ok=True)

    def close(self) -> None:
        """Forget everything."""
        self._buffers = [[] for _ in range(self.parts)]
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _covered(self, i: int, at: int, records: Records) -> Records:
        """Records of part `i`, from number `at` on, encrypted or decrypted. Changes and returns them."""
        words = records.view(np.uint64)
        words ^= rng.Stream(self._key, i).seek_words(at * _RECORD_WORDS).uint64(len(words))
        return records

    def _path(self, i: int) -> Path:
        return Path(self._folder or "") / f"{i:05}"

    def _spill(self) -> None:
        try:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="ppc-psi-", dir=self._parent))  # mode 0700
            for i, buffer in enumerate(self._buffers):
                if buffer:
                    records = np.concatenate(buffer)
                    with self._path(i).open("ab") as f:
                        self._covered(i, self._spilled[i], records).tofile(f)
                    self._spilled[i] += len(records)
        except OSError as e:
            where = str(self._folder or self._parent or tempfile.gettempdir())
            raise FileError(
                f"cannot set keys aside: {e.strerror or 'the disk is full'}", where=where, hint="name a larger --work"
            ) from None
        self._buffers = [[] for _ in range(self.parts)]
        self._buffered = 0


class KeySet:
    """A party's distinct keys, on disk where they are many; made by `gather`.

    Attributes: as of `ppc.mpc.psi.keys.Keys`; and `digest`, which names the set with its rows: the same for the same
    file and settings only. Digests of keys are as telling as keys, and never leave the party.
    """

    def __init__(self, spool: Spool, *, types: tuple[str, ...], normalise: Normalise, digest: str) -> None:
        self._spool = spool
        self.types = types
        self.normalise = normalise
        self.digest = digest
        self.total = self.nulls = self.duplicates = self.invalid = 0
        self._twins: list[NDArray[np.int64]] = []  # (row that stands for a key, another row with it)

    def __len__(self) -> int:
        return int(self._spool.counts.sum())

    def __repr__(self) -> str:
        return f"<KeySet {len(self)} of {self.total} rows, types={list(self.types)}>"

    def __reduce_ex__(self, protocol: object) -> str:
        raise TypeError("a KeySet holds what identifies people, and is not pickled")

    def __enter__(self) -> KeySet:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget the keys, in memory and on disk."""
        self._spool.close()

    def keys(self, records: Records) -> Keys:
        """Some records of this set as `Keys`."""
        return Keys(
            np.ascontiguousarray(records["digest"]), records["row"].astype(np.int64, copy=True), types=self.types,
            normalise=self.normalise, total=len(records), nulls=0, duplicates=0,
        )  # fmt: skip

    def all(self) -> Keys:
        """The whole set, in memory."""
        return self.keys(np.concatenate([self._spool.part(i) for i in range(self._spool.parts)]))

    def split(self, salt: bytes, buckets: int, folder: Path | None) -> Spool:
        """All records in `buckets` buckets, by a hash keyed with `salt`: the same key in the same bucket at both."""
        out = Spool(buckets, folder)
        try:
            for i in range(self._spool.parts):
                records = self._spool.part(i)
                if len(records):
                    words = self.keys(records).hashed(salt, "bucket")[:, 0]
                    out.add(records, ((words >> np.uint64(32)) * np.uint64(buckets) >> np.uint64(32)).astype(np.int64))
        except BaseException:
            out.close()
            raise
        return out

    def twins_of(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For rows that matched: all rows with those keys, and for each the position in `rows` of its key.

        In the order of `rows`, the first row of a key before its twins.
        """
        at = np.arange(len(rows), dtype=np.int64)
        if not self._twins or not len(rows):
            return rows, at
        twins = np.concatenate(self._twins)
        order = np.argsort(rows, kind="stable")
        found = np.minimum(np.searchsorted(rows[order], twins[:, 0]), len(rows) - 1)
        hit = rows[order][found] == twins[:, 0]
        where = np.concatenate([at, order[found[hit]]])
        both = np.concatenate([rows, twins[hit, 1]])
        final = np.argsort(where, kind="stable")
        return both[final], where[final]


def gather(
    batches: Iterable[Mapping[str, pa.Array]],
    *,
    normalise: Normalise | None = None,
    repeated: Repeated = "reject",
    skip: NDArray[np.bool_] | None = None,
    folder: Path | str | None = None,
    buffer_bytes: int = _BUFFER_BYTES,
    progress: Callable[[int], None] | None = None,
) -> KeySet:
    """The keys of a table that comes in batches of its key columns.

    Args:
        batches: key columns by name; at least one batch, which may be empty.
        repeated: rows with the same key: `reject` them with an error; let the `first` stand for it; `all`: the first
            stands for it in the protocol, and all of them are among the matching rows; `drop` them all, as ambiguous.
        skip: rows (by number) that are to have no key, because they matched already.
        folder: where to set keys aside. progress: called with the number of rows done.

    Raises: as `ppc.mpc.psi.keys.prepare`.
    """
    if repeated not in get_args(Repeated):
        raise ConfigError(f"duplicates is one of {', '.join(get_args(Repeated))}, not {repeated!r}")
    normalise = normalise or Normalise()
    local = Spool(_LOCAL_PARTS, folder, buffer_bytes=buffer_bytes)
    done = Spool(_LOCAL_PARTS, folder, buffer_bytes=buffer_bytes)
    try:
        with local:
            kinds, names, total, invalid, digest = _read(batches, normalise, skip, local, progress)
            found = KeySet(done, types=kinds, normalise=normalise, digest=digest.hexdigest())
            rows_with_key = 0
            for i in range(_LOCAL_PARTS):
                records = local.part(i)
                local.drop(i)
                rows_with_key += len(records)
                kept = _distinct(found, records, repeated)
                done.add(kept, np.full(len(kept), i, np.int64))
        if found.duplicates and repeated == "reject":
            raise KeyColumnError(
                f"{found.duplicates} of {total} rows repeat the key of an earlier row",
                where=f"key {' + '.join(names)}",
                hint='make the key unique, add a key column, or choose what to do: duplicates "first", "all" or "drop"',
            )
        found.total, found.invalid = total, invalid
        found.nulls = total - rows_with_key - invalid
        return found
    except BaseException:
        done.close()
        raise


def _read(
    batches: Iterable[Mapping[str, pa.Array]],
    normalise: Normalise,
    skip: NDArray[np.bool_] | None,
    local: Spool,
    progress: Callable[[int], None] | None,
) -> tuple[tuple[str, ...], list[str], int, int, Any]:
    """Spread the keys of all batches over the local parts; kinds, names, rows, rows with an invalid value, digest."""
    digest = hashlib.sha256(b"ppc key set v1")
    kinds: tuple[str, ...] = ()
    names: list[str] = []
    total = invalid = 0
    for columns in batches:
        keys = digest_rows(columns, normalise)
        if kinds and keys.types != kinds:
            raise ProtocolAbort("the key columns change their types within the file", where=" + ".join(columns))
        kinds, names = keys.types, list(columns)
        records = np.empty(len(keys), RECORD)
        records["digest"] = keys.digests()
        records["row"] = keys.rows + total
        if skip is not None:
            records = records[~skip[records["row"]]]
        digest.update(records.tobytes())
        local.add(records, (records["digest"][:, 0] % _LOCAL_PARTS).astype(np.int64))
        total += keys.total
        invalid += keys.invalid
        if progress is not None:
            progress(total)
    if not kinds:
        raise KeyColumnError("the source has no columns to make keys of")
    digest.update(repr((kinds, normalise.describe(), total)).encode())
    return kinds, names, total, invalid, digest


def _distinct(found: KeySet, records: Records, repeated: Repeated) -> Records:
    """The records that stand for the distinct keys among `records` (all of one part)."""
    groups = first_of_each(np.ascontiguousarray(records["digest"]))
    extra = len(records) - len(groups)
    if not extra:
        return records
    found.duplicates += extra
    if repeated not in ("all", "drop"):
        return records[groups]
    # Bring equal digests side by side, each after the one that stands for them.
    words = np.ascontiguousarray(records["digest"][:, :16]).view(np.uint64).reshape(-1, 2)
    order = np.lexsort((words[:, 1], words[:, 0]))  # stable: in the order of rows
    ranked = words[order]
    new = np.ones(len(order), bool)
    new[1:] = (ranked[1:] != ranked[:-1]).any(axis=1)
    head = order[new][np.cumsum(new) - 1]  # for each ranked record, the first with its key
    if repeated == "all":
        twin = ~new
        found._twins.append(np.stack([records["row"][head[twin]], records["row"][order[twin]]], axis=1))
        return records[groups]
    alone = np.bincount(np.cumsum(new) - 1) == 1
    firsts = order[new]
    found.duplicates += int((~alone).sum())  # the first ones go too
    single: Records = records[np.sort(firsts[alone])]
    return single
