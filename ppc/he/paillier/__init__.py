"""Paillier: ciphertexts that add, and that multiply by plain numbers.

Source: Paillier, EUROCRYPT '99; with short random exponents, Damgård, Jurik and Nielsen, Int. J. Inf. Secur. 2010,
§4.2.
"""

from __future__ import annotations

from ppc.he.paillier.keys import PaillierPrivateKey, PaillierPublicKey
from ppc.he.paillier.matrix import PaillierMatrix, matmul
from ppc.he.paillier.packing import Packing
from ppc.he.paillier.vector import PaillierVector

__all__ = ["Packing", "PaillierMatrix", "PaillierPrivateKey", "PaillierPublicKey", "PaillierVector", "matmul"]
