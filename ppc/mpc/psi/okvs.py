"""An oblivious key-value store: a vector of blocks from which each key's value can be read by a linear function.

Encoding finds P with Decode(P, x) = v(x) for all keys x. Keys are spread over clusters of about 2^14, which are encoded
one by one. In a cluster

    Decode(P, x) = P[a] + P[b] + P[c] + L(r),    L(r) = d_0·r + d_1·r^2 + d_2·r^4 + … + d_{G−1}·r^(2^(G−1))

where a, b, c are three distinct positions and r an element of GF(2^128), all hashes of x, and P ends with the d's. The
sparse part is solved by peeling: rows that alone use a position are set aside until none is left. Rows that peeling
cannot reach (gap rows; 2 % of runs at 2^20 have one) are solved exactly by the dense part. L is GF(2)-linear in r, so
peeling carries along how each position depends on the d's as one block ρ: P[i] = p[i] + L(ρ[i]). A gap row then
becomes L(e) = y with e = r + ρ[a] + ρ[b] + ρ[c], and the d's follow from a small linear system.

**Why the gap rows can be solved.** Peeling fails on w rows; e_1 … e_w are the sums of r over w linearly independent
(over GF(2)) sets of rows, and the r are independent of the positions, so the e's are independent and uniform in
GF(2)^128. The matrix e_i^(2^j), a Moore matrix, is regular if and only if the e's are linearly independent over GF(2)
(Moore 1896; Lidl, Niederreiter, "Finite fields", lemma 3.51): it fails with probability below 2^(w−128). So only w > G
makes encoding fail.

**Failure.** Below 2^-40 for a whole store: each cluster has room for a number of keys that is exceeded with
probability below 2^-42 in all (Chernoff bound), a sparse part whose size follows from the published fit for three
positions (λ = (e − 1.223)·2^(0.555·log2 n + 2.336) − 9.2 bits at e·n positions) with λ = 42 + log2(clusters), and
G = 8 dense blocks: more than the ⌊λ / log2(e·n)⌋ that the analysis asks for. The fit comes from counting failures at
small λ, so it is an extrapolation; tests repeat the count. Positions are drawn from the whole cluster, as in that
analysis, not from three separate thirds. A store that cannot be encoded is an error before anything has been sent.
Encoding is never repeated with another hash: that it failed would tell about the keys.

Source: Garimella, Pinkas, Rosulek, Trieu, Yanai, CRYPTO 2021; Raghuraman, Rindal, "Blazing fast PSI from improved OKVS
and subfield VOLE", CCS 2022 (three positions, clusters, the fit). The linearised dense part is ours in place of their
plain powers of r, for the argument above.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ppc.core import gf128
from ppc.core.rng import Stream
from ppc.errors import ProtocolAbort

Words = NDArray[np.uint64]

FAILURE_BITS: Final = 40
DENSE: Final = 8  # G
_CLUSTER_ROWS: Final = 1 << 14
_MIN_ROWS: Final = 128  # smaller clusters are laid out for as many
_MARGIN_BITS: Final = 2  # the failure is shared between overfull clusters and those with too many gap rows


@dataclass(frozen=True)
class Layout:
    """The sizes of a store for up to `rows` keys: `clusters` of `sparse` + DENSE blocks each, for `room` keys each."""

    rows: int
    clusters: int
    room: int
    sparse: int

    @property
    def blocks(self) -> int:
        """Blocks of the whole store."""
        return self.clusters * (self.sparse + DENSE)


@cache
def layout(rows: int) -> Layout:
    """The store for `rows` > 0 keys; it depends on nothing else."""
    clusters = max(1, round(rows / _CLUSTER_ROWS))
    held = max(_MIN_ROWS, room(rows, clusters, FAILURE_BITS + _MARGIN_BITS))
    bits = FAILURE_BITS + _MARGIN_BITS + math.log2(clusters)
    return Layout(rows, clusters, held, math.ceil(held * expansion(held, bits)))


def expansion(rows: int, bits: float) -> float:
    """Positions for each of `rows` keys so that encoding fails with probability 2^-bits: RR22's fit for weight 3."""
    weight = math.log2(3)
    slope = 2 ** (0.555 * math.log2(rows) + 0.093 * weight**3 - 1.01 * weight**2 + 2.925 * weight - 0.133)
    return 1.223 + (bits + 9.2) / slope


def room(rows: int, clusters: int, bits: float) -> int:
    """The least k so that none of `clusters`, over which `rows` keys are spread, gets more, except with 2^-bits.

    clusters · P[Binomial(rows, 1/clusters) > k] <= clusters · exp(−rows·KL((k+1)/rows ‖ 1/clusters)), by the union
    bound and Chernoff's (Arratia, Gordon 1989).
    """
    if clusters == 1 or rows == 0:
        return rows
    limit = (bits + math.log2(clusters)) * math.log(2)
    p = 1 / clusters
    low, high = math.ceil(rows / clusters), rows
    while low < high:
        k = (low + high) // 2
        q = (k + 1) / rows
        divergence = q * math.log(q / p) + ((1 - q) * math.log((1 - q) / (1 - p)) if q < 1 else 0.0)
        if rows * divergence >= limit:
            high = k
        else:
            low = k + 1
    return low


def encode(place: Words, r: Words, values: Words, sizes: Layout, stream: Stream) -> Words:
    """The store (blocks, 2) that maps each key to its value; what nothing depends on is filled from `stream`.

    Args: place, r: two independent uniform hashes of each key, uint64 (n, 2); values: uint64 (n, 2). Keys distinct.

    Raises: ProtocolAbort: with probability below 2^-40, the keys cannot be encoded.
    """
    order, starts = _clusters(place, sizes)
    width = sizes.sparse + DENSE
    store = stream.uint64((sizes.blocks, 2))
    both = np.concatenate([values, r], axis=1)
    for c in range(sizes.clusters):
        members = order[starts[c] : starts[c + 1]]
        if len(members) > sizes.room:
            raise _failed("a cluster has more keys than it has room for")
        _encode_cluster(place, both, members, sizes.sparse, store[c * width : (c + 1) * width])
    return store


def decode(place: Words, r: Words, store: Words, sizes: Layout) -> Words:
    """The value of each key; uint64 (n, 2). For a key that was not encoded, nothing meaningful."""
    from ppc.mpc.psi import _kernels

    order, starts = _clusters(place, sizes)
    width = sizes.sparse + DENSE
    out = np.empty((len(place), 2), np.uint64)
    for c in range(sizes.clusters):
        members = order[starts[c] : starts[c + 1]]
        if not len(members):
            continue
        part = store[c * width : (c + 1) * width]
        rows = np.empty((len(members), 3), np.uint32)
        _kernels.triples(place, members, sizes.sparse, rows)
        _kernels.gather(rows, members, part, out)
        dense = out[members]
        gf128.add_mapped(dense, r[members], _dense_tables(part[sizes.sparse :]))
        out[members] = dense
    return out


def _clusters(place: Words, sizes: Layout) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    from ppc.mpc.psi import _kernels

    order = np.empty(len(place), np.int64)
    starts = np.empty(sizes.clusters + 1, np.int64)
    _kernels.clusters_of(place, sizes.clusters, order, starts)
    return order, starts


def _encode_cluster(place: Words, both: Words, members: NDArray[np.int64], sparse: int, part: Words) -> None:
    """Fill part (sparse + DENSE, 2), which holds random blocks, for the keys `members`."""
    from ppc.mpc.psi import _kernels

    n = len(members)
    rows = np.empty((n, 3), np.uint32)
    _kernels.triples(place, members, sparse, rows)
    peeled, pivots, gaps = (np.empty(n, np.int64) for _ in range(3))
    done, missing = _kernels.peel(rows, sparse, peeled, pivots, gaps)
    if missing > DENSE:
        raise _failed("more keys than the dense part has blocks are left over")
    wide = np.zeros((sparse, 4), np.uint64)  # p, then ρ
    wide[:, :2] = part[:sparse]
    own = both[members]
    _kernels.substitute(rows, own, peeled[:done], pivots[:done], wide)
    dense = part[sparse:]
    if missing:
        left = gaps[:missing]
        sums = own[left] ^ np.bitwise_xor.reduce(wide[rows[left]], axis=1)
        _solve_dense([gf128.to_int(e) for e in sums[:, 2:]], [gf128.to_int(y) for y in sums[:, :2]], dense)
    found = np.ascontiguousarray(wide[:, :2])
    gf128.add_mapped(found, np.ascontiguousarray(wide[:, 2:]), _dense_tables(dense))
    part[:sparse] = found


def _dense_tables(dense: Words) -> Words:
    """Lookup tables of L for the blocks d (DENSE, 2)."""
    images = np.zeros((128, 2), np.uint64)
    for g in range(DENSE):
        gf128.add_scaled(images, gf128.frobenius(g), dense[g])
    return gf128.tables(images)


def _solve_dense(e: list[int], y: list[int], dense: Words) -> None:
    """Set the first blocks of `dense` so that L(e_i) = y_i; the others stay as they are. Gauss over GF(2^128)."""
    w = len(e)
    times, matrix = gf128.int_multiply, []
    for element, value in zip(e, y, strict=True):
        powers = [element]
        while len(powers) < DENSE:
            powers.append(times(powers[-1], powers[-1]))
        for g in range(w, DENSE):
            value ^= times(gf128.to_int(dense[g]), powers[g])
        matrix.append([*powers[:w], value])
    for i in range(w):
        pivot = next((j for j in range(i, w) if matrix[j][i]), None)
        if pivot is None:
            raise _failed("the left-over keys depend on each other")
        matrix[i], matrix[pivot] = matrix[pivot], matrix[i]
        scale = gf128.int_inverse(matrix[i][i])
        matrix[i] = [times(scale, v) for v in matrix[i]]
        for j in range(w):
            if j != i and matrix[j][i]:
                factor = matrix[j][i]
                matrix[j] = [a ^ times(factor, b) for a, b in zip(matrix[j], matrix[i], strict=True)]
    for g in range(w):
        dense[g] = gf128.from_int(matrix[g][w])


def _failed(why: str) -> ProtocolAbort:
    return ProtocolAbort(
        f"the keys cannot be encoded: {why}",
        where="oblivious key-value store",
        hint="this has probability below 2^-40; if it ever happens, have it looked into before running again",
    )
