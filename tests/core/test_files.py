"""A file is written whole or not at all."""

import stat
from pathlib import Path

import pytest

from ppc.core.files import atomic_write
from ppc.errors import FileError


def test_the_file_appears_whole(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "key", mode=0o600) as out:
        out.write(b"half")
        assert list(tmp_path.glob("key")) == []
        out.write(b" and half")
    assert (tmp_path / "key").read_bytes() == b"half and half"
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_an_error_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "a").write_text("before")
    with pytest.raises(FileError if error is OSError else error), atomic_write(tmp_path / "a") as out:
        out.write(b"after")
        raise error
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "before"


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="missing"), atomic_write(tmp_path / "missing" / "a"):
        pass
