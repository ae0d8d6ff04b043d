"""The reference engine: one party that computes in the clear, in the same ring and formats as the others."""

from __future__ import annotations

from ppc.mpc.plain import arithmetic, boolean, conversion


class PlainEngine:
    """No protection at all. Threat: none; it exists to test operations and to debug programs."""

    name = "plain"

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
    sigmoid = staticmethod(conversion.sigmoid)


__all__ = ["PlainEngine"]
