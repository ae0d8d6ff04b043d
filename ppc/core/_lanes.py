"""Eight 64-bit lanes as one value that numba keeps in a vector register.

`V8` is LLVM's `<8 x i64>`. The functions below are single instructions: load, store, broadcast, add, shift, and the
two halves of the 52-bit multiply-add of AVX-512 IFMA. LLVM does not find these instructions by itself in scalar code,
so they are named here; the kernels in `montgomery.py` read as ordinary loops.
"""

# mypy: disallow-untyped-decorators=False

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import extending, types
from numba.core import cgutils as _cgutils

LANES = 8
LIMB_BITS = 52

cgutils: Any = _cgutils
intrinsic: Any = extending.intrinsic
models: Any = extending.models
register_model: Any = extending.register_model

_I32 = ir.IntType(32)
_I64 = ir.IntType(64)
_V8 = ir.VectorType(_I64, LANES)


class V8(types.Type):
    """Numba's name for eight 64-bit lanes."""

    def __init__(self) -> None:
        super().__init__(name="V8")


v8 = V8()


@register_model(V8)
class _V8Model(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _V8)


def _address(context: Any, builder: Any, array_type: Any, array: Any, row: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [builder.mul(row, ir.Constant(_I64, LANES))]), _V8.as_pointer())


@intrinsic
def load(typingctx: Any, array: Any, row: Any) -> Any:
    """Row `row` of a C-contiguous uint64 array of shape (rows, 8)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = builder.load(_address(context, builder, signature.args[0], args[0], args[1]))
        value.align = 8
        return value

    return v8(array, types.intp), codegen


@intrinsic
def store(typingctx: Any, array: Any, row: Any, value: Any) -> Any:
    """Write `value` to row `row` of a C-contiguous uint64 array of shape (rows, 8)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _address(context, builder, signature.args[0], args[0], args[1]), align=8)

    return types.void(array, types.intp, v8), codegen


@intrinsic
def splat(typingctx: Any, scalar: Any) -> Any:
    """One uint64 in all eight lanes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        nothing = ir.Constant(_V8, ir.Undefined)
        one = builder.insert_element(nothing, args[0], ir.Constant(_I32, 0))
        return builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(_I32, LANES), [0] * LANES))

    return v8(types.uint64), codegen


def _multiply_add(name: str) -> Any:
    @intrinsic
    def operation(typingctx: Any, acc: Any, a: Any, b: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            function_type = ir.FunctionType(_V8, [_V8, _V8, _V8])
            return builder.call(cgutils.get_or_insert_function(builder.module, function_type, name), args)

        return v8(v8, v8, v8), codegen

    return operation


# acc + the low (high) 52 bits of the 104-bit product of the low 52 bits of a and b, in each lane.
madd_lo = _multiply_add("llvm.x86.avx512.vpmadd52l.uq.512")
madd_hi = _multiply_add("llvm.x86.avx512.vpmadd52h.uq.512")


def _lanewise(summary: str, build: Any, operands: int = 2) -> Any:
    """An intrinsic of one LLVM instruction on whole vectors."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return build(builder, *args)

    if operands == 1:

        def one(typingctx: Any, a: Any) -> Any:
            return v8(v8), codegen

        one.__doc__ = summary
        return intrinsic(one)

    def two(typingctx: Any, a: Any, b: Any) -> Any:
        return v8(v8, v8), codegen

    two.__doc__ = summary
    return intrinsic(two)


def _all(value: int) -> Any:
    return ir.Constant(_V8, [value] * LANES)


add = _lanewise("a + b mod 2**64 in each lane.", lambda builder, a, b: builder.add(a, b))
subtract = _lanewise("a − b mod 2**64 in each lane.", lambda builder, a, b: builder.sub(a, b))
both_of = _lanewise("a & b.", lambda builder, a, b: builder.and_(a, b))
either_of = _lanewise("a | b.", lambda builder, a, b: builder.or_(a, b))
differing = _lanewise("a ^ b.", lambda builder, a, b: builder.xor(a, b))
equal = _lanewise(
    "All ones in the lanes where a is b, else zero.",
    lambda builder, a, b: builder.sext(builder.icmp_unsigned("==", a, b), _V8),
)
carry_of = _lanewise("a >> 52 in each lane.", lambda builder, a: builder.lshr(a, _all(LIMB_BITS)), 1)
limb_of = _lanewise("a mod 2**52 in each lane.", lambda builder, a: builder.and_(a, _all((1 << LIMB_BITS) - 1)), 1)


def shifted_left(bits: int) -> Any:
    """The intrinsic a << bits, for a number of bits known when it is compiled."""
    return _lanewise(f"a << {bits} in each lane.", lambda builder, a: builder.shl(a, _all(bits)), 1)


def shifted_right(bits: int) -> Any:
    """The intrinsic a >> bits, for a number of bits known when it is compiled."""
    return _lanewise(f"a >> {bits} in each lane.", lambda builder, a: builder.lshr(a, _all(bits)), 1)
