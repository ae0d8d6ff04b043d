"""SHA-256 on columns, against hashlib: with the processor's instructions where it has them, and without."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ppc.core import cpu, sha256


@pytest.fixture(params=["instructions", "portable"])
def path(request, monkeypatch):
    """Either way; the first is the second on a processor without SHA instructions."""
    monkeypatch.setenv(cpu.PORTABLE, "1" if request.param == "portable" else "0")


def column(values):
    data = np.frombuffer(b"".join(values), np.uint8)
    return data, np.cumsum([0, *map(len, values)], dtype=np.int64)


def reference(prefix, rows):
    out = []
    for values in rows:
        h = hashlib.sha256(prefix)
        for v in values:
            h.update(len(v).to_bytes(8, "little") + v)
        out.append(h.digest())
    return b"".join(out)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80), st.lists(st.tuples(st.binary(max_size=200), st.binary(max_size=70)), max_size=8))
def test_agrees_with_hashlib(path, prefix, rows):
    columns = [column([r[i] for r in rows]) for i in range(2)]
    assert sha256.digests(prefix, columns, len(rows)).tobytes() == reference(prefix, rows)


@pytest.mark.parametrize("size", [*range(44, 66), 119, 120, 128, 100_000])
def test_every_padding(path, size):
    values = [b"x" * size, b"", b"y"]
    assert sha256.digests(b"", [column(values)], 3).tobytes() == reference(b"", [(v,) for v in values])


@pytest.mark.parametrize("width", [0, 1, 48, 55, 56, 64, 200])
def test_rows_of_one_width(path, width):
    messages = np.random.default_rng(width).integers(0, 256, (9, width), np.uint8)
    expected = b"".join(hashlib.sha256(m.tobytes()).digest() for m in messages)
    assert sha256.rows(messages).tobytes() == expected


def test_a_message_of_a_megabyte_at_an_odd_address(path):
    data = np.random.default_rng(1).integers(0, 256, (1 << 20) + 3, np.uint8)
    found = sha256.digests(b"", [(data, np.array([3, 3, len(data)]))], 2)
    assert found.tobytes() == reference(b"", [(b"",), (data[3:].tobytes(),)])


@pytest.mark.parametrize(
    ("message", "digest"),
    [  # FIPS 180-4 examples, NIST "SHA256.pdf": one block, two blocks
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
    ],
)
def test_published_examples(path, message, digest):
    assert sha256.rows(np.frombuffer(message, np.uint8)[None]).tobytes().hex() == digest
