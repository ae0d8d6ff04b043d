"""Shared by the tests of desensitization."""

from __future__ import annotations

from pathlib import Path

import pytest

from ppc.desensitize.keys import Key, KeyRef

MATERIAL = bytes(range(32))


@pytest.fixture(scope="session")
def key() -> Key:
    """A fixed key: tests that depend on its values say so."""
    return Key(MATERIAL)


@pytest.fixture(scope="session")
def key_ref(tmp_path_factory: pytest.TempPathFactory) -> KeyRef:
    """The same key as a reference to a file."""
    path = tmp_path_factory.mktemp("keys") / "test.key"
    Key(MATERIAL).save(path)
    return KeyRef.file(path)


@pytest.fixture(scope="session")
def vectors() -> Path:
    return Path(__file__).parent.parent / "vectors"
