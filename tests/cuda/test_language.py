"""The language of CUDA kernels: what its decorators make, and what its words say in plain Python."""
from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from tinygradconv.kernels.cuda.language import (
    CUDA_WORDS,
    PTX_WORDS,
    cuda,
    device,
    float32,
    int8,
    int32,
    kernel,
    ptx,
    scalar_of,
    uint8,
    uint32,
)

import tinygradconv  # noqa: F401  (makes tinygradconv.kernels importable)


def axpy(T, step):
    @kernel(f"a: {T}, x: {T}*, y: {T}*, n: int64", threads=256, registers=16)
    def axpy(a, x, y, n):
        i = cuda.grid(1) * step
        if i < n:
            y[i] = T(a) * x[i] + y[i]
    return axpy


def test_a_kernel_is_its_function_with_constants_and_limits():
    made = axpy(float32, 2)
    assert made.name == "axpy" and made.label == "axpy[T=float32, step=2]"
    assert made.parameters == (("a", "float32"), ("x", "float32*"), ("y", "float32*"), ("n", "int64"))
    assert (made.threads, made.registers, made.shared, made.min_blocks, made.requires) == (256, 16, 0, 1, ())
    with pytest.raises(AttributeError):
        made.threads = 128
    assert {made: "as a key"}[made] and made != axpy(float32, 2)


@pytest.mark.parametrize("signature, message", [
    ("a: float32, x: float32*, n: int64", r"axpy\(a, x\): its signature names a, x, n"),
    ("x: float32*, a: float32", r"axpy\(a, x\): its signature names x, a"),
    ("a: float32, x: half*", r"expected 'name: type' or 'name: type\*', got 'x: half\*'"),
    ("a, x", "expected 'name: type'")])
def test_a_signature_must_fit_the_function(signature, message):
    with pytest.raises(ValueError, match=message):
        @kernel(signature, threads=32)
        def axpy(a, x):
            x[0] = a


@pytest.mark.parametrize("threads", [0, 1025])
def test_a_block_has_1_to_1024_threads(threads):
    with pytest.raises(ValueError, match=f"1 to 1024 threads, got {threads}"):
        kernel("x: float32*", threads=threads)(lambda x: None)


@pytest.mark.parametrize("words, names", [(cuda, CUDA_WORDS), (ptx, PTX_WORDS)])
def test_a_word_in_plain_python_says_how_to_run_the_kernel(words, names):
    assert set(dir(words)) == set(names)
    for name in names:
        with pytest.raises(RuntimeError, match=rf"\.{name} is a word of a CUDA kernel.*emulate\(kernel, grid"):
            getattr(words, name)
    with pytest.raises(AttributeError, match="has no word 'warp'"):
        words.warp  # noqa: B018


def test_kernels_and_device_functions_are_not_called():
    with pytest.raises(RuntimeError, match="axpy is a CUDA kernel: device.launch"):
        axpy(float32, 1)(1, None, None, 0)

    @device
    def double(x):
        return x + x
    with pytest.raises(RuntimeError, match="double is a device function"):
        double(1)


def test_types_convert_as_the_gpu_does():
    assert float32(0.1) == np.float32(0.1) and type(float32(1)) is np.float32
    assert uint32(-1) == 4294967295 and uint8(257) == 1 and int8(-128.9) == -128
    with pytest.raises(OverflowError, match=r"int32\(2147483648\): the value does not fit"):
        int32(1 << 31)
    assert f"{float32}*" == "float32*" and scalar_of(np.float32) is float32 and scalar_of(bool) is uint8


def test_the_language_imports_no_numba():
    probe = "import sys, tinygradconv, tinygradconv.kernels.cuda.language as l; print(sorted({'numba', 'greenlet'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout.strip() == "[]"
