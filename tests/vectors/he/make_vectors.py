"""Writes the files of this folder, once per format version: `python tests/vectors/he/make_vectors.py v2`.

Files of an older version are never written again: the tests read them to show that a newer ppc still does.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

from ppc import he
from ppc.dataset import Dataset
from ppc.he.paillier import Packing, PaillierMatrix, PaillierVector, matmul

X = [0.0, 1.5, -2.25, 1000.125, -0.0625]
INTEGERS = [0, 1, -1, 123456789, -987654321]


def main(version: str) -> None:
    here = Path(__file__).parent / version
    here.mkdir()
    lock = here / "lock.bin"
    lock.write_bytes(bytes(range(32)))
    key = he.generate("paillier", bits=2048)
    key.write(here / "paillier.private.json", key_file=lock)
    key.public.write(here / "paillier.public.json")
    single = PaillierVector.encrypt(key.public, X, packing=Packing.single(20, 12))
    arrays = {
        "packed": PaillierVector.encrypt(key.public, X),
        "integers": PaillierVector.encrypt(key.public, INTEGERS),
        "single": single,
        "product": matmul(np.arange(10).reshape(2, 5), single),
        "sum": PaillierVector.encrypt(key.public, X, packing=Packing.for_sums(5)).sum(),
        "matrix": PaillierMatrix.encrypt(key.public, [[1, 2], [3, -4]], packing=Packing.single(0, 8)),
    }
    expected = {}
    for name, array in arrays.items():
        (here / f"{name}.ppche").write_bytes(array.to_bytes())
        expected[name] = {"kind": array.kind, "values": array.decrypt(key).tolist()}
    ds = Dataset.from_arrow(pa.table({"site": ["a", "b", "a"], "days": [1.5, None, 4.0], "age": [30, 41, 52]}))
    encrypted = he.encrypt(ds, key.public, ["days", "age"], by=["site"], squares=True, histograms={"age": [0, 40, 99]})
    encrypted.write(here / "dataset.parquet")
    answers = he.Answers({"days": encrypted.mean("days"), "ages": encrypted.histogram("age", [0, 40, 99])})
    answers.to_envelope().write(here / "answers.ppche")
    expected["answers"] = {"days": 2.75, "ages": [1, 2]}
    ckks = he.generate("ckks", depth=0, products=False)
    ckks.write(here / "ckks.private.json", key_file=lock)
    (here / "ckks.ppche").write_bytes(he.CkksVector.encrypt(ckks, X).to_bytes())
    (here / "expected.json").write_text(json.dumps(expected, indent=1))


if __name__ == "__main__":
    main(sys.argv[1])
