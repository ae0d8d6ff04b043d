"""SHA-256 on columns, against hashlib."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.core import sha256


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


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=80), st.lists(st.tuples(st.binary(max_size=200), st.binary(max_size=70)), max_size=8))
def test_agrees_with_hashlib(prefix, rows):
    columns = [column([r[i] for r in rows]) for i in range(2)]
    assert sha256.digests(prefix, columns, len(rows)).tobytes() == reference(prefix, rows)


@pytest.mark.parametrize("size", [*range(44, 66), 119, 120, 128, 100_000])
def test_every_padding(size):
    values = [b"x" * size, b"", b"y"]
    assert sha256.digests(b"", [column(values)], 3).tobytes() == reference(b"", [(v,) for v in values])
