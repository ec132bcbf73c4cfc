"""ldmatrix and mma, emulated: against NumPy's product, the fragments laid out by hand as PTX ISA 9.0, 9.7.14.5 writes them down."""
from __future__ import annotations

import numpy as np
import pytest
from tinygradconv.kernels.cuda.language import cuda, float32, kernel, ptx, uint16, uint32

import tinygradconv  # noqa: F401  (makes tinygradconv.kernels importable)

pytest.importorskip("greenlet", reason="the emulator runs each CUDA thread as a greenlet: pip install greenlet")
from tinygradconv.kernels.cuda.emulator import Stuck, emulate


@kernel("a: uint32*, b: uint32*, c: float32*, d: float32*", threads=32)
def product_tf32(a, b, c, d):
    t = cuda.threadIdx.x
    d[t * 4], d[t * 4 + 1], d[t * 4 + 2], d[t * 4 + 3] = ptx.mma_tf32(
        ptx.load4(a, 4 * t), (b[2 * t], b[2 * t + 1]), ptx.load4(c, 4 * t))


@kernel("a: uint32*, b: uint32*, c: float32*, d: float32*", threads=32)
def product_bf16(a, b, c, d):
    t = cuda.threadIdx.x
    d[t * 4], d[t * 4 + 1], d[t * 4 + 2], d[t * 4 + 3] = ptx.mma_bf16(
        ptx.load4(a, 4 * t), (b[2 * t], b[2 * t + 1]), ptx.load4(c, 4 * t))


def short(x, bits):
    """x with the lowest bits of its mantissa cleared."""
    return (x.view(np.uint32) >> bits << bits).view(np.float32)


def accumulators(C):
    """c[lane, i]: row group + 8 · (i >= 2), column 2 · member + (i & 1), for group = lane >> 2, member = lane % 4."""
    return np.array([[C[(lane >> 2) + 8 * (i >= 2), 2 * (lane % 4) + (i & 1)] for i in range(4)] for lane in range(32)], np.float32)


def operands(seed, K, kept):
    rng = np.random.default_rng(seed)
    A, B = (short(rng.standard_normal(shape, np.float32), 24 - kept) for shape in ((16, K), (K, 8)))
    return A, B, rng.standard_normal((16, 8), np.float32)


@pytest.mark.parametrize("seed", range(3))
def test_mma_tf32_is_a_product(seed):
    A, B, C = operands(seed, 8, 11)
    a, b = np.zeros((32, 4), np.float32), np.zeros((32, 2), np.float32)
    for lane in range(32):
        group, member = lane >> 2, lane % 4
        for i in range(4):                                     # row: group for a0 and a2; column: member for a0 and a1
            a[lane, i] = A[group if i in (0, 2) else group + 8, member if i in (0, 1) else member + 4]
        b[lane] = B[member, group], B[member + 4, group]
    d = np.full((32, 4), np.nan, np.float32)
    emulate(product_tf32, 1, a.view(np.uint32), b.view(np.uint32), accumulators(C), d)
    np.testing.assert_allclose(d, accumulators(A.astype(np.float64) @ B + C), rtol=1e-6, atol=1e-6)
    noise = np.random.default_rng(seed).integers(0, 1 << 13, a.shape, dtype=np.uint32)          # bits that the tensor core does not see
    again = np.zeros_like(d)
    emulate(product_tf32, 1, a.view(np.uint32) | noise, b.view(np.uint32), accumulators(C), again)
    assert (again == d).all()


@pytest.mark.parametrize("seed", range(3))
def test_mma_bf16_is_a_product(seed):
    A, B, C = operands(seed, 16, 8)
    a, b = np.zeros((32, 8), np.float32), np.zeros((32, 4), np.float32)
    for lane in range(32):
        group, member = lane >> 2, lane % 4
        for i in range(8):                                     # row: group for 0 <= i < 2 and 4 <= i < 6
            a[lane, i] = A[group if i in (0, 1, 4, 5) else group + 8, member * 2 + (i & 1) + (0 if i < 4 else 8)]
        for i in range(4):
            b[lane, i] = B[member * 2 + (i & 1) + (0 if i < 2 else 8), group]
    d = np.full((32, 4), np.nan, np.float32)
    emulate(product_bf16, 1, packed(a), packed(b), accumulators(C), d)
    np.testing.assert_allclose(d, accumulators(A.astype(np.float64) @ B + C), rtol=1e-6, atol=1e-6)


def packed(x):
    """Pairs of bfloat16 in words, the first in the lower half."""
    upper = x.view(np.uint32) >> 16
    return upper[:, 0::2] | upper[:, 1::2] << 16


@pytest.mark.parametrize("transposed", [False, True])
def test_ldmatrix_deals_out_four_matrices(transposed):
    @kernel("x: uint16*, y: uint32*", threads=32)
    def deal(x, y):
        s = cuda.shared.array(512, uint16, alignment=16)
        t = cuda.threadIdx.x
        for i in range(16):
            s[16 * t + i] = x[16 * t + i]
        cuda.syncthreads()
        at = 16 * t                                            # lane l points at the l-th row of 8, which lie 16 apart
        rows = ptx.ldmatrix4_transposed(s, at) if transposed else ptx.ldmatrix4(s, at)
        for m in range(4):
            y[4 * t + m] = rows[m]
    x, y = np.arange(512, dtype=np.uint16), np.zeros((32, 4), np.uint32)
    emulate(deal, 1, x, y)
    for lane in range(32):
        for m in range(4):
            row, column = lane // 4, 2 * (lane % 4)
            at = [(column + k, row) if transposed else (row, column + k) for k in range(2)]
            low, high = (x.reshape(32, 16)[8 * m + r, c] for r, c in at)
            assert y[lane, m] == int(low) | int(high) << 16


@kernel("a: uint16*, b: uint16*, c: float32*", threads=32)
def product_of_tiles(a, b, c):
    """c (16, 8) = a (16, 16) · b (16, 8)ᵀ as a kernel would: b comes as (8, 16), so ldmatrix gives both operands' fragments."""
    s = cuda.shared.array(24 * 24, uint16, alignment=16)       # rows of 24: padded, so that the eight rows of a matrix hit other banks
    t = cuda.threadIdx.x
    for i in range(t, 256, 32):
        s[i // 16 * 24 + i % 16] = a[i]
    for i in range(t, 128, 32):
        s[(16 + i // 16) * 24 + i % 16] = b[i]
    cuda.syncthreads()
    left = ptx.ldmatrix4(s, t % 16 * 24 + t // 16 * 8)
    right = ptx.ldmatrix4(s, (16 + t % 8) * 24 + t // 8 % 2 * 8)
    zero = float32(0)
    d = ptx.mma_bf16(left, (right[0], right[1]), (zero, zero, zero, zero))
    for i in range(4):
        c[(t // 4 + i // 2 * 8) * 8 + t % 4 * 2 + i % 2] = d[i]


def test_a_product_from_shared_memory():
    A, B, _ = operands(7, 16, 8)
    c = np.full((16, 8), np.nan, np.float32)
    halves = lambda x: (np.ascontiguousarray(x).view(np.uint32) >> 16).astype(np.uint16)
    emulate(product_of_tiles, 1, halves(A), halves(B.T), c)
    np.testing.assert_allclose(c, A.astype(np.float64) @ B, rtol=1e-6, atol=1e-6)


def test_a_warp_must_agree_on_its_instruction():
    @kernel("x: uint32*", threads=32)
    def split(x):
        word, zero = uint32(0), float32(0)
        if cuda.threadIdx.x < 16:
            ptx.mma_tf32((word, word, word, word), (word, word), (zero, zero, zero, zero))
        else:
            ptx.mma_bf16((word, word, word, word), (word, word), (zero, zero, zero, zero))
    with pytest.raises(Stuck, match="mma_tf32 waits for thread 16, which waits in mma_bf16"):
        emulate(split, 1, np.zeros(1, np.uint32))
