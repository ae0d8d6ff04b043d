"""RR22 against a party that deviates: it learns no more than if it had honestly chosen some set of its own.

The data path is that of `rr22`. What is different, with x for a key and H_o, H_v for hashes modelled as random oracles:

1. the sender commits to a random block w_s. Vector OLE is `checked` (`ppc.mpc.ot.vole`) and over before anything else
2. the receiver draws the seed of the places in its store now, so nobody could look for one that makes its keys hard to
   encode. It encodes v(x) = H_v(x), which uses all 256 bits of a key's digest, and sends the seed, a random block w_r
   and P ⊕ A
3. once it has all of that, the sender opens w_s; w = w_s ⊕ w_r. Nobody chose w, and no hash could be tried before it
4. the output for a key y is H_o(Decode(K, y) ⊕ Δ·v(y) ⊕ w, y) at the sender, H_o(Decode(C, y) ⊕ w, y) at the receiver:
   32 bytes. The first 16 are the tag, sent sorted. The last 16 are a proof
5. the receiver marks the tags that it found, and adds one hash of the proofs of all that it marked. The sender
   recomputes it: who does not hold a key cannot claim that it matched

Threat: malicious, one of two parties, with abort; where AES is an ideal cipher and SHA-256 a random oracle. Base
    transfers under CDH; with randomness `silent` also LPN with the parameters of `ppc.mpc.ot.lpn`, and static leakage
    (see `vole`); with `ot` not.
Leaks: as `rr22`. The ideal functionality takes a set from each party and tells both which of their own keys are common.
    Of a party that deviates it says besides:
    - a receiver may have more keys than it announced: up to about 1.2 for each block of its store, which makes 1.6 to 2
      for each key that it announced, and up to 1400 where it announced fewer than 700; see below. The
      limit on the peer's keys counts the announced ones
    - a receiver may tell the sender that fewer keys are common than are (it learns the result first)
    - either may stop at any moment: the other then has no result
    - a party may guess bits of the other's secrets, and is caught with probability 1 − 2^-k for k bits
Cost: rounds and bytes of `rr22`; tags have 16 bytes, the commitment and the checks take 20 KB and 3 rounds more, and
    complete trees up to 0.6 MB. With `ot` the columns' streams are computed twice.

**Why the receiver's keys are what its store says.** In the proof of RR22 (theorem for malicious receivers, from Rindal
and Schoppmann, section 4.1) the simulator sees A and P ⊕ A, so it knows P, and counts as the receiver's set every key x
that was hashed and has Decode(P, x) = H_v(x). For any other key the output at the sender is H_o of a value shifted by
Δ·δ with δ ≠ 0, which the receiver hits with probability 2^-128 a trial. How many keys can a store of m blocks satisfy?
For one P and seed a hashed key does with probability 2^-128; so n' of q hashed keys satisfy some store with probability
at most C(q, n')·2^(128·(m + 1 − n')), below 2^-40 once n'·(128 − log2 q + log2 n' − 1.45) > 128·(m + 1) + 40. For
m = 1.4 million blocks (2^20 keys) that is n' = 1.19·m for q = 2^40 hashes, 1.53·m for q = 2^64. H_v takes no seed, is
not invertible, and draws from all of the digest: `value`.

**Why the sender's keys are what its tags say.** The simulator looks for each tag among the queries to H_o, which
contain the key. A tag that no query gave matches nothing (2^-128 a pair). A tag that stands for two keys is a collision
of 128 bits; so is a store's row that fits two (256 bits). Tags are strictly ascending, so none counts twice. The sender
sees P ⊕ A (A pseudo-random given what the checks allow it to guess), w_r, and the matches: its output.

**Why the matches are right.** The tag of a key that both hold is the same on both sides. For a marked tag of a key that
the receiver does not have the hash of proofs contains 128 bits that it never queried.

Source: Raghuraman, Rindal, CCS 2022, section 4; Rindal, Schoppmann, EUROCRYPT 2021, section 4 (the oblivious PRF with w
    and its proof). Steps 4 and 5, by which the sender gets a result too, are ours; the argument is the last paragraph.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ppc.core import bits, gf128, rng
from ppc.errors import ProtocolAbort
from ppc.mpc.ot import checks, vole
from ppc.mpc.psi import okvs, rr22
from ppc.mpc.psi.ecdh import Progress
from ppc.mpc.psi.keys import Keys
from ppc.net.channel import Channel, Spec

Words = NDArray[np.uint64]

TAG_BYTES: Final = 16
_DIGEST: Final = 32
_BLOCK: Final = Spec(np.uint64, (2,))


def receive(
    channel: Channel, keys: Keys, salt: bytes, theirs: int, randomness: vole.Randomness, progress: Progress
) -> NDArray[np.int64]:
    """The receiver's matching keys, in the order of the tags."""
    progress(0.0, "making correlated randomness" + rr22.first_use())
    commitment = channel.recv_bytes("psi commitment", _DIGEST)
    sizes = okvs.layout(len(keys))
    party = vole.Receiver(channel, salt, checked=True)
    a = party.start(sizes.blocks, rr22.how(sizes.blocks, randomness))
    progress(0.4, "encoding my keys")
    drawn = rng.os_stream().uint64((2, 2))
    seed, own = drawn[0], drawn[1]
    place, r = places(keys, salt, seed)
    store = okvs.encode(place, r, value(keys, salt), sizes, rng.os_stream())
    store ^= a
    del a
    channel.send("psi seed", seed, own)
    rr22.send_rows(channel, "psi store", store)
    del store
    decoded = okvs.decode(place, r, party.finish(), sizes)
    progress(0.7, "computing the tags of my keys")
    (opened,) = channel.recv("psi opening", _BLOCK)
    if not hmac.compare_digest(commitment, _commit(salt, opened)):
        raise checks.inconsistent(channel, "psi opening")
    w = own ^ opened
    tags, proofs = outputs(keys, decoded, w)
    del decoded
    progress(0.8, f"waiting for the tags of {channel.peer}")
    order = rr22.ordered(tags)
    found = rr22.find(channel, rr22.recv_tags(channel, theirs, TAG_BYTES), tags[order])
    matched = found >= 0
    flags = np.zeros(theirs, np.bool_)
    flags[found[matched]] = True
    packed = bits.pack(flags)
    digest = _prove(salt, w, packed, proofs[order[matched]])
    channel.send("psi matches", packed, np.frombuffer(digest, np.uint8))
    progress(1.0, "matched")
    return order[matched]


def send(
    channel: Channel, keys: Keys, salt: bytes, theirs: int, randomness: vole.Randomness, progress: Progress
) -> NDArray[np.int64]:
    """The sender's matching keys, in the order of the tags."""
    progress(0.0, "making correlated randomness" + rr22.first_use())
    own = rng.os_stream().uint64(2)
    channel.send_bytes("psi commitment", _commit(salt, own))
    sizes = okvs.layout(theirs)
    party = vole.Sender(channel, salt, checked=True)
    k = party.random(sizes.blocks, rr22.how(sizes.blocks, randomness))
    progress(0.4, f"waiting for the store of {channel.peer}")
    seed, other = channel.recv("psi seed", _BLOCK, _BLOCK)
    rr22.add_store(channel, k, party.delta)
    channel.send("psi opening", own)
    progress(0.7, "computing the tags of my keys")
    decoded = okvs.decode(*places(keys, salt, seed), k, sizes)
    del k
    gf128.add_scaled(decoded, value(keys, salt), party.delta)
    w = own ^ other
    tags, proofs = outputs(keys, decoded, w)
    order = rr22.ordered(tags)
    rr22.send_rows(channel, "psi tags", tags[order].view(np.uint8))
    progress(0.9, f"waiting for the matches of {channel.peer}")
    packed, digest = channel.recv(
        "psi matches", Spec(np.uint64, (bits.words_for(len(keys)),)), Spec(np.uint8, (_DIGEST,))
    )
    matches = order[bits.unpack(packed, len(keys)).astype(np.bool_)]
    if not hmac.compare_digest(digest.tobytes(), _prove(salt, w, packed, proofs[matches])):
        raise ProtocolAbort(
            f"{channel.peer} claims matches that it cannot prove",
            where="frame field 'payload' of 'psi matches'",
            party=channel.peer,
            hint="nothing was matched; do not run again with this party before it is explained",
        )
    progress(1.0, "matched")
    return matches


def places(keys: Keys, salt: bytes, seed: Words) -> tuple[Words, Words]:
    """Where keys go in the store: `place` and `r` of `okvs`, for the receiver's seed, of all of a key's digest."""
    session = salt + seed.tobytes()
    return keys.compressed(session, "place"), keys.compressed(session, "r")


def value(keys: Keys, salt: bytes) -> Words:
    """H_v: the sum of the two halves of a digest, each through a Matyas–Meyer–Oseas hash of its own."""
    return keys.compressed(salt, "value")


def outputs(keys: Keys, blocks: Words, w: Words) -> tuple[Words, Words]:
    """H_o of blocks and keys: tags and proofs, uint64 (n, 2) each."""
    out = keys.bound(b"ppc rr1", blocks ^ w).view("<u8").astype(np.uint64, copy=False)
    return np.ascontiguousarray(out[:, :2]), np.ascontiguousarray(out[:, 2:])


def _commit(salt: bytes, block: Words) -> bytes:
    return hashlib.sha256(b"ppc rr22 malicious commitment v1" + salt + block.tobytes()).digest()


def _prove(salt: bytes, w: Words, packed: Words, proofs: Words) -> bytes:
    """One hash for all matches that are claimed, in the order of their tags."""
    h = hashlib.sha256(b"ppc rr22 malicious matches v1" + salt + w.tobytes())
    h.update(packed.tobytes())
    h.update(proofs.tobytes())
    return h.digest()
