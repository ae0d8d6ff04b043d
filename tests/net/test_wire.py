"""Frames from a hostile peer: whatever is cut or altered gives an error that names the peer and the field."""

from __future__ import annotations

import contextlib
import io
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ppc.errors import FrameError, KeyColumnError, RemoteFailure
from ppc.net import memory, wire
from ppc.net.channel import Spec

SPECS = [Spec("uint64", (2, 3)), Spec("bool", (5,)), Spec("float64", ())]
PAYLOAD = sum(s.nbytes for s in SPECS)
HEADER = wire.encode_header(wire.Kind.ARRAYS, "open 3", SPECS, PAYLOAD)


def inject(frame: bytes, receive):
    """What a channel makes of raw bytes from its peer."""
    a, b = memory.pair("mallory", "bank-a")
    a._out.put(frame)
    a._out.ended = True
    tracemalloc.start()
    try:
        return receive(b)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1 << 20, f"{peak} bytes were allocated for a frame of {len(frame)}"


def parse(data: bytes, max_frame_bytes: int = 1 << 20) -> wire.Header:
    """The header at the start of `data`; a stream that ends too early gives short reads."""
    stream = io.BytesIO(data)
    return wire.read_header(stream.read, peer="bank-b", max_frame_bytes=max_frame_bytes)


def test_layout_is_fixed():
    """The bytes that version 1 puts on the wire; a change of these needs a new version."""
    header = wire.encode_header(wire.Kind.ARRAYS, "mul", [Spec("uint64", (2, 3))], 48)
    assert header.hex() == (
        "5050" "01" "01" "1500" "03" "01" "3000000000000000"  # magic, version, kind, four lengths
        "6d756c" "05" "02" "0200000000000000" "0300000000000000"  # tag, dtype, dimensions, shape
    )  # fmt: skip
    assert (
        wire.encode(wire.Kind.HEARTBEAT, "heartbeat", b"").hex()
        == "50500103090009000000000000000000" + b"heartbeat".hex()
    )


def test_header_round_trip():
    header = parse(HEADER)
    assert header.tag == "open 3"
    assert header.specs == tuple(SPECS)
    assert header.nbytes == len(HEADER) + PAYLOAD


@pytest.mark.parametrize("n", range(len(HEADER)))
def test_every_truncation_is_named(n):
    with pytest.raises(FrameError) as e:
        parse(HEADER[:n])
    assert e.value.party == "bank-b"
    assert "frame field" in str(e.value.where)


@pytest.mark.parametrize("at", range(len(HEADER)))
def test_every_altered_byte_is_refused_or_seen_as_another_frame(at):
    """No altered header passes for the one that was expected, and none allocates more than a little."""
    for flip in (0x01, 0x80, 0xFF):
        frame = bytearray(HEADER + bytes(4096))  # more follows, as on a real stream
        frame[at] ^= flip
        with pytest.raises(FrameError) as e:
            inject(bytes(frame), lambda b: b.recv("open 3", *SPECS))
        assert e.value.party == "mallory"
        assert "frame field" in str(e.value.where)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=300))
def test_noise_never_does_more_than_raise(data):
    with contextlib.suppress(FrameError):
        assert parse(data).payload_bytes <= 1 << 20


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_hostile_details_never_do_more_than_raise(data):
    """Valid prefixes around hostile details reach the deeper checks."""
    arrays = data.draw(st.integers(0, 4))
    details = data.draw(st.binary(min_size=1 + 2 * arrays, max_size=3 + 66 * arrays))
    tag = data.draw(st.integers(1, len(details)))
    payload = data.draw(st.integers(0, 2**64 - 1))
    frame = wire.PREFIX.pack(b"PP", 1, 1, len(details), min(tag, 96), arrays, payload) + details
    try:
        header = parse(frame)
    except FrameError:
        return
    assert sum(s.nbytes for s in header.specs) == header.payload_bytes <= 1 << 20


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "magic"),
        (b"PP\x02" + HEADER[3:], "version"),
        (b"PP\x01\x00" + HEADER[4:], "kind"),
        (wire.PREFIX.pack(b"PP", 1, 1, 5, 0, 0, 0) + b"12345", "tag length"),
        (wire.PREFIX.pack(b"PP", 1, 1, 97, 97, 0, 0) + b"x" * 97, "tag length"),
        (wire.PREFIX.pack(b"PP", 1, 2, 5, 3, 1, 0) + b"12345", "array count"),
        (wire.PREFIX.pack(b"PP", 1, 1, 65535, 3, 1, 0), "details length"),
        (wire.PREFIX.pack(b"PP", 1, 1, 3, 3, 0, 2**63), "payload length"),
        (wire.PREFIX.pack(b"PP", 1, 4, 7, 7, 0, 9000) + b"failure", "payload length"),
        (wire.PREFIX.pack(b"PP", 1, 1, 3, 3, 0, 0) + b"\xff\xfe\xfd", "tag"),
        (wire.PREFIX.pack(b"PP", 1, 1, 3, 3, 0, 0) + b"a\x1bb", "tag"),
        (wire.PREFIX.pack(b"PP", 1, 1, 5, 3, 1, 8) + b"tag\x63\x00", "dtype"),
        (wire.PREFIX.pack(b"PP", 1, 1, 5, 3, 1, 8) + b"tag\x05\x09", "dimensions"),
        (wire.PREFIX.pack(b"PP", 1, 1, 13, 3, 1, 8) + b"tag\x05\x02" + bytes(8), "details length"),
        (wire.PREFIX.pack(b"PP", 1, 1, 13, 3, 1, 8) + b"tag\x05\x00" + bytes(8), "details length"),
        (wire.PREFIX.pack(b"PP", 1, 1, 13, 3, 1, 8) + b"tag\x05\x01" + struct.pack("<Q", 2**61), "shape"),
        (wire.PREFIX.pack(b"PP", 1, 1, 21, 3, 1, 0) + b"tag\x05\x02" + struct.pack("<QQ", 0, 2**60), "shape"),
        (wire.PREFIX.pack(b"PP", 1, 1, 13, 3, 1, 8) + b"tag\x05\x01" + struct.pack("<Q", 2), "payload length"),
        (wire.PREFIX.pack(b"PP", 1, 6, 5, 5, 0, 2) + b"hello{}", "kind"),
    ],
)
def test_each_hostile_header_names_its_field(frame, field):
    with pytest.raises(FrameError) as e:
        inject(frame, lambda b: b.recv_arrays("tag", 1 << 40))
    assert e.value.party == "mallory"
    assert f"'{field}'" in str(e.value.where)


def test_a_bool_is_0_or_1():
    frame = wire.encode_header(wire.Kind.ARRAYS, "bits", [Spec("bool", 3)], 3) + b"\x00\x01\x02"
    with pytest.raises(FrameError, match="payload"):
        inject(frame, lambda b: b.recv("bits", Spec("bool", 3)))


def test_a_large_announcement_that_was_not_expected_allocates_nothing():
    frame = wire.encode_header(wire.Kind.ARRAYS, "x", [Spec("uint8", 1 << 29)], 1 << 29)
    for receive in (
        lambda b: b.recv("x", Spec("uint8", 10)),
        lambda b: b.recv_arrays("x", 1 << 20),
        lambda b: b.recv_bytes("x", 1 << 20),
        lambda b: b.exchange("x", np.zeros(3, np.uint8)),
    ):
        with pytest.raises(FrameError):
            inject(frame, receive)


@pytest.mark.parametrize("data", [b"", b"no", b"[1]", b"\xff", b'{"what": 3, "code": []}', b"[" * 4000])
def test_hostile_reasons(data):
    frame = wire.encode(wire.Kind.FAILURE, "failure", data)
    with pytest.raises((FrameError, RemoteFailure)) as e:
        inject(frame, lambda b: b.recv_bytes("x", 10))
    assert e.value.party == "mallory"


def test_a_failure_frame_always_fits_its_cap():
    reason = KeyColumnError("𝔛" * 10_000, where='"' * 10_000 + "\u2028\udc80")
    assert len(wire.encode_failure(reason, me="bank-a")) <= wire.MAX_CONTROL_BYTES + 64
