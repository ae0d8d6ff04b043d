"""Two parties without a helper: additive shares x = x_0 + x_1 modulo 2**64, bits by XOR, products by transfers.

Sharing and opening are those of the additive engine; what a dealer would give there the parties make here of correlated
oblivious transfers (`ppc.mpc.correlations.pairwise`), with protocols that use what each party knows in the clear: its
own share, and its own inputs.

Threat: semi-honest; each party is protected from the other. No third party takes part.
Costs name what each party sends to the other, without the making of transfers: with SoftSpokenOT and k = 4 each takes 4
bytes from its chooser, in silent mode a fraction of one.
"""

from __future__ import annotations

from ppc.mpc.additive import arithmetic as shared
from ppc.mpc.additive import boolean as shared_bits
from ppc.mpc.pairwise import arithmetic, boolean, conversion, shuffling, sigmoid, truncation


class PairwiseEngine:
    """The protocols of two parties without a helper."""

    name = "pairwise"

    input = staticmethod(shared.input)
    constant = staticmethod(shared.constant)
    open = staticmethod(shared.open)
    reveal = staticmethod(shared.reveal)
    mul = staticmethod(arithmetic.mul)
    matmul = staticmethod(arithmetic.matmul)
    matmul_transposed = staticmethod(arithmetic.matmul_transposed)
    truncate = staticmethod(truncation.truncate)
    fixed_matrix = staticmethod(arithmetic.fixed_matrix)
    matmul_fixed = staticmethod(arithmetic.matmul_fixed)
    shuffle = staticmethod(shuffling.shuffle)
    random = staticmethod(shared.random)
    input_bits = staticmethod(shared_bits.input_bits)
    constant_bits = staticmethod(shared_bits.constant_bits)
    open_bits = staticmethod(shared_bits.open_bits)
    and_ = staticmethod(boolean.and_)
    random_bits = staticmethod(shared_bits.random_bits)
    less_than_zero = staticmethod(conversion.less_than_zero)
    b2a = staticmethod(conversion.b2a)
    bit_mul = staticmethod(conversion.bit_mul)
    sigmoid = staticmethod(sigmoid.sigmoid)


__all__ = ["PairwiseEngine"]
