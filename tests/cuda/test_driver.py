"""driver.py through the real cuda.bindings, over a C stand-in for the driver's library: names, arguments, errors by name."""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCE = Path(__file__).with_name("stub_driver.c")
BEGINNING = """
import ctypes, numpy as np
from tinygradconv.backends.cuda.errors import CudaError, OutOfMemory
from tinygradconv.backends.cuda.driver import Driver
stub = ctypes.CDLL("libcuda.so.1")
driver = Driver()
def refused(call):
    try:
        call()
    except CudaError as problem:
        return type(problem).__name__, str(problem)
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """Runs code, after BEGINNING, in a process whose driver library is the stub; its standard output."""
    pytest.importorskip("cuda.bindings", reason="needs cuda-bindings: pip install '.[cuda]'")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler, on Linux, for the stub of the driver's library")
    folder = tmp_path_factory.mktemp("driver")
    subprocess.run([compiler, "-shared", "-fPIC", "-w", "-Wl,-soname,libcuda.so.1", "-o", folder / "libcuda.so.1", SOURCE], check=True)

    def run(code):
        environment = {**os.environ, "LD_LIBRARY_PATH": f"{folder}:{os.environ.get('LD_LIBRARY_PATH', '')}"}
        done = subprocess.run([sys.executable, "-c", BEGINNING + code], cwd=ROOT, env=environment, capture_output=True, text=True,
                              timeout=100)
        assert done.returncode == 0, done.stderr
        return done.stdout
    return run


def test_the_gpu_is_described(program):
    printed = program("print(driver.architecture, driver.name, driver.multiprocessors, driver.shared, driver.memory())")
    assert printed == "sm_90 Stub GPU 132 232448 (1048576, 2097152)\n"


def test_memory_copies_and_marks(program):
    printed = program("""
pointer, other, pinned = driver.allocate(64), driver.allocate(64), driver.pinned(64)
values = np.arange(16, dtype=np.float32)
ctypes.memmove(pinned, values.ctypes.data, 64)
driver.copy_in(pointer, pinned, 64, driver.copies)
mark = driver.event()
driver.finish(mark); driver.record(mark, driver.copies); driver.wait(driver.compute, mark)
driver.copy_within(other, pointer, 64)
driver.fill(other, 0, 8)
driver.copy_out(pinned, other, 64, driver.copies)
driver.synchronize()
print(np.frombuffer((ctypes.c_float * 16).from_address(pinned), np.float32).sum())
driver.free(pointer); driver.free(other); driver.free_pinned(pinned)
""")
    assert printed == "119.0\n"


def test_errors_have_the_drivers_names(program):
    printed = program("""
print(refused(lambda: driver.allocate(1 << 30)))
print(refused(lambda: driver.load(b"cubin", "absent")))
print(refused(lambda: Driver(1)))
stub.break_down(700)
print(refused(driver.synchronize))
""")
    assert printed.splitlines() == [
        "('OutOfMemory', 'cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY')", "('CudaError', 'cuModuleGetFunction: CUDA_ERROR_NOT_FOUND')",
        "('CudaError', 'cuDeviceGet: CUDA_ERROR_INVALID_VALUE')",
        "('CudaError', 'cuStreamSynchronize: CUDA_ERROR_ILLEGAL_ADDRESS (a kernel reached outside its arrays)')"]


LAUNCHER = """
from tinygradconv.backends.cuda.allocator import Allocator
from tinygradconv.backends.cuda.launch import Launcher
from tinygradconv.backends.cuda.report import Compiled, Report
from tinygradconv.kernels.cuda.language import float32, kernel
device = Launcher(driver, Allocator(driver), lambda kernel, architecture: Compiled("entry", b"cubin", Report(8, 0, 0, 0, 0)))
made = kernel("n: int64, x: float32*, y: float32*, a: float32, rows: int32, columns: int32", threads=128,
              shared=100 << 10)(lambda n, x, y, a, rows, columns: None)
x = device.empty((32, 32), np.float32)
def launch(grid=(3, 2)):
    device.launch(made, grid, -7, x, x, 0.5, 32, 32)
"""


def test_a_launch_arrives_from_any_thread(program):
    printed = program(LAUNCHER + """
import threading
thread = threading.Thread(target=launch)
thread.start(); thread.join()
launch()
stub.noted_first.restype = ctypes.c_int64
print(stub.noted_launches(), stub.noted_first(), [stub.noted_grid(axis) for axis in range(3)], stub.noted_threads())
""")
    assert printed == "2 -7 [3, 2, 1] 128\n"


def test_a_launch_that_is_refused_names_the_kernel(program):
    printed = program(LAUNCHER + """
try:
    launch((1, 65536))
except RuntimeError as problem:
    print(problem)
""")
    assert printed == ("<lambda> on (1, 65536, 1) blocks of 128 threads with n=-7, x float32 (32, 32), y float32 (32, 32), a=0.5, rows=32, "
                       "columns=32: cuLaunchKernel: CUDA_ERROR_INVALID_VALUE\n")


def test_what_is_looked_for_without_packages_is_found(program):
    printed = program("from tinygradconv.backends.cuda.toolchain import look\nprint(look())")
    assert printed == ("Machine(driver=13000, status=0, gpus=(GPU(name='Stub GPU', architecture=90, multiprocessors=132, "
                       "memory=85899345920),))\n")


def test_a_whole_array_goes_there_and_back(program):
    printed = program(LAUNCHER + """
from tinygradconv.backends.cuda.transfer import Transfers
transfers = Transfers(driver, 1000)
values, found = np.arange(1024, dtype=np.float32).reshape(32, 32), np.zeros((32, 32), np.float32)
transfers.to_device(values, x.pointer)
transfers.to_host(x.pointer, found)
print(np.array_equal(values, found))
""")
    assert printed == "True\n"


def test_what_is_launched_while_a_graph_is_put_down_can_be_started_again(program):
    printed = program("""
driver.begin_capture()
graph = driver.end_capture()
executable = driver.instantiate(graph)
driver.start(executable); driver.start(executable)
driver.drop_executable(executable)
print([stub.noted_graphs(which) for which in range(3)])
stub.break_down(700)
print(refused(driver.begin_capture), refused(lambda: driver.start(executable)))
""")
    relaxed = 2
    assert printed.splitlines() == [
        f"[1, 2, {relaxed}]", "('CudaError', 'cuStreamBeginCapture: CUDA_ERROR_ILLEGAL_ADDRESS (a kernel reached outside its arrays)') "
        "('CudaError', 'cuGraphLaunch: CUDA_ERROR_ILLEGAL_ADDRESS (a kernel reached outside its arrays)')"]


def test_words_are_filled(program):
    printed = program("""
pointer = driver.allocate(16)
driver.fill(pointer, 0, 16); driver.fill_words(pointer + 4, 7, 2); driver.synchronize()
print(list((ctypes.c_uint32 * 4).from_address(pointer)))
""")
    assert printed == "[0, 7, 7, 0]\n"


def test_the_back_end_moves_launches_and_shares_through_the_drivers_own_types(program):
    printed = program("""
import tinygradconv as tgc
from tinygradconv import backends
from tinygradconv.backends.cuda.backend import CUDABackend
from tinygradconv.backends.cuda.report import Compiled, Report
be = backends._made["cuda"] = CUDABackend(driver, lambda kernel, architecture: Compiled("entry", b"cubin", Report(8, 0, 0, 0, 0)))
x = tgc.Tensor(np.arange(6, dtype=np.float32).reshape(2, 3)).to("cuda")
print(x.tolist(), x.__cuda_array_interface__["stream"] == int(driver.compute) > 0)
class Theirs:
    def __dlpack__(self, stream):
        return x.data.__dlpack__(stream=stream)
    def __dlpack_device__(self):
        return 2, 0
y = tgc.from_dlpack(Theirs())
print(y.data.pointer == x.data.pointer, y.tolist())
capsules = [x.__dlpack__(stream=stream) for stream in (None, 1, 2, -1, 7)]
with tgc.settings(launch_blocking=True, poison=True):
    z = (x * 2).exp()
be.synchronize()
print(be.device.launches, tgc.memory_statistics("cuda")["in_use"] >= 2 * 24)
""")
    assert printed.splitlines() == ["[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]] True", "True [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]", "2 True"]
