"""SHA-256 of many short messages by the SHA instructions of x86, called through LLVM's intrinsics.

Imported only where `ppc.core.cpu` finds the instructions. Held against hashlib, and so against its portable twin
`ppc.core._kernels_sha256`, by a property test.
"""

# mypy: disallow-untyped-decorators=False, disallow-untyped-calls=False

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types, uint64
from numba.extending import intrinsic
from numpy.typing import NDArray

Octets = NDArray[np.uint8]
Offsets = NDArray[np.int64]
Words32 = NDArray[np.uint32]

_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_V4 = ir.VectorType(_I32, 4)
_V16 = ir.VectorType(_I8, 16)

# State words as the instructions want them: (F, E, B, A) and (H, G, D, C), lowest lane first.
ABEF = (5, 4, 1, 0)
CDGH = (7, 6, 3, 2)


def _lanes(picks: list[int], kind: Any = _I32) -> Any:
    return ir.Constant(ir.VectorType(kind, len(picks)), picks)


def _compress_block(_context: Any, state: Any, block: Any, constants: Any) -> Any:
    """One block: `state` (8 words as ABEF, CDGH) is updated with the 64 bytes at `block`. Addresses of memory."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def call(name: str, *operands: Any) -> Any:
            full = f"llvm.x86.sha256{name}"
            function = builder.module.globals.get(full) or ir.Function(
                builder.module, ir.FunctionType(_V4, [_V4] * len(operands)), full
            )
            return builder.call(function, operands)

        def at(address: Any, vector: Any, index: int) -> Any:
            moved = builder.add(address, ir.Constant(_I64, 16 * index))
            return builder.inttoptr(moved, vector.as_pointer())

        def read(address: Any, vector: Any, index: int) -> Any:
            value = builder.load(at(address, vector, index))
            value.align = 1
            return value

        state_at, block_at, constants_at = args
        abef = first = read(state_at, _V4, 0)
        cdgh = second = read(state_at, _V4, 1)
        swap = _lanes([4 * w + 3 - k for w in range(4) for k in range(4)])  # big-endian words
        w = []
        for i in range(4):
            raw = read(block_at, _V16, i)
            w.append(builder.bitcast(builder.shuffle_vector(raw, raw, swap), _V4))
        for i in range(16):
            sum_ = builder.add(w[0], read(constants_at, _V4, i))
            cdgh = call("rnds2", cdgh, abef, sum_)
            abef = call("rnds2", abef, cdgh, builder.shuffle_vector(sum_, sum_, _lanes([2, 3, 0, 0])))
            if i < 12:
                between = builder.shuffle_vector(w[2], w[3], _lanes([1, 2, 3, 4]))
                w.append(call("msg2", builder.add(call("msg1", w[0], w[1]), between), w[3]))
            w.pop(0)
        for i, value in enumerate((builder.add(abef, first), builder.add(cdgh, second))):
            builder.store(value, at(state_at, _V4, i), align=1)

    return types.void(types.uint64, types.uint64, types.uint64), generate


_compress: Any = intrinsic(_compress_block)


@njit(cache=True, nogil=True, error_model="numpy")
def digest(
    data: Octets,
    offsets: Offsets,
    initial: Words32,
    constants: Words32,
    out: Octets,
    state: Words32,
    tail: Octets,
) -> None:
    """out[i] (32 bytes) = SHA-256 of data[offsets[i]:offsets[i+1]]. FIPS 180-4, sections 5.1.1 and 6.2.2.

    initial: the first state as ABEF, CDGH. state (8,) and tail (128,) are scratch, owned by the caller because they
    are reached by address.
    """
    data_at = uint64(data.ctypes.data)
    state_at = uint64(state.ctypes.data)
    tail_at = uint64(tail.ctypes.data)
    constants_at = uint64(constants.ctypes.data)
    for i in range(offsets.shape[0] - 1):
        start, size = offsets[i], offsets[i + 1] - offsets[i]
        for k in range(8):
            state[k] = initial[k]
        whole = size // 64
        for b in range(whole):
            _compress(state_at, data_at + uint64(start + 64 * b), constants_at)
        rest = size - 64 * whole
        padded = 64 if rest < 56 else 128
        for k in range(rest):
            tail[k] = data[start + 64 * whole + k]
        tail[rest] = 0x80
        for k in range(rest + 1, padded - 8):
            tail[k] = 0
        length = uint64(8) * uint64(size)
        for k in range(8):
            tail[padded - 8 + k] = (length >> uint64(56 - 8 * k)) & uint64(255)
        _compress(state_at, tail_at, constants_at)
        if padded == 128:
            _compress(state_at, tail_at + uint64(64), constants_at)
        # A and B, C and D, E and F, G and H are neighbours in the state, as in the digest, but turned round.
        for k in range(4):
            shift = np.uint32(24 - 8 * k)
            out[i, k] = (state[3] >> shift) & np.uint32(255)
            out[i, 4 + k] = (state[2] >> shift) & np.uint32(255)
            out[i, 8 + k] = (state[7] >> shift) & np.uint32(255)
            out[i, 12 + k] = (state[6] >> shift) & np.uint32(255)
            out[i, 16 + k] = (state[1] >> shift) & np.uint32(255)
            out[i, 20 + k] = (state[0] >> shift) & np.uint32(255)
            out[i, 24 + k] = (state[5] >> shift) & np.uint32(255)
            out[i, 28 + k] = (state[4] >> shift) & np.uint32(255)
