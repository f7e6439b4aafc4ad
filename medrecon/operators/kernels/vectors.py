"""Vectors of the processor as values in numba's loops: neighbors in an array, loaded, multiplied and stored at once.

LLVM splits them to the width of the machine. The number of lanes is that of a tuple `lanes`, such as `(0.0,) * 16`, so that a
kernel is compiled, and cached, once for each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import extending
from numba.core import cgutils, types
from numba.core.datamodel import PrimitiveModel
from numba.extending import register_model

__all__ = ["load", "multiply_add", "store", "zeros"]


intrinsic: Callable[[Callable[..., Any]], Callable[..., Any]] = extending.intrinsic


class _Vector(types.Type):
    def __init__(self, dtype: Any, count: int) -> None:
        self.dtype, self.count = dtype, count
        super().__init__(name=f"lanes({dtype} x {count})")


@register_model(_Vector)
class _VectorModel(PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: _Vector) -> None:
        super().__init__(manager, kind, ir.VectorType(manager.lookup(kind.dtype).get_value_type(), kind.count))


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any, vector: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _splat(builder: Any, scalar: Any, vector: Any) -> Any:
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), mask)


@intrinsic
def zeros(typing_context: Any, lanes: Any) -> Any:
    """A vector of zeros with the type and number of the tuple `lanes`."""
    vector = _Vector(lanes.dtype, lanes.count)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(context.get_value_type(vector), None)

    return vector(lanes), generate


@intrinsic
def load(typing_context: Any, array: Any, index: Any, lanes: Any) -> Any:
    """The elements of the flat `array` from `index` on."""
    vector = _Vector(array.dtype, lanes.count)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = context.get_value_type(vector)
        pointer = _pointer(context, builder, signature.args[0], arguments[0], arguments[1], kind)
        return builder.load(pointer, align=array.dtype.bitwidth // 8)

    return vector(array, types.intp, lanes), generate


@intrinsic
def store(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
    """Write a vector to the flat `array` from `index` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = context.get_value_type(value)
        pointer = _pointer(context, builder, signature.args[0], arguments[0], arguments[1], kind)
        builder.store(arguments[2], pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(array, types.intp, value), generate


@intrinsic
def multiply_add(typing_context: Any, factor: Any, value: Any, total: Any) -> Any:
    """`factor * value + total`, the factor being one number for all lanes; fused where the machine can."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = context.get_value_type(value)
        name = f"llvm.fmuladd.v{value.count}f{value.dtype.bitwidth}"
        fused = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * 3), name)
        return builder.call(fused, [_splat(builder, arguments[0], kind), arguments[1], arguments[2]])

    return value(value.dtype, value, value), generate
