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


@pytest.fixture(scope="session")
def ckks_key():
    """Depth 2, with keys for products and rotations."""
    return keys.generate("ckks", depth=2, rotations=True)


@pytest.fixture(scope="session")
def deep_ckks_key():
    return keys.generate("ckks", depth=7)


@pytest.fixture(scope="session")
def bfv_key():
    return keys.generate("bfv", depth=1, plain_bits=40, rotations=True)
