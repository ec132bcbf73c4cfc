"""Kernels for the tests of the compiler: small ones, each with one property that the compiler's report must show."""
from __future__ import annotations

from tinygradconv.kernels.cuda.language import CudaKernel, Scalar, cuda, device, float32, int32, kernel, ptx

SCALE = 3


@device
def scaled(x, T):
    """3·x, by a function and a constant outside the kernel."""
    return x * T(SCALE)


def axpy(T: Scalar) -> CudaKernel:
    """y = 3·a·x + y, one element for each thread."""
    @kernel(f"a: {T}, x: {T}*, y: {T}*, n: int64", threads=256, registers=24)
    def axpy(a, x, y, n):
        i = cuda.grid(1)
        if i < n:
            y[i] = scaled(a * x[i], T) + y[i]
    return axpy


def reverse(threads: int) -> CudaKernel:
    """Each block's elements in reverse, through shared memory."""
    @kernel("x: float32*", threads=threads)
    def reverse(x):
        held = cuda.shared.array(threads, float32)
        i = cuda.blockIdx.x * threads
        held[cuda.threadIdx.x] = x[i + cuda.threadIdx.x]
        cuda.syncthreads()
        x[i + cuda.threadIdx.x] = held[threads - 1 - cuda.threadIdx.x]
    return reverse


def spilling(count: int) -> CudaKernel:
    """Keeps `count` sums at once: with many, and registers for few, they spill."""
    @kernel("x: float32*, y: float32*, n: int32", threads=1024, min_blocks=2)
    def spilling(x, y, n):
        sums = cuda.local.array(count, float32)
        for k in range(count):
            sums[k] = float32(0)
        for i in range(n):
            for k in range(count):
                sums[k] = ptx.fma(x[i * count + k], x[i * count + (k * 7 + 3) % count], sums[k])
        for k in range(count):
            y[k] = sums[k]
    return spilling


def indexed() -> CudaKernel:
    """Looks into a local array at a place that is known at run time only: such an array is kept on the stack."""
    @kernel("x: float32*, where: int32*, y: float32*", threads=32)
    def indexed(x, where, y):
        held = cuda.local.array(16, float32)
        for k in range(16):
            held[k] = x[k * 32 + cuda.threadIdx.x]
        y[cuda.threadIdx.x] = held[where[cuda.threadIdx.x]]
    return indexed


def tensor_core() -> CudaKernel:
    """A 16×8 tile from one tf32 product, of values that are whatever x holds."""
    @kernel("x: float32*, y: float32*", threads=32, requires=("HMMA.1688.F32.TF32",))
    def tensor_core(x, y):
        lane = cuda.threadIdx.x
        a = (ptx.tf32(x[lane]), ptx.tf32(x[lane + 32]), ptx.tf32(x[lane + 64]), ptx.tf32(x[lane + 96]))
        b = (ptx.tf32(x[lane + 128]), ptx.tf32(x[lane + 160]))
        c = ptx.mma_tf32(a, b, (float32(0), float32(0), float32(0), float32(0)))
        for k in range(4):
            y[lane * 4 + k] = c[k]
    return tensor_core


def misspelt() -> CudaKernel:
    """Uses a name that does not exist."""
    @kernel("x: float32*, n: int32", threads=32)
    def misspelt(x, n):
        x[int32(n)] = cuda.threadIdx.w
    return misspelt
