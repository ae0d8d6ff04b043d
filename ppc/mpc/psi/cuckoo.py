"""Cuckoo tables: every key in one of its three bins, at most one key a bin, no stash.

A key's bins are three distinct ones, uniform, from a hash of it. A table exists unless some k keys have fewer than k
bins among them (Hall 1935); `place` finds one whenever there is one, by augmenting paths (Berge 1957).

**How many bins.** PSI papers take 1.27 bins a key (Pinkas, Schneider, Zohner, TOPS 2018; Pinkas, Schneider, Tkachenko,
Yanai, EUROCRYPT 2019), extrapolated from experiments with larger failure rates. Here it is 1.31 n + 104, for which
failure below 2^-40 is proved. Take a smallest set of k keys whose bins are too few, k − 1: each of these is used at
least twice by the set (else drop the key that alone uses it, and its bin: a smaller set). So

    P[no table] <= Σ_k C(n, k) C(B, k − 1) · min(N(3k, k − 1), ((k−1)(k−2)(k−3))^k) / (B(B−1)(B−2))^k

over k = 4 … n, where N(M, j) = M! [x^M] (e^x − 1 − x)^j counts the ways to throw M places into j bins with two or
more in each, at most M! · (e^x − 1 − x)^j / x^M for every x > 0. Tests evaluate the sum; below 2^-40 for all n.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ppc.errors import ProtocolAbort

Words = NDArray[np.uint64]

HASHES: Final = 3
_PERCENT: Final = 131
_MORE: Final = 104


def bins_for(rows: int) -> int:
    """Bins of the table for `rows` keys; it depends on nothing else."""
    return -(-_PERCENT * rows // 100) + _MORE


def candidates(hashes: Words, bins: int) -> NDArray[np.uint32]:
    """The three distinct bins of each key, from uniform hashes (n, 2); shape (n, 3)."""
    from ppc.mpc.psi import _kernels

    out = np.empty((len(hashes), HASHES), np.uint32)
    _kernels.triples(hashes, np.arange(len(hashes), dtype=np.int64), bins, out)
    return out


def place(rows: NDArray[np.uint32], bins: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A table: the key in each bin (bins,), -1 where none is; and which of its three bins each key is in (n,).

    Raises: ProtocolAbort: there is no table, which has probability below 2^-40 for `bins_for(n)` bins.
    """
    from ppc.mpc.psi import _cuckoo

    table = np.full(bins, -1, np.int64)
    if not _cuckoo.place(rows, table):
        raise ProtocolAbort(
            "the keys do not fit into their bins",
            where="cuckoo table",
            hint="this has probability below 2^-40; if it ever happens, have it looked into before running again",
        )
    taken = np.flatnonzero(table >= 0)
    keys = table[taken]
    choice = np.empty(len(rows), np.int64)
    choice[keys] = (rows[keys] == taken[:, None].astype(np.uint32)).argmax(axis=1)
    return table, choice
