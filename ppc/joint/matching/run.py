"""The match itself: keys from a table that is read in batches, one alternative after another, each in buckets."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ppc.errors import FrameError, KeyColumnError, ProtocolAbort, TypeMismatchError
from ppc.joint.matching.settings import Settings
from ppc.mpc.psi import cardinality, large, protocols, similar
from ppc.mpc.psi.ecdh import Progress
from ppc.mpc.psi.keys import Keys, digest_rows
from ppc.mpc.psi.normalise import by_form
from ppc.mpc.psi.spool import KeySet, gather
from ppc.net.channel import Channel

if TYPE_CHECKING:
    import pyarrow as pa

    from ppc.dataset.stream import Table

_MAX_SETTINGS: Final = 4096
_COUNTED_ROWS: Final = 1 << 24  # keys that a count holds in memory


@dataclass(frozen=True)
class Matching:
    """What a party has after a match.

    Attributes: `rows`, its matching rows in the order that both parties share, and `at`, for each the number of the
    match (equal numbers here and there are the same key; with duplicates `all` a number may come more than once).
    `matched`, how many keys matched; `by`, how many by each alternative; `total` rows in the table, and of the first
    alternative those with no key (`nulls`), with an invalid one, and with a repeated one; `theirs`, the peer's keys.
    """

    matched: int
    rows: NDArray[np.int64] = field(repr=False)
    at: NDArray[np.int64] = field(repr=False)
    by: tuple[int, ...]
    total: int
    nulls: int
    invalid: int
    duplicates: int
    keys: int
    theirs: int
    buckets: int
    resumed_at: int


def prepare_passes(
    table: Table, settings: Settings, *, folder: Path | str | None = None, progress: Progress | None = None
) -> list[KeySet]:
    """The keys of all alternatives, so that whatever is wrong with them is said before anybody connects.

    The caller closes them. Raises: as `ppc.mpc.psi.spool.gather`; KeyColumnError: no row has a key at all.
    """
    found: list[KeySet] = []
    try:
        for number, key in enumerate(settings.keys):
            found.append(_gather(table, settings, number, None, folder, progress))
            if found[-1].total and not len(found[-1]):
                what = "no row has a key"
                if found[-1].invalid:
                    what += f": {found[-1].invalid} have a value that is not of the form asked for"
                raise KeyColumnError(what, where=f"{table.name}, column {', '.join(key)}")
    except BaseException:
        for keys in found:
            keys.close()
        raise
    return found


def match(
    channel: Channel,
    table: Table,
    settings: Settings,
    passes: list[KeySet],
    *,
    folder: Path | str | None = None,
    work: large.Work | None = None,
    progress: Progress | None = None,
) -> Matching:
    """Match `table` with the peer's. Both parties call this at the same time.

    Args: passes: from `prepare_passes`, of this table and these settings. folder: for what is set aside on disk
        meanwhile. work: to keep what is done, so that a run that was cut off is resumed.

    Raises: ProtocolAbort: the parties' settings differ, naming the first that does; and the errors of
        `ppc.mpc.psi.large.intersect`.
    """
    _agree(channel, settings)
    first = passes[0]
    if settings.reveal == "count":
        if len(first) > _COUNTED_ROWS:
            raise ProtocolAbort(f"a count takes at most {_COUNTED_ROWS} keys, not {len(first)}")
        theirs_at_most = min(settings.max_peer_rows, _COUNTED_ROWS)
        count = cardinality.count(channel, first.all(), max_peer_rows=theirs_at_most, progress=progress)
        none = np.empty(0, np.int64)
        return Matching(
            count, none, none, (count,), first.total, first.nulls, first.invalid, first.duplicates, len(first), -1, 1, 0
        )

    def bucket(channel: Channel, keys: Keys, theirs: int, progress: Progress | None) -> NDArray[np.int64]:
        return protocols.intersect(
            channel, keys, protocol=settings.protocol, randomness=settings.randomness, security=settings.security,
            max_peer_rows=theirs, progress=progress,
        )  # fmt: skip

    rows, at, by = [np.empty(0, np.int64)], [np.empty(0, np.int64)], []
    matched = 0
    used = np.zeros(first.total, np.bool_)
    resumed_at = -1
    for number in range(len(settings.keys)):
        # What matched before is left out; so the keys of a later alternative are gathered again.
        keys = first if number == 0 else _gather(table, settings, number, used, folder, None)
        with keys:
            found = large.intersect(
                channel, keys, bucket, f"{settings.protocol} {settings.randomness} {settings.security}",
                max_peer_rows=settings.max_peer_rows, bucket_rows=settings.bucket_rows, work=work,
                label=str(number + 1), progress=_alternative(progress, number, len(settings.keys)),
            )  # fmt: skip
            if number == 0:
                theirs, buckets = found.theirs, found.buckets
            if resumed_at < 0 or found.resumed_at:
                resumed_at = found.resumed_at
            these, where = keys.twins_of(found.rows)
        used[these] = True
        rows.append(these)
        at.append(where + matched)
        by.append(len(found.rows))
        matched += len(found.rows)
    if settings.similar:
        these = _similar(channel, table, settings, used, progress)
        rows.append(these)
        at.append(np.arange(matched, matched + len(these), dtype=np.int64))
        by.append(len(these))
        matched += len(these)
    return Matching(
        matched, np.concatenate(rows), np.concatenate(at), tuple(by), first.total, first.nulls, first.invalid,
        first.duplicates, len(first), theirs, buckets, max(resumed_at, 0),
    )  # fmt: skip


def _similar(
    channel: Channel, table: Table, settings: Settings, used: NDArray[np.bool_], progress: Progress | None
) -> NDArray[np.int64]:
    """My rows that match by names that are alike, of those that are not used yet."""
    import pyarrow as pa

    name, *others = settings.similar
    free = np.flatnonzero(~used)
    columns = pa.Table.from_batches(list(table.batches(settings.similar))).take(pa.array(free))
    texts = columns.column(name)
    if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
        raise TypeMismatchError(f"names are text, not {texts.type}", where=f"{table.name}, column {name}")
    texts = pa.concat_arrays([c.cast(pa.large_string()) for c in texts.chunks] or [pa.array([], pa.large_string())])
    keys = digest_rows({n: columns.column(n) for n in others}, settings.normalise(tuple(others)))
    found = similar.match(
        channel, by_form(texts, "name"), keys, settings.threshold, protocol=settings.protocol,
        max_peer_rows=settings.max_peer_rows, progress=progress,
    )  # fmt: skip
    out: NDArray[np.int64] = free[found].astype(np.int64, copy=False)
    return out


def _gather(
    table: Table,
    settings: Settings,
    number: int,
    used: NDArray[np.bool_] | None,
    folder: Path | str | None,
    progress: Progress | None,
) -> KeySet:
    key = settings.keys[number]

    def batches() -> Iterator[dict[str, pa.Array]]:
        for batch in table.batches(key):
            yield dict(zip(key, batch.columns, strict=True))

    told = None
    if progress is not None:
        told = lambda rows: progress(0.0, f"reading keys: {rows:,} rows of {table.name}")  # noqa: E731
    return gather(
        batches(),
        normalise=settings.normalise(key),
        repeated=settings.duplicates,
        skip=used,
        folder=folder,
        progress=told,
    )


def _alternative(progress: Progress | None, number: int, count: int) -> Progress | None:
    if progress is None or count == 1:
        return progress
    return lambda fraction, what: progress((number + fraction) / count, f"key {number + 1} of {count}: {what}")


def _agree(channel: Channel, settings: Settings) -> None:
    """Compare what must be the same at both."""
    mine = settings.agreed()
    channel.send_bytes("psi settings", json.dumps(mine).encode())
    theirs: Any = None
    with contextlib.suppress(ValueError, RecursionError):
        theirs = json.loads(channel.recv_bytes("psi settings", _MAX_SETTINGS))
    if not isinstance(theirs, dict) or not all(isinstance(theirs.get(k), type(v)) for k, v in mine.items()):
        raise FrameError(
            f"{channel.peer} sent settings that cannot be read", where="tag 'psi settings'", party=channel.peer
        )
    for name, value in mine.items():
        if theirs[name] != value:
            raise ProtocolAbort(
                f"{name} is {value!r} at {channel.me} and {str(theirs[name])[:40]!r} at {channel.peer}",
                where=f"setting {name}",
                hint="give both the same settings",
                party=channel.peer,
            )
