"""Computing on ciphertexts: sums and scores of numbers that whoever computes can not read.

Three schemes, one key format, one envelope:

- Paillier (`PaillierVector`, `PaillierMatrix`, `encrypt`): sums, plain factors, gradients. Exact.
- CKKS (`CkksVector`, `CkksMatrix`): products too, and polynomials. Approximate, with the error carried along.
- BFV (`BfvVector`): products of integers. Exact.

Everything loads on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ppc.he import gradient, scoring
    from ppc.he.bfv import BfvVector
    from ppc.he.ckks import CkksVector
    from ppc.he.ckks_matrix import CkksMatrix
    from ppc.he.dataset import EncryptedDataset, encrypt, encrypt_file
    from ppc.he.envelope import Envelope
    from ppc.he.keys import PrivateKey, PublicKey, generate, read_private, read_public
    from ppc.he.paillier import Packing, PaillierMatrix, PaillierVector, matmul
    from ppc.he.values import Answers, EncryptedValue

__all__ = [
    "Answers",
    "BfvVector",
    "CkksMatrix",
    "CkksVector",
    "EncryptedDataset",
    "EncryptedValue",
    "Envelope",
    "Packing",
    "PaillierMatrix",
    "PaillierVector",
    "PrivateKey",
    "PublicKey",
    "encrypt",
    "encrypt_file",
    "generate",
    "gradient",
    "matmul",
    "read_private",
    "read_public",
    "scoring",
]

_LAZY = {
    "Answers": "values",
    "BfvVector": "bfv",
    "CkksMatrix": "ckks_matrix",
    "CkksVector": "ckks",
    "EncryptedDataset": "dataset",
    "EncryptedValue": "values",
    "Envelope": "envelope",
    "Packing": "paillier",
    "PaillierMatrix": "paillier",
    "PaillierVector": "paillier",
    "PrivateKey": "keys",
    "PublicKey": "keys",
    "encrypt": "dataset",
    "encrypt_file": "dataset",
    "generate": "keys",
    "matmul": "paillier",
    "read_private": "keys",
    "read_public": "keys",
}


def __getattr__(name: str) -> Any:
    if name in ("gradient", "scoring"):
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _LAZY:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
