"""Private set intersection from a batched oblivious PRF made of 1-out-of-N transfers: no LPN, symmetric cryptography.

The party with fewer keys is the receiver (at a tie, the one whose name comes first). All hashes of a key depend on the
session's salt, which is fixed after both sets are.

1. both announce their sizes, key types and a nonce; 512 base transfers, in which the sender chooses by a secret
   s of 512 bits
2. the receiver places each key x in one of its three bins h_1(x), h_2(x), h_3(x), no bin taking two (`cuckoo`). For bin
   j with key x placed by h_i it has a code word c_j = C(x, i) of 512 bits, for an empty bin a random one. It holds a
   random row t_j for each bin, and sends columns so that the sender gets q_j = t_j ⊕ (c_j & s)
3. the oblivious PRF of bin j is F_j(y, i) = H(j, q_j ⊕ (C(y, i) & s)), which is H(j, t_j) for the key in that bin. For
   each of its keys y and each i the sender sends the tag of F_j(y, i), j = h_i(y), and y's place in a random order
   of its keys, encrypted by more of F_j(y, i). For each i they are sorted by tag
4. the receiver finds the tag of H(j, t_j) among those sent for its i, decrypts the place, and sends one bit a place.
   Both bring the matching rows into the order of the places

Threat: semi-honest, two parties. H is SHA-256 as a random oracle (it must be Hamming correlation robust), C from AES as
    an ideal cipher; base transfers under CDH. Nothing else: no LPN.
Leaks: to both the number of the other's keys, and which of its own rows matched. Places are a random order, drawn
    by the sender; the receiver tells places, not bins or i, which would show where its other keys stand.
Cost: 3 rounds. The receiver sends 64 bytes a bin (1.31 a key, `cuckoo`), the sender three times `tag_bytes` + 4 a key;
    base transfers take 49 KB.

Why nothing else leaks. *The sender* sees columns masked by the streams of keys that it does not have. *The receiver*
sees F_j(y, i) for (y, i) that are not in bin j: H at t_j ⊕ ((c_j ⊕ C(y, i)) & s). Two code words differ in fewer than
128 places with probability below 2^-97 (the binomial tail for 512 bits), so over all of the at most 2^30 pairs the
sender's tags hide behind at least 128 unknown bits of s except with probability 2^-67. With i in the code word, a key
whose bins coincide for two keys gives unrelated tags. What a receiver finds under i is a key of its own.

Source: Kolesnikov, Kumaresan, Rosulek, Trieu, "Efficient batched oblivious PRF with applications to private set
    intersection", CCS 2016, figures 2 and 4; Pinkas, Schneider, Zohner, TOPS 2018 (no stash). The encrypted places are
    ours: the paper's receiver alone learns the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ppc.core import bits, rng, sha256
from ppc.core.rng import Stream
from ppc.errors import FrameError
from ppc.mpc.ot import base
from ppc.mpc.psi import cuckoo
from ppc.mpc.psi.ecdh import Progress, tag_bytes
from ppc.mpc.psi.keys import Keys
from ppc.net.channel import Channel, Spec

Words = NDArray[np.uint64]

CODE_BITS: Final = 512
PLACE_BYTES: Final = 4  # up to 2^28 keys
_WORDS: Final = CODE_BITS // 64
_BINS_A_MESSAGE: Final = 1 << 16  # 4 MB
_ROWS_A_FRAME: Final = 1 << 20
_NONCE: Final = 0x6B6B


def match(
    channel: Channel, keys: Keys, theirs: int, salt: bytes, *, progress: Progress | None = None
) -> NDArray[np.int64]:
    """The matching rows (int64), after the greeting: `theirs` is the number of the peer's keys, `salt` the session's.

    Raises: ProtocolAbort: with probability below 2^-40, my keys cannot be placed in bins. FrameError: the peer sent
        what no run of the protocol sends. And the errors of the channel.
    """
    if not len(keys) or not theirs:
        return np.empty(0, np.int64)
    receiving = (len(keys), channel.me) < (theirs, channel.peer)
    run = _receive if receiving else _send
    return keys.rows[run(channel, keys, theirs, salt, progress or (lambda fraction, what: None))]


def _receive(channel: Channel, keys: Keys, theirs: int, salt: bytes, progress: Progress) -> NDArray[np.int64]:
    progress(0.0, "making base transfers")
    pairs = base.send(channel, CODE_BITS, context=salt)
    b = cuckoo.bins_for(len(keys))
    table, taken = cuckoo.place(cuckoo.candidates(keys.hashed(salt, "bins"), b), b)
    progress(0.2, "sending columns for my keys")
    own = keys.hashed(salt, "code")
    streams = [tuple(Stream(k.tobytes(), _NONCE) for k in pair) for pair in pairs]
    filler = rng.os_stream()
    outputs = np.empty((len(keys), 32), np.uint8)
    for start, width in _pieces(b):
        part = table[start : start + width]
        used = np.flatnonzero(part >= 0)
        held = part[used]
        words = filler.uint64((width, _WORDS))
        words[used] = _code(own[held], taken[held].astype(np.uint64), salt)
        code = _columns(words)
        t = np.empty_like(code)
        u = np.empty_like(code)
        for i, (zero, one) in enumerate(streams):
            t[i] = zero.uint64(code.shape[1])
            u[i] = t[i] ^ one.uint64(code.shape[1]) ^ code[i]
        channel.send("psi columns", u)
        outputs[held] = _hash(start + used, _rows(t, width)[used])
        progress(0.2 + 0.4 * (start + width) / b, "sending columns for my keys")
    progress(0.6, f"waiting for the tags of {channel.peer}")
    width = tag_bytes(len(keys), theirs)
    places = np.full(len(keys), -1, np.int64)
    for i in range(3):
        tags, masked = _recv_tags(channel, theirs, width)
        mine = np.flatnonzero(taken == i)
        at = _find(channel, tags, outputs[mine, :width])
        hit = mine[at >= 0]
        pads = outputs[hit, 16 : 16 + PLACE_BYTES]
        places[hit] = np.ascontiguousarray(masked[at[at >= 0]] ^ pads).view("<u4")[:, 0]
    matched = np.flatnonzero(places >= 0)
    matched = matched[np.argsort(places[matched])]
    found = places[matched]
    if len(found) and (found[-1] >= theirs or (found[1:] == found[:-1]).any()):
        raise FrameError(
            f"{channel.peer} sent places that are no order of {theirs} keys",
            where="frame field 'payload' of 'psi tags'",
            party=channel.peer,
        )
    flags = np.zeros(theirs, np.bool_)
    flags[found] = True
    channel.send("psi matches", bits.pack(flags))
    progress(1.0, "matched")
    return matched


def _send(channel: Channel, keys: Keys, theirs: int, salt: bytes, progress: Progress) -> NDArray[np.int64]:
    progress(0.0, "making base transfers")
    secret = np.frombuffer(rng.random_bytes(CODE_BITS // 8), np.uint64)
    chosen = bits.unpack(secret, CODE_BITS)
    streams = [Stream(k.tobytes(), _NONCE) for k in base.receive(channel, chosen, context=salt)]
    masks = np.uint64(0) - chosen.astype(np.uint64)
    b = cuckoo.bins_for(theirs)
    progress(0.2, f"waiting for the columns of {channel.peer}")
    q = np.empty((b, _WORDS), np.uint64)
    for start, width in _pieces(b):
        count = bits.words_for(width)
        (u,) = channel.recv("psi columns", Spec(np.uint64, (CODE_BITS, count)))
        for i, stream in enumerate(streams):
            u[i] &= masks[i]
            u[i] ^= stream.uint64(count)
        q[start : start + width] = _rows(u, width)
    progress(0.5, "computing the tags of my keys")
    n = len(keys)
    width = tag_bytes(theirs, n)
    own = keys.hashed(salt, "code")
    bins = cuckoo.candidates(keys.hashed(salt, "bins"), b)
    order = rng.os_stream().permutation(n)
    places = np.empty(n, "<u4")
    places[order] = np.arange(n, dtype=np.uint32)
    for i in range(3):
        output = np.empty((n, width + PLACE_BYTES), np.uint8)
        for start in range(0, n, _BINS_A_MESSAGE):
            part = slice(start, start + _BINS_A_MESSAGE)
            j = bins[part, i].astype(np.int64)
            words = _code(own[part], np.full(len(j), i, np.uint64), salt)
            words &= secret
            words ^= q[j]
            hashes = _hash(j, words)
            output[part, :width] = hashes[:, :width]
            output[part, width:] = hashes[:, 16 : 16 + PLACE_BYTES] ^ places[part].view(np.uint8).reshape(-1, 4)
        output = output[_ascending(output[:, :width])]
        for start in range(0, n, _ROWS_A_FRAME):
            channel.send("psi tags", output[start : start + _ROWS_A_FRAME])
        progress(0.5 + 0.4 * (i + 1) / 3, "computing the tags of my keys")
    progress(0.9, f"waiting for the matches of {channel.peer}")
    (packed,) = channel.recv("psi matches", Spec(np.uint64, (bits.words_for(n),)))
    progress(1.0, "matched")
    return order[bits.unpack(packed, n).astype(np.bool_)]


# --- the code, and the hash of rows ---
def _code(blocks: Words, which: Words, salt: bytes) -> Words:
    """C(x, i): four blocks of AES under keys of the session, of a key's block with i added in; uint64 (n, 8)."""
    import hashlib

    from ppc.core import aes

    tweaked = blocks.copy()
    tweaked[:, 0] ^= which
    out = np.empty((len(blocks), _WORDS), np.uint64)
    for k in range(4):
        key = hashlib.sha256(b"ppc kkrt code v1 %d" % k + salt).digest()[:16]
        out[:, 2 * k : 2 * k + 2] = aes.mmo(key, tweaked)
    return out


def _hash(j: NDArray[np.int64], rows: Words) -> NDArray[np.uint8]:
    """H(j, row): SHA-256; uint8 (n, 32)."""
    messages = np.empty((len(j), 1 + _WORDS), "<u8")
    messages[:, 0] = j
    messages[:, 1:] = rows
    return sha256.rows(messages.view(np.uint8))


def _columns(rows: Words) -> Words:
    """Rows of 512 bits (n, 8) as packed columns (512, ⌈n / 64⌉)."""
    return np.concatenate([bits.slice_bits(np.ascontiguousarray(rows[:, w])) for w in range(_WORDS)])


def _rows(columns: Words, n: int) -> Words:
    """The inverse of `_columns`, for n rows."""
    return np.stack([bits.unslice_bits(columns[64 * w : 64 * w + 64], n) for w in range(_WORDS)], axis=1)


def _pieces(b: int) -> Iterator[tuple[int, int]]:
    for start in range(0, b, _BINS_A_MESSAGE):
        yield start, min(_BINS_A_MESSAGE, b - start)


# --- tags ---
def _widened(tags: NDArray[np.uint8]) -> Words:
    out = np.zeros((len(tags), 16), np.uint8)
    out[:, : tags.shape[1]] = tags
    return out.view("<u8").astype(np.uint64, copy=False)


def _ascending(tags: NDArray[np.uint8]) -> NDArray[np.int64]:
    from ppc.mpc.psi import rr22

    return rr22.ordered(_widened(tags))


def _recv_tags(channel: Channel, n: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    out = np.empty((n, width + PLACE_BYTES), np.uint8)
    for start in range(0, n, _ROWS_A_FRAME):
        part = out[start : start + _ROWS_A_FRAME]
        (part[:],) = channel.recv("psi tags", Spec(np.uint8, part.shape))
    return out[:, :width], out[:, width:]


def _find(channel: Channel, theirs: NDArray[np.uint8], mine: NDArray[np.uint8]) -> NDArray[np.int64]:
    """For each of my tags its index among the peer's ascending ones, or −1."""
    from ppc.mpc.psi import rr22

    wide = _widened(mine)
    order = rr22.ordered(wide)
    out = np.empty(len(mine), np.int64)
    out[order] = rr22.find(channel, _widened(theirs), wide[order])
    return out
