"""The words of `ptx` as Numba sees them: one GPU instruction each. The only module with PTX in it, and only the compiler imports it.

Each function's first line is in language.PTX_WORDS. An intrinsic is typed by its outer function and written as LLVM IR by `generate`;
what LLVM has no instruction for is inline assembly. What a whole warp does together is `convergent`: the compiler must not move it into a
branch. A pointer is global memory and an array is shared memory, and the addresses say so: loads through an address of unknown kind would
be slower, and cp.async takes no other.

Instructions: PTX ISA 9.0, section 9.7; the fragments of ldmatrix and mma: 9.7.14.5.
"""
from __future__ import annotations

from llvmlite import ir
from numba.cuda import types
from numba.cuda.extending import intrinsic

from .assembly import F32, GLOBAL, I16, I32, NOTHING, address_of, assembly, number_of, whole_of
from .warpgroup import fence_async, wgmma_bf16, wgmma_commit, wgmma_fence, wgmma_wait  # noqa: F401  (words, too)


def _vector_load(count):
    @intrinsic
    def load(typing, base, i):
        result = types.UniTuple(base.dtype, count)

        def generate(context, builder, signature, arguments):
            address = address_of(context, builder, base, *arguments, i)
            vector = ir.PointerType(ir.VectorType(address.type.pointee, count), address.type.addrspace)
            value = builder.load(builder.bitcast(address, vector), align=count * base.dtype.bitwidth // 8)
            return context.make_tuple(builder, result, [builder.extract_element(value, I32(k)) for k in range(count)])
        return result(base, i), generate
    return load


def _vector_store(count):
    def generate(context, builder, signature, arguments):
        base, i, *_ = signature.args
        address = address_of(context, builder, base, *arguments[:2], i)
        value = ir.Constant(ir.VectorType(address.type.pointee, count), ir.Undefined)
        for k, part in enumerate(arguments[2:]):
            value = builder.insert_element(value, part, I32(k))
        builder.store(value, builder.bitcast(address, ir.PointerType(value.type, address.type.addrspace)),
                      align=count * base.dtype.bitwidth // 8)
        return context.get_dummy_value()
    return generate


load4, load2 = _vector_load(4), _vector_load(2)


@intrinsic
def store4(typing, base, i, a, b, c, d):
    """p[i:i+4] = a, b, c, d; each is converted to p's type first."""
    return types.void(base, i, *[base.dtype] * 4), _vector_store(4)


@intrinsic
def store2(typing, base, i, a, b):
    """p[i:i+2] = a, b; each is converted to p's type first."""
    return types.void(base, i, *[base.dtype] * 2), _vector_store(2)


@intrinsic
def load_bits(typing, base, i, constant):
    """The bits of base[i + constant]. Written as two steps of address arithmetic, so that the constant goes into the instruction."""
    def generate(context, builder, signature, arguments):
        address = address_of(context, builder, base, *arguments[:2], i)
        address = builder.gep(address, [whole_of(builder, arguments[2], signature.args[2], 64)], inbounds=True)
        return builder.load(builder.bitcast(address, ir.PointerType(I32, address.type.addrspace)))
    return types.uint32(base, i, constant), generate


def _copy(text):
    @intrinsic
    def copy(typing, s, i, p, j, n):
        def generate(context, builder, signature, arguments):
            to = number_of(context, builder, s, *arguments[:2], i, 32)
            origin = number_of(context, builder, p, *arguments[2:4], j, 64)
            assembly(builder, NOTHING, text, "r,l,r,~{memory}", [to, origin, whole_of(builder, arguments[4], n, 32)], effect=True)
            return context.get_dummy_value()
        return types.void(s, i, p, j, n), generate
    return copy


cp_async16 = _copy("cp.async.cg.shared.global [$0], [$1], 16, $2;")       # .cg: past the first-level cache
cp_async4 = _copy("cp.async.ca.shared.global [$0], [$1], 4, $2;")


@intrinsic
def cp_commit(typing):
    """The copies since the last commit become a group."""
    def generate(context, builder, signature, arguments):
        assembly(builder, NOTHING, "cp.async.commit_group;", "~{memory}", [], effect=True)
        return context.get_dummy_value()
    return types.void(), generate


@intrinsic
def cp_wait(typing, n):
    """Wait until at most n groups are under way; n is part of the instruction."""
    if not isinstance(n, types.IntegerLiteral):
        return None                                          # Numba asks again with the constant's value as its type

    def generate(context, builder, signature, arguments):
        assembly(builder, NOTHING, f"cp.async.wait_group {n.literal_value};", "~{memory}", [], effect=True)
        return context.get_dummy_value()
    return types.void(n), generate


def _matrices(kind):
    @intrinsic
    def load(typing, s, i):
        result = types.UniTuple(types.uint32, 4)

        def generate(context, builder, signature, arguments):
            row = number_of(context, builder, s, *arguments, i, 32)
            text = f"ldmatrix.sync.aligned.m8n8.x4{kind}.shared.b16 {{$0,$1,$2,$3}}, [$4];"
            words = assembly(builder, ir.LiteralStructType([I32] * 4), text, "=r,=r,=r,=r,r,~{memory}", [row], convergent=True)
            return context.make_tuple(builder, result, [builder.extract_value(words, k) for k in range(4)])
        return result(s, i), generate
    return load


ldmatrix4, ldmatrix4_transposed = _matrices(""), _matrices(".trans")


def _product(shape, kind):
    """c + a·b of a warp, a 4 and b 2 registers of `kind`, c 4 float32."""
    registers = [f"${k}" for k in range(14)]
    parts = [",".join(registers[start:stop]) for start, stop in ((0, 4), (4, 8), (8, 10), (10, 14))]
    text = f"mma.sync.aligned.{shape}.row.col.f32.{kind}.{kind}.f32 " + ", ".join(f"{{{part}}}" for part in parts) + ";"
    constraints = ",".join(["=f"] * 4 + ["r"] * 6 + ["f"] * 4)

    @intrinsic
    def product(typing, a, b, c):
        result = types.UniTuple(types.float32, 4)

        def generate(context, builder, signature, arguments):
            flat = [builder.extract_value(value, k) for value, count in zip(arguments, (4, 2, 4)) for k in range(count)]
            sums = assembly(builder, ir.LiteralStructType([F32] * 4), text, constraints, flat, convergent=True)
            return context.make_tuple(builder, result, [builder.extract_value(sums, k) for k in range(4)])
        return result(types.UniTuple(types.uint32, 4), types.UniTuple(types.uint32, 2), result), generate
    return product


mma_tf32, mma_bf16 = _product("m16n8k8", "tf32"), _product("m16n8k16", "bf16")


def _unary(returns, takes, write):
    """An intrinsic of one number; `write(builder, value)` makes the instruction."""
    @intrinsic
    def convert(typing, x):
        return returns(takes), lambda context, builder, signature, arguments: write(builder, arguments[0])
    return convert


tf32 = _unary(types.uint32, types.float32, lambda b, x: assembly(b, I32, "cvt.rna.tf32.f32 $0, $1;", "=r,f", [x]))
bf16 = _unary(types.uint16, types.float32, lambda b, x: assembly(b, I16, "cvt.rn.bf16.f32 $0, $1;", "=h,f", [x]))
rcp = _unary(types.float32, types.float32, lambda b, x: assembly(b, F32, "rcp.approx.ftz.f32 $0, $1;", "=f,f", [x]))
float_of = _unary(types.float32, types.uint32, lambda b, u: b.bitcast(u, F32))
float_of_bf16 = _unary(types.float32, types.uint16, lambda b, u: b.bitcast(b.shl(b.zext(u, I32), I32(16)), F32))


@intrinsic
def bf16_pair(typing, low, high):
    """Two bfloat16 in one register; the instruction takes the upper one first."""
    def generate(context, builder, signature, arguments):
        return assembly(builder, I32, "cvt.rn.bf16x2.f32 $0, $2, $1;", "=r,f,f", list(arguments))
    return types.uint32(types.float32, types.float32), generate


@intrinsic
def bits_of(typing, x):
    """The bits of a float32 or a float64."""
    number = types.uint64 if x == types.float64 else types.uint32
    kind = types.float64 if x == types.float64 else types.float32
    return number(kind), lambda context, builder, signature, arguments: builder.bitcast(arguments[0], ir.IntType(number.bitwidth))


@intrinsic
def pointer(typing, address, T):
    """An address as a pointer to numbers of type T, which lie in global memory."""
    result = types.CPointer(T.dtype)

    def generate(context, builder, signature, arguments):
        kind = context.get_value_type(result)
        there = builder.inttoptr(arguments[0], ir.PointerType(kind.pointee, GLOBAL))
        return builder.addrspacecast(there, kind)
    return result(address, T), generate


@intrinsic
def keep(typing, x):
    """x. An assembly with an effect is carried out once, where it stands: what comes out of it is nothing that could be computed again."""
    text, constraints = (f"mov.b{x.bitwidth} $0, $1;", "=l,l" if x.bitwidth == 64 else "=r,r")
    return x(x), lambda context, builder, signature, arguments: assembly(builder, arguments[0].type, text, constraints, arguments,
                                                                         effect=True)


@intrinsic
def rint(typing, x):
    """The nearest whole number, ties to even, in x's own type."""
    text, constraints = (f"cvt.rni.f{x.bitwidth}.f{x.bitwidth} $0, $1;", "=d,d" if x.bitwidth == 64 else "=f,f")
    return x(x), lambda context, builder, signature, arguments: assembly(builder, arguments[0].type, text, constraints, arguments)


@intrinsic
def fma(typing, a, b, c):
    """a·b + c, rounded once."""
    return a(a, a, a), lambda context, builder, signature, arguments: builder.fma(*arguments)


def _shuffle(kind):
    @intrinsic
    def shuffle(typing, x, lanes):
        """x of another lane, 32 bits at a time."""
        def generate(context, builder, signature, arguments):
            value, whole = arguments[0], ir.IntType(x.bitwidth)
            bits = builder.bitcast(value, whole)
            by = whole_of(builder, arguments[1], lanes, 32)
            halves = [builder.trunc(builder.lshr(bits, whole(32 * k)), I32) if x.bitwidth > 32 else bits for k in range(x.bitwidth // 32)]
            halves = [assembly(builder, I32, f"shfl.sync.{kind}.b32 $0, $1, $2, 31, 0xffffffff;", "=r,r,r", [half, by], convergent=True)
                      for half in halves]
            joined = builder.zext(halves[0], whole) if x.bitwidth > 32 else halves[0]
            for k, half in enumerate(halves[1:], 1):
                joined = builder.or_(joined, builder.shl(builder.zext(half, whole), whole(32 * k)))
            return builder.bitcast(joined, value.type)
        return x(x, lanes), generate
    return shuffle


shuffle_down, shuffle_xor = _shuffle("down"), _shuffle("bfly")


@intrinsic
def ballot(typing, p):
    """One bit a lane; the instruction takes a predicate, which the assembly makes of the number."""
    def generate(context, builder, signature, arguments):
        text = "{ .reg .pred %held; setp.ne.u32 %held, $1, 0; vote.sync.ballot.b32 $0, %held, 0xffffffff; }"
        return assembly(builder, I32, text, "=r,r", [builder.zext(arguments[0], I32)], convergent=True)
    return types.uint32(types.boolean), generate
