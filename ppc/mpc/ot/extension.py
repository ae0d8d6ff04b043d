"""OT extension: from 128 base transfers, as many as wanted with symmetric cryptography alone.

The extension's receiver with choice bits r holds both keys of each base transfer, its sender one of each, for the bits
of its secret s. Column i of the receiver is T_i = PRG(key_i,0); it sends U_i = T_i ⊕ PRG(key_i,1) ⊕ r. The sender gets
Q_i = T_i ⊕ s_i·r. So row j at the sender is q_j = t_j ⊕ r_j·s, and H(j, q_j), H(j, q_j ⊕ s) are the two messages, of
which the receiver knows H(j, t_j).

Threat: semi-honest; with `checked`, malicious (`checks`): the receiver may guess bits of s and is caught at the first
    wrong one, and the sender has nothing to deviate in. H is tweakable correlation robust: `ppc.core.aes.tmmo`.
Leaks: the number of transfers.
Cost: one message of 16 bytes a transfer, from receiver to sender; `checked` adds a round and 6 KB.
Source: Ishai, Kilian, Nissim, Petrank, CRYPTO 2003; H from Guo, Katz, Wang, Yu, S&P 2020, section 7.4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ppc.core import aes, bits, gf128
from ppc.core.rng import Stream, random_bytes
from ppc.mpc.ot import checks
from ppc.net.channel import Channel, Spec

Words = NDArray[np.uint64]

COLUMNS = 128  # the length of s: computational security
_BATCH_BITS = 40  # tweaks of H are numbered within a batch


def send(
    channel: Channel, base: Words, secret: Words, n: int, key: bytes, *, batch: int = 0, checked: bool = False
) -> Words:
    """Random transfers as sender: uint64 (n, 2, 2), [transfer, choice, word].

    Args: base: the keys (128, 2) received in base transfers with the bits of `secret` (2,) as choices. key: the
    session's public key for H. batch: counts the calls with the same base keys, see `receive`. checked: against a
    receiver that deviates, raising ProtocolAbort; the same at both parties.
    """
    count = _words(n, checked)
    (u,) = channel.recv("ot columns", Spec(np.uint64, (COLUMNS, count)))
    masks = np.uint64(0) - bits.unpack(secret, COLUMNS).astype(np.uint64)  # all ones where the bit is: no branch on it
    columns = np.empty((COLUMNS, count), np.uint64)
    for i in range(COLUMNS):
        columns[i] = Stream(base[i].tobytes(), batch).uint64(count)
        columns[i] ^= u[i] & masks[i]
    if checked:
        verifier = checks.Verifier(count // 2)
        verifier.advance(count // 2)
        for i in range(COLUMNS):
            verifier.add(i, columns[i].reshape(-1, 2))
        verifier.conclude(channel, "ot", secret)
    rows = gf128.transpose(columns, n)
    first = batch << _BATCH_BITS
    return np.stack([aes.tmmo(key, rows, first), aes.tmmo(key, rows ^ secret, first)], axis=1)


def receive(
    channel: Channel, base: Words, choices: NDArray[np.uint8], key: bytes, *, batch: int = 0, checked: bool = False
) -> Words:
    """Random transfers as receiver with `choices` (n,) of 0 and 1: the chosen messages, uint64 (n, 2).

    Args: base: both keys (128, 2, 2) of the base transfers. key: the session's public key for H. batch: counts the
    calls with the same base keys: two of them with one number would show how their choices differ. checked: as at
    the sender.
    """
    n = len(choices)
    count = _words(n, checked)
    r = np.zeros(count, np.uint64)
    r[: bits.words_for(n)] = bits.pack(choices.astype(np.bool_))
    if checked:
        r[-2:] = np.frombuffer(random_bytes(16), np.uint64)
    columns = np.empty((COLUMNS, count), np.uint64)
    u = np.empty_like(columns)
    for i in range(COLUMNS):
        columns[i] = Stream(base[i, 0].tobytes(), batch).uint64(count)
        u[i] = columns[i] ^ Stream(base[i, 1].tobytes(), batch).uint64(count) ^ r
    channel.send("ot columns", u)
    if checked:
        checks.answer(
            channel, "ot", count // 2, lambda: iter([(r.reshape(-1, 2), lambda i: columns[i].reshape(-1, 2))])
        )
    return aes.tmmo(key, gf128.transpose(columns, n), batch << _BATCH_BITS)


def _words(n: int, checked: bool) -> int:
    """Words a column: one bit a transfer; if checked, whole blocks of 128 and a random one that hides the others."""
    return 2 * (-(-n // 128) + 1) if checked else bits.words_for(n)
