"""Values one by one on a GPU: one pass over memory, whatever is broadcast and however the operands lie.

Thread t of a block takes the elements t, t + 256, t + 512 and t + 768 of the block's 1024: neighbours in a warp touch neighbours in memory.
It loads all four before it computes the first, so that four requests are on their way at once. Operands are walked with as few axes as can
be (host.merge): with one, an index is one multiplication, and a step of 0 broadcasts a number; with more, it costs a division an axis.
Ops that are alike are one kernel (functions.together), and the launch says which of them is meant.
"""
from __future__ import annotations

from functools import cache
from typing import Any

from ..cuda.host import blocks, is_contiguous, walk_arguments
from ..cuda.language import CudaKernel, Scalar, cuda, float32, float64, int32, int64, kernel, scalar_of, uint8
from ..cuda.walk import AXES, coordinates, offset, place, step_parameters
from . import functions

THREADS, EACH = 256, 4
BLOCK = THREADS * EACH
FLOATS, WHOLE = (float32, float64), (int32, int64)
ALL = (*FLOATS, *WHOLE, uint8)                   # uint8 is bool too


@cache
def unary_kernel(ops: tuple[str, ...], T: Scalar, U: Scalar) -> CudaKernel:
    """y[i] = op(x at i), where op is ops[n]."""
    f = functions.one_of(ops, T, U, 1)

    @kernel(f"n: int32, x: {T}*, y: {U}*, {AXES}, {step_parameters('x')}", threads=THREADS)
    def unary(n, x, y, size, axes, n0, n1, n2, n3, n4, x0, x1, x2, x3, x4, x5):
        first = cuda.blockIdx.x * BLOCK + cuda.threadIdx.x
        held = cuda.local.array(EACH, T)
        for k in range(EACH):
            i = first + k * THREADS
            if i < size:
                held[k] = x[offset(i, axes, n0, n1, n2, n3, n4, x0, x1, x2, x3, x4, x5)]
        for k in range(EACH):
            i = first + k * THREADS
            if i < size:
                y[i] = f(n, held[k])
    return unary


@cache
def binary_kernel(ops: tuple[str, ...], T: Scalar, U: Scalar) -> CudaKernel:
    """y[i] = op(a at i, b at i), where op is ops[n]."""
    f = functions.one_of(ops, T, U, 2)

    @kernel(f"n: int32, a: {T}*, b: {T}*, y: {U}*, {AXES}, {step_parameters('a', 'b')}", threads=THREADS)
    def binary(n, a, b, y, size, axes, n0, n1, n2, n3, n4, a0, a1, a2, a3, a4, a5, b0, b1, b2, b3, b4, b5):
        first = cuda.blockIdx.x * BLOCK + cuda.threadIdx.x
        left, right = cuda.local.array(EACH, T), cuda.local.array(EACH, T)
        for k in range(EACH):
            i = first + k * THREADS
            if i < size:
                if axes == 1:
                    left[k], right[k] = a[i * a5], b[i * b5]
                else:
                    c = coordinates(i, axes, n0, n1, n2, n3, n4)
                    left[k], right[k] = a[place(c, a0, a1, a2, a3, a4, a5)], b[place(c, b0, b1, b2, b3, b4, b5)]
        for k in range(EACH):
            i = first + k * THREADS
            if i < size:
                y[i] = f(n, left[k], right[k])
    return binary


@cache
def ternary_kernel(op: str, T: Scalar, C: Scalar) -> CudaKernel:
    """y[i] = op(c at i, a at i, b at i), the operands in this order; for the op "where", c is the condition, of type C."""
    where = op == "where"
    f = functions.function("nothing" if where else op, T)

    @kernel(f"c: {C}*, a: {T}*, b: {T}*, y: {T}*, {AXES}, {step_parameters('c', 'a', 'b')}", threads=THREADS)
    def ternary(c, a, b, y, size, axes, n0, n1, n2, n3, n4, c0, c1, c2, c3, c4, c5, a0, a1, a2, a3, a4, a5, b0, b1, b2, b3, b4, b5):
        first = cuda.blockIdx.x * BLOCK + cuda.threadIdx.x
        held, left, right = cuda.local.array(EACH, C), cuda.local.array(EACH, T), cuda.local.array(EACH, T)
        for k in range(EACH):
            i = first + k * THREADS
            if i < size:
                if axes == 1:
                    held[k], left[k], right[k] = c[i * c5], a[i * a5], b[i * b5]
                else:
                    at = coordinates(i, axes, n0, n1, n2, n3, n4)
                    held[k] = c[place(at, c0, c1, c2, c3, c4, c5)]
                    left[k], right[k] = a[place(at, a0, a1, a2, a3, a4, a5)], b[place(at, b0, b1, b2, b3, b4, b5)]
        for k in range(EACH):
            i = first + k * THREADS
            if i < size:
                if where:
                    y[i] = left[k] if held[k] != C(0) else right[k]
                else:
                    y[i] = f(held[k], left[k], right[k])
    return ternary


@cache
def copy_kernel(T: Scalar, U: Scalar, truth: bool) -> CudaKernel:
    """y at i = x at i, converted to U; with `truth`, to 1 where it is not 0."""
    @kernel(f"x: {T}*, y: {U}*, {AXES}, {step_parameters('x', 'y')}", threads=THREADS)
    def copy(x, y, size, axes, n0, n1, n2, n3, n4, x0, x1, x2, x3, x4, x5, y0, y1, y2, y3, y4, y5):
        first = cuda.blockIdx.x * BLOCK + cuda.threadIdx.x
        held = cuda.local.array(EACH, T)
        for k in range(EACH):
            i = first + k * THREADS
            if i < size:
                held[k] = x[offset(i, axes, n0, n1, n2, n3, n4, x0, x1, x2, x3, x4, x5)]
        for k in range(EACH):
            i = first + k * THREADS
            if i < size:
                y[offset(i, axes, n0, n1, n2, n3, n4, y0, y1, y2, y3, y4, y5)] = U(held[k] != T(0) if truth else held[k])
    return copy


def configurations() -> list[tuple[Any, tuple[Any, ...]]]:
    """(template, constants) of every kernel that these host functions launch."""
    made = [(unary_kernel, ((op,), T, T)) for T in FLOATS for op in functions.UNARY]
    made += [(unary_kernel, (functions.WHOLE_UNARY, T, T)) for T in WHOLE]
    made += [(unary_kernel, (functions.TESTS, T, uint8)) for T in ALL]
    made += [(binary_kernel, ((op,), T, T)) for T in FLOATS for op in functions.BINARY]
    made += [(binary_kernel, (functions.WHOLE_BINARY, T, T)) for T in WHOLE]
    made += [(binary_kernel, (functions.COMPARISONS, T, uint8)) for T in ALL]
    made += [(ternary_kernel, (op, T, T)) for T in FLOATS for op in functions.TERNARY]
    made += [(ternary_kernel, ("where", T, uint8)) for T in ALL]
    made += [(copy_kernel, (T, U, False)) for T in ALL for U in ALL]
    made += [(copy_kernel, (T, uint8, True)) for T in ALL if T is not uint8]
    return made


def unary(device: Any, x: Any, y: Any, op: str) -> None:
    """reference.unary. A thread for each four elements of y."""
    ops = functions.together(op, T := scalar_of(x.dtype))
    _run(device, unary_kernel(ops, T, scalar_of(y.dtype)), (x,), y, ops.index(op))


def binary(device: Any, a: Any, b: Any, y: Any, op: str) -> None:
    """reference.binary. A thread for each four elements of y."""
    ops = functions.together(op, T := _type(op, a, b))
    _run(device, binary_kernel(ops, T, scalar_of(y.dtype)), (a, b), y, ops.index(op))


def ternary(device: Any, a: Any, b: Any, c: Any, y: Any, op: str) -> None:
    """reference.ternary. A thread for each four elements of y."""
    T = _type(op, a, b, c)
    _run(device, ternary_kernel(op, T, T), (a, b, c), y)


def where(device: Any, condition: Any, a: Any, b: Any, y: Any) -> None:
    """reference.where. A thread for each four elements of y."""
    _run(device, ternary_kernel("where", _type("where", a, b), scalar_of(condition.dtype)), (condition, a, b), y)


def copy(device: Any, x: Any, y: Any) -> None:
    """reference.copy. A thread for each four elements of y; this is also how an array that lies otherwise becomes contiguous."""
    if y.size:
        made = copy_kernel(scalar_of(x.dtype), scalar_of(y.dtype), y.dtype == bool and x.dtype != bool)
        device.launch(made, blocks(y.size, BLOCK), x, y, y.size, *walk_arguments(y.shape, x, y))


def _type(op: str, *operands: Any) -> Scalar:
    """The type that operands share; TypeError if they do not."""
    dtypes = {operand.dtype for operand in operands}
    if len(dtypes) > 1:
        raise TypeError(f"cuda: {op} takes operands of one dtype, got {', '.join(str(operand.dtype) for operand in operands)}")
    return scalar_of(dtypes.pop())


def _run(device: Any, made: CudaKernel, operands: tuple[Any, ...], y: Any, *number: int) -> None:
    """Launch a kernel that fills a contiguous y, for the op of this number; a y that lies otherwise is filled by a copy."""
    if not y.size:
        return
    into = y if is_contiguous(y) else device.empty(y.shape, y.dtype)
    device.launch(made, blocks(y.size, BLOCK), *number, *operands, into, y.size, *walk_arguments(y.shape, *operands))
    if into is not y:
        copy(device, into, y)
