"""Replicated shares of three parties: x = x_0 + x_1 + x_2 modulo 2**64, bits by XOR; party i holds x_i and x_(i+1).

No helper and no offline phase: whatever is random comes from keys that each two parties agreed on when they met.

Threat: semi-honest; no two of the three parties collude.
Source: Araki, Furukawa, Lindell, Nof, Ohara (CCS 2016); Mohassel, Rindal, ABY3 (CCS 2018).
"""

from __future__ import annotations

from typing import Final

from ppc.mpc.replicated import arithmetic, boolean, conversion, shuffling, sigmoid, truncation

ASSUMPTION: Final = "replicated shares of three parties: any two of them together would know everything"


class ReplicatedEngine:
    """The protocols of replicated shares."""

    name = "replicated"

    input = staticmethod(arithmetic.input)
    constant = staticmethod(arithmetic.constant)
    random = staticmethod(arithmetic.random)
    open = staticmethod(arithmetic.open)
    reveal = staticmethod(arithmetic.reveal)
    mul = staticmethod(arithmetic.mul)
    matmul = staticmethod(arithmetic.matmul)
    matmul_transposed = staticmethod(arithmetic.matmul_transposed)
    truncate = staticmethod(truncation.truncate)
    fixed_matrix = staticmethod(arithmetic.fixed_matrix)
    matmul_fixed = staticmethod(arithmetic.matmul_fixed)
    shuffle = staticmethod(shuffling.shuffle)
    input_bits = staticmethod(boolean.input_bits)
    constant_bits = staticmethod(boolean.constant_bits)
    random_bits = staticmethod(boolean.random_bits)
    open_bits = staticmethod(boolean.open_bits)
    and_ = staticmethod(boolean.and_)
    less_than_zero = staticmethod(conversion.less_than_zero)
    b2a = staticmethod(conversion.b2a)
    bit_mul = staticmethod(conversion.bit_mul)
    sigmoid = staticmethod(sigmoid.sigmoid)


__all__ = ["ReplicatedEngine"]
