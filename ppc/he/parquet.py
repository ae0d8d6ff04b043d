"""Parquet files whose every byte is covered by a digest, and that any Parquet reader still opens.

The footer of a Parquet file is found from the end, and its offsets count from the start; so 40 bytes fit between the
last row group and the footer. They hold a mark and the SHA-256 of all other bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from ppc.core.files import atomic_write
from ppc.errors import EnvelopeError, FileError

_MARK: Final = b"PPCSEAL1"
_DIGEST: Final = 32
_TAIL: Final = 8  # length of the footer, "PAR1"
_BLOCK: Final = 1 << 20


def write_sealed(path: str | Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Write record batches, one row group each, and seal the file. Nothing is left behind if `batches` raises."""
    with atomic_write(path) as out:
        with pq.ParquetWriter(out, schema, compression="none", use_dictionary=False, write_statistics=False) as writer:
            for batch in batches:
                writer.write_batch(batch, row_group_size=max(1, batch.num_rows))
        _seal(out)


def _seal(out: BinaryIO) -> None:
    with open(out.name if isinstance(out.name, int) else out.fileno(), "rb", closefd=False) as reader:
        out.flush()
        size = reader.seek(0, 2)
        reader.seek(size - _TAIL)
        footer_size = int.from_bytes(reader.read(4), "little") + _TAIL
        reader.seek(size - footer_size)
        footer = reader.read(footer_size)
        reader.seek(0)
        digest = hashlib.sha256()
        left = size - footer_size
        while left:
            block = reader.read(min(_BLOCK, left))
            digest.update(block)
            left -= len(block)
    digest.update(_MARK + footer)
    out.seek(size - footer_size)
    out.write(_MARK + digest.digest() + footer)


def check_seal(path: str | Path) -> None:
    """Raise `EnvelopeError` unless the file is as `write_sealed` left it, byte for byte."""
    where = str(path)
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            if size < _TAIL + _DIGEST + len(_MARK):
                raise EnvelopeError("not an encrypted dataset, or cut off", where=where)
            file.seek(size - _TAIL)
            at = size - _TAIL - int.from_bytes(file.read(4), "little") - _DIGEST
            if at < len(_MARK):
                raise EnvelopeError("the encrypted dataset is damaged: its footer does not fit", where=where)
            file.seek(at - len(_MARK))
            if file.read(len(_MARK)) != _MARK:
                raise EnvelopeError("the file is damaged or was not written by ppc: it has no seal", where=where)
            stored = file.read(_DIGEST)
            digest, rest = hashlib.sha256(), at
            file.seek(0)
            while rest:
                block = file.read(min(_BLOCK, rest))
                digest.update(block)
                rest -= len(block)
            file.seek(at + _DIGEST)
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise FileError(f"cannot read the encrypted dataset: {error.strerror}", where=where) from error
    if digest.digest() != stored:
        raise EnvelopeError("the encrypted dataset is damaged: its digest does not fit", where=where)


def open_parquet(path: str | Path) -> Any:
    """The sealed file as a `pyarrow.parquet.ParquetFile`."""
    check_seal(path)
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise EnvelopeError("not a Parquet file", where=str(path)) from error
