"""Join keys: from the key columns of a table to one digest a row, the same at both parties if and only if the keys are.

Key columns are combined without ambiguity: each value is encoded with its type's tag and its length, so ("ab", "c") and
("a", "bc") differ, and so do the number 12 and the text "12". That both parties have the same types is checked by the
protocol from `Keys.types`, which is announced; a mismatch is an error, not an empty match.

A row with a null (or an empty text) in any key column has no key: it never matches, and is counted; so is one with a
value that its column's form does not allow (`ppc.mpc.psi.normalise`). Rows with the same key are refused, or all but
the first are left out, and counted too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ppc.errors import ConfigError, KeyColumnError, TypeMismatchError, ValueRangeError
from ppc.mpc.psi import normalise as forms
from ppc.mpc.psi.normalise import Normalise, Spaces

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["DIGEST_BYTES", "Keys", "Normalise", "Spaces", "as_keys", "digest_rows", "first_of_each", "prepare"]

DIGEST_BYTES: Final = 32
_DOMAIN: Final = b"ppc psi key v1"
_BATCH: Final = 1 << 16

Duplicates = Literal["reject", "first"]


class Keys:
    """One party's keys, ready for matching; made by `prepare`.

    Attributes: `rows`, the row index (int64) that each key came from; `types`, the kind of each key column;
    `normalise`; `total`, `nulls`, `invalid` and `duplicates`, the number of rows, of those without a key, of those with
    a value that is not of its column's form, and of those left out as duplicates.

    The digests are those of plain keys: as telling as the keys themselves to who can guess them. They never leave the
    party; a protocol hashes them again with a salt of its session, and blinds that.
    """

    __slots__ = ("_digests", "duplicates", "invalid", "normalise", "nulls", "rows", "total", "types")

    def __init__(
        self,
        digests: NDArray[np.uint8],
        rows: NDArray[np.int64],
        *,
        types: tuple[str, ...],
        normalise: Normalise,
        total: int,
        nulls: int,
        duplicates: int,
        invalid: int = 0,
    ) -> None:
        self._digests = digests
        self.rows = rows
        self.types = types
        self.normalise = normalise
        self.total = total
        self.nulls = nulls
        self.duplicates = duplicates
        self.invalid = invalid

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"<Keys {len(self)} of {self.total} rows, types={list(self.types)}>"

    def __reduce_ex__(self, protocol: object) -> str:
        raise TypeError("Keys hold what identifies people, and are not pickled")

    def digests(self) -> NDArray[np.uint8]:
        """The digests (n, 32), for what keeps keys within this party."""
        return self._digests

    def salted(self, salt: bytes) -> list[bytes]:
        """The keys as 32-byte hashes (keyed BLAKE2b, RFC 7693) that mean nothing outside the session of `salt`."""
        raw = self._digests.tobytes()
        starts = range(0, len(raw), DIGEST_BYTES)
        return [hashlib.blake2b(raw[i : i + DIGEST_BYTES], digest_size=32, key=salt).digest() for i in starts]

    def hashed(self, salt: bytes, label: str) -> NDArray[np.uint64]:
        """The keys as pseudo-random blocks, uint64 (n, 2), that mean nothing outside the session of `salt`.

        AES-128 under a key made of salt and label, of half a digest: distinct keys give distinct blocks, and another
        label gives independent ones (AES as an ideal cipher, the digests as a random oracle's).
        """
        from ppc.core import aes

        return aes.encrypt(_block_key(salt, label), self._half(0))

    def compressed(self, salt: bytes, label: str) -> NDArray[np.uint64]:
        """The keys as blocks, like `hashed`, that depend on all 256 bits of a digest and cannot be run backwards.

        The sum of the Matyas–Meyer–Oseas hashes of both halves, each under a key of its own.
        """
        from ppc.core import aes

        out = aes.mmo(_block_key(salt, label + " 0"), self._half(0))
        out ^= aes.mmo(_block_key(salt, label + " 1"), self._half(1))
        return out

    def bound(self, domain: bytes, blocks: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """SHA-256 of `domain` (7 bytes, so that one compression does), a block (n, 2) and the key's digest; (n, 32)."""
        from ppc.core import sha256

        messages = np.empty((len(self), len(domain) + 16 + DIGEST_BYTES), np.uint8)
        at = len(domain)
        messages[:, :at] = np.frombuffer(domain, np.uint8)
        messages[:, at : at + 16] = blocks.astype("<u8", copy=False).view(np.uint8)
        messages[:, at + 16 :] = self._digests
        return sha256.rows(messages)

    def _half(self, which: int) -> NDArray[np.uint64]:
        part = np.ascontiguousarray(self._digests[:, 16 * which : 16 * which + 16])
        words: NDArray[np.uint64] = part.view("<u8").astype(np.uint64)
        return words.reshape(-1, 2)


def _block_key(salt: bytes, label: str) -> bytes:
    data = b"ppc psi block v1" + len(salt).to_bytes(2, "little") + salt + label.encode()
    return hashlib.sha256(data).digest()[:16]


def prepare(
    columns: Mapping[str, pa.Array | pa.ChunkedArray],
    *,
    normalise: Normalise | None = None,
    duplicates: Duplicates = "reject",
) -> Keys:
    """The keys of a table's rows.

    Args:
        columns: the key columns by name, in an order on which both parties agree; the names may differ. Text, integers
            of any width, dates, timestamps, booleans or binary.
        normalise: how text is brought to one form; by default it is taken as it is.
        duplicates: what to do with rows that have the same key: `reject` them all with an error, or keep the `first`.

    Raises:
        KeyColumnError: no key column, columns of different lengths, text that is not UTF-8, or duplicates.
        TypeMismatchError: a column whose type cannot be a key. ValueRangeError: an integer beyond 64 bits.
    """
    if duplicates not in get_args(Duplicates):
        raise ConfigError(f"duplicates is one of {', '.join(get_args(Duplicates))}, not {duplicates!r}")
    found = digest_rows(columns, normalise or Normalise())
    first = first_of_each(found._digests)
    repeated = len(found) - len(first)
    if repeated and duplicates == "reject":
        raise KeyColumnError(
            f"{repeated} of {found.total} rows repeat the key of an earlier row",
            where=f"key {' + '.join(columns)}",
            hint='make the key unique, add a key column, or set duplicates = "first"',
        )
    if repeated:
        found._digests, found.rows, found.duplicates = found._digests[first], found.rows[first], repeated
    return found


def digest_rows(columns: Mapping[str, pa.Array | pa.ChunkedArray], normalise: Normalise) -> Keys:
    """As `prepare`, but the same key may occur more than once: not fit for a protocol yet."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not columns:
        raise KeyColumnError("no key column is given")
    names = " + ".join(columns)
    if len(normalise.forms) > len(columns):
        raise ConfigError(
            f"there are {len(normalise.forms)} forms for {len(columns)} key columns", where=f"key {names}"
        )
    arrays = {name: _whole(column) for name, column in columns.items()}
    lengths = {len(a) for a in arrays.values()}
    if len(lengths) != 1:
        raise KeyColumnError("the key columns have different lengths", where=f"key {names}")
    (total,) = lengths
    kinds: list[str] = []
    encoded: list[pa.Array] = []
    valid = np.ones(total, bool)
    present = np.ones(total, bool)
    for i, (name, array) in enumerate(arrays.items()):
        kind, values = _encode(name, array, normalise, normalise.form(i))
        kinds.append(kind)
        encoded.append(values)
        has_value = pc.is_valid(values).to_numpy(zero_copy_only=False)
        valid &= has_value
        present &= has_value | ((normalise.form(i) != "text") & _filled(array))
    rows = np.flatnonzero(valid).astype(np.int64, copy=False)
    return Keys(
        _digest([e.filter(pa.array(valid)) for e in encoded], kinds),
        rows,
        types=tuple(kinds),
        normalise=normalise,
        total=total,
        nulls=total - int(present.sum()),
        duplicates=0,
        invalid=int(present.sum()) - len(rows),
    )


def _filled(array: pa.Array) -> NDArray[np.bool_]:
    """Where a column has a value that is not empty or blank."""
    import pyarrow as pa
    import pyarrow.compute as pc

    filled = pc.is_valid(array)
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        filled = pc.and_(filled, pc.fill_null(pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(array)), 0), False))
    out: NDArray[np.bool_] = filled.to_numpy(zero_copy_only=False)
    return out


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):  # some versions of pyarrow give one with a single chunk
            column = column.chunk(0) if column.num_chunks else pa.array([], column.type)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column


def _encode(name: str, array: pa.Array, normalise: Normalise, form: str = "text") -> tuple[str, pa.Array]:
    """The kind of a column, and its values as bytes (large_binary; null where the row has no key)."""
    import pyarrow as pa

    t = array.type
    types = pa.types
    try:
        if types.is_string(t) or types.is_large_string(t) or types.is_string_view(t):
            return form.partition(":")[0], _text(array, normalise, form)
        if types.is_integer(t) and form != "text":
            return form.partition(":")[0], _text(array.cast(pa.large_string()), normalise, form)
        if types.is_null(t):
            return form.partition(":")[0], pa.nulls(len(array), pa.large_binary())
        if form != "text":
            raise TypeMismatchError(
                f"a column of type {t} has no form {form!r}",
                where=f"column {name}",
                hint="forms are for text and integers",
            )
        if types.is_integer(t):
            return "integer", _words(array.cast(pa.int64()))
        if types.is_decimal(t) and t.scale == 0:
            return "integer", _words(array.cast(pa.int64()))
        if types.is_date(t):
            return "date", _words(array.cast(pa.date32()).cast(pa.int32()).cast(pa.int64()))
        if types.is_timestamp(t):
            zoned = t.tz is not None
            return ("timestamp with zone" if zoned else "timestamp"), _words(
                array.cast(pa.timestamp("us", "UTC" if zoned else None)).cast(pa.int64())
            )
        if types.is_boolean(t):
            return "boolean", _words(array.cast(pa.int64()))
        if types.is_binary(t) or types.is_large_binary(t) or types.is_fixed_size_binary(t) or types.is_binary_view(t):
            return "binary", array.cast(pa.large_binary())
    except pa.ArrowInvalid:
        if types.is_integer(t) or types.is_decimal(t):
            raise ValueRangeError("a key does not fit in 64 bits", where=f"column {name}") from None
        if types.is_timestamp(t):
            raise ValueRangeError("a time is finer than a microsecond", where=f"column {name}") from None
        raise KeyColumnError("a key is not valid UTF-8 text", where=f"column {name}") from None
    raise TypeMismatchError(
        f"a column of type {t} cannot be a key",
        where=f"column {name}",
        hint="use text, integers, dates, timestamps or binary; turn other numbers into text at both parties alike",
    )


def _text(array: pa.Array, normalise: Normalise, form: str) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    text = array.cast(pa.large_string())
    text.validate(full=True)  # UTF-8
    text = forms.text(text, normalise) if form == "text" else forms.by_form(text, form)
    text = pc.if_else(pc.equal(pc.binary_length(text), 0), pa.scalar(None, pa.large_string()), text)
    return text.cast(pa.large_binary())


def _words(array: pa.Array) -> pa.Array:
    """64-bit integers as 8 bytes each."""
    import pyarrow as pa

    data = array.fill_null(0).to_numpy(zero_copy_only=False).astype("<i8")
    raw = pa.Array.from_buffers(pa.binary(8), len(array), [None, pa.py_buffer(data.tobytes())])
    if array.null_count:
        raw = raw.cast(pa.large_binary())
        return raw.take(pa.array(np.arange(len(array)), mask=array.is_null().to_numpy(zero_copy_only=False)))
    return raw.cast(pa.large_binary())


def _digest(columns: list[pa.Array], kinds: list[str]) -> NDArray[np.uint8]:
    """SHA-256 of the tagged, length-prefixed values of each row; shape (rows, 32)."""
    from ppc.core import sha256

    n = len(columns[0])
    prefix = _DOMAIN + b"\0".join(k.encode() for k in kinds) + b"\0\0"
    out = np.empty((n, DIGEST_BYTES), np.uint8)
    for start in range(0, n, _BATCH):
        parts = [_buffers(c.slice(start, _BATCH)) for c in columns]
        out[start : start + _BATCH] = sha256.digests(prefix, parts, min(_BATCH, n - start))
    return out


def _buffers(values: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The bytes and the offsets of a large_binary array without nulls."""
    _, offsets, data = values.buffers()
    at: NDArray[np.int64] = np.frombuffer(offsets, "<i8")[values.offset : values.offset + len(values) + 1]
    return np.frombuffer(data if data is not None else b"", np.uint8), at.astype(np.int64, copy=False)


def first_of_each(digests: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The indices of the first occurrences of distinct digests, in order. 128 bits tell SHA-256 digests apart."""
    words: NDArray[np.uint64] = np.ascontiguousarray(digests[:, :16]).view(np.uint64).reshape(len(digests), 2)
    order = np.argsort(words[:, 0], kind="stable")  # equal ones stay in row order
    first = words[order, 0]
    if (first[1:] == first[:-1]).any():  # repetitions, or a rare tie of 64 bits
        order = np.lexsort((words[:, 1], words[:, 0]))
    ranked = words[order]
    new = np.ones(len(order), bool)
    new[1:] = (ranked[1:] != ranked[:-1]).any(axis=1)
    return np.sort(order[new]).astype(np.int64, copy=False)


def as_keys(keys: Keys | Mapping[str, Any] | Sequence[Any]) -> Keys:
    """`keys`, prepared with the defaults if they are columns."""
    if isinstance(keys, Keys):
        return keys
    if isinstance(keys, Mapping):
        return prepare(keys)
    return prepare({f"key {i}": column for i, column in enumerate(keys, start=1)})
