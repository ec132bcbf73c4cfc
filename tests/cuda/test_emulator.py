"""The emulator of CUDA kernels: what it computes, and that it names each fault that a kernel can have."""
from __future__ import annotations

import linecache
import math
import re
from pathlib import Path

import numpy as np
import pytest
from tinygradconv.kernels.cuda.language import CUDA_WORDS, PTX_WORDS, cuda, device, float32, float64, int32, kernel, ptx, uint16, uint32

import tinygradconv  # noqa: F401  (makes tinygradconv.kernels importable)

pytest.importorskip("greenlet", reason="the emulator runs each CUDA thread as a greenlet: pip install greenlet")
from tinygradconv.kernels.cuda.emulator import (
    EmulatedDevice,
    InvalidAddress,
    LostCopy,
    Race,
    Stuck,
    Uninitialised,
    Watch,
    emulate,
)
from tinygradconv.kernels.cuda.emulator.words import CudaWords, PtxWords


def numbers(n, dtype=np.float32):
    return np.arange(1, n + 1).astype(dtype)


def test_the_emulator_knows_every_word():
    class Nothing:
        class kernel:
            threads = 1
        grid = (1, 1, 1)
    for words, names in ((CudaWords(Nothing), CUDA_WORDS), (PtxWords(Nothing), PTX_WORDS)):
        assert {name for name in dir(words) if not name.startswith("_")} == set(names)


def test_threads_blocks_and_barriers():
    @kernel("x: float32*, y: float32*, n: int64", threads=64)
    def reverse_blocks(x, y, n):
        s = cuda.shared.array(64, float32)
        t, i = cuda.threadIdx.x, cuda.grid(1)
        s[t] = x[i] if i < n else float32(0)
        cuda.syncthreads()
        y[i] = s[cuda.blockDim.x - 1 - t] + float32(cuda.gridDim.x)
    x, y = numbers(100), np.full(128, np.nan, np.float32)
    emulate(reverse_blocks, 2, x, y, 100)
    padded = np.concatenate([x, np.zeros(28, np.float32)]).reshape(2, 64)
    assert (y.reshape(2, 64) == padded[:, ::-1] + 2).all()


def test_a_grid_has_three_axes_and_a_loop_may_stride_over_it():
    @kernel("y: int64*, n: int64", threads=32)
    def count(y, n):
        i = cuda.grid(1)
        while i < n:
            plane = (cuda.blockIdx.z * cuda.gridDim.y + cuda.blockIdx.y) * n
            y[plane + i] = 100 * cuda.blockIdx.z + 10 * cuda.blockIdx.y + i
            i += cuda.gridsize(1)
    y = np.full((3, 2, 70), -1)
    emulate(count, (2, 2, 3), y, 70)
    z, row, i = np.indices(y.shape)
    assert (y == 100 * z + 10 * row + i).all()


def test_device_functions_math_and_dynamic_shared_memory():
    @device
    def half_of(x):
        return x * float32(0.5)

    @kernel("x: float32*, y: float32*", threads=32, shared=128 + 64)
    def both_views(x, y):
        t = cuda.threadIdx.x
        words, halves = cuda.shared.array(0, float32), cuda.shared.array(0, uint16)
        words[t] = math.exp(half_of(x[t]))
        halves[64 + t] = uint16(65536 + t)
        cuda.syncthreads()
        y[t] = words[31 - t] + float32(halves[64 + t])
    x, y = numbers(32) - 40, np.zeros(32, np.float32)
    emulate(both_views, 1, x, y)
    np.testing.assert_allclose(y, np.exp(x.astype(np.float64) / 2)[::-1] + np.arange(32), rtol=1e-6)


def test_pointers_reach_over_strided_arrays():
    @kernel("x: float64*, y: float64*, step: int64", threads=32)
    def pick(x, y, step):
        y[cuda.threadIdx.x] = x[cuda.threadIdx.x * step]
    whole, y = numbers(200, np.float64).reshape(40, 5), np.zeros(32)
    emulate(pick, 1, whole[:, 1], y, 5)
    assert (y == whole[:32, 1]).all()
    emulate(pick, 1, whole[::-1, 1], y, -5)
    assert (y == whole[:7:-1, 1]).all()
    with pytest.raises(InvalidAddress, match=r"thread 1.*touches x\[5\]; the array has the elements -195 to 0"):
        emulate(pick, 1, whole[::-1, 1], y, 5)


def test_a_kernel_finds_the_arrays_that_its_launch_reaches_by_their_addresses():
    @kernel("table: int64*, n: int64", threads=32)
    def increase(table, n):
        x, t = ptx.pointer(table[cuda.blockIdx.x], float32), cuda.threadIdx.x
        if t < n:
            x[t] = x[t] + float32(1)
    x, y, other = numbers(5), numbers(7), numbers(7, np.float64)
    table = np.array([array.ctypes.data for array in (x, y, other)])
    emulate(increase, 2, table, 5, reaches=(x, y))
    assert (x == numbers(5) + 1).all() and (y[:5] == numbers(5) + 1).all() and (y[5:] == [6, 7]).all()
    for grid, n, reaches, said in ((2, 5, (x,), "which is that of none of the arrays that the launch was said to reach"),
                                   (3, 5, (x, y, other), "to float32 of .* which is that of an array of float64"),
                                   (1, 6, (x,), r"the array at \d+\[5\]; the array has the elements 0 to 4")):
        with pytest.raises(InvalidAddress, match=said):
            emulate(increase, grid, table, n, reaches=reaches)
    with pytest.raises(Race, match="which thread 0 of block"):
        emulate(increase, 2, np.array([x.ctypes.data] * 2), 5, reaches=(x,))


def test_none_is_a_pointer_that_is_not_touched():
    emulate(kernel_of("if t > 40: y[t] = x[t]"), 1, None, None)
    with pytest.raises(InvalidAddress, match=r"thread 7.*touches y\[7\]"):
        emulate(kernel_of("if t == 7: y[t] = x[t - 7]"), 1, numbers(1), None)


@pytest.mark.parametrize("index, expected", [("t + 1", r"thread 31.*touches y\[32\]; the array has the elements 0 to 31"),
                                             ("t - 1", r"thread 0.*touches y\[-1\]")])
def test_an_index_outside_an_array(index, expected):
    made = kernel_of(f"y[{index}] = x[t]")
    with pytest.raises(InvalidAddress, match=expected):
        emulate(made, 1, numbers(32), np.zeros(32, np.float32))


def test_a_vector_load_must_be_aligned():
    made = kernel_of("a, b, c, d = ptx.load4(x, 2 * t)\ny[t] = a")
    with pytest.raises(InvalidAddress, match=r"thread 1, .*line 4.*x\[2:6\] at once.* multiple of 16 bytes; it is 8 beyond one"):
        emulate(made, 1, numbers(128), np.zeros(32, np.float32))
    x, y = numbers(128), np.zeros(128, np.float32)
    emulate(kernel_of("a, b, c, d = ptx.load4(x, 4 * t)\nptx.store4(y, 4 * t, d, c, b, a)"), 1, x, y)
    assert (y.reshape(32, 4) == x.reshape(32, 4)[:, ::-1]).all()


def kernel_of(body, threads=32, dtype="float32"):
    """A kernel (x, y) from the text of its body, in which t is the thread's number and s 64 shared numbers."""
    lines = "\n".join("    " + line for line in body.splitlines())
    text = f"def made(x, y):\n    t = cuda.threadIdx.x\n    s = cuda.shared.array(64, {dtype})\n{lines}\n"
    names = {"cuda": cuda, "ptx": ptx, "float32": float32, "int32": int32, "uint32": uint32, "math": math}
    exec(compile(text, "made.py", "exec"), names)
    return kernel(f"x: {dtype}*, y: {dtype}*", threads=threads)(names["made"])


RACES = {
    "two writers": ("s[t] = x[t]\ns[63 - t] = x[t]\ny[t] = s[63 - t]",
                    r"thread 32,.*line 4.*writes .*0\[32\], which thread 31 writes at line 5"),
    "no barrier after writing": ("s[t] = x[t]\nif t > 40: y[t] = s[t - 40]", r"thread 41,.*reads .*\[1\], which thread 1 writes at line 4"),
    "written while another may still read": ("s[t] = x[t]\ncuda.syncthreads()\nif t == 0: y[0] = s[1]\nelse: s[t] = x[t]",
                                             r"thread 1,.*line 7.*writes .*\[1\], which thread 0 reads at line 6"),
    "no barrier after reading": ("s[t] = x[t]\ncuda.syncthreads()\ny[t] = s[t ^ 1]\ns[t] = float32(0)",
                                 r"thread 1,.*line 6.*reads .*\[0\], which thread 0 writes at line 7"),
    "a syncwarp orders one warp only": ("s[t] = x[t]\ncuda.syncwarp()\ny[t] = s[t ^ 1]\ncuda.syncwarp()\nif t > 40: y[t] = s[t - 40]",
                                        r"thread 41,.*line 8.*reads .*\[1\], which thread 1 writes"),
    "in global memory": ("y[t] = x[t]\nif t > 0: y[t - 1] = x[t]", r"thread 1,.*writes global memory.*which thread 0 writes"),
}


@pytest.mark.parametrize("name", RACES)
def test_a_race_is_found_in_whatever_order_threads_run(name):
    body, message = RACES[name]
    with pytest.raises(Race, match=message):
        emulate(kernel_of(body, 64), 1, numbers(64), np.zeros(64, np.float32))


def test_blocks_race_too():
    made = kernel_of("y[t] = x[t]")
    with pytest.raises(Race, match=r"block \(1, 0, 0\), thread 0.*which thread 0 of block \(0, 0, 0\) writes.*Blocks run in any order"):
        emulate(made, 2, numbers(32), np.zeros(32, np.float32))


@pytest.mark.parametrize("body", ["s[t] = x[t]\ncuda.syncthreads()\ny[t] = s[63 - t]\ncuda.syncthreads()\ns[t] = y[t]",
                                  "s[t] = x[t]\ncuda.syncwarp()\ny[t] = s[t ^ 1]\ncuda.syncwarp()\ns[t ^ 2] = y[t]",
                                  "y[t] = x[t]\ny[t] = y[t] + y[t]\ns[t] = y[t]\ns[t] = s[t] + s[t]"])
def test_ordered_accesses_are_no_race(body):
    emulate(kernel_of(body, 64), 1, numbers(64), np.zeros(64, np.float32))


@pytest.mark.parametrize("body, message", [
    ("y[t] = s[t]", r"reads shared array 0\[0\], which no thread has written so far"),
    ("a = cuda.local.array(4, float32)\na[0] = x[t]\ny[t] = a[0] + a[1]", "reads element 1 of a local array, which it has not written")])
def test_what_was_never_written_is_not_read(body, message):
    with pytest.raises(Uninitialised, match=message):
        emulate(kernel_of(body), 1, numbers(32), np.zeros(32, np.float32))


@pytest.mark.parametrize("body, message", [
    ("if t < 40: cuda.syncthreads()", r"thread 0,.*syncthreads waits for thread 40, which has returned"),
    ("if t < 40:\n    cuda.syncthreads()\nelse:\n    cuda.syncthreads()", "waits for thread 40, which waits in syncthreads at line 7"),
    ("if t % 2: y[t] = ptx.shuffle_xor(x[t], 1)\nelse: cuda.syncthreads()", "shuffle_xor waits for thread 0, which waits in syncthreads"),
    ("if t < 63: cuda.syncwarp()", "thread 32.*syncwarp waits for thread 63, which has returned")])
def test_all_threads_must_come(body, message):
    with pytest.raises(Stuck, match=message):
        emulate(kernel_of(body, 64), 1, numbers(64), np.zeros(64, np.float32))


def test_a_warp_has_32_threads():
    with pytest.raises(Stuck, match="is in a warp of only 8 threads. Give the block a multiple of 32"):
        emulate(kernel_of("cuda.syncwarp()", 40), 1, numbers(64), np.zeros(64, np.float32))


COPY = """ptx.cp_async4(s, t, x, t, 4)
ptx.cp_commit()
ptx.cp_wait(0)
cuda.syncthreads()
y[t] = s[63 - t]"""


def test_copies_land_when_they_are_waited_for():
    x, y = numbers(64), np.zeros(64, np.float32)
    emulate(kernel_of(COPY, 64), 1, x, y)
    assert (y == x[::-1]).all()
    with pytest.raises(LostCopy, match=r"thread 0.*reads shared array 0\[63\], which the cp_async of thread 63 at line 4"):
        emulate(kernel_of(COPY.replace("ptx.cp_wait(0)", ""), 64), 1, x, y)
    with pytest.raises(LostCopy):
        emulate(kernel_of(COPY.replace("ptx.cp_wait(0)", "ptx.cp_wait(1)"), 64), 1, x, y)
    with pytest.raises(LostCopy):
        emulate(kernel_of(COPY.replace("ptx.cp_commit()", ""), 64), 1, x, y)


def test_a_copy_needs_a_barrier_too():
    with pytest.raises((Race, Uninitialised), match=r"shared array 0\[63\]"):
        emulate(kernel_of(COPY.replace("cuda.syncthreads()", ""), 64), 1, numbers(64), np.zeros(64, np.float32))


def test_a_copy_fills_with_zeros_and_is_aligned():
    body = "n = max(0, min(16, 4 * (23 - 4 * t)))\n" \
           "if t < 8: ptx.cp_async16(s, 4 * t, x, min(4 * t, 20), n)\n" + COPY.split("\n", 1)[1].replace("63 - t", "t")
    x, y = numbers(23), np.zeros(32, np.float32)
    emulate(kernel_of(body), 1, x, y)
    assert (y == np.concatenate([x, np.zeros(9, np.float32)])).all()
    with pytest.raises(InvalidAddress, match=r"copies from x\[1\], whose address is not a multiple of 16"):
        emulate(kernel_of("ptx.cp_async16(s, 0, x, 1, 16)"), 1, x, y)
    with pytest.raises(InvalidAddress, match=r"touches x\[20:24\]"):
        emulate(kernel_of("ptx.cp_async16(s, 0, x, 20, 16)"), 1, x, y)


@pytest.mark.parametrize("by", [1, 5, 16])
def test_shuffles_and_ballot(by):
    x, y = numbers(64), np.zeros(64, np.float32)
    emulate(kernel_of(f"y[t] = ptx.shuffle_down(x[t], {by})", 64), 1, x, y)
    assert all(y[t] == x[t + by if t % 32 + by < 32 else t] for t in range(64))
    emulate(kernel_of(f"y[t] = ptx.shuffle_xor(x[t], {by})", 64), 1, x, y)
    assert all(y[t] == x[t ^ by] for t in range(64))
    bits = np.zeros(64, np.uint32)
    emulate(kernel_of(f"y[t] = ptx.ballot(x[t] > uint32({by}))", 64, "uint32"), 1, numbers(64, np.uint32), bits)
    assert (bits[:32] == (1 << 32) - (1 << by)).all() and (bits[32:] == (1 << 32) - 1).all()


def test_numbers_are_rounded_as_the_gpu_rounds_them():
    @kernel("x: float32*, u: uint32*", threads=32)
    def rounded(x, u):
        if cuda.threadIdx.x == 0:
            for i in range(6):
                u[i] = ptx.tf32(x[i])
                u[6 + i] = uint32(ptx.bf16(x[i]))
            u[12] = ptx.bf16_pair(x[0], x[1])
            u[13] = ptx.bits_of(ptx.float_of_bf16(ptx.bf16(x[0])) + ptx.float_of(uint32(0x3F800000)))
    one_tf32, one_bf16 = 1 + 2.0 ** -11, 1 + 2.0 ** -8                                        # half a unit above 1
    x, u = np.array([1, one_tf32, one_bf16, -1 - 3 * 2.0 ** -8, np.nan, 3.4e38], np.float32), np.zeros(14, np.uint32)
    emulate(rounded, 1, x, u)
    assert [hex(v) for v in u[:4]] == ["0x3f800000", "0x3f802000", "0x3f808000", "0xbf818000"] and u[5] == 0x7F7FC000
    assert [hex(v) for v in u[6:10]] == ["0x3f80", "0x3f80", "0x3f80", "0xbf82"] and u[11] == 0x7F80
    assert np.isnan(u[4:5].view(np.float32)).all() and u[10] == 0x7FFF
    assert hex(u[12]) == "0x3f803f80" and u[13:].view(np.float32) == 2


def test_fma_rounds_once_and_rint_to_even():
    @kernel("x: float32*, y: float32*, z: float64*", threads=32)
    def one(x, y, z):
        if cuda.threadIdx.x == 0:
            y[0] = ptx.fma(x[0], x[0], float32(-1))
            y[1], y[2], y[3] = ptx.rint(x[1]), ptx.rint(x[1] + float32(1)), ptx.rcp(float32(4))
            z[0] = ptx.fma(float64(x[0]), float64(x[0]), float64(-1))
    x, y, z = np.array([1 + 2.0 ** -23, 2.5], np.float32), np.zeros(4, np.float32), np.zeros(1)
    emulate(one, 1, x, y, z)
    assert y.tolist() == [np.float32(2.0 ** -22 + 2.0 ** -46), 2, 4, 0.25] and z[0] == 2.0 ** -22 + 2.0 ** -46


def test_numbers_of_the_wrong_size_are_named():
    with pytest.raises(OverflowError, match=r"int32\(4294967296\)") as caught:
        emulate(kernel_of("y[t] = float32(int32(t + 4294967296))"), 1, numbers(32), np.zeros(32, np.float32))
    assert caught.value.__notes__ == ["in made, block (0, 0, 0), thread 0"]


def test_a_call_must_fit_the_signature():
    made = kernel_of("y[t] = x[t]")
    with pytest.raises(TypeError, match=r"takes x: float32\*, got an array of float64"):
        emulate(made, 1, np.zeros(32), np.zeros(32, np.float32))
    with pytest.raises(TypeError, match="made takes x, y; got 1 arguments"):
        emulate(made, 1, numbers(32))
    with pytest.raises(TypeError, match=r"takes a pointer x: float32\*, so an array, got float"):
        emulate(made, 1, 1.0, numbers(32))
    with pytest.raises(TypeError, match="kernel must be a CudaKernel .* got function"):
        emulate(kernel_of, 1)


def test_one_thread_can_be_watched():
    lines = []
    made = kernel_of("s[t] = x[t]\ncuda.syncthreads()\nv = s[t ^ 1]\ny[t] = v")
    emulate(made, 1, numbers(64), np.zeros(32, np.float32), watch=Watch(5, write=lines.append))
    assert lines[0] == "made, block (0, 0, 0), thread 5"
    assert [line.split()[0] for line in lines[1:]] == ["2", "3", "4", "waits:", "5", "6", "7"]
    assert "t = 5" in lines[1] and lines[4] == "      waits: syncthreads" and lines[6].endswith("v = 5")


def test_a_devices_memory_is_poisoned():
    device = EmulatedDevice()
    assert np.isnan(device.empty((2, 3), np.float32)).all() and (device.empty((2,), np.int32) == 0x7F7F7F7F).all()
    y = device.empty((32,), np.float32)
    device.launch(kernel_of("y[t] = x[t]"), 1, numbers(32), y)
    assert (y == numbers(32)).all()


def test_the_guide_is_right(tmp_path, capsys):
    guide = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text()
    program = re.compile(r"```python\n(.*?)```\n", re.S)
    programs, texts = program.findall(guide), re.findall(r"```\n(.*?)```\n", program.sub("", guide), re.S)
    names = run_file(tmp_path / "first.py", programs[0] + programs[1])
    assert capsys.readouterr().out in guide and len(programs) == 3
    assert (names["y"].reshape(2, 64) == np.arange(128).reshape(2, 64)[:, ::-1]).all()
    without = "".join(line for line in programs[0].splitlines(keepends=True) if "syncthreads" not in line)
    with pytest.raises(Uninitialised) as caught:
        run_file(tmp_path / "first.py", without)
    assert any(" ".join(text.split()) == f"Uninitialised: {caught.value}" for text in texts)
    product = run_file(tmp_path / "product.py", "import numpy as np\n" + programs[2])
    np.testing.assert_allclose(product["y"], product["a"] @ product["b"], rtol=1e-5, atol=1e-5)


def run_file(path, text):
    """The names that a program makes, run from a file, so that its lines can be shown."""
    path.write_text(text)
    linecache.checkcache(str(path))
    names: dict = {}
    exec(compile(text, str(path), "exec"), names)
    return names
