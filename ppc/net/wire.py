"""The frame: how arrays and bytes look on the wire. Every byte from outside is checked here before it is believed.

A frame, all numbers little-endian::

    prefix (16 bytes)   magic "PP" | version u8 | kind u8 | details length u16 | tag length u8 | arrays u8
                        | payload length u64
    details             the tag: 1 to 96 bytes of printable ASCII
                        for each array: dtype u8 | dimensions u8 | dimensions × length u64
    payload             the arrays one after the other, C order, no padding

A receiver reads the prefix, checks it, reads the details (a few kilobytes at most), checks them, and only then
allocates memory for the payload: after its length agreed with what the details say and with what the receiver
expects, or with its cap. Nothing is ever unpickled or evaluated.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import numpy as np

from ppc.errors import FrameError, PpcError, RemoteFailure
from ppc.net.channel import Array, Spec

MAGIC: Final = b"PP"
VERSION: Final = 1
PREFIX: Final = struct.Struct("<2sBBHBBQ")
MAX_TAG_BYTES: Final = 96
MAX_ARRAYS: Final = 255
MAX_DIMENSIONS: Final = 8
DEFAULT_MAX_FRAME_BYTES: Final = 1 << 30
MAX_DETAILS_BYTES: Final = MAX_TAG_BYTES + MAX_ARRAYS * (2 + 8 * MAX_DIMENSIONS)
MAX_CONTROL_BYTES: Final = 8192  # payload of a frame that is not data: greetings and failures

_DESCRIPTOR: Final = struct.Struct("<BB")
_DTYPES: Final[dict[int, np.dtype[Any]]] = {
    code: np.dtype(name).newbyteorder("<")
    for code, name in (
        (1, "bool"), (2, "uint8"), (3, "uint16"), (4, "uint32"), (5, "uint64"),
        (6, "int8"), (7, "int16"), (8, "int32"), (9, "int64"), (10, "float32"), (11, "float64"),
    )
}  # fmt: skip
_CODES: Final = {(d.kind, d.itemsize): code for code, d in _DTYPES.items()}


class Kind(IntEnum):
    """What a frame is for."""

    ARRAYS = 1
    BYTES = 2
    HEARTBEAT = 3
    FAILURE = 4
    GOODBYE = 5
    HELLO = 6


@dataclass(frozen=True, slots=True)
class Prefix:
    """The checked first 16 bytes of a frame."""

    kind: Kind
    details_bytes: int
    tag_bytes: int
    arrays: int
    payload_bytes: int


@dataclass(frozen=True, slots=True)
class Header:
    """A frame's checked header: its specs account for its payload to the byte."""

    kind: Kind
    tag: str
    specs: tuple[Spec, ...]
    payload_bytes: int
    header_bytes: int

    @property
    def nbytes(self) -> int:
        """Bytes of the whole frame."""
        return self.header_bytes + self.payload_bytes


def bad_frame(what: str, *, peer: str, field: str, tag: str | None = None) -> FrameError:
    """The error for a frame of `peer` whose `field` is not acceptable."""
    where = f"frame field '{field}'" + (f" of '{tag}'" if tag is not None else "")
    return FrameError(
        f"{peer} sent a frame with a wrong {field}: {what}",
        where=where,
        hint="do both parties run the same version of ppc and the same job?",
        party=peer,
    )


# --- writing ---
def encode_header(kind: Kind, tag: str, specs: Sequence[Spec], payload_bytes: int) -> bytes:
    """The header of a frame; `FrameError` if the tag, the dtypes or the shapes cannot travel."""
    raw = tag.encode("ascii", "replace")
    if not (0 < len(raw) <= MAX_TAG_BYTES and tag.isascii() and tag.isprintable()):
        raise FrameError(f"a tag is 1 to {MAX_TAG_BYTES} printable ASCII characters", where=f"tag {tag!r}")
    if not len(specs) <= MAX_ARRAYS:
        raise FrameError(f"{len(specs)} arrays in one frame; at most {MAX_ARRAYS} fit", where=f"tag {tag!r}")
    parts = [raw]
    for spec in specs:
        code = _CODES.get((spec.dtype.kind, spec.dtype.itemsize))
        if code is None:
            raise FrameError(f"arrays of dtype {spec.dtype} cannot be sent", where=f"tag {tag!r}")
        if not len(spec.shape) <= MAX_DIMENSIONS:
            raise FrameError(f"{len(spec.shape)} dimensions; at most {MAX_DIMENSIONS} fit", where=f"tag {tag!r}")
        parts.append(struct.pack(f"<BB{len(spec.shape)}Q", code, len(spec.shape), *spec.shape))
    details = b"".join(parts)
    return PREFIX.pack(MAGIC, VERSION, kind, len(details), len(raw), len(specs), payload_bytes) + details


def as_payload(array: Array) -> Array:
    """The array as it travels: C order, little-endian. It is `array` itself if it already is so."""
    wire = array if array.dtype.isnative and _NATIVE_IS_LITTLE else array.astype(array.dtype.newbyteorder("<"))
    return wire if wire.flags.c_contiguous else np.array(wire, order="C")


_NATIVE_IS_LITTLE: Final = bool(np.dtype("<u8").isnative)


def octets(array: Array) -> memoryview:
    """The bytes of a C-contiguous array, without a copy."""
    return memoryview(array.reshape(-1).view(np.uint8))


def encode(kind: Kind, tag: str, data: bytes) -> bytes:
    """A whole frame of bytes."""
    return encode_header(kind, tag, (), len(data)) + data


def encode_goodbye() -> bytes:
    """The frame of a party that closes in good order."""
    return encode(Kind.GOODBYE, "goodbye", b"")


def encode_failure(reason: PpcError, *, me: str) -> bytes:
    """The frame that tells the peer why `me` stops. No hint and no directory leaves the house.

    A failure that began at a third party keeps that party's name.
    """
    parts = {k: _redact(v) for k, v in reason.to_dict().items() if k in ("code", "what", "where")}
    passed_on = isinstance(reason, RemoteFailure) and reason.party
    parts["party"] = reason.party if passed_on and reason.party else me
    return encode(Kind.FAILURE, "failure", json.dumps(parts, ensure_ascii=False).encode())


# --- reading ---
def parse_prefix(data: bytes | bytearray | memoryview, *, peer: str, max_frame_bytes: int) -> Prefix:
    """The prefix in `data`, which must be exactly `PREFIX.size` bytes."""
    if len(data) != PREFIX.size:
        raise bad_frame(f"{len(data)} bytes instead of {PREFIX.size}", peer=peer, field="prefix")
    magic, version, kind, details_bytes, tag_bytes, arrays, payload = PREFIX.unpack(data)
    if magic != MAGIC:
        raise bad_frame("this is not a frame of ppc", peer=peer, field="magic")
    if version != VERSION:
        raise bad_frame(f"version {version} instead of {VERSION}", peer=peer, field="version")
    if kind not in _KINDS:
        raise bad_frame(f"unknown kind {kind}", peer=peer, field="kind")
    if not 0 < tag_bytes <= MAX_TAG_BYTES:
        raise bad_frame(f"{tag_bytes} is not between 1 and {MAX_TAG_BYTES}", peer=peer, field="tag length")
    if arrays and kind != Kind.ARRAYS:
        raise bad_frame(f"{arrays} arrays in a frame of kind {Kind(kind).name}", peer=peer, field="array count")
    least, most = tag_bytes + 2 * arrays, tag_bytes + (2 + 8 * MAX_DIMENSIONS) * arrays
    if not least <= details_bytes <= most:
        raise bad_frame(f"{details_bytes} is not between {least} and {most}", peer=peer, field="details length")
    cap = max_frame_bytes if kind in (Kind.ARRAYS, Kind.BYTES) else MAX_CONTROL_BYTES
    if not payload <= cap:
        raise bad_frame(f"{payload} bytes are announced, the cap is {cap}", peer=peer, field="payload length")
    return Prefix(Kind(kind), details_bytes, tag_bytes, arrays, payload)


_KINDS: Final = frozenset(int(k) for k in Kind)


def parse_details(prefix: Prefix, data: bytes | bytearray | memoryview, *, peer: str) -> Header:
    """The whole header from its prefix and its details; the payload is accounted for to the byte."""
    data = bytes(data)
    if len(data) != prefix.details_bytes:
        raise bad_frame(f"{len(data)} bytes instead of {prefix.details_bytes}", peer=peer, field="details length")
    raw = data[: prefix.tag_bytes]
    if not raw.isascii() or not raw.decode("ascii").isprintable():
        raise bad_frame("it is not printable ASCII", peer=peer, field="tag")
    tag = raw.decode("ascii")
    specs = []
    at = prefix.tag_bytes
    for i in range(prefix.arrays):
        if not at + 2 <= len(data):
            raise bad_frame(f"the details end before array {i}", peer=peer, tag=tag, field="details length")
        code, dimensions = data[at], data[at + 1]
        dtype = _DTYPES.get(code)
        if dtype is None:
            raise bad_frame(f"unknown code {code} at array {i}", peer=peer, tag=tag, field="dtype")
        if not dimensions <= MAX_DIMENSIONS:
            raise bad_frame(
                f"{dimensions} at array {i}, at most {MAX_DIMENSIONS}", peer=peer, tag=tag, field="dimensions"
            )
        at += 2
        if not at + 8 * dimensions <= len(data):
            raise bad_frame(f"the details end in array {i}", peer=peer, tag=tag, field="details length")
        shape = struct.unpack_from(f"<{dimensions}Q", data, at)
        at += 8 * dimensions
        # NumPy refuses a shape like (0, 2**63), which has no bytes; refuse it here with a name.
        if not math.prod(max(n, 1) for n in shape) < 2**48:
            raise bad_frame(f"array {i} is too large", peer=peer, tag=tag, field="shape")
        specs.append(Spec(dtype, shape))
    if at != len(data):
        raise bad_frame(f"{len(data) - at} bytes too many", peer=peer, tag=tag, field="details length")
    described = sum(s.nbytes for s in specs)
    if prefix.kind == Kind.ARRAYS and described != prefix.payload_bytes:
        raise bad_frame(
            f"{prefix.payload_bytes} bytes are announced, the shapes need {described}",
            peer=peer, tag=tag, field="payload length",
        )  # fmt: skip
    return Header(prefix.kind, tag, tuple(specs), prefix.payload_bytes, PREFIX.size + len(data))


def read_header(take: Callable[[int], bytes | bytearray], *, peer: str, max_frame_bytes: int) -> Header:
    """The header of the next frame of a stream, of which `take(n)` gives the next `n` bytes."""
    prefix = parse_prefix(take(PREFIX.size), peer=peer, max_frame_bytes=max_frame_bytes)
    return parse_details(prefix, take(prefix.details_bytes), peer=peer)


# --- expectations ---
def expect(header: Header, kind: Kind, tag: str, *, peer: str) -> None:
    """Check that a frame is of this kind and tag."""
    if header.tag != tag:
        raise bad_frame(f"'{header.tag}' came where '{tag}' was expected", peer=peer, tag=tag, field="tag")
    if header.kind != kind:
        raise bad_frame(f"{header.kind.name} came where {kind.name} was expected", peer=peer, tag=tag, field="kind")


def expect_specs(header: Header, specs: Sequence[Spec], *, peer: str) -> None:
    """Check that the arrays of a frame are exactly those expected."""
    tag, came = header.tag, header.specs
    if len(came) != len(specs):
        raise bad_frame(f"{len(came)} arrays instead of {len(specs)}", peer=peer, tag=tag, field="array count")
    for i, (got, want) in enumerate(zip(came, specs, strict=True)):
        if (got.dtype.kind, got.dtype.itemsize) != (want.dtype.kind, want.dtype.itemsize):
            raise bad_frame(f"{got.dtype} instead of {want.dtype} at array {i}", peer=peer, tag=tag, field="dtype")
        if got.shape != want.shape:
            raise bad_frame(f"{got.shape} instead of {want.shape} at array {i}", peer=peer, tag=tag, field="shape")


def expect_at_most(header: Header, max_bytes: int, *, peer: str) -> None:
    """Check that a payload is within the receiver's cap."""
    if not header.payload_bytes <= max_bytes:
        raise bad_frame(
            f"{header.payload_bytes} bytes, at most {max_bytes} are taken here",
            peer=peer, tag=header.tag, field="payload length",
        )  # fmt: skip


def check_payload(arrays: Sequence[Array], *, peer: str, tag: str) -> tuple[Array, ...]:
    """The arrays in native byte order; bytes other than 0 and 1 in a bool array are refused."""
    for array in arrays:
        if array.dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
            raise bad_frame("a bool that is neither 0 nor 1", peer=peer, tag=tag, field="payload")
    if _NATIVE_IS_LITTLE:
        return tuple(arrays)
    return tuple(a.astype(a.dtype.newbyteorder("=")) for a in arrays)


def parse_failure(data: bytes, *, peer: str) -> RemoteFailure:
    """The peer's reason to stop, as an error that names the party that failed first."""
    parts = parse_json(data, peer=peer, tag="failure")
    code, what, where, party = (_printable(str(parts.get(k) or "")) for k in ("code", "what", "where", "party"))
    if code == RemoteFailure.code and party:  # passed on: keep the name of where it began
        return RemoteFailure(what, where=where or None, party=party, hint=f"see the log of {party}")
    reason = (what or "no reason given") + (f" [{code}]" if code else "")
    return RemoteFailure(f"{peer} stopped: {reason}", where=where or None, party=peer, hint=f"see the log of {peer}")


def parse_json(data: bytes, *, peer: str, tag: str) -> dict[str, Any]:
    """A small JSON object from a control frame."""
    try:
        parts = json.loads(data)
    except (ValueError, RecursionError):
        raise bad_frame("not JSON", peer=peer, tag=tag, field="payload") from None
    if not isinstance(parts, dict):
        raise bad_frame("not a JSON object", peer=peer, tag=tag, field="payload")
    return parts


def _redact(text: str) -> str:
    """Text fit to leave the house: directories cut off, short."""
    words = (
        w if w.count("/") + w.count("\\") < 2 else w.replace("\\", "/").rsplit("/", 1)[-1] for w in text.split(" ")
    )
    return _printable(" ".join(words))


def _printable(text: str) -> str:
    """Text from outside, made safe to show on a terminal."""
    return "".join(c if c.isprintable() else " " for c in text[:400])
