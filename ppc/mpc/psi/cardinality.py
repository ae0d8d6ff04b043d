"""How many keys two parties have in common, and sums over them, without showing which.

`count` (both learn how many): Diffie–Hellman as in `ppc.mpc.psi.ecdh`, except that one party shuffles the other's
points before it sends them back, so that tags cannot be traced to keys.

1. both announce sizes, key types and a nonce; the counting party (the one whose name comes first) sends a·H(x) of its
   keys, shuffled
2. the other returns the first bytes of b·a·H(x), shuffled anew, and sends b·H(y) of its own keys, shuffled
3. the counting party multiplies those by a, and counts the tags that both lists have. It tells the number

`own_total`, `peer_total` (also sums): the other party is the one with numbers t_j to its keys y_j. It sends with each
b·H(y_j) an encryption of t_j under its own key. The counting party adds up the ciphertexts of those that are in both,
makes the result fresh, and returns it: the owner of the numbers learns their sum over the common keys, the counting
party learns the number of common keys, and tells it. If fewer than `min_rows` are common, no sum is returned: it would
tell single numbers.

Threat: semi-honest, two parties; decisional Diffie–Hellman in the random-oracle model, and for `total` that the
    encryption hides its messages.
Leaks: to both the number of the other's keys and of common keys; to the owner of the numbers their sums. A party that
    chooses its set can learn about single keys from counts over several runs: limit how often a peer may ask.
    A sum is as telling as its numbers are fine: an owner may know which of its numbers add up to it. One that chooses
    them (1, 2, 4, …) reads 62 keys a column from a single run, whatever `min_rows` says; for honest amounts in cents
    the sums of a few columns fit one choice of 20 rows among thousands. Sum only for who may know its matching rows.
Cost: 2 rounds; the counting party sends 32 bytes a key of its own, the other 32 a key of its own and `tag_bytes` for
    each of the counting party's, and for sums a ciphertext (768 bytes for Paillier with 3072 bits) a key of its own.
Source: Huberman, Franklin, Hogg, EC 1999; De Cristofaro, Gasti, Tsudik, CANS 2012 (cardinality by shuffling); Ion et
    al., "On deploying secure computing: private intersection-sum-with-cardinality", EuroS&P 2020, section 4 (sums).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from ppc.core import rng
from ppc.errors import ConfigError, DisclosureRefused, FrameError, ValueRangeError
from ppc.mpc.psi import group
from ppc.mpc.psi.ecdh import Progress, match_rows, part_of, tag_bytes
from ppc.mpc.psi.greeting import MAX_ROWS, greet
from ppc.mpc.psi.keys import Keys, as_keys
from ppc.net.channel import Channel, Spec

Bytes = NDArray[np.uint8]

_COUNT: Final = "count ecdh edwards25519 v1"
_TOTAL: Final = "total ecdh edwards25519 v1"
_ROWS_A_FRAME: Final = 1 << 16
_MAX_PUBLIC: Final = 1 << 16
_MAX_CIPHERTEXT: Final = 1 << 14
_MAX_COLUMNS: Final = 64


class Sealer(Protocol):
    """An additively homomorphic encryption at the owner of numbers; see `ppc.joint.totals` for one by Paillier."""

    def public_bytes(self) -> bytes:
        """The public key."""

    def seal(self, values: NDArray[np.int64], rows: int) -> Bytes:
        """Rows of integers (n, columns) as ciphertexts (n, width), which may be added `rows` times."""

    def unseal(self, ciphertext: bytes, columns: int) -> list[int]:
        """The sums in one ciphertext."""


class Adder(Protocol):
    """What the counting party does with ciphertexts."""

    def add(self, public: bytes, ciphertexts: Bytes, columns: int, rows: int) -> bytes:
        """The sum of ciphertexts (n, width), n >= 1, with fresh randomness. `columns` and `rows` as sealed."""


@dataclass(frozen=True)
class Total:
    """The number of common keys; and, at the owner of the numbers, their sum for each column (None elsewhere)."""

    count: int
    sums: tuple[int, ...] | None


def count(
    channel: Channel,
    keys: Keys | Mapping[str, Any] | Sequence[Any],
    *,
    max_peer_rows: int = MAX_ROWS,
    workers: int | None = None,
    progress: Progress | None = None,
) -> int:
    """How many keys both have. Both parties call this at the same time, and both learn it.

    Args and errors as in `ppc.mpc.psi.ecdh.intersect`.
    """
    keys = as_keys(keys)
    theirs, salt = greet(channel, keys, _COUNT, max_peer_rows)
    if not len(keys) or not theirs:
        return 0
    if channel.me < channel.peer:
        common = len(_count(channel, keys, theirs, salt, workers, progress))
        channel.send("psi count", np.array([common], np.uint64))
        return common
    _answer(channel, keys, theirs, salt, workers, progress)
    return _told(channel, min(len(keys), theirs))


def own_total(
    channel: Channel,
    keys: Keys | Mapping[str, Any] | Sequence[Any],
    values: NDArray[np.int64],
    sealer: Sealer,
    *,
    max_peer_rows: int = MAX_ROWS,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Total:
    """Sums over the common keys of my `values`, int64 (rows of my table, columns). The peer calls `peer_total`.

    Raises: ValueRangeError: values that are not integers in that shape. DisclosureRefused: too few keys are common.
    """
    keys = as_keys(keys)
    values = np.asarray(values)
    if values.ndim != 2 or values.dtype != np.int64 or len(values) != keys.total or not values.shape[1]:
        raise ValueRangeError(f"values are int64 of shape ({keys.total}, columns), not {values.dtype} {values.shape}")
    columns = values.shape[1]
    if columns > _MAX_COLUMNS:
        raise ValueRangeError(f"at most {_MAX_COLUMNS} columns are summed at once, not {columns}")
    theirs, salt = greet(channel, keys, f"{_TOTAL}, {columns} columns", max_peer_rows)
    if not len(keys) or not theirs:
        return Total(0, (0,) * columns)
    channel.send_bytes("psi key", sealer.public_bytes())
    order = _answer(channel, keys, theirs, salt, workers, progress)
    sealed = sealer.seal(values[keys.rows[order]], len(keys))
    channel.send("psi width", np.array([sealed.shape[1]], np.uint64))
    for at in range(0, len(sealed), _ROWS_A_FRAME):
        channel.send("psi sealed", sealed[at : at + _ROWS_A_FRAME])
    common = _told(channel, min(len(keys), theirs))
    answer = channel.recv_bytes("psi total", _MAX_CIPHERTEXT)
    if common and not answer:
        raise DisclosureRefused(
            f"{channel.peer} returns no sum over {common} common keys: fewer than its minimum", party=channel.peer
        )
    return Total(common, tuple(sealer.unseal(answer, columns)) if common else (0,) * columns)


def peer_total(
    channel: Channel,
    keys: Keys | Mapping[str, Any] | Sequence[Any],
    adder: Adder,
    *,
    columns: int,
    min_rows: int = 20,
    max_peer_rows: int = MAX_ROWS,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Total:
    """The other side of `own_total`: I have keys only, and learn how many are common.

    Args: columns: how many columns the peer sums. min_rows: over fewer common keys no sum is returned; at least 1.

    Raises: DisclosureRefused: fewer than `min_rows` keys are common.
    """
    if not 1 <= columns <= _MAX_COLUMNS:
        raise ConfigError(f"columns is between 1 and {_MAX_COLUMNS}, not {columns}")
    if not min_rows >= 1:
        raise ConfigError(f"min_rows is at least 1, not {min_rows}")
    keys = as_keys(keys)
    theirs, salt = greet(channel, keys, f"{_TOTAL}, {columns} columns", max_peer_rows)
    if not len(keys) or not theirs:
        return Total(0, None)
    public = channel.recv_bytes("psi key", _MAX_PUBLIC)
    common = _count(channel, keys, theirs, salt, workers, progress)
    (width,) = channel.recv("psi width", Spec(np.uint64, 1))
    if not 1 <= int(width[0]) <= _MAX_CIPHERTEXT:
        raise FrameError(f"{channel.peer} announces ciphertexts of {width[0]} bytes",
                         where="tag 'psi width'", party=channel.peer)  # fmt: skip
    wanted = np.zeros(theirs, np.bool_)
    wanted[common] = True
    kept = []
    for at in range(0, theirs, _ROWS_A_FRAME):
        n = min(_ROWS_A_FRAME, theirs - at)
        (part,) = channel.recv("psi sealed", Spec(np.uint8, (n, int(width[0]))))
        kept.append(part[wanted[at : at + n]])
    enough = len(common) >= min_rows
    answer = adder.add(public, np.concatenate(kept), columns, theirs) if enough else b""
    channel.send("psi count", np.array([len(common)], np.uint64))
    channel.send_bytes("psi total", answer)
    if len(common) and not enough:
        raise DisclosureRefused(
            f"only {len(common)} keys are common; no sum over fewer than {min_rows} is returned",
            hint="a sum over few rows tells single values; min_rows sets the limit",
        )
    return Total(len(common), None)


def _count(
    channel: Channel, keys: Keys, theirs: int, salt: bytes, workers: int | None, progress: Progress | None
) -> NDArray[np.int64]:
    """The places in the peer's list of the keys that are common: steps 1 and 3."""
    mine, total, secret = len(keys), len(keys) + theirs, group.secret_scalar()
    order = rng.os_stream().permutation(mine)
    points = group.hash_and_multiply(
        keys.salted(salt), secret, workers, part_of(progress, 0.0, mine / total, "blinding my keys")
    )
    group.send(channel, "psi points", points[order])
    width = tag_bytes(mine, theirs)
    my_tags = group.receive(channel, "psi tags", mine, width)
    peer_points = group.receive(channel, "psi points", theirs)
    doubled = group.multiply_received(
        channel, peer_points, secret, workers,
        part_of(progress, mine / total, 1.0, f"blinding the keys of {channel.peer}"),
    )  # fmt: skip
    return match_rows(np.ascontiguousarray(doubled[:, :width]), my_tags)


def _answer(
    channel: Channel, keys: Keys, theirs: int, salt: bytes, workers: int | None, progress: Progress | None
) -> NDArray[np.int64]:
    """Step 2; returns the order in which my keys were sent."""
    mine, total, secret = len(keys), len(keys) + theirs, group.secret_scalar()
    stream = rng.os_stream()
    order = stream.permutation(mine)
    points = group.hash_and_multiply(
        keys.salted(salt), secret, workers, part_of(progress, 0.0, mine / total, "blinding my keys")
    )
    peer_points = group.receive(channel, "psi points", theirs)
    doubled = group.multiply_received(
        channel, peer_points, secret, workers,
        part_of(progress, mine / total, 1.0, f"blinding the keys of {channel.peer}"),
    )  # fmt: skip
    tags = np.ascontiguousarray(doubled[stream.permutation(theirs), : tag_bytes(mine, theirs)])
    group.send(channel, "psi tags", tags)
    group.send(channel, "psi points", points[order])
    return order


def _told(channel: Channel, limit: int) -> int:
    (common,) = channel.recv("psi count", Spec(np.uint64, 1))
    if not int(common[0]) <= limit:
        raise FrameError(f"{channel.peer} counts more common keys than a party has",
                         where="tag 'psi count'", party=channel.peer)  # fmt: skip
    return int(common[0])
