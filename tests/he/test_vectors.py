"""Files of every format version so far are read, and give what they gave then."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ppc import he
from ppc.he.envelope import Envelope
from ppc.he.paillier import PaillierMatrix, PaillierVector

FOLDER = Path(__file__).parent.parent / "vectors" / "he"
VERSIONS = sorted(p for p in FOLDER.iterdir() if (p / "expected.json").exists())
KINDS = {"vector": PaillierVector, "matrix": PaillierMatrix}


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda p: p.name)
def test_paillier_files(folder):
    key = he.read_private(folder / "paillier.private.json", key_file=folder / "lock.bin")
    assert he.read_public(folder / "paillier.public.json").key_id == key.key_id
    expected = json.loads((folder / "expected.json").read_text())
    for name in ("packed", "integers", "single", "product", "sum", "matrix"):
        array = KINDS[expected[name]["kind"]].from_bytes((folder / f"{name}.ppche").read_bytes(), key)
        values = array.decrypt(key)
        assert values.tolist() == expected[name]["values"]
        again = type(array).from_bytes(array.to_bytes(), key)  # and written again by today's ppc
        assert again.decrypt(key).tolist() == expected[name]["values"]
    answers = he.Answers.from_envelope(Envelope.read(folder / "answers.ppche"), key).release(key)
    assert answers["days"] == expected["answers"]["days"]
    assert answers["ages"].tolist() == expected["answers"]["ages"]


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda p: p.name)
def test_encrypted_datasets(folder):
    key = he.read_private(folder / "paillier.private.json", key_file=folder / "lock.bin")
    ds = he.EncryptedDataset.open(folder / "dataset.parquet", key)
    assert ds.release(ds.sum("days")) == 5.5
    assert ds.release(ds.variance("age")) == 121.0
    assert ds.release(ds.sum_by("age")) == {"a": 82, "b": 41}
    assert ds.clear().column("site").to_pylist() == ["a", "a", "b"]


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda p: p.name)
def test_ckks_files(folder):
    key = he.read_private(folder / "ckks.private.json", key_file=folder / "lock.bin")
    values = he.CkksVector.from_bytes((folder / "ckks.ppche").read_bytes(), key).decrypt(key)
    assert np.abs(values - [0.0, 1.5, -2.25, 1000.125, -0.0625]).max() < 1e-6


def test_the_first_version_is_there():
    assert [p.name for p in VERSIONS][:1] == ["v1"]
