"""How a word of `ptx` is written down for the compiler: one instruction as inline assembly, and the addresses that it takes."""
from __future__ import annotations

from llvmlite import ir
from numba.cuda import types

GLOBAL, SHARED = 1, 3                                        # NVVM's numbers of the address spaces
F32, I16, I32 = ir.FloatType(), ir.IntType(16), ir.IntType(32)
NOTHING = ir.VoidType()


def assembly(builder, returns, text, constraints, arguments, *, effect=False, convergent=False):
    """One instruction as inline assembly; `effect`: it does more than compute its result, so that it stays where it is."""
    form = ir.FunctionType(returns, [argument.type for argument in arguments])
    instruction = ir.InlineAsm(form, text, constraints, side_effect=effect or convergent)
    return builder.call(instruction, arguments, attrs=("convergent",) if convergent else ())


def whole_of(builder, value, kind, bits):
    """An integer of Numba's type `kind` in so many bits."""
    if kind.bitwidth > bits:
        return builder.trunc(value, ir.IntType(bits))
    if kind.bitwidth < bits:
        return (builder.sext if kind.signed else builder.zext)(value, ir.IntType(bits))
    return value


def address_of(context, builder, kind, base, index, index_kind):
    """Where base[index] is: a pointer into global memory, or into shared memory if base is an array."""
    space = GLOBAL if isinstance(kind, types.CPointer) else SHARED
    if isinstance(kind, types.Array):
        base = context.make_array(kind)(context, builder, value=base).data
    element = builder.gep(base, [whole_of(builder, index, index_kind, 64)])
    return builder.addrspacecast(element, ir.PointerType(element.type.pointee, space))


def number_of(context, builder, kind, base, index, index_kind, bits):
    """The same address as the integer that assembly takes."""
    return builder.ptrtoint(address_of(context, builder, kind, base, index, index_kind), ir.IntType(bits))
