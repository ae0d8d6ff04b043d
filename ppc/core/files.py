"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ppc.errors import FileError


@contextmanager
def atomic_write(path: str | Path, *, mode: int = 0o644) -> Iterator[BinaryIO]:
    """A binary file that takes the name `path` only when the block ends without an error.

    The bytes go to a temporary file in the same folder, reach the disk, and are then renamed over `path`. If the block
    raises, nothing is left behind and an earlier `path` is untouched. `mode` is set before the first byte is written.
    """
    target = Path(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    except OSError as error:
        raise FileError(f"cannot write: {error.strerror}", where=str(target), hint="Does the folder exist?") from error
    try:
        with os.fdopen(handle, "wb") as out:
            os.fchmod(out.fileno(), mode)
            yield out
            out.flush()
            os.fsync(out.fileno())
        os.replace(name, target)
    except OSError as error:
        _remove(name)
        raise FileError(f"cannot write: {error.strerror}", where=str(target)) from error
    except BaseException:
        _remove(name)
        raise


def _remove(name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name)
