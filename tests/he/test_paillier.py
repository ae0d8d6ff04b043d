"""Paillier vectors and matrices: the laws of a homomorphism against NumPy, phe as oracle, and every refusal."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from phe import paillier as phe

from ppc.errors import (
    ConfigError,
    EnvelopeError,
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
from ppc.he import gradient, keys
from ppc.he.paillier import (
    Packing,
    PaillierMatrix,
    PaillierPrivateKey,
    PaillierPublicKey,
    PaillierVector,
    interop,
    matmul,
)

STEP = 2.0**-24
floats = st.floats(-1000, 1000, allow_nan=False, width=32)
vectors = st.integers(1, 70).flatmap(lambda n: arrays(np.float64, n, elements=floats))
pairs = st.integers(1, 70).flatmap(
    lambda n: st.tuples(arrays(np.float64, n, elements=floats), arrays(np.float64, n, elements=floats))
)
few = settings(max_examples=12, deadline=None)


@pytest.fixture(scope="module")
def theirs():
    return phe.generate_paillier_keypair(n_length=2048)


class TestLaws:
    @few
    @given(pair=pairs, single=st.booleans(), owner=st.booleans())
    def test_sums_and_differences(self, paillier_key, pair, single, owner):
        x, y = pair
        key = paillier_key if owner else paillier_key.public
        packing = Packing.single() if single else None
        a = PaillierVector.encrypt(key, x, packing=packing)
        b = PaillierVector.encrypt(key, y, packing=packing)
        for got, expected in [(a, x), (a + b, x + y), (a - b, x - y), (-a, -x), (a + b + a, 2 * x + y), (b - b, 0 * y)]:
            assert np.allclose(got.decrypt(paillier_key), expected, rtol=0, atol=3 * STEP)

    @few
    @given(x=vectors, k=st.integers(-100, 100), w=st.floats(-100, 100))
    def test_products_with_scalars(self, paillier_key, x, k, w):
        a = PaillierVector.encrypt(paillier_key, x)
        assert np.allclose((a * k).decrypt(paillier_key), k * x, rtol=0, atol=100 * STEP)
        assert np.allclose((k * a + a).decrypt(paillier_key), (k + 1) * x, rtol=0, atol=101 * STEP)
        s = PaillierVector.encrypt(paillier_key, x, packing=Packing.single())
        assert np.allclose((s * w).decrypt(paillier_key), w * x, rtol=0, atol=1100 * STEP)

    @few
    @given(pair=pairs)
    def test_products_with_vectors(self, paillier_key, pair):
        x, y = pair
        a = PaillierVector.encrypt(paillier_key, x, packing=Packing.single())
        assert np.allclose((a * y).decrypt(paillier_key), x * y, rtol=0, atol=2100 * STEP)
        assert np.allclose(a.dot(y).decrypt(paillier_key), x @ y, rtol=0, atol=len(x) * 1e-3)

    @few
    @given(x=vectors, c=st.floats(-100, 100))
    def test_plain_numbers_add(self, paillier_key, x, c):
        a = PaillierVector.encrypt(paillier_key, x)
        for got, expected in [
            (a + c, x + c),
            (c + a, x + c),
            (a - c, x - c),
            (c - a, c - x),
            (a + x, 2 * x),
            (a - x, 0),
        ]:
            assert np.allclose(got.decrypt(paillier_key), expected, rtol=0, atol=3 * STEP)

    @few
    @given(x=st.lists(st.integers(-(1 << 44), 1 << 44), min_size=1, max_size=70))
    def test_integers_are_exact(self, paillier_key, x):
        a = PaillierVector.encrypt(paillier_key.public, x)
        got = (a * 3 + a - 1).decrypt(paillier_key)
        assert got.dtype == np.int64
        assert got.tolist() == [4 * v - 1 for v in x]

    @few
    @given(x=vectors)
    def test_the_sum(self, paillier_key, x):
        a = PaillierVector.encrypt(paillier_key, x, packing=Packing.for_sums(len(x)))
        total = a.sum()
        assert total.shape == ()
        assert np.isclose(total.decrypt(paillier_key), x.sum(), rtol=0, atol=len(x) * 2.0**-20)
        assert np.isclose((total + total).decrypt(paillier_key), 2 * x.sum(), rtol=0, atol=len(x) * 2.0**-19)

    @pytest.mark.parametrize("threads", [1, 2])
    def test_matrix_products(self, paillier_key, threads):
        rng = np.random.default_rng(0)
        x, m, a = rng.normal(size=37), rng.normal(size=(37, 3)), rng.normal(size=(5, 37))
        a[2] = 0
        vector = PaillierVector.encrypt(paillier_key, x, packing=Packing.single())
        assert np.allclose(matmul(a, vector, threads=threads).decrypt(paillier_key), a @ x, atol=1e-3)
        matrix = PaillierMatrix.encrypt(paillier_key, m, packing=Packing.single())
        product = matmul(a, matrix, threads=threads)
        assert product.shape == (5, 3)
        assert np.allclose(product.decrypt(paillier_key), a @ m, atol=1e-3)
        assert np.allclose(matrix.T.decrypt(paillier_key), m.T, atol=STEP)
        assert np.allclose((matrix + matrix - m).decrypt(paillier_key), m, atol=3 * STEP)
        integers = PaillierVector.encrypt(paillier_key, np.arange(37), packing=Packing.single(0, 20))
        exact = matmul(np.full((1, 37), -7), integers, frac_bits=0).decrypt(paillier_key)
        assert exact.dtype == np.int64
        assert exact.tolist() == [-7 * sum(range(37))]

    def test_plain_integers_of_full_width(self, paillier_key):
        top = (1 << 62) - 1
        a = PaillierVector.encrypt(paillier_key, [top, -top, 0], packing=Packing.single(0, 62))
        assert (a - np.array([top, -top, 1])).decrypt(paillier_key).tolist() == [0, 0, -1]
        weights = [[1 << 60, -(1 << 60), 3]]
        one = PaillierVector.encrypt(paillier_key, [3, -2, 1], packing=Packing.single(0, 2))
        widest = matmul(weights, one, frac_bits=0, value_bits=62).decrypt(paillier_key)
        assert [int(v) for v in widest] == [5 * (1 << 60) + 3]
        edge = matmul([[1 << 62, 0, -(1 << 62)]], one, frac_bits=0, value_bits=62).decrypt(paillier_key)
        assert [int(v) for v in edge] == [2 << 62]

    def test_many_parties_aggregate(self, paillier_key):
        rng = np.random.default_rng(3)
        shares = rng.normal(size=(6, 80))
        total = gradient.aggregate([PaillierVector.encrypt(paillier_key.public, s) for s in shares])
        assert np.allclose(total.decrypt(paillier_key), shares.sum(0), atol=6 * STEP)

    def test_full_randomness_decrypts_alike(self, paillier_key):
        x = np.arange(12.0)
        for key in (paillier_key, paillier_key.public):
            assert np.allclose(PaillierVector.encrypt(key, x, full=True).decrypt(paillier_key), x)


class TestRandomness:
    def test_the_same_value_encrypts_differently(self, paillier_key):
        for key in (paillier_key, paillier_key.public):
            for full in (False, True):
                for count in (1, 2, 40):  # without and with a table
                    x = PaillierVector.encrypt(key, np.zeros(count), packing=Packing.single(), full=full)
                    y = PaillierVector.encrypt(key, np.zeros(count), packing=Packing.single(), full=full)
                    rows = {r.tobytes() for r in np.concatenate([x.ciphertexts, y.ciphertexts])}
                    assert len(rows) == 2 * count

    def test_what_was_computed_is_rerandomised_before_it_is_sent(self, paillier_key):
        a = PaillierVector.encrypt(paillier_key, np.arange(4.0))
        assert a.to_bytes() == a.to_bytes()
        doubled = a + a
        sent = PaillierVector.from_bytes(doubled.to_bytes(), paillier_key)
        assert (sent.ciphertexts != doubled.ciphertexts).any()
        assert np.allclose(sent.decrypt(paillier_key), 2 * np.arange(4.0))
        assert (PaillierVector.from_bytes(sent.to_bytes(), paillier_key).ciphertexts != sent.ciphertexts).any()

    def test_partial_sums_are_masked(self, paillier_key):
        x = np.arange(1.0, 6.0)
        a = PaillierVector.encrypt(paillier_key, x, packing=Packing.for_sums(5, frac_bits=0))
        n = paillier_key.public.n
        packing = a.packing

        def slots(total):
            plain = [keys_signed(m, n) for m in paillier_key.decrypt_residues(total.ciphertexts)]
            return [int(v) for v in packing.unpack(plain, packing.slots(2048), 2048).tolist()]

        masked = slots(a.sum())
        assert sum(masked) == 15
        assert min(abs(v) for v in masked) > 1 << 30
        assert slots(a.sum(show_partial_sums=True))[:5] == [1, 2, 3, 4, 5]

    def test_a_format_without_room_for_masks_is_refused(self, paillier_key):
        a = PaillierVector.encrypt(paillier_key, np.arange(5.0))
        with pytest.raises(HeadroomExceeded, match="no room for the masks"):
            a.sum()
        assert a.sum(show_partial_sums=True).decrypt(paillier_key) == 10


def keys_signed(m, n):
    return m - n if m > n // 2 else m


class TestHeadroom:
    def test_packed_slots_end_exactly_at_their_edge(self, paillier_key):
        packing = Packing(0, 12, 16)  # a slot holds ±32767; seven times 4096 is 28672
        top = np.full(300, 4096)
        a = PaillierVector.encrypt(paillier_key, top, packing=packing)
        b = PaillierVector.encrypt(paillier_key, -top, packing=packing)
        assert (gradient.aggregate([a] * 7).decrypt(paillier_key) == 7 * 4096).all()
        assert (gradient.aggregate([b] * 7).decrypt(paillier_key) == -7 * 4096).all()
        assert ((a * 7).decrypt(paillier_key) == 7 * 4096).all()
        assert ((a * -7).decrypt(paillier_key) == -7 * 4096).all()
        for too_far in (lambda: gradient.aggregate([a] * 8), lambda: a * 8, lambda: a * -8, lambda: a * 7 + a):
            with pytest.raises(HeadroomExceeded, match="16 bits, the slots hold 15"):
                too_far()

    def test_the_last_bit_counts(self, paillier_key):
        packing = Packing(0, 7, 16)  # 128 * 255 = 32640 fits, 128 * 256 = 32768 does not
        a = PaillierVector.encrypt(paillier_key, [128, -128, 0], packing=packing)
        edge = a * 255
        assert edge.decrypt(paillier_key).tolist() == [32640, -32640, 0]
        with pytest.raises(HeadroomExceeded):
            edge + a
        with pytest.raises(HeadroomExceeded):
            edge + 1

    def test_single_numbers_fill_the_whole_modulus(self, paillier_key):
        a = PaillierVector.encrypt(paillier_key, [1, -1], packing=Packing.single(0, 1))
        big = a * (1 << 2044)
        assert [int(v) for v in big.decrypt(paillier_key)] == [1 << 2044, -(1 << 2044)]
        with pytest.raises(HeadroomExceeded):
            big * 8

    def test_products_are_bounded_by_what_is_declared_not_by_what_is_there(self, paillier_key):
        a = PaillierVector.encrypt(paillier_key, np.zeros(4), packing=Packing.single(10, 10))
        assert (a * np.zeros(4)).bound == (a * np.ones(4)).bound == 1 << (20 + 24 + 11)
        assert matmul(np.zeros((1, 4)), a).bound == matmul(np.ones((1, 4)), a).bound


class TestBadInput:
    @pytest.mark.parametrize("bad", [np.nan, np.inf, 2.0**24 + 1])
    def test_values(self, paillier_key, bad):
        with pytest.raises(ValueRangeError) as caught:
            PaillierVector.encrypt(paillier_key, [1.0, bad], name="salary")
        assert caught.value.where == "salary"
        a = PaillierVector.encrypt(paillier_key, [1.0, 2.0], packing=Packing.single())
        for use in (lambda: a + bad, lambda: a * np.array([1.0, bad]), lambda: matmul([[1.0, bad]], a)):
            with pytest.raises(ValueRangeError):
                use()

    def test_shapes(self, paillier_key):
        a = PaillierVector.encrypt(paillier_key, np.zeros(3), packing=Packing.single())
        for bad in ([], np.zeros((0,))):
            with pytest.raises(ConfigError, match="empty"):
                PaillierVector.encrypt(paillier_key, bad)
        with pytest.raises(TypeMismatchError):
            PaillierVector.encrypt(paillier_key, np.zeros((2, 2)))
        with pytest.raises(TypeMismatchError):
            PaillierMatrix.encrypt(paillier_key, np.zeros(2))
        with pytest.raises(ConfigError):
            PaillierMatrix.encrypt(paillier_key, np.zeros((0, 2)))
        with pytest.raises(TypeMismatchError, match="different lengths"):
            PaillierMatrix.encrypt(paillier_key, [[1.0], [1.0, 2.0]])
        for use in (
            lambda: a + PaillierVector.encrypt(paillier_key, np.zeros(4), packing=Packing.single()),
            lambda: a * np.zeros(4),
            lambda: matmul(np.zeros((2, 4)), a),
            lambda: matmul(np.zeros(3), a),
            lambda: a.dot(np.zeros(4)),
            lambda: a + np.zeros(2),
            lambda: a - np.zeros((3, 1)),
        ):
            with pytest.raises(ParameterMismatch):
                use()
        with pytest.raises(ConfigError):
            gradient.aggregate([])

    def test_formats_do_not_mix(self, paillier_key):
        a = PaillierVector.encrypt(paillier_key, np.zeros(3))
        with pytest.raises(ParameterMismatch, match="packed differently"):
            a + PaillierVector.encrypt(paillier_key, np.zeros(3), packing=Packing(24, 24, 72))
        with pytest.raises(ParameterMismatch, match="24 and with 20 fraction bits"):
            a + PaillierVector.encrypt(paillier_key, np.zeros(3), packing=Packing(20, 24, 64))
        with pytest.raises(ParameterMismatch, match="one number a ciphertext"):
            a * np.zeros(3)
        with pytest.raises(ParameterMismatch, match="does not multiply two ciphertexts"):
            a * a

    def test_a_foreign_key_is_told_apart_everywhere(self, paillier_key, other_paillier_key):
        a = PaillierVector.encrypt(paillier_key, np.zeros(3))
        b = PaillierVector.encrypt(other_paillier_key, np.zeros(3))
        for use in (
            lambda: a + b,
            lambda: a - b,
            lambda: gradient.aggregate([a, b]),
            lambda: a.decrypt(other_paillier_key),
            lambda: PaillierVector.from_bytes(a.to_bytes(), other_paillier_key),
        ):
            with pytest.raises(KeyMismatch):
                use()

    def test_a_public_key_does_not_decrypt(self, paillier_key):
        a = PaillierVector.encrypt(paillier_key, np.zeros(3))
        with pytest.raises(KeyMismatch, match="needs the private key"):
            a.decrypt(paillier_key.public)

    @pytest.mark.parametrize("bits", [0, 512, 1024, 2032, -3072, "3072", 3072.0])
    def test_weak_keys_are_not_made(self, bits):
        with pytest.raises(WeakParameters):
            keys.generate("paillier", bits=bits)

    def test_weak_and_impossible_keys_are_not_read(self, paillier_key):
        n = paillier_key.public.n
        with pytest.raises(WeakParameters):
            PaillierPublicKey(int(n) >> 100 | 1)
        with pytest.raises(KeyFileError):
            PaillierPublicKey(n - 1)
        with pytest.raises(KeyFileError):
            PaillierPublicKey(n, n)
        with pytest.raises(KeyFileError):
            PaillierPrivateKey(paillier_key.public, 3, n // 3)
        for fields in ({}, {"n": 5, "h": None}, {"n": "xyz", "h": None}, {"n": f"{n:x}", "h": 3}):
            with pytest.raises(KeyFileError):
                PaillierPublicKey.from_fields(fields)

    def test_the_type_is_closed(self, paillier_key):
        a = PaillierVector.encrypt(paillier_key, np.zeros(3))
        for use in (
            lambda: bool(a),
            lambda: a == a,
            lambda: float(a),
            lambda: list(a),
            lambda: np.asarray(a),
            lambda: pickle.dumps(a),
            lambda: pickle.dumps(paillier_key),
        ):
            with pytest.raises(SecretMisuse):
                use()
        with pytest.raises(TypeError):
            hash(a)
        with pytest.raises(TypeMismatchError):
            a[0]
        assert len(a) == 3
        assert np.allclose((np.ones(3) + a).decrypt(paillier_key), 1)  # NumPy defers, it does not iterate

    def test_reprs_show_scheme_shape_and_key_only(self, paillier_key):
        a = PaillierVector.encrypt(paillier_key, [123.0])
        key_id = paillier_key.key_id[:12]
        assert repr(a) == f"<PaillierVector paillier shape=(1,) key={key_id}>"
        assert repr(paillier_key) == f"<PaillierPrivateKey bits=2048 randomness=djn id={key_id}>"
        shown = repr(paillier_key) + str(vars(type(paillier_key)))
        for number in (paillier_key._p, paillier_key._q):
            assert str(number) not in shown


class TestBytes:
    def test_round_trip_of_every_kind(self, paillier_key):
        public, rng = paillier_key.public, np.random.default_rng(0)
        x, m = rng.normal(size=9), rng.normal(size=(2, 3))
        single = PaillierVector.encrypt(public, x, packing=Packing.single())
        summed = PaillierVector.encrypt(public, x, packing=Packing.for_sums(9)).sum()
        for value, expected in [
            (PaillierVector.encrypt(public, x), x),
            (single * x, x * x),
            (summed, x.sum()),
            (single.dot(x), x @ x),
            (single[2:4], x[2:4]),
            (PaillierVector.encrypt(public, 5.0), 5.0),
            (PaillierMatrix.encrypt(public, m), m),
        ]:
            back = type(value).from_bytes(value.to_bytes(), public)
            assert back.shape == value.shape
            assert back.packing == value.packing
            assert back.bound == value.bound
            assert np.allclose(back.decrypt(paillier_key), expected, atol=1e-3)

    def test_ciphertexts_outside_the_group_are_refused(self, paillier_key):
        a = PaillierVector.encrypt(paillier_key, np.zeros(2), packing=Packing.single())
        n = paillier_key.public.n
        for bad in (0, n, n * 5, paillier_key.public.n2, paillier_key._p * 7):
            rows = paillier_key.public.ring.rows([1, bad])
            forged = a._with(rows, a.bound, fresh=True)
            with pytest.raises(EnvelopeError, match=r"outside its group|not invertible"):
                PaillierVector.from_bytes(forged.to_bytes(), paillier_key)

    def test_a_lying_header_is_refused(self, paillier_key):
        from dataclasses import replace

        a = PaillierVector.encrypt(paillier_key, np.arange(4.0))
        envelope = a.to_envelope()
        meta = envelope.meta
        changes = [
            {"shape": (400,)},
            {"shape": (2, 2)},
            {"shape": (0,)},
            {"payload": envelope.payload[:-8]},
            {"parameters": "0" * 32},
            {"key_id": "0" * 32},
            {"scheme": "ckks"},
            {"kind": "matrix"},
            *({"meta": {**meta, "bound": bad}} for bad in ("0", "-5", "zz", 5, None, "f" * 40)),
            *(
                {"meta": {**meta, name: bad}}
                for name in ("frac_bits", "value_bits", "slot_bits", "shift", "folded")
                for bad in (-1, 1.5, "1", None, 1 << 20, True)
            ),
            {"meta": {**meta, "slot_bits": 8}},
            {"meta": {}},
        ]
        for change in changes:
            with pytest.raises(PpcError):
                PaillierVector.from_bytes(replace(envelope, **change).to_bytes(), paillier_key)


class TestAgainstPhe:
    def test_numbers_in(self, theirs):
        public, private = theirs
        key = interop.from_phe_private(private)
        assert key.public.h is None
        x = [1.5, -2.25, 3, 1e-6, 0]
        vector = interop.from_phe_numbers([public.encrypt(v) for v in x], key.public)
        assert np.allclose(vector.decrypt(key), x, rtol=0, atol=1e-15)
        assert np.allclose((vector * 3 + vector).decrypt(key), 4 * np.array(x), rtol=0, atol=1e-14)
        whole = interop.from_phe_numbers([public.encrypt(7), public.encrypt(-8)], key.public)
        assert whole.decrypt(key).tolist() == [7, -8]

    def test_numbers_out(self, theirs):
        private = theirs[1]
        key = interop.from_phe_private(private)
        x = np.array([1.5, -2.25, 3.0])
        vector = PaillierVector.encrypt(key.public, x, packing=Packing.single(22, 20))
        exported = interop.to_phe_numbers(vector)
        assert {n.exponent for n in exported} == {-6}
        assert [private.decrypt(n) for n in exported] == x.tolist()
        product = matmul([[0.5, 2.0, -1.0]], vector)
        assert private.decrypt(interop.to_phe_numbers(product)[0]) == pytest.approx(0.75 - 4.5 - 3.0, abs=1e-5)
        assert private.decrypt(exported[0] + exported[1]) == -0.75

    def test_our_keys_are_theirs(self, paillier_key):
        public, private = interop.to_phe_public(paillier_key.public), interop.to_phe_private(paillier_key)
        assert private.decrypt(public.encrypt(3.25)) == 3.25
        c = PaillierVector.encrypt(paillier_key.public, [41], packing=Packing.single(0, 8))
        assert private.raw_decrypt(int.from_bytes(c.ciphertexts[0].tobytes(), "little")) == 41

    def test_foreign_numbers_are_refused(self, theirs, paillier_key):
        with pytest.raises(ParameterMismatch):
            interop.from_phe_numbers([theirs[0].encrypt(1)], paillier_key.public)
        with pytest.raises(ParameterMismatch):
            interop.from_phe_numbers([], paillier_key.public)
        with pytest.raises(ParameterMismatch):
            interop.to_phe_numbers(PaillierVector.encrypt(paillier_key, [1.0]))


class TestGradient:
    def test_the_partner_reads_its_gradient_and_nobody_else_does(self, paillier_key, other_paillier_key):
        rng = np.random.default_rng(7)
        x, d = rng.normal(size=(60, 4)), rng.uniform(-1, 1, 60)
        sent = gradient.encrypt_residuals(paillier_key, d)
        received = PaillierVector.from_bytes(sent.to_bytes(), paillier_key.public)
        blind, unmask = gradient.masked_gradient(x, received)
        answer = gradient.open_masked(paillier_key, PaillierVector.from_bytes(blind.to_bytes(), paillier_key))
        assert np.allclose(unmask(answer), x.T @ d, atol=1e-4)
        again = gradient.open_masked(paillier_key, gradient.masked_gradient(x, received)[0])
        assert (answer != again).all(axis=1).all()  # the label holder sees fresh randomness each time
        with pytest.raises(ParameterMismatch):
            unmask(answer[:2])
        with pytest.raises(KeyMismatch):
            gradient.open_masked(other_paillier_key, blind)
        with pytest.raises(ParameterMismatch):
            gradient.encrypted_gradient(x[:10], received)
        assert "Unmask shape=(4,)" in repr(unmask)

    def test_shares_modulo_two_to_the_64(self, paillier_key):
        d = np.array([1.5, -2.25, 0.0, 7.0])
        vector = PaillierVector.encrypt(paillier_key, d, packing=Packing.single(18, 10))
        sent, mine = gradient.to_additive_shares(vector)
        theirs = gradient.share_of(paillier_key, sent)
        assert np.allclose((mine + theirs).view(np.int64) / 2.0**18, d)
        assert not np.allclose(mine.view(np.int64) / 2.0**18, d)
