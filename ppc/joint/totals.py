"""Sums over common keys by Paillier: what `ppc.mpc.psi.cardinality` needs of an encryption, from `ppc.he`."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ppc.errors import FrameError, ValueRangeError

VALUE_BITS: Final = 62  # of a single number; sums may be wider


def _packing(columns: int, rows: int, key_bits: int) -> Any:
    """A row of numbers in one ciphertext, each in a slot that the sum of `rows` of them fits into."""
    from ppc.he.paillier.packing import Packing

    need = VALUE_BITS + rows.bit_length() + 2
    packing = Packing(0, VALUE_BITS, -(-need // 8) * 8)
    if packing.slots(key_bits) < columns:
        raise ValueRangeError(f"a key of {key_bits} bits sums at most {packing.slots(key_bits)} columns, not {columns}")
    return packing


class PaillierSealer:
    """The owner of numbers, with a key made for one computation."""

    def __init__(self, bits: int | None = None) -> None:
        from ppc.he.paillier.keys import DEFAULT_BITS, PaillierPrivateKey

        self._key = PaillierPrivateKey.generate(bits or DEFAULT_BITS)
        self._rows = 0

    def __repr__(self) -> str:
        return f"<PaillierSealer {self._key.public.bits} bits>"

    def public_bytes(self) -> bytes:
        """The public key."""
        return self._key.public.to_bytes()

    def seal(self, values: NDArray[np.int64], rows: int) -> NDArray[np.uint8]:
        """Each row of integers (n, columns), of at most 62 bits, as one ciphertext; (n, width)."""
        if len(values) and (np.abs(values.astype(np.float64)) >= 2.0**VALUE_BITS).any():
            raise ValueRangeError(f"a number to be summed does not fit in {VALUE_BITS} bits")
        self._rows = rows
        bits = self._key.public.bits
        packing = _packing(values.shape[1], rows, bits)
        padded = np.zeros((len(values), packing.slots(bits)), np.int64)
        padded[:, : values.shape[1]] = values
        sealed = self._key.encrypt_residues(packing.pack(padded.ravel(), bits))
        return np.ascontiguousarray(sealed).view(np.uint8).reshape(len(values), -1)

    def unseal(self, ciphertext: bytes, columns: int) -> list[int]:
        """The sums in one ciphertext."""
        from ppc.he.paillier.keys import signed

        public = self._key.public
        row = _rows(np.frombuffer(ciphertext, np.uint8)[None], public)
        (plain,) = self._key.decrypt_residues(row)
        sums = _packing(columns, self._rows, public.bits).unpack([signed(plain, public.n)], columns, public.bits)
        return [int(v) for v in sums.tolist()]


class PaillierAdder:
    """The party that adds ciphertexts."""

    def add(self, public: bytes, ciphertexts: NDArray[np.uint8], columns: int, rows: int) -> bytes:
        """The sum of ciphertexts (n, width), n >= 1, with fresh randomness.

        The owner of the key chose the randomness of every ciphertext, so what covers their product may not rest on the
        base that its key brings, nor on discrete logarithms modulo its primes: a uniform n-th residue.
        """
        from ppc.he.keys import public_from_bytes
        from ppc.he.paillier.keys import PaillierPublicKey

        key = public_from_bytes(public)
        if not isinstance(key, PaillierPublicKey):
            raise FrameError("the peer's key is no Paillier key", where="tag 'psi key'")
        _packing(columns, rows, key.bits)
        total = key.ring.rows([key.ring.product(_rows(ciphertexts, key))])
        return key.obfuscate(total, full=True).astype("<u8").tobytes()


def _rows(ciphertexts: NDArray[np.uint8], public: Any) -> Any:
    """Ciphertexts from a peer as words, each checked to be one."""
    words = public.ring.words
    if ciphertexts.ndim != 2 or ciphertexts.shape[1] != 8 * words:
        raise FrameError(f"a ciphertext has {ciphertexts.shape[-1]} bytes, not {8 * words}", where="tag 'psi sealed'")
    rows = np.ascontiguousarray(ciphertexts).view("<u8").astype(np.uint64, copy=False)
    public.check_ciphertexts(rows, "tag 'psi sealed'")
    return rows
