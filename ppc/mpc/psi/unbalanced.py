"""A small set against a large one that was prepared beforehand; with labels, if the large one has them.

The server evaluates a pseudo-random function of its own on all its keys once and keeps the results, a cache that
serves any number of clients:

    F_k(y) = SHA-256(y' ‖ k·H(y')),   y' the key hashed with the cache's salt, k secret, H into the group (`group`).

The first bytes of F_k(y) are the key's tag; the rest opens its label, if there is one (XOR with SHAKE-256 of it).

1. both announce sizes and key types; the server tells its salt and sends tags and sealed labels, sorted by tag, unless
   the client still has them from last time
2. the client sends r·H(x') for its keys with a fresh r, the server returns k·r·H(x')
3. the client multiplies by 1/r, has F_k(x) of its keys, looks them up, and opens the labels of those it finds
4. if both want the match, the client tells the server the places of the tags it found

Threat: a client that deviates learns no more than F_k at as many keys as it announced (one-more Diffie–Hellman, random
    oracle); a server that deviates can give a client wrong answers. Semi-honest, r·H(x') tells the server nothing.
Leaks: to the client the number of the server's keys and, of its own keys, which the server has, with their labels; to
    the server the number of the client's keys, and with step 4 which of its own the client has. As k stays the same, a
    client may ask again: `max_peer_rows` bounds one question, and whoever serves must bound the questions. All labels
    of a cache are padded to the same length.
Cost: beforehand, one hash and one multiplication a key of the server's, and `tag_bytes` (at most 12) and a label each
    in the cache. Then 3 rounds, 64 bytes and three multiplications a key of the client's; the cache travels once.
Source: Jarecki, Liu, TCC 2009, and Jarecki, Kiayias, Krawczyk, ASIACRYPT 2014 (2HashDH); Kiss, Liu, Schneider, Asokan,
    Pinkas, "Private set intersection for unequal set sizes with mobile applications", PoPETs 2017 (cached answers);
    Chen, Huang, Laine, Rindal, CCS 2018 (what labelled PSI is).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ppc.core import rng
from ppc.core.files import atomic_write
from ppc.errors import ConfigError, FileError, FrameError, ValueRangeError
from ppc.mpc.psi import group
from ppc.mpc.psi.ecdh import STATISTICAL_BITS, Progress, part_of
from ppc.mpc.psi.greeting import MAX_ROWS, greet
from ppc.mpc.psi.keys import Keys, Normalise, as_keys
from ppc.net.channel import Channel, Spec

if TYPE_CHECKING:
    import pyarrow as pa

Bytes = NDArray[np.uint8]

_PROTOCOL: Final = "unbalanced ecdh edwards25519 v1"
_FILE: Final = "ppc psi cache v1"
_DIGEST: Final = 32
_MAX_LABEL: Final = 1 << 12
_MAX_CLIENT_BITS: Final = 20  # tags are long enough for clients of up to 2^20 keys at a time
_BATCH: Final = 1 << 16


@dataclass(frozen=True, repr=False)
class Cache:
    """What the server made of its keys. Keep it as secret as the keys: `k` and the tags test guesses.

    Attributes: salt, secret: of F. types, normalise: of the keys. tags: (n, width), sorted. rows: the row of the table
        behind each tag. labels: (n, length) sealed labels, or None.
    """

    salt: bytes
    secret: bytes
    types: tuple[str, ...]
    normalise: Normalise
    tags: Bytes
    rows: NDArray[np.int64]
    labels: Bytes | None

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"<Cache of {len(self)} keys{', with labels' if self.labels is not None else ''}>"

    def __reduce_ex__(self, protocol: object) -> str:
        raise TypeError("a Cache holds what identifies people, and is not pickled; use write()")

    @property
    def version(self) -> bytes:
        """Names what clients keep: 32 bytes."""
        known = hashlib.sha256(self.salt)
        known.update(self.tags)
        if self.labels is not None:
            known.update(self.labels)
        return known.digest()

    def write(self, path: str | Path) -> None:
        """Write the cache, with its secret, to a file that only its owner may read (mode 0600), whole or not at all."""
        import pyarrow as pa

        n = len(self)
        columns = [_fixed(self.tags), pa.array(self.rows, pa.int64())]
        names = ["tag", "row"]
        if self.labels is not None:
            columns.append(_fixed(self.labels))
            names.append("label")
        head = {
            "salt": self.salt.hex(),
            "secret": self.secret.hex(),
            "types": list(self.types),
            "normalise": self.normalise.describe(),
            "keys": n,
        }
        table = pa.table(columns, names).replace_schema_metadata({_FILE: json.dumps(head)})
        with atomic_write(path, mode=0o600) as out, pa.ipc.new_file(out, table.schema) as writer:
            writer.write_table(table)

    @classmethod
    def read(cls, path: str | Path) -> Cache:
        """A cache that `write` wrote. Raises FileError for anything else."""
        import pyarrow as pa

        try:
            with pa.OSFile(str(path), "rb") as source, pa.ipc.open_file(source) as reader:
                table = reader.read_all()
            head = json.loads((table.schema.metadata or {})[_FILE.encode()])
            tags = _rows_of(table.column("tag"))
            labels = _rows_of(table.column("label")) if "label" in table.column_names else None
            rows = table.column("row").to_numpy().astype(np.int64)
            cache = cls(
                bytes.fromhex(head["salt"]), bytes.fromhex(head["secret"]), tuple(head["types"]),
                Normalise(**head["normalise"]), tags, rows, labels,
            )  # fmt: skip
            good = len(cache.salt) == _DIGEST and len(cache.secret) == 32 and head["keys"] == len(rows) == len(tags)
        except OSError as error:
            raise FileError(f"cannot read: {error.strerror or 'no Arrow file'}", where=str(path)) from None
        except (pa.ArrowInvalid, KeyError, ValueError, TypeError, ConfigError):
            good = False
        if not good:
            raise FileError(
                "this is no cache of prepared keys", where=str(path), hint="make one with ppc.mpc.psi.unbalanced.build"
            )
        return cache


@dataclass(frozen=True, repr=False)
class Match:
    """What a client learns. `rows`: its rows that the server has too (int64). `labels`: theirs, or None."""

    rows: NDArray[np.int64]
    labels: pa.Array | None

    def __repr__(self) -> str:
        return f"<Match of {len(self.rows)} rows>"


@dataclass(frozen=True)
class Known:
    """What a client may keep of a server for the next time: nothing of it is secret towards the client."""

    version: bytes
    tags: Bytes
    labels: Bytes | None


def build(
    keys: Keys | Mapping[str, Any] | Sequence[Any],
    *,
    labels: pa.Array | pa.ChunkedArray | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Cache:
    """Prepare a set for `serve`. A cache is never extended: build a new one, which has a new secret.

    Args: keys: as for `ppc.mpc.psi.ecdh.intersect`. labels: text or binary, one for each row of the table (null is an
        empty label), at most 4096 bytes each; whoever has a key gets its label.
    """
    import pyarrow as pa

    keys = as_keys(keys)
    salt, secret = rng.random_bytes(_DIGEST), group.secret_scalar()
    outputs = _evaluate(keys.salted(salt), secret, workers, part_of(progress, 0.0, 1.0, "preparing my keys"))
    width = _tag_bytes(len(keys))
    order = np.lexsort((_leading(outputs[:, 8:]), _leading(outputs)))
    sealed = None
    if labels is not None:
        if len(labels) != keys.total:
            raise ValueRangeError(f"there are {len(labels)} labels for {keys.total} rows")
        sealed = _xor(_pad(labels.take(pa.array(keys.rows[order]))), outputs[order])
    return Cache(
        salt, secret, keys.types, keys.normalise, np.ascontiguousarray(outputs[order, :width]),
        keys.rows[order], sealed,
    )  # fmt: skip


def serve(
    channel: Channel,
    cache: Cache,
    *,
    tell: bool = False,
    max_peer_rows: int = 1 << _MAX_CLIENT_BITS,
    workers: int | None = None,
) -> NDArray[np.int64] | None:
    """Answer one client. Returns my rows that it has too if both `tell`, else None.

    Raises: DisclosureRefused: the client announces more than `max_peer_rows` keys. ProtocolAbort: it does not `tell`
        alike. FrameError: it sent something that is no point of the group.
    """
    theirs, _ = greet(channel, cache, _spoken(tell), min(max_peer_rows, 1 << _MAX_CLIENT_BITS))
    channel.send_bytes("psi salt", cache.salt + cache.version)
    length = 0 if cache.labels is None else cache.labels.shape[1]
    channel.send("psi label length", np.array([length], np.uint64))
    (known,) = channel.recv("psi known", Spec(np.uint8, 1))
    if not known[0]:
        group.send(channel, "psi tags", cache.tags)
        if cache.labels is not None:
            group.send(channel, "psi labels", cache.labels)
    points = group.receive(channel, "psi points", theirs)
    group.send(channel, "psi points", group.multiply_received(channel, points, cache.secret, workers))
    if not tell:
        return None
    (found,) = channel.recv_arrays("psi found", 8 * theirs + 64)
    if (
        found.dtype != np.int64 or found.ndim != 1 or len(found) > theirs
        or ((found < 0) | (found >= len(cache))).any() or len(np.unique(found)) != len(found)
    ):  # fmt: skip
        raise FrameError(f"{channel.peer} names tags that do not exist", where="tag 'psi found'", party=channel.peer)
    return cache.rows[found]


def ask(
    channel: Channel,
    keys: Keys | Mapping[str, Any] | Sequence[Any],
    *,
    tell: bool = False,
    known: Known | None = None,
    max_peer_rows: int = MAX_ROWS,
    workers: int | None = None,
    progress: Progress | None = None,
) -> tuple[Match, Known]:
    """Which of my keys the server has, with their labels, and what to keep for the next time.

    Args: tell: whether the server learns the match too; the same at both. known: from an earlier call. With `tell`, row
        i here and row i of what `serve` returns have the same key.
    """
    keys = as_keys(keys)
    if len(keys) > 1 << _MAX_CLIENT_BITS:
        raise ValueRangeError(
            f"at most {1 << _MAX_CLIENT_BITS} keys are asked at once, not {len(keys)}",
            hint="for sets of like sizes use ppc.mpc.psi.protocols.intersect",
        )
    theirs, _ = greet(channel, keys, _spoken(tell), max_peer_rows)
    head = channel.recv_bytes("psi salt", 2 * _DIGEST)
    if len(head) != 2 * _DIGEST:
        raise FrameError(f"{channel.peer} sent no salt", where="tag 'psi salt'", party=channel.peer)
    salt, version = head[:_DIGEST], head[_DIGEST:]
    (length,) = channel.recv("psi label length", Spec(np.uint64, 1))
    if not int(length[0]) <= _MAX_LABEL + 4:
        raise FrameError(f"{channel.peer} announces labels of {length[0]} bytes",
                         where="tag 'psi label length'", party=channel.peer)  # fmt: skip
    have = known is not None and known.version == version
    channel.send("psi known", np.array([have], np.uint8))
    width = _tag_bytes(theirs)
    if known is None or not have:
        tags = group.receive(channel, "psi tags", theirs, width)
        labels = group.receive(channel, "psi labels", theirs, int(length[0])) if length[0] else None
        known = Known(version, tags, labels)
    secret, hashes = group.secret_scalar(), keys.salted(salt)
    blinded = group.hash_and_multiply(hashes, secret, workers, part_of(progress, 0.0, 0.6, "blinding my keys"))
    order = rng.os_stream().permutation(len(keys))
    group.send(channel, "psi points", blinded[order])
    answers = group.receive(channel, "psi points", len(keys))
    bare = group.multiply_received(
        channel, answers, group.inverse(secret), workers, part_of(progress, 0.6, 1.0, "opening the answers")
    )
    outputs = _outputs([hashes[i] for i in order], bare)
    mine, place = _look_up(outputs, known.tags)
    if tell:
        channel.send("psi found", place)
    found = None
    if known.labels is not None:
        found = _unpad(_xor(known.labels[place], outputs[mine]), channel)
    return Match(keys.rows[order[mine]], found), known


def _spoken(tell: bool) -> str:
    return f"{_PROTOCOL}, {'both learn' if tell else 'the client learns'}"


def _tag_bytes(keys: int) -> int:
    """Bytes of a tag: no key of a client meets a wrong tag except with probability 2^-40 a question."""
    return math.ceil((STATISTICAL_BITS + _MAX_CLIENT_BITS + math.log2(max(keys, 1))) / 8)


def _evaluate(hashes: list[bytes], secret: bytes, workers: int | None, progress: group.Fraction) -> Bytes:
    parts = []
    for at in range(0, len(hashes), _BATCH):
        part = hashes[at : at + _BATCH]
        parts.append(_outputs(part, group.hash_and_multiply(part, secret, workers)))
        progress((at + len(part)) / len(hashes))
    return np.concatenate(parts) if parts else np.empty((0, _DIGEST), np.uint8)


def _outputs(hashes: list[bytes], points: Bytes) -> Bytes:
    """SHA-256(y' ‖ point), 32 bytes a row."""
    raw, width = points.tobytes(), group.POINT_BYTES
    joined = [hashlib.sha256(h + raw[i * width : (i + 1) * width]).digest() for i, h in enumerate(hashes)]
    return np.frombuffer(b"".join(joined), np.uint8).reshape(len(hashes), _DIGEST)


def _look_up(outputs: Bytes, tags: Bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which outputs have a tag, and where it stands among the sorted tags (n, width)."""
    first = _leading(tags)
    wanted = _leading(outputs)
    width, n = tags.shape[1], len(tags)
    at = np.searchsorted(first, wanted)
    place = np.full(len(outputs), -1, np.int64)
    pending = np.arange(len(outputs))
    while len(pending):  # tags that begin alike stand side by side; nearly always one pass
        pending = pending[(at[pending] < n)]
        pending = pending[first[at[pending]] == wanted[pending]]
        good = (tags[at[pending]] == outputs[pending, :width]).all(axis=1)
        place[pending[good]] = at[pending[good]]
        pending = pending[~good]
        at[pending] += 1
    mine = np.flatnonzero(place >= 0)
    return mine, place[mine]


def _leading(rows: Bytes) -> NDArray[np.uint64]:
    """The first eight bytes, in the order of the bytes."""
    head: NDArray[np.uint64] = np.ascontiguousarray(rows[:, :8]).view(">u8")[:, 0].astype(np.uint64)
    return head


# --- labels ---
def _pad(labels: pa.Array | pa.ChunkedArray) -> Bytes:
    """Each label with its length before it and zeros behind, all as long as the longest."""
    import pyarrow as pa

    if not (pa.types.is_string(labels.type) or pa.types.is_large_string(labels.type) or _is_binary(labels.type)):
        raise ValueRangeError(f"labels are text or binary, not {labels.type}")
    values = [b"" if v is None else v for v in labels.cast(pa.large_binary()).to_pylist()]
    longest = max(map(len, values), default=0)
    if longest > _MAX_LABEL:
        raise ValueRangeError(f"a label has {longest} bytes, more than {_MAX_LABEL}")
    padded = b"".join(len(v).to_bytes(4, "little") + v.ljust(longest, b"\0") for v in values)
    return np.frombuffer(padded, np.uint8).reshape(len(values), 4 + longest)


def _unpad(padded: Bytes, channel: Channel) -> pa.Array:
    import pyarrow as pa

    room = padded.shape[1] - 4
    out = []
    for row in padded:
        length = int.from_bytes(row[:4].tobytes(), "little")
        if length > room:
            raise FrameError(f"{channel.peer} sealed a label of an impossible length",
                             where="tag 'psi labels'", party=channel.peer)  # fmt: skip
        out.append(row[4 : 4 + length].tobytes())
    return pa.array(out, pa.binary())


def _xor(rows: Bytes, outputs: Bytes) -> Bytes:
    """Seal or open labels: each with the stream that its output gives. An output is used for one label only."""
    length = rows.shape[1]
    pads = b"".join(hashlib.shake_256(b"ppc psi label v1" + o.tobytes()).digest(length) for o in outputs)
    return rows ^ np.frombuffer(pads, np.uint8).reshape(rows.shape)


def _is_binary(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


# --- files ---
def _fixed(rows: Bytes) -> pa.Array:
    import pyarrow as pa

    return pa.Array.from_buffers(pa.binary(rows.shape[1]), len(rows), [None, pa.py_buffer(rows.tobytes())])


def _rows_of(column: pa.ChunkedArray) -> Bytes:
    width = column.type.byte_width
    whole = [np.frombuffer(c.buffers()[1], np.uint8)[c.offset * width :][: len(c) * width] for c in column.chunks]
    return np.concatenate([np.empty(0, np.uint8), *whole]).reshape(len(column), width)
