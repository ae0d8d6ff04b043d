"""KKRT: at its stated cost, with code words far apart, nothing hostile accepted. What it finds is in `test_all.py`."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest

from ppc.errors import FrameError
from ppc.mpc.psi import cuckoo, kkrt, protocols
from ppc.mpc.psi.ecdh import tag_bytes
from ppc.mpc.psi.keys import prepare
from ppc.net import memory, wire
from ppc.net.channel import Spec


def ids(values) -> dict:
    return {"id": pa.array([f"customer {v}" for v in values], pa.string())}


def run(both, left, right, channels=None):
    return both(
        lambda c: protocols.intersect(c, ids(left), protocol="kkrt"),
        lambda c: protocols.intersect(c, ids(right), protocol="kkrt"),
        channels,
    )


def header(tag, spec):
    return len(wire.encode_header(wire.Kind.ARRAYS, tag, [spec], spec.nbytes))


def test_cost(both):
    n, m = 300, 500  # bank-a receives
    ends = memory.pair("bank-a", "bank-b")
    a, _ = run(both, range(n), range(100, 100 + m), ends)
    assert len(a) == 200
    receiver, sender = (end.meter for end in ends)
    words = math.ceil(cuckoo.bins_for(n) / 64)
    columns = 512 * 8 * words + header("psi columns", Spec(np.uint64, (512, words)))
    matches = 8 * 8 + header("psi matches", Spec(np.uint64, (8,)))
    width = tag_bytes(n, m) + 4
    tags = 3 * (width * m + header("psi tags", Spec(np.uint8, (m, width))))
    assert 0 < receiver.sent - (columns + matches + 512 * 32) < 400  # the greeting, and the header of the transfers
    assert 0 < sender.sent - (tags + 512 * 64) < 400
    assert receiver.rounds == sender.rounds == 3
    at_a_million = protocols.sent_bytes("kkrt", "silent", 1 << 20, 1 << 20) / (1 << 20)
    assert 80 < at_a_million < 90


def test_many_bins_travel_in_several_messages(both, monkeypatch):
    monkeypatch.setattr(kkrt, "_BINS_A_MESSAGE", 128)
    monkeypatch.setattr(kkrt, "_ROWS_A_FRAME", 100)
    a, b = run(both, range(300), range(150, 500))
    assert sorted(a) == list(range(150, 300))
    assert (a == b + 150).all()


def test_code_words_are_far_apart():
    """Binomial distances around 256 of 512; below 128 has probability below 2^-97 a pair."""
    keys = prepare(ids(range(400)))
    blocks = keys.hashed(b"salt", "code")
    words = np.concatenate([kkrt._code(blocks, np.full(400, i, np.uint64), b"salt") for i in range(3)])
    bits = np.unpackbits(words.view(np.uint8), axis=1).astype(np.int32)
    products = bits @ bits.T
    ones = bits.sum(axis=1)
    distances = (ones[:, None] + ones[None, :] - 2 * products)[np.triu_indices(1200, 1)]
    assert distances.min() >= 128
    # 719,400 pairs with mean 256 and deviation 11.3: below 190 (5.8 deviations) in one run of 400
    assert 180 < distances.min() < 230
    assert abs(distances.mean() - 256) < 0.5


def test_what_the_sender_sees_is_balanced_whatever_the_keys_are(both):
    """512 columns of 512 bins: 262,144 fair bits; six standard deviations are 0.006."""
    for keys in (range(300), [7]):
        ends = memory.pair("bank-a", "bank-b")
        frames: list[bytes] = []
        put = ends[0]._out.put
        ends[0]._out.put = lambda frame, put=put, frames=frames: (frames.append(bytes(frame)), put(frame))[1]
        run(both, keys, range(1000, 1400), ends)
        (columns,) = [f for f in frames if b"psi columns" in f[:80]]
        share = np.unpackbits(np.frombuffer(columns[-512 * 8 :], np.uint8)).mean()
        assert abs(share - 0.5) < 0.017  # the last 32,768 bits


def changed(change):
    """Channels on which bank-b's tags go through `change`."""
    ends = memory.pair("bank-a", "bank-b")
    send = ends[1].send
    ends[1].send = lambda tag, *arrays: send(tag, *([change(arrays[0].copy())] if tag == "psi tags" else arrays))
    return ends


@pytest.mark.parametrize("how", ["flipped", "zeroed", "descending"])
def test_hostile_tags_and_places_are_refused(both, how):
    """Places beyond the sender's keys, by encryptions that were changed; tags out of order."""
    width = tag_bytes(20, 30)

    def change(rows):
        if how == "descending":
            return rows[::-1]
        if how == "flipped":
            rows[:, width:] ^= np.uint8(0xFF)
        else:
            rows[:, width:] = 0  # what is decrypted is the mask itself
        return rows

    a, b = run(both, range(20), range(30), changed(change))
    assert isinstance(a, FrameError), a
    assert a.party == "bank-b"
    assert ("ascending" if how == "descending" else "places") in a.what
    assert isinstance(b, Exception)


def test_places_do_not_follow_the_rows(both):
    orders = {tuple(run(both, range(12), range(12))[1]) for _ in range(3)}
    assert len(orders) == 3  # by chance equal with probability 3 in 12!
