"""What an engine is: the few protocols on which every operation of `ppc.mpc.ops` is built.

An engine knows how secrets are shared and how products, truncations and comparisons are done; it does not know fixed
point beyond a number of fraction bits. Every method is a plain function over the session, kept in the engine's folder
in `arithmetic.py`, `boolean.py` and `conversion.py`, and every party calls it at the same point of the same program.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.mpc.fixed import FixedMatrix
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare, BShare

Words: TypeAlias = NDArray[np.uint64]


class Engine(Protocol):
    """The protocols of one way to share secrets. Shapes are public; operands have been broadcast."""

    name: str

    # --- arithmetic.py ---
    def input(self, s: Session, x: Words | None, owner: int, shape: tuple[int, ...], frac_bits: int) -> AShare:
        """The owner's ring elements, shared. The others give `None`."""

    def constant(self, s: Session, x: Words, frac_bits: int) -> AShare:
        """Public ring elements as a share."""

    def open(self, s: Session, xs: Sequence[AShare]) -> list[Words]:
        """The ring elements of every share, told to all parties, in one round."""

    def reveal(self, s: Session, x: AShare, to: int) -> Words | None:
        """The ring elements, told to one party only; `None` at the others."""

    # Products take `drop`: fraction bits add up, less so many that are truncated away. An engine may do both at once.
    def mul(self, s: Session, x: AShare, y: AShare, drop: int = 0) -> AShare:
        """Elementwise product."""

    def matmul(self, s: Session, x: AShare, y: AShare, drop: int = 0) -> AShare:
        """x @ y for two matrices."""

    def matmul_transposed(self, s: Session, x: AShare, y: AShare, drop: int = 0) -> AShare:
        """x.T @ y for two matrices."""

    def truncate(self, s: Session, xs: Sequence[AShare], drop: int) -> list[AShare]:
        """Every share over 2**drop, with `drop` fraction bits fewer; off by less than one unit in the last place."""

    def fixed_matrix(
        self, s: Session, x: Words | None, owner: int, shape: tuple[int, int], frac_bits: int
    ) -> FixedMatrix:
        """The owner's matrix, made ready to be multiplied many times."""

    def matmul_fixed(
        self, s: Session, pairs: Sequence[tuple[FixedMatrix, AShare]], transposed: bool, drop: int = 0
    ) -> list[AShare]:
        """f @ y, or f.T @ y, for every pair, in the rounds of one."""

    def shuffle(self, s: Session, x: AShare) -> AShare:
        """The rows of x (n, k) in a uniformly random order that nobody knows."""

    def random(self, s: Session, shape: tuple[int, ...]) -> AShare:
        """Uniform ring elements that nobody knows, as integers."""

    # --- boolean.py ---
    def input_bits(self, s: Session, x: NDArray[np.bool_] | None, owner: int, shape: tuple[int, ...]) -> BShare:
        """The owner's bits, shared. The others give `None`."""

    def constant_bits(self, s: Session, x: NDArray[np.bool_]) -> BShare:
        """Public bits as a share."""

    def open_bits(self, s: Session, x: BShare) -> NDArray[np.bool_]:
        """The bits, told to all parties."""

    def and_(self, s: Session, x: BShare, y: BShare) -> BShare:
        """Elementwise and."""

    def random_bits(self, s: Session, shape: tuple[int, ...]) -> BShare:
        """Uniform bits that nobody knows."""

    # --- conversion.py ---
    def less_than_zero(self, s: Session, x: AShare, thresholds: Sequence[int]) -> list[BShare]:
        """For each public threshold t (in ring units): x < t, as signed integers, exact if |x - t| < 2**63."""

    def b2a(self, s: Session, x: BShare) -> AShare:
        """The bits as integers 0 and 1."""

    def bit_mul(self, s: Session, bit: BShare, x: AShare) -> AShare:
        """x where the bit is 1, else 0."""

    def sigmoid(self, s: Session, x: AShare, frac_bits: int) -> AShare:
        """1 / (1 + exp(-x)) with `frac_bits` fraction bits, within 1e-3."""
