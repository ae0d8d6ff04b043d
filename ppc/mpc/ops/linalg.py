"""Symmetric positive definite systems in shares: inverse and solution, without a pivot or a branch."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from ppc.errors import ConfigError, TypeMismatchError
from ppc.mpc.ops.arithmetic import matmul, mul, rescale
from ppc.mpc.ops.divide import inverse_sqrt
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare

# Formats of the iteration: norms of H and X are at most d and condition, so H X and X (2 I - H X) stay within 2**62.
_H_BITS: Final = 26
_X_BITS: Final = 20
_MAX_CONDITION: Final = 1e4


def inverse(s: Session, h: AShare, *, condition: float = 1e3, diagonal: tuple[float, float] | None = None) -> AShare:
    """The inverse of a symmetric positive definite matrix (d, d), with 20 fraction bits.

    Args:
        condition: a public bound of the condition number of h after its diagonal is scaled to ones (at most 1e4). The
            number of steps follows from it: log2(15 d condition).
        diagonal: public bounds of the diagonal's entries; tighter is cheaper.

    h is scaled to a unit diagonal, then X <- X (2 I - H X) from X = I / d, which converges for every such H.

    Error: about 3e-5 of the norm of the inverse for condition numbers up to 1e3 (measured; see docs/mpc.md).
    Cost: 34 + 4 log2(15 d condition) rounds (d = 20, condition 1e3: 110), 24 d^2 bytes a step.
    Threat: as the engine's. Leaks: d, and the public bounds.
    Source: Schulz iteration; Newton's iteration for matrix inverses: Pan, Reif (STOC 1985); for shares: Nardi (2012).
    """
    scaled, r = _unit_diagonal(s, h, condition, diagonal)
    x = _schulz(s, scaled, condition)
    rows = mul(s, x, r.reshape(-1, 1))
    return mul(s, rows, r.reshape(1, -1))


def solve(
    s: Session, h: AShare, g: AShare, *, condition: float = 1e3, diagonal: tuple[float, float] | None = None
) -> AShare:
    """x with h @ x = g for a symmetric positive definite h (d, d) and g (d,) or (d, k), with 20 fraction bits.

    Arguments, error, cost, threat, source: as `inverse`.
    """
    if not (h.ndim == 2 and g.ndim in (1, 2) and g.shape[0] == h.shape[0]):
        raise TypeMismatchError(f"a system of shapes {h.shape} and {g.shape}")
    scaled, r = _unit_diagonal(s, h, condition, diagonal)
    x = _schulz(s, scaled, condition)
    column = r if g.ndim == 1 else r.reshape(-1, 1)
    return mul(s, matmul(s, x, mul(s, rescale(s, g, _X_BITS), column)), column)


def _unit_diagonal(
    s: Session, h: AShare, condition: float, diagonal: tuple[float, float] | None
) -> tuple[AShare, AShare]:
    """H_ij r_i r_j with _H_BITS fraction bits and r_i = 1 / sqrt(h_ii) with _X_BITS."""
    if not (h.ndim == 2 and h.shape[0] == h.shape[1]):
        raise TypeMismatchError(f"a square matrix is needed, not {h.shape}")
    if not 1 <= condition <= _MAX_CONDITION:
        raise ConfigError(f"condition lies between 1 and {_MAX_CONDITION:g}, not {condition:g}")
    d = h.shape[0]
    wide = rescale(s, h, _H_BITS)
    low, high = diagonal or (None, None)
    r = inverse_sqrt(s, wide[np.arange(d), np.arange(d)], low=low, high=high)
    # Two factors one after the other: r_i r_j together could lose the bits of a large h_ii.
    rows = mul(s, wide, r.reshape(-1, 1))
    scaled = mul(s, rows, r.reshape(1, -1))
    return scaled, rescale(s, r, _X_BITS)


def _schulz(s: Session, h: AShare, condition: float) -> AShare:
    """The inverse of h, whose diagonal is one, by X <- X (2 I - H X). 4 rounds a step."""
    d = h.shape[0]
    # The eigenvalues of I - H X start at most at 1 - 1 / (d condition) and are squared at each step, down to 2**-20.
    steps = math.ceil(math.log2(max(2.0, d * condition) * math.log(2.0**_X_BITS)))
    eye = np.eye(d)
    p = rescale(s, h, _H_BITS)
    x = _first(h, eye / d)
    for _ in range(steps):
        residual = -_cut(s, p, x, _H_BITS) + 2.0 * eye
        x = _cut(s, x, residual, _X_BITS)
    return x


def _cut(s: Session, a: AShare, b: AShare, frac_bits: int) -> AShare:
    """a @ b with `frac_bits` fraction bits."""
    return rescale(s, matmul(s, a, b, truncated=False), frac_bits)


def _first(like: AShare, value: np.ndarray) -> AShare:
    """A public matrix as a share of _X_BITS fraction bits."""
    zero = like.scale(like.ring.word(0)).reinterpret(_X_BITS)
    return zero + value
