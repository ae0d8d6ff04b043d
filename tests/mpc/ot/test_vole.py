"""Vector OLE: the correlation holds, at its cost; and the code behind the silent way is what it claims to be."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from ppc.core import gf128
from ppc.errors import InternalError
from ppc.mpc.ot import lpn, vole
from ppc.net import memory


def make(both, n, how, channels=None, checked=False):
    def send(channel):
        party = vole.Sender(channel, b"salt", checked=checked)
        assert "delta" not in repr(party)
        return party.delta, party.random(n, how)

    (delta, b), (a, c) = both(send, lambda ch: vole.Receiver(ch, b"salt", checked=checked).random(n, how), channels)
    return delta, a, b, c


@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize(("how", "n"), [("ot", 1), ("ot", 5000), ("silent", 100), ("silent", 9001)])
def test_the_correlation_holds(both, how, n, checked):
    delta, a, b, c = make(both, n, how, checked=checked)
    expected = b.copy()
    gf128.add_scaled(expected, a, delta)
    assert (expected == c).all()
    for x in (a, b, c):
        assert x.shape == (n, 2)
        assert len({row.tobytes() for row in x}) == n


@pytest.mark.parametrize("checked", [False, True])
def test_one_setup_serves_several_times(both, checked):
    def send(channel):
        party = vole.Sender(channel, b"salt", checked=checked)
        return party.delta, [party.random(n, how) for how, n in (("silent", 300), ("ot", 20), ("silent", 300))]

    def receive(channel):
        party = vole.Receiver(channel, b"salt", checked=checked)
        return [party.random(n, how) for how, n in (("silent", 300), ("ot", 20), ("silent", 300))]

    (delta, bs), pairs = both(send, receive)
    for b, (a, c) in zip(bs, pairs, strict=True):
        gf128.add_scaled(b, a, delta)
        assert (b == c).all()
    assert not ({x.tobytes() for x in pairs[0][1]} & {x.tobytes() for x in pairs[2][1]})


@pytest.mark.parametrize("how", ["ot", "silent"])
def test_every_bit_is_balanced(both, how):
    n = 9000
    _, a, b, c = make(both, n, how)
    for x in (a, b, c):
        ones = np.unpackbits(x.view(np.uint8).reshape(n, 16), axis=1).mean(axis=0)
        # 384 positions of 9000 fair bits: 6 sigma = 0.032, passed by chance with probability below 1e-6
        assert np.abs(ones - 0.5).max() < 0.032


def test_cost(both):
    ends = memory.pair("bank-a", "bank-b")
    make(both, 3000, "ot", ends)
    assert 0 < ends[1].meter.sent - 3000 * 2048 - 256 * 32 < 200
    assert 0 < ends[0].meter.sent - 256 * 64 < 200
    for n in (10_000, 100_000):
        ends = memory.pair("bank-a", "bank-b")
        make(both, n, "silent", ends)
        sizes = lpn.code(n)
        depth = math.ceil(math.log2(sizes.leaves))
        trees = sizes.trees
        assert 0 < ends[1].meter.sent - (256 * 32 + 2048 * trees + 16 * trees * depth) < 400
        assert 0 < ends[0].meter.sent - (256 * 64 + 32 * trees * depth + 16 * trees) < 400
        assert ends[0].meter.sent + ends[1].meter.sent < 800_000


def test_finish_comes_once_after_start(both):
    def twice(channel):
        party = vole.Receiver(channel, b"salt")
        party.random(10, "ot")
        party.finish()

    _, error = both(lambda c: vole.Sender(c, b"salt").random(10, "ot"), twice)
    assert isinstance(error, InternalError)


def test_checks_cost_little(both):
    for how, extra in (("ot", 5_000), ("silent", 25_000)):
        plain, checked = memory.pair("bank-a", "bank-b"), memory.pair("bank-a", "bank-b")
        n = lpn.noise_weight() << 9 >> 1 if how == "silent" else 3000  # complete trees as it is
        make(both, n, how, plain)
        make(both, n, how, checked, checked=True)
        for a, b in zip(plain, checked, strict=True):
            assert 0 < b.meter.sent - a.meter.sent < extra
            assert b.meter.rounds - a.meter.rounds <= 3


# --- the code ---
def test_noise_weights():
    assert lpn.noise_weight() == 256
    assert lpn.noise_weight(0.20) == 176
    for outputs in (1, 100, 8192, 1_420_000):
        sizes = lpn.code(outputs)
        assert sizes.places >= 2 * outputs
        assert sizes.security_bits >= 128
    assert "256 noisy" in lpn.describe()


def test_complete_trees():
    """Every path leads to a leaf; the rate and the noise are at least those of the code with cut trees."""
    for outputs in (1, 100, 8192, 70_000, 1_420_000):
        cut, whole = lpn.code(outputs), lpn.code(outputs, whole=True)
        assert whole.leaves & (whole.leaves - 1) == 0
        assert whole.places >= 2 * outputs
        assert whole.trees >= cut.trees
        assert whole.trees <= 2 * cut.trees


def test_compression_is_linear():
    rng = np.random.default_rng(1)
    sizes = lpn.code(400)
    x, y = (rng.integers(0, 2**64, (sizes.places, 2), np.uint64) for _ in range(2))
    key = bytes(16)
    gx, gy, gsum = (lpn.compress(v.copy(), sizes, key) for v in (x, y, x ^ y))
    assert (gsum == gx ^ gy).all()
    assert (lpn.compress(x.copy(), sizes, b"k" * 16) != gx).any()


def test_compression_against_plain_python():
    from ppc.core.rng import Stream

    rng = np.random.default_rng(2)
    sizes = lpn.Code(60, 2, 75)
    x = rng.integers(0, 2**64, (150, 2), np.uint64)
    stream = Stream(bytes(16))
    taps = stream.derive("taps").uint64(45).view(np.uint32)
    draws = stream.derive("rows").uint64(630).view(np.uint32)
    rest = [gf128.to_int(v) for v in x[60:]]
    for i in range(90):
        for step in [1, *(2 + j for j in range(24) if int(taps[i]) >> j & 1)]:
            if i + step < 90:
                rest[i + step] ^= rest[i]
    out = []
    for i in range(60):
        value = gf128.to_int(x[i])
        for j in range(21):
            value ^= rest[int(draws[21 * i + j]) * 90 >> 32]
        out.append(value)
    assert [gf128.to_int(v) for v in lpn.compress(x.copy(), sizes, bytes(16))] == out


def test_few_rows_of_the_code_never_add_up_to_little():
    """Sums of up to two rows of G, for a small code, have weight near N/4 or more; a broken expander gives 22."""
    sizes = lpn.Code(128, 2, 128)
    places = sizes.places
    # Compress unit vectors 128 at a time: bit j of an output tells whether column j reaches it.
    columns = np.zeros((128, places), bool)
    for start in range(0, places, 128):
        units = np.zeros((places, 2), np.uint64)
        units[start : start + 128] = gf128.frobenius(0)
        out = lpn.compress(units, sizes, b"c" * 16)
        columns[:, start : start + 128] = np.unpackbits(out.view(np.uint8).reshape(128, 16), axis=1, bitorder="little")
    weights = [int(columns[i].sum()) for i in range(128)]
    weights += [int((columns[i] ^ columns[j]).sum()) for i, j in itertools.combinations(range(128), 2)]
    assert min(weights) >= lpn.DISTANCE * places
