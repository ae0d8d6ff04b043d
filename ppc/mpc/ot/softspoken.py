"""OT extension with small fields: fewer bytes a transfer than IKNP, for more work with a stream cipher.

The 128 columns of IKNP fall into groups of k. A group is one vector OLE over GF(2^k): the extension's receiver holds
all 2^k keys of a punctured tree, the sender all but the one that its k secret bits Δ_g name. From the streams s_x of
the keys the receiver adds up u_g = Σ s_x and, for each bit b of x, t_gb = Σ x_b·s_x; the sender, which knows all s_x
with x ≠ Δ_g, adds up q_gb = Σ (x_b ⊕ Δ_gb)·s_x = t_gb ⊕ Δ_gb·u_g. The receiver then sends u_g ⊕ r for its choice bits
r, the sender adds Δ_gb times that, and row j is q_j = t_j ⊕ r_j·Δ: the correlation of IKNP, at 1/k of its bytes and
2^k/k times its stream.

The rows are correlated transfers: q_j and q_j ⊕ Δ at the sender, the row of its choice at the receiver. Hash them
(`ppc.core.aes.mmo`, correlation robust) to get random transfers.

Threat: semi-honest (the consistency check against a malicious receiver, §4 of the paper, is left out).
Leaks: the number of transfers.
Cost: once: 128 base transfers and 32 k bytes a group; then ⌈128 / k⌉ bits a transfer, from receiver to sender.
Source: Roy, "SoftSpokenOT", CRYPTO 2022, §3 and §5; the tree for a vector OLE of a small field: Boyle et al., CCS 2019.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ppc.core import bits, gf128, rng
from ppc.core.rng import Stream
from ppc.errors import ConfigError
from ppc.mpc.ot import _kernels_soft, base, ggm
from ppc.net.channel import Channel, Spec

Words = NDArray[np.uint64]

COLUMNS: Final = 128  # bits of Δ, one of them fixed: 127 bits of computational security
FIELD_BITS: Final = 4  # k: measured to be the fastest over a fast network; 8 halves the bytes
_PIECE: Final = 1 << 12  # words of a column at a time, so that a group's 2^k streams stay in the second-level cache
_SPARE: Final = 2  # words behind each stream's, as OpenSSL asks of its buffer


def groups(field_bits: int) -> int:
    """Groups of columns: ⌈128 / k⌉."""
    if not 1 <= field_bits <= 8:
        raise ConfigError(f"a small field has 1 to 8 bits, not {field_bits}")
    return -(-COLUMNS // field_bits)


class Sender:
    """The party with Δ (`delta`, uint64 (2,), random but for its lowest bit, 1). Runs the base transfers when made."""

    def __init__(self, channel: Channel, tree_keys: ggm.Keys, field_bits: int = FIELD_BITS) -> None:
        k, count = field_bits, groups(field_bits)
        secret = rng.os_stream()
        digits = secret.integers(0, 1 << k, count)
        digits[0] |= 1
        sides = ggm.path_sides(digits, 1 << k)
        keys = base.receive(channel, 1 - sides.reshape(-1))
        (masked,) = channel.recv("ot trees", Spec(np.uint64, (count, k, 2, 2)))
        away = np.take_along_axis(masked, (1 - sides).astype(np.int64)[:, :, None, None], axis=2)[:, :, 0]
        leaves = ggm.grow_punctured(digits, away ^ keys.reshape(count, k, 2), 1 << k, tree_keys)
        self._field_bits = k
        self._digits = digits
        # The stream of leaf x belongs to row x ⊕ Δ_g of a group's block; row 0 is the one that is not known.
        self._streams = [
            [None if x == d else Stream(leaves[g, x].tobytes()) for x in (d ^ j for j in range(1 << k))]
            for g, d in enumerate(digits.tolist())
        ]
        flags = (digits[:, None] >> np.arange(k)[None, :] & 1).reshape(-1)[:COLUMNS]
        self.delta = bits.pack(flags.astype(np.bool_))
        self._flags = np.uint64(0) - flags.astype(np.uint64)

    def __repr__(self) -> str:
        return f"<softspoken.Sender k={self._field_bits}>"

    def spec(self, words: int) -> Spec:
        """What `extend` takes for 64 · words transfers."""
        return Spec(np.uint64, (len(self._streams), words))

    def extend(self, u: Words) -> Words:
        """The rows q, uint64 (64 m, 2), for what the receiver sent, uint64 (groups, m)."""
        m, k = u.shape[1], self._field_bits
        columns = np.empty((COLUMNS, m), np.uint64)
        unused = np.empty(_PIECE, np.uint64)
        fold = _kernels_soft.fold16 if k == 4 else _kernels_soft.fold
        block = np.zeros((1 << k, _PIECE + _SPARE), np.uint64)
        for at in range(0, m, _PIECE):
            width = min(_PIECE, m - at)
            for g, streams in enumerate(self._streams):
                block[0] = 0
                for row, stream in zip(block, streams, strict=True):
                    if stream is not None:
                        stream.fill(row[: width + _SPARE])
                fold(block, columns[g * k : (g + 1) * k, at : at + width], unused)
        _kernels_soft.correct(columns, u, self._flags, k)
        return gf128.transpose(columns, 64 * m)


class Receiver:
    """The party that chooses. Runs the base transfers when it is made."""

    def __init__(self, channel: Channel, tree_keys: ggm.Keys, field_bits: int = FIELD_BITS) -> None:
        k, count = field_bits, groups(field_bits)
        leaves, sums = ggm.grow(rng.os_stream().uint64((count, 2)), 1 << k, tree_keys)
        keys = base.send(channel, count * k)
        channel.send("ot trees", sums ^ keys.reshape(sums.shape))
        self._field_bits = k
        self._streams = [[Stream(leaf.tobytes()) for leaf in tree] for tree in leaves]

    def __repr__(self) -> str:
        return f"<softspoken.Receiver k={self._field_bits}>"

    def extend(self, choices: Words) -> tuple[Words, Words]:
        """The rows t, uint64 (64 m, 2), for packed choice bits (m,), and what to send, uint64 (groups, m)."""
        m, k = len(choices), self._field_bits
        columns = np.empty((COLUMNS, m), np.uint64)
        u = np.empty((len(self._streams), m), np.uint64)
        fold = _kernels_soft.fold16 if k == 4 else _kernels_soft.fold
        block = np.empty((1 << k, _PIECE + _SPARE), np.uint64)
        for at in range(0, m, _PIECE):
            width = min(_PIECE, m - at)
            for g, streams in enumerate(self._streams):
                for row, stream in zip(block, streams, strict=True):
                    stream.fill(row[: width + _SPARE])
                fold(block, columns[g * k : (g + 1) * k, at : at + width], u[g, at : at + width])
        u ^= choices
        return gf128.transpose(columns, 64 * m), u
