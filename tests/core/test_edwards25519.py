"""Points in lanes against libsodium, byte for byte, refusals included; the field below against Python's integers."""

from __future__ import annotations

import os

import nacl.bindings as sodium
import nacl.exceptions
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ppc.core import cpu, edwards25519
from ppc.errors import ConfigError

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
TORSION = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")  # order 8
ONE = (1).to_bytes(32, "little")
RELAXED = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

lanes = pytest.mark.skipif(not edwards25519.available(), reason="this processor has no AVX-512 IFMA")


def rows(items) -> np.ndarray:
    return np.frombuffer(b"".join(items), np.uint8).reshape(-1, 32)


def scalars() -> st.SearchStrategy[bytes]:
    edge = st.sampled_from([1, 2, 7, 8, 9, 15, 16, 17, 2**252, ORDER - 1, ORDER - 8, 8 * 16**30, 2**253 - 1])
    return st.one_of(edge, st.integers(1, ORDER - 1)).map(lambda s: s.to_bytes(32, "little"))


@lanes
@RELAXED
@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=20), scalars())
def test_hash_and_multiply_is_libsodiums(uniform, scalar):
    found = edwards25519.hash_and_multiply(rows(uniform), scalar)
    hashes = [sodium.crypto_core_ed25519_from_uniform(u) for u in uniform]
    # The few rows that hash to the neutral element, such as zero, stay there; libsodium refuses to multiply it.
    expected = [h if h == ONE else sodium.crypto_scalarmult_ed25519_noclamp(scalar, h) for h in hashes]
    assert found.tobytes() == b"".join(expected)


@lanes
@pytest.mark.parametrize("value", [0, 1, 2, P - 1, P, P + 1, 2**255 - 1, 2**255, 2**256 - 1])
def test_hashes_of_edge_cases(value):
    uniform = value.to_bytes(32, "little")
    expected = sodium.crypto_core_ed25519_from_uniform(uniform)
    assert edwards25519.hash_and_multiply(rows([uniform]), ONE).tobytes() == expected


@lanes
@RELAXED
@given(st.integers(1, 20), scalars(), st.booleans())
def test_multiply_is_libsodiums(n, scalar, one_for_all):
    points = [sodium.crypto_core_ed25519_from_uniform(os.urandom(32)) for _ in range(n)]
    each = [scalar] * n if one_for_all else [scalar, *(os.urandom(31) + b"\0" for _ in range(n - 1))]
    found = edwards25519.multiply(rows(points), scalar if one_for_all else rows(each))
    assert found is not None
    expected = [sodium.crypto_scalarmult_ed25519_noclamp(s, p) for s, p in zip(each, points, strict=True)]
    assert found.tobytes() == b"".join(expected)


@lanes
def test_a_whole_call():
    uniform = rows([os.urandom(32) for _ in range(edwards25519.CALL)])
    points = edwards25519.hash_and_multiply(uniform, (5).to_bytes(32, "little"))
    found = edwards25519.multiply(points, (7).to_bytes(32, "little"))
    assert (found == edwards25519.hash_and_multiply(uniform, (35).to_bytes(32, "little"))).all()
    for n in (0, edwards25519.CALL + 1):
        with pytest.raises(ConfigError, match="1 to 512"):
            edwards25519.multiply(np.zeros((n, 32), np.uint8), ONE)


def small_orders() -> list[bytes]:
    points, p = [], TORSION
    for _ in range(8):
        points.append(p)
        p = sodium.crypto_core_ed25519_add(p, TORSION)
    return points


@lanes
@pytest.mark.parametrize("where", [0, 7, 8])
def test_points_outside_the_group_are_refused(where):
    good = [sodium.crypto_core_ed25519_from_uniform(os.urandom(32)) for _ in range(9)]
    bad = [
        bytes(32),
        b"\xff" * 32,
        (2).to_bytes(32, "little"),
        (P + 1).to_bytes(32, "little"),
        P.to_bytes(32, "little"),
    ]
    bad += [(P - 1).to_bytes(32, "little"), (1 | 1 << 255).to_bytes(32, "little")]
    bad += small_orders()
    bad += [sodium.crypto_core_ed25519_add(good[0], t) for t in small_orders()[:7]]
    assert edwards25519.multiply(rows(good), ONE) is not None
    for point in bad:
        with pytest.raises(nacl.exceptions.RuntimeError):  # libsodium agrees
            sodium.crypto_scalarmult_ed25519_noclamp(ONE, point)
        assert edwards25519.multiply(rows([*good[:where], point, *good[where + 1 :]]), ONE) is None


@lanes
@RELAXED
@given(st.binary(min_size=32, max_size=32))
def test_any_bytes_are_refused_or_multiplied_as_by_libsodium(data):
    try:
        expected = sodium.crypto_scalarmult_ed25519_noclamp(ONE, data)
    except nacl.exceptions.RuntimeError:
        expected = None
    found = edwards25519.multiply(rows([data]), ONE)
    assert (None if found is None else found.tobytes()) == expected


def test_digits():
    values = [0, 1, 7, 8, 15, 16, ORDER, 2**255 - 1, 2**253 - 1]
    digits = edwards25519.signed_digits(rows([v.to_bytes(32, "little") for v in values]))
    assert np.abs(digits).max() <= 8
    assert [sum(int(d) << 4 * k for k, d in enumerate(row)) for row in digits] == values


def test_a_portable_machine_does_without(monkeypatch):
    monkeypatch.setenv(cpu.PORTABLE, "1")
    assert not edwards25519.available()


# --- the field ---
LOOSE = st.one_of(
    st.lists(st.integers(0, 2**51 + 2**15), min_size=5, max_size=5),
    st.just([2**51 + 2**15] * 5), st.just([0] * 5), st.just([2**51 - 19, *[2**51 - 1] * 4]),
)  # fmt: skip


def value(limbs) -> int:
    return sum(int(x) << 51 * k for k, x in enumerate(limbs)) % P


@lanes
@RELAXED
@given(LOOSE, LOOSE)
def test_field_operations_take_and_give_loose_elements(a, b):
    """Also at the largest limbs that they may get."""
    from ppc.core import _lanes25519 as field

    m = np.zeros((30, 8), np.uint64)
    m[0:5] = np.array(a, np.uint64)[:, None]
    m[5:10] = np.array(b, np.uint64)[:, None]
    x, y = value(a), value(b)
    for operation, arguments, expected in (
        (field.mul, (0, 1), x * y),
        (field.square, (0,), x * x),
        (field.plus, (0, 1), x + y),
        (field.minus, (0, 1), x - y),
        (field.freeze, (0,), x),
    ):
        operation(m, 2, *arguments)
        for lane in range(8):
            out = m[10:15, lane]
            assert out.max() < 2**51 + 2**15
            assert value(out) == expected % P
    assert sum(int(v) << 51 * k for k, v in enumerate(m[10:15, 0])) == x  # frozen: the one form
    field.inverse(m, 2, 0, 3)
    assert value(m[10:15, 3]) == pow(x, P - 2, P)
