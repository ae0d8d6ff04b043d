"""The code that stretches sparse vectors to pseudo-random ones: expand-convolute, and how hard learning it is.

A vector of N = 2m places, of which t are not zero (one in each of t blocks of equal length: regular noise), is
compressed by a public m × N matrix G: to someone who does not know the places, G·e looks random. This is the dual form
of learning parity with noise (LPN). Here G = (I | E·C): C adds each place of the second half to the next one and to a
random choice of the 24 after it, E sums 21 random places of the result for each of the m outputs.

Parameters ("ExConv21x24" as its authors publish it in libOTe): expander weight 21, memory 24, rate 1/2. If every
non-zero combination of G's rows has weight at least δN, a linear test of t regular noisy places has a bias of at most
(1 − 2δ)^t. The authors estimate δ = 0.20 for this set (0.15 in an earlier release) and 0.15 for the lighter one with
weight 7; we take weight 21 *and* δ = 0.15, hence t = 256 for 128 bits. That is an estimate from experiments on small
codes, not a proof: who does not want to rest on it chooses randomness `ot`, which assumes nothing of the kind.
Silver, whose structured codes fell short of their claimed distance, is not offered.

Source: Boyle et al., CCS 2019 (the generator); Raghuraman, Rindal, Tanguy, "Expand-convolute codes for pseudorandom
correlation generators from LPN", CRYPTO 2023; Couteau, Rindal, Raghuraman, CRYPTO 2021 (linear tests).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ppc.core.rng import Stream

Words = NDArray[np.uint64]

SECURITY_BITS: Final = 128
EXPANDER_WEIGHT: Final = 21
MEMORY: Final = 24
DISTANCE: Final = 0.15  # δ, relative to N; see above
MIN_OUTPUTS: Final = 1 << 13  # below, transfers alone cost little

_ROWS_A_PIECE: Final = 1 << 14


def noise_weight(distance: float = DISTANCE, security_bits: int = SECURITY_BITS) -> int:
    """The least t, a multiple of 8, with (1 − 2·distance)^t <= 2^-security_bits."""
    return 8 * math.ceil(security_bits / -math.log2(1 - 2 * distance) / 8)


@dataclass(frozen=True)
class Code:
    """The sizes for `outputs` = m pseudo-random places: `trees` = t blocks of `leaves` places."""

    outputs: int
    trees: int
    leaves: int

    @property
    def places(self) -> int:
        """N."""
        return self.trees * self.leaves

    @property
    def security_bits(self) -> float:
        """Estimated security against linear tests: −t·log2(1 − 2δ)."""
        return -self.trees * math.log2(1 - 2 * DISTANCE)


def code(outputs: int, *, whole: bool = False) -> Code:
    """The code with at least rate 1/2 for `outputs` places.

    With `whole` the trees are complete, of 2^k leaves each, and there may be up to twice as many of them: a path from
    the root always ends at a leaf, whatever turns a party takes.
    """
    trees = noise_weight()
    leaves = max(2, -(-2 * outputs // trees))
    if whole:
        leaves = 1 << (leaves.bit_length() - 1)
        trees = max(trees, -(-2 * outputs // leaves))
    return Code(outputs, trees, leaves)


def describe() -> str:
    """One line for plans."""
    return (
        f"LPN with regular noise, expand-convolute code {EXPANDER_WEIGHT}x{MEMORY}, rate 1/2, {noise_weight()} noisy "
        f"places: about {SECURITY_BITS} bits against linear tests if the code's relative distance is {DISTANCE}"
    )


def compress(sparse: Words, sizes: Code, key: bytes) -> Words:
    """G·sparse, uint64 (places, 2) to (outputs, 2); `sparse` is overwritten.

    `key` is public and draws the code: both parties must use the same.
    """
    from ppc.mpc.ot import _kernels

    m = sizes.outputs
    out, rest = sparse[:m], sparse[m:]
    stream = Stream(key)
    _kernels.convolve(rest, stream.derive("taps").uint64((len(rest) + 1) // 2))
    rows = stream.derive("rows")
    for start in range(0, m, _ROWS_A_PIECE):
        piece = out[start : start + _ROWS_A_PIECE]
        _kernels.expand(rest, rows.uint64((len(piece) * EXPANDER_WEIGHT + 1) // 2), EXPANDER_WEIGHT, piece)
    return out
