"""Every damage to a ciphertext file is found, and nothing that is not one is taken for one."""

from __future__ import annotations

import hashlib
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.errors import EnvelopeError, FileError, PpcError
from ppc.he.envelope import Envelope
from ppc.he.paillier import PaillierVector

PLAIN = Envelope("paillier", "vector", "0" * 32, "1" * 32, (3,), "float64", {"a": 1, "b": 2.5}, b"payload")


def sealed(body: bytes) -> bytes:
    return body + hashlib.sha256(body).digest()


def test_round_trip():
    assert Envelope.from_bytes(PLAIN.to_bytes()) == PLAIN
    assert "payload" not in repr(PLAIN)


def test_every_single_byte_flip_of_a_ciphertext_file_is_refused(tmp_path, paillier_key):
    path = tmp_path / "x.ppche"
    PaillierVector.encrypt(paillier_key, [1.0, 2.0]).to_envelope().write(path)
    data = path.read_bytes()
    assert len(data) < 1200
    for position in range(len(data)):
        for mask in (0x01, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[position] ^= mask
            with pytest.raises(EnvelopeError):
                Envelope.from_bytes(bytes(damaged))


def test_every_truncation_and_any_extension_is_refused():
    data = PLAIN.to_bytes()
    for length in range(len(data)):
        with pytest.raises(EnvelopeError):
            Envelope.from_bytes(data[:length])
    with pytest.raises(EnvelopeError):
        Envelope.from_bytes(data + b"\0")


def test_another_version_is_named(tmp_path):
    body = bytearray(PLAIN.to_bytes()[:-32])
    body[5] = 2
    with pytest.raises(EnvelopeError, match="version 2, this ppc reads version 1"):
        Envelope.from_bytes(sealed(bytes(body)))


HEADER = {
    "scheme": "paillier",
    "kind": "vector",
    "key_id": "",
    "parameters": "",
    "shape": [3],
    "dtype": "float64",
    "meta": {},
    "payload": 2,
}


def with_header(header: bytes, payload: bytes = b"xx") -> bytes:
    return sealed(b"PPCHE\x01" + len(header).to_bytes(4, "big") + header + payload)


def spelled(parts: dict) -> bytes:
    return json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()


def test_the_hand_made_header_is_fine():
    assert Envelope.from_bytes(with_header(spelled(HEADER))).shape == (3,)


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [-1]},
        {"shape": [1.0]},
        {"shape": [True]},
        {"shape": [1, 2, 3]},
        {"shape": [1 << 60]},
        {"shape": "3"},
        {"dtype": "object"},
        {"meta": []},
        {"payload": 3},
        {"payload": "2"},
        {"key_id": 5},
        {"scheme": None},
        {"more": 1},
    ],
)
def test_headers_of_another_form_are_refused(change):
    with pytest.raises(EnvelopeError):
        Envelope.from_bytes(with_header(spelled({**HEADER, **change})))


def test_headers_in_another_spelling_are_refused():
    for header in (
        json.dumps(HEADER).encode(),
        spelled(HEADER)[:-1] + b',"x":NaN}',
        spelled({k: v for k, v in HEADER.items() if k != "dtype"}),
        b"[]",
        b"",
        b"\xff\xfe",
        b"[" * 5000,
        spelled(HEADER).replace(b'"shape":[3]', b'"shape":[3],"shape":[3]'),
    ):
        with pytest.raises(EnvelopeError):
            Envelope.from_bytes(with_header(header))
    with pytest.raises(EnvelopeError, match="longer than the file"):
        Envelope.from_bytes(sealed(b"PPCHE\x01\xff\xff\xff\xff" + b"x" * 50))


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=300))
def test_noise_is_no_envelope(data):
    for candidate in (data, b"PPCHE\x01" + data, sealed(b"PPCHE\x01" + data)):
        with pytest.raises(EnvelopeError):
            Envelope.from_bytes(candidate)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(field=st.sampled_from(sorted(HEADER)), value=json_values, payload=st.binary(max_size=4))
def test_a_loader_meets_only_its_own_errors(paillier_key, field, value, payload):
    """Any header with a right checksum either loads or raises an error of ppc: never another exception."""
    good = PaillierVector.encrypt(paillier_key, [1.0]).to_envelope()
    parts = {
        **HEADER,
        "key_id": good.key_id,
        "parameters": good.parameters,
        "meta": dict(good.meta),
        "payload": len(payload),
        field: value,
    }
    try:
        header = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:
        return
    with pytest.raises(PpcError):
        PaillierVector.from_bytes(with_header(header, payload), paillier_key)


@settings(max_examples=150, deadline=None)
@given(field=st.sampled_from(["frac_bits", "value_bits", "slot_bits", "bound", "folded", "shift"]), value=json_values)
def test_any_meta_loads_or_is_refused(paillier_key, field, value):
    good = PaillierVector.encrypt(paillier_key, [1.0], threads=1).to_envelope()
    try:
        data = Envelope(*(getattr(good, n) for n in ("scheme", "kind", "key_id", "parameters", "shape", "dtype")),
                        {**good.meta, field: value}, good.payload).to_bytes()  # fmt: skip
    except ValueError:  # a NaN has no canonical JSON
        return
    try:
        vector = PaillierVector.from_bytes(data, paillier_key)
    except PpcError:
        return
    assert math.prod(vector.shape) == 1
    try:
        assert np.isfinite(vector.decrypt(paillier_key)).all()
    except PpcError:
        return


def test_numbers_of_the_header_are_checked():
    for low, high, value in [(0, 5, 6), (0, 5, -1), (0, 5, None), (0, 5, "1"), (0, 5, True), (0, 5, float("nan"))]:
        envelope = Envelope("a", "b", "", "", (), "int64", {"x": value})
        with pytest.raises(EnvelopeError):
            envelope.integer("x", low, high)
        with pytest.raises(EnvelopeError):
            envelope.number("x", low, high)
    assert PLAIN.integer("a", 1, 1) == 1
    assert PLAIN.number("b", 2, 3) == 2.5


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(FileError):
        Envelope.read(tmp_path / "none.ppche")
    with pytest.raises(FileError):
        PLAIN.write(tmp_path / "no" / "such" / "folder")
