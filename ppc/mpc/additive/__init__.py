"""Additive shares: x = x_0 + … + x_(n-1) modulo 2**64, bits by XOR; two or more parties and a dealer.

Threat: semi-honest; all parties but one may collude. The dealer sees no message between the parties and must not
collude.
"""

from __future__ import annotations

from ppc.mpc.additive import arithmetic, boolean, conversion, sigmoid


class AdditiveEngine:
    """The protocols of additive shares."""

    name = "additive"

    input = staticmethod(arithmetic.input)
    constant = staticmethod(arithmetic.constant)
    random = staticmethod(arithmetic.random)
    open = staticmethod(arithmetic.open)
    reveal = staticmethod(arithmetic.reveal)
    mul = staticmethod(arithmetic.mul)
    matmul = staticmethod(arithmetic.matmul)
    matmul_transposed = staticmethod(arithmetic.matmul_transposed)
    truncate = staticmethod(arithmetic.truncate)
    fixed_matrix = staticmethod(arithmetic.fixed_matrix)
    matmul_fixed = staticmethod(arithmetic.matmul_fixed)
    shuffle = staticmethod(arithmetic.shuffle)
    input_bits = staticmethod(boolean.input_bits)
    constant_bits = staticmethod(boolean.constant_bits)
    random_bits = staticmethod(boolean.random_bits)
    open_bits = staticmethod(boolean.open_bits)
    and_ = staticmethod(boolean.and_)
    less_than_zero = staticmethod(conversion.less_than_zero)
    b2a = staticmethod(conversion.b2a)
    bit_mul = staticmethod(conversion.bit_mul)
    sigmoid = staticmethod(sigmoid.sigmoid)


__all__ = ["AdditiveEngine"]
