"""The words of `ptx` for the products of a warpgroup, as Numba sees them: wgmma, of the H100 (sm_90a) alone. A part of intrinsics.py.

PTX ISA 9.0, section 9.7.15. wgmma finds its operands in shared memory by a descriptor of 64 bits: where they begin, in units of 16 bytes
(bits 0 to 13); how far apart groups of eight rows are, in the same units (bits 32 to 45): 1024 bytes; and that pieces of 16 bytes are
exchanged within 128 (bits 62 and 63: 1). Bits 16 to 29 mean nothing in that arrangement.
"""
from __future__ import annotations

from llvmlite import ir
from numba.cuda import types
from numba.cuda.extending import intrinsic

from .assembly import F32, I32, NOTHING, assembly, number_of

I64 = ir.IntType(64)
ARRANGEMENT = 1 << 62 | 1024 >> 4 << 32 | 1 << 16


def _plain(text):
    """A word without operands: an instruction that orders others."""
    @intrinsic
    def order(typing):
        def generate(context, builder, signature, arguments):
            assembly(builder, NOTHING, text, "~{memory}", [], convergent=True)
            return context.get_dummy_value()
        return types.void(), generate
    return order


fence_async = _plain("fence.proxy.async.shared::cta;")
wgmma_fence = _plain("wgmma.fence.sync.aligned;")
wgmma_commit = _plain("wgmma.commit_group.sync.aligned;")


@intrinsic
def wgmma_wait(typing, n):
    """Wait until at most n groups are under way; n is part of the instruction."""
    if not isinstance(n, types.IntegerLiteral):
        return None                                          # Numba asks again with the constant's value as its type

    def generate(context, builder, signature, arguments):
        assembly(builder, NOTHING, f"wgmma.wait_group.sync.aligned {n.literal_value};", "~{memory}", [], convergent=True)
        return context.get_dummy_value()
    return types.void(n), generate


@intrinsic
def wgmma_bf16(typing, n, sums, s, a, b):
    """sums += A · B, 64×16×n. The sums are registers that go in and come out; the array that names them in a kernel is none in the end."""
    if not isinstance(n, types.IntegerLiteral):
        return None
    count = n.literal_value // 2

    def descriptor(context, builder, signature, base, index, kind):
        at = number_of(context, builder, signature.args[2], base, index, kind, 32)
        return builder.or_(builder.zext(builder.lshr(builder.and_(at, I32(0x3FFFF)), I32(4)), I64), I64(ARRANGEMENT))

    def generate(context, builder, signature, arguments):
        _, held, base, *at = arguments
        data = context.make_array(sums)(context, builder, value=held).data
        places = [builder.gep(data, [I64(k)], inbounds=True) for k in range(count)]
        operands = [descriptor(context, builder, signature, base, index, kind) for index, kind in zip(at, signature.args[3:])]
        registers = ",".join(f"${k}" for k in range(count))
        # The sums that go in take the numbers from `count` on, each tied to the one that comes out; then come the descriptors.
        text = (f"wgmma.mma_async.sync.aligned.m64n{n.literal_value}k16.f32.bf16.bf16 "
                f"{{{registers}}}, ${2 * count}, ${2 * count + 1}, 1, 1, 1, 0, 0;")
        constraints = ",".join(["=f"] * count + [str(k) for k in range(count)] + ["l", "l", "~{memory}"])
        new = assembly(builder, ir.LiteralStructType([F32] * count), text, constraints,
                       [builder.load(place) for place in places] + operands, convergent=True)
        for k, place in enumerate(places):
            builder.store(builder.extract_value(new, k), place)
        return context.get_dummy_value()
    return types.void(n, sums, s, a, b), generate
