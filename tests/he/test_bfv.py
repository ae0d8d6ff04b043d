"""BFV: exact or refused."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.errors import (
    ConfigError,
    DepthExhausted,
    HeadroomExceeded,
    KeyFileError,
    KeyMismatch,
    ParameterMismatch,
    PpcError,
    SecretMisuse,
    TypeMismatchError,
    ValueRangeError,
    WeakParameters,
)
from ppc.he import keys, lattice
from ppc.he.bfv import BfvVector
from ppc.he.ckks import CkksVector

integers = st.integers(-1000, 1000)


@settings(max_examples=15, deadline=None)
@given(pairs=st.lists(st.tuples(integers, integers), min_size=1, max_size=40), w=integers)
def test_operations_are_those_of_integers(bfv_key, pairs, w):
    x, y = (np.array(v) for v in zip(*pairs, strict=True))
    a, b = BfvVector.encrypt(bfv_key.public, x, value_bits=10), BfvVector.encrypt(bfv_key, y, value_bits=10)
    for got, expected in [
        (a + b, x + y),
        (a - b, x - y),
        (-a, -x),
        (a + w, x + w),
        (w - a, w - x),
        (a - y, x - y),
        (a * b, x * y),
        (a * w, x * w),
        (a * y, x * y),
        (a - a, 0 * x),
        (a * np.zeros(len(x), int), 0 * x),
        (a * b + a, x * y + x),
    ]:
        assert got.decrypt(bfv_key).tolist() == expected.tolist()


def test_sums_over_chunks(bfv_key):
    x = np.arange(-3000, 7000)
    a = BfvVector.encrypt(bfv_key, x, value_bits=13)
    assert a.sizes == (4096, 4096, 1808)
    assert a.sum().decrypt(bfv_key).tolist() == [x.sum()]
    assert a.dot(np.full(10_000, -3)).decrypt(bfv_key).tolist() == [-3 * x.sum()]
    b = BfvVector.encrypt(bfv_key, x % 7, value_bits=3)
    assert b.dot(b).decrypt(bfv_key).tolist() == [((x % 7) ** 2).sum()]
    one = BfvVector.encrypt(bfv_key, [5])
    assert one.sum().decrypt(bfv_key).tolist() == [5]


def test_headroom_ends_exactly_below_half_the_modulus(bfv_key):
    limit = bfv_key.public.limit
    bits = limit.bit_length() - 1
    a = BfvVector.encrypt(bfv_key, [1 << bits, -(1 << bits)], value_bits=bits)
    rest = limit - (1 << bits)
    edge = a + np.array([rest, -rest])
    assert edge.bound == limit
    assert edge.decrypt(bfv_key).tolist() == [limit, -limit]
    for use in (lambda: edge + 1, lambda: edge + edge, lambda: edge * 2, lambda: a.sum()):
        with pytest.raises(HeadroomExceeded):
            use()
    with pytest.raises(HeadroomExceeded):
        BfvVector.encrypt(bfv_key, [0], value_bits=41)


@pytest.mark.parametrize(("depth", "bits"), [(0, 59), (1, 20), (1, 40), (2, 40), (3, 30), (5, 40)])
def test_every_preset_keeps_its_promise(depth, bits):
    """As many products as the key was made for, each at the full plain modulus, decrypt exactly."""
    key = keys.generate("bfv", depth=depth, plain_bits=bits)
    product = BfvVector(key.public, BfvVector.encrypt(key, [1, -1, 0]).chunks, (3,), bound=1, used=0)
    for _ in range(depth):
        product = product * product
    assert key.noise_budget(product.chunks[0].ciphertext()[0]) >= 10
    assert product.decrypt(key).tolist() == ([1, 1, 0] if depth else [1, -1, 0])
    for use in (lambda: product * product, lambda: product * 2, lambda: product * np.ones(3, int)):
        with pytest.raises(DepthExhausted):
            use()


def test_noise_beyond_decryption_is_noticed(bfv_key):
    a = BfvVector.encrypt(bfv_key, [1], value_bits=1)
    raw = a.chunks[0]
    for _ in range(4):  # past the depth of the key, behind the vector's back
        raw = raw * raw
    forged = BfvVector(bfv_key.public, [raw], (1,), 1, 0)
    with pytest.raises(DepthExhausted, match="noise"):
        forged.decrypt(bfv_key)


def test_values_types_and_shapes(bfv_key):
    a = BfvVector.encrypt(bfv_key, [1, 2])
    for bad in ([np.nan], [np.inf], [1 << 17], [-(1 << 17)]):
        with pytest.raises(ValueRangeError):
            BfvVector.encrypt(bfv_key, bad, name="count")
    for bad in ([0.5], ["a"], [[1]], [[1], [1, 2]]):
        with pytest.raises(TypeMismatchError):
            BfvVector.encrypt(bfv_key, bad)
    with pytest.raises(ConfigError):
        BfvVector.encrypt(bfv_key, [])
    for use in (lambda: a + [1], lambda: a * [1, 2, 3], lambda: a.dot(2), lambda: a + BfvVector.encrypt(bfv_key, [1])):
        with pytest.raises(ParameterMismatch):
            use()
    with pytest.raises(TypeMismatchError):
        a * 0.5


def test_keys(bfv_key, ckks_key):
    other = keys.generate("bfv", depth=1, products=False)
    a, b = BfvVector.encrypt(bfv_key, [1]), BfvVector.encrypt(other, [1])
    for use in (lambda: a + b, lambda: a.decrypt(other), lambda: a.decrypt(bfv_key.public)):
        with pytest.raises(KeyMismatch):
            use()
    with pytest.raises(ParameterMismatch):
        a + CkksVector.encrypt(ckks_key, [1.0])
    for use in (lambda: b * b, lambda: b.sum(), lambda: b.dot([1])):
        with pytest.raises(ParameterMismatch, match="evaluation keys"):
            use()


@pytest.mark.parametrize(("depth", "bits"), [(13, 20), (-1, 20), (1, 19), (1, 60), (12, 59)])
def test_weak_parameters(depth, bits):
    with pytest.raises(WeakParameters):
        keys.generate("bfv", depth=depth, plain_bits=bits)


def test_parameters_that_generate_does_not_make(bfv_key):
    fields = bfv_key.public.without_evaluation_keys().public_fields()
    for change, error in [
        ({"degree": 4096}, WeakParameters),
        ({"plain_modulus": 65537}, WeakParameters),
        ({"depth": None}, KeyFileError),
    ]:
        with pytest.raises(error):
            lattice.BfvPublicKey.from_fields({**fields, "parameters": {**fields["parameters"], **change}})


def test_bytes_and_key_files(tmp_path):
    bfv_key = keys.generate("bfv")
    bfv_key.write(tmp_path / "k", passphrase="correct horse")
    back = keys.read_private(tmp_path / "k", passphrase="correct horse")
    x = np.arange(5000)
    a = BfvVector.encrypt(bfv_key.public, x)
    for value, expected in [(a, x), (a * 3, 3 * x), (a * a, x * x)]:
        got = BfvVector.from_bytes(value.to_bytes(), back.public)
        assert (got.used, got.bound, got.sizes) == (value.used, value.bound, value.sizes)
        assert got.decrypt(back).tolist() == list(expected)
    assert (a + a).to_bytes() != (a + a).to_bytes()
    envelope = a.to_envelope()
    for change in (
        {"shape": (4999,)},
        {"payload": envelope.payload[:-1]},
        {"meta": {**envelope.meta, "used": 2}},
        {"meta": {**envelope.meta, "bound": -1}},
        {"meta": {}},
        {"payload": b"\0\0\0\4abcd" * 2},
        {"parameters": "0"},
    ):
        with pytest.raises(PpcError):
            BfvVector.from_envelope(replace(envelope, **change), bfv_key)


def test_the_type_is_closed(bfv_key):
    a = BfvVector.encrypt(bfv_key, [7])
    for use in (lambda: bool(a), lambda: a == a, lambda: list(a), lambda: np.asarray(a), lambda: pickle.dumps(a)):
        with pytest.raises(SecretMisuse):
            use()
    assert repr(a) == f"<BfvVector bfv shape=(1,) key={bfv_key.key_id[:12]}>"
