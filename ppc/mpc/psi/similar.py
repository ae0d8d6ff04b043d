"""Rows whose names are alike without being equal, and whose other key columns are. This trades privacy: see Leaks.

Names are sets of bigrams of their letters (`^a, an, nn, na, a$`); alike are those whose Jaccard index, common bigrams
over all, is at least `threshold`.

1. both announce the number of their rows; nonces make the session's salt. Each row gets BANDS items: in each, ROWS
   MinHash values of its bigrams, by random functions under the salt, hashed together with its other key columns. Names
   of index s share an item with probability 1 − (1 − s^ROWS)^BANDS: 99.9 % for 0.7, 88 % for 0.5, 12 % for 0.2. Items
   that a party has twice are left out, and dummies fill up to BANDS a row
2. the items are matched by private set intersection: each common one is a candidate pair. Each tells which candidates
   belong to one row of its own, so that every pair is tested once
3. for each candidate the common bigrams are counted, as in `ppc.mpc.psi.cardinality`: with secrets a and b the parties
   exchange a·H(c, gram) and b·H(c, gram), shuffled within the candidate c; one multiplies again and returns the tags,
   shuffled again within the candidate; the other counts
4. the counting party (whose name comes first) takes the pairs of high enough index, best first, each row once, and
   tells which. Both have their rows of these in the order of the candidates, which is pseudo-random

Threat: semi-honest, two parties; as the protocol of step 2, and decisional Diffie–Hellman in the random-oracle model.
Leaks: to both, beside the number of the other's rows and which own rows are matched: for each own row, in which bands
    it met a row of the other's with equal other columns, *also if it is not matched in the end*; which of these are one
    row there; and how many bigrams the other's name of such a pair has. To the counting party, for each such pair, how
    many bigrams are common. A band that met says that the other name has ROWS certain bigrams of one's own, and none of
    the many that the band's functions put before them; so whoever has a list of names is left with few: of 20,000 with
    syllables in common, for half of the pairs with 18 or fewer, in 8 % with the one name; counting, with 5, and in 21 %
    with the one. Take it that the names of all such pairs are told. A party that asks with names of its choice learns
    how near they come to a name of the other's. Off unless asked for.
Cost: 5 rounds besides those of step 2, which runs on BANDS items a row; for each candidate about 32 bytes a bigram
    from each party and 16 more from one; two multiplications and a hash a bigram.
Source: Broder, SEQUENCES 1997 (MinHash); Indyk, Motwani, STOC 1998 (bands); De Cristofaro, Gasti, Tsudik, CANS 2012
    (counts), used for each candidate as Blundo, De Cristofaro, Gasti, EsPRESSo, DPM 2012 do for Jaccard indices.
    Bloom filters of names (Schnell, Bachteler, Reiher 2009) are not used: they are readable from their frequencies
    (Kuzu et al., PETS 2011; Christen et al., PAKDD 2018).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ppc.core import rng
from ppc.errors import ConfigError, FrameError
from ppc.mpc.psi import group, protocols
from ppc.mpc.psi.ecdh import Progress, part_of
from ppc.mpc.psi.greeting import greet
from ppc.mpc.psi.keys import DIGEST_BYTES, Keys
from ppc.net.channel import Channel, Spec

if TYPE_CHECKING:
    import pyarrow as pa

BANDS: Final = 16
ROWS: Final = 3
MAX_NAMES: Final = 1 << 20
_MAX_GRAMS: Final = 128
_TAG_BYTES: Final = 16
_CHUNK: Final = 4096

Rows = NDArray[np.int64]


def chance(index: float) -> float:
    """The probability that two names of this Jaccard index become a candidate."""
    return 1 - (1 - index**ROWS) ** BANDS


def grams(name: str) -> frozenset[str]:
    """The bigrams of a name, with marks at its ends; at most 128 of the first."""
    marked = f"\x02{name[: _MAX_GRAMS - 1]}\x03"
    return frozenset(marked[i : i + 2] for i in range(len(marked) - 1))


def match(
    channel: Channel,
    names: pa.Array,
    others: Keys,
    threshold: float,
    *,
    protocol: protocols.Protocol = "auto",
    max_peer_rows: int = MAX_NAMES,
    progress: Progress | None = None,
) -> Rows:
    """My rows with a partner, in an order that both share. Both parties call this at the same time.

    Args:
        names: brought to one form already (`ppc.mpc.psi.normalise`); null where a row takes no part.
        others: the other key columns, from `digest_rows`: a row without them takes no part.
        threshold: the least Jaccard index, 0.3 to 1; the same at both parties.
        max_peer_rows: refuse a peer with more rows.

    Raises: as `ppc.mpc.psi.ecdh.intersect`; FrameError for what cannot be a part of this protocol.
    """
    if not 0.3 <= threshold <= 1:
        raise ConfigError(f"names are alike from an index of 0.3 to 1, not {threshold:g}", where="threshold")
    texts = names.take(others.rows).to_pylist()
    kept = [i for i, text in enumerate(texts) if text]
    if len(kept) > MAX_NAMES:
        raise ConfigError(f"names of at most {MAX_NAMES} rows can be compared, not of {len(kept)}")
    mine = [grams(texts[i]) for i in kept]
    rows = others.rows[kept]
    announced = Keys(
        others.digests()[kept], rows, types=(*others.types, "similar"), normalise=others.normalise, total=len(rows),
        nulls=0, duplicates=0,
    )  # fmt: skip
    theirs, salt = greet(channel, announced, f"similar {threshold:g} {protocol} v1", min(max_peer_rows, MAX_NAMES))
    if not len(rows) or not theirs:
        return np.empty(0, np.int64)
    items = _items(announced, mine, salt)
    told = None if progress is None else (lambda f, what: progress(f / 2, f"similar names: {what}"))
    met = protocols.intersect(channel, items, protocol=protocol, max_peer_rows=BANDS * theirs, progress=told)
    row, labels = _candidates(channel, met // BANDS)
    if not len(row):
        return np.empty(0, np.int64)
    accepted = _test(channel, [mine[i] for i in row], labels, salt, threshold, progress)
    return rows[row[accepted]]


def _items(announced: Keys, mine: list[frozenset[str]], salt: bytes) -> Keys:
    """BANDS items a row as keys; item i·BANDS + j is band j of row i."""
    functions: dict[str, int] = {}
    index = [[functions.setdefault(g, len(functions)) for g in sorted(s)] for s in mine]
    size = 8 * BANDS * ROWS
    raw = b"".join(hashlib.shake_256(b"ppc minhash v1" + salt + g.encode()).digest(size) for g in functions)
    table = np.frombuffer(raw, "<u8").reshape(-1, BANDS * ROWS)
    out = bytearray()
    others = announced.digests()
    for start in range(0, len(mine), _CHUNK):
        part = index[start : start + _CHUNK]
        ends = np.cumsum([0] + [len(p) for p in part[:-1]])
        lowest = np.minimum.reduceat(table[np.concatenate(part)], ends, axis=0)
        for i, values in enumerate(lowest):
            prefix = hashlib.sha256(b"ppc band v1" + salt + others[start + i].tobytes())
            for j in range(BANDS):
                band = prefix.copy()
                band.update(bytes([j]) + values[j * ROWS : (j + 1) * ROWS].tobytes())
                out += band.digest()
    digests = np.frombuffer(out, np.uint8).reshape(-1, DIGEST_BYTES).copy()
    _, inverse, counts = np.unique(
        digests.view(f"V{DIGEST_BYTES}").reshape(-1), return_inverse=True, return_counts=True
    )
    twice = counts[inverse.reshape(-1)] > 1
    noise = np.frombuffer(rng.random_bytes(int(twice.sum()) * DIGEST_BYTES), np.uint8)
    digests[twice] = noise.reshape(-1, DIGEST_BYTES)
    return Keys(
        digests, np.arange(len(digests), dtype=np.int64), types=announced.types, normalise=announced.normalise,
        total=len(digests), nulls=0, duplicates=0,
    )  # fmt: skip


def _candidates(channel: Channel, row: Rows) -> tuple[Rows, tuple[Rows, Rows]]:
    """My row of each candidate pair, each pair once; and labels of the rows of the first and of the second party."""
    if not len(row):
        return row, (row, row)
    _, first, inverse = np.unique(row, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))  # by first occurrence: says nothing of row numbers
    mine = rank[inverse.reshape(-1)]
    (theirs,) = channel.exchange("similar rows", mine)
    if theirs.min() < 0 or theirs.max() >= len(row):
        raise _wrong(channel, "similar rows")
    a, b = (mine, theirs) if channel.me < channel.peer else (theirs, mine)
    _, once = np.unique(a * len(row) + b, return_index=True)
    once = np.sort(once)
    return row[once], (a[once], b[once])


def _test(
    channel: Channel,
    mine: list[frozenset[str]],
    labels: tuple[Rows, Rows],
    salt: bytes,
    threshold: float,
    progress: Progress | None,
) -> NDArray[np.bool_]:
    """Which candidates are accepted."""
    counting = channel.me < channel.peer
    sizes = np.array([len(g) for g in mine], np.int64)
    (their_sizes,) = channel.exchange("similar sizes", sizes)
    if their_sizes.min() < 1 or their_sizes.max() > _MAX_GRAMS + 1:
        raise _wrong(channel, "similar sizes")
    secret = group.secret_scalar()
    hashes = [
        hashlib.blake2b(c.to_bytes(8, "little") + g.encode(), digest_size=32, key=salt).digest()
        for c, own in enumerate(mine)
        for g in own
    ]
    points = group.hash_and_multiply(hashes, secret, None, part_of(progress, 0.5, 0.7, "similar names: blinding"))
    points = points[_shuffle_within(sizes)]
    theirs = group.swap(channel, "similar points", points, int(their_sizes.sum()), group.POINT_BYTES)
    told = part_of(progress, 0.7, 1.0, "similar names: counting")
    doubled = group.multiply_received(channel, theirs, secret, None, told)[:, :_TAG_BYTES]
    if not counting:
        tags = np.ascontiguousarray(doubled[_shuffle_within(their_sizes)])
        group.swap(channel, "similar tags", tags, 0, _TAG_BYTES)
        (answer,) = channel.recv("similar answer", Spec(np.uint8, (len(mine),)))
        if answer.max() > 1:
            raise _wrong(channel, "similar answer")
        return answer.astype(np.bool_)
    mine_again = group.swap(channel, "similar tags", np.empty((0, _TAG_BYTES), np.uint8), len(points), _TAG_BYTES)
    common = _common(mine_again, sizes, doubled, their_sizes)
    index = common / (sizes + their_sizes - common)
    accepted = _one_to_one(index, labels, threshold)
    channel.send("similar answer", accepted.astype(np.uint8))
    return accepted


def _shuffle_within(sizes: Rows) -> Rows:
    """A random order of items that stay within their candidate."""
    which = np.repeat(np.arange(len(sizes)), sizes)
    order: Rows = np.lexsort((rng.os_stream().uint64(len(which)), which)).astype(np.int64, copy=False)
    return order


def _common(a: NDArray[np.uint8], a_sizes: Rows, b: NDArray[np.uint8], b_sizes: Rows) -> Rows:
    """For each candidate the number of tags that both have."""
    which = np.concatenate([np.repeat(np.arange(len(s)), s) for s in (a_sizes, b_sizes)])
    both = np.zeros((len(which), 8 + _TAG_BYTES), np.uint8)
    both[:, :8] = which.astype("<i8").view(np.uint8).reshape(-1, 8)
    both[:, 8:] = np.concatenate([a, b])
    _, first, counts = np.unique(both.view(f"V{8 + _TAG_BYTES}").reshape(-1), return_index=True, return_counts=True)
    return np.bincount(which[first[counts == 2]], minlength=len(a_sizes)).astype(np.int64)


def _one_to_one(index: NDArray[np.float64], labels: tuple[Rows, Rows], threshold: float) -> NDArray[np.bool_]:
    """The best pairs above the threshold, each row in one at most."""
    accepted = np.zeros(len(index), np.bool_)
    used: tuple[set[int], set[int]] = (set(), set())
    for c in np.argsort(-index, kind="stable"):
        if index[c] < threshold - 1e-12:
            break
        a, b = int(labels[0][c]), int(labels[1][c])
        if a not in used[0] and b not in used[1]:
            accepted[c] = True
            used[0].add(a)
            used[1].add(b)
    return accepted


def _wrong(channel: Channel, tag: str) -> FrameError:
    return FrameError(f"{channel.peer} sent what cannot be", where=f"tag '{tag}'", party=channel.peer)
