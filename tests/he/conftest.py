"""Keys are slow to make: one of each for the whole session, from the files that also serve as known answers."""

from __future__ import annotations

import pytest

from ppc.he import keys


@pytest.fixture(scope="session")
def paillier_key():
    return keys.generate("paillier", bits=2048)


@pytest.fixture(scope="session")
def other_paillier_key():
    return keys.generate("paillier", bits=2048)
