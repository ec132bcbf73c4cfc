"""compute-sanitizer over small shapes: memcheck finds what reaches outside an array, racecheck threads that race for shared memory."""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.gpu
ROOT = Path(__file__).resolve().parent.parent.parent
PLACES = ("/usr/local/cuda/bin", "/usr/local/cuda/compute-sanitizer", "/usr/local/cuda/extras/compute-sanitizer")

# One case for each kind of kernel; a sanitizer runs each some hundred times as long. Fresh memory is NaN, arrays are blocks of their own.
PROGRAM = """
import numpy as np
import tinygradconv as tgc
from tests.gpu.cases import CASES
from tests.gpu.derived import derived
from tinygradconv.backends import backend_named
gpu = backend_named("cuda")
gpu.allocator._debug = True
for precision in ("fp32", "tf32", "bf16"):
    with tgc.settings(precision=precision):
        for name in {names!r}:
            if precision == "fp32" or CASES[name].rounds:
                derived(CASES[name], "cuda", np.float32)
gpu.synchronize()
print("done")
"""
NAMES = ["add", "sum of axes", "cumsum", "argmax", "slices", "gather", "scatter_add", "matmul", "matmul, larger", "conv2d 3x3",
         "conv2d groups", "conv2d each channel by itself", "conv2d many channels", "max_pool2d overlapping", "avg_pool2d 2x2",
         "adaptive_avg_pool2d", "batch_norm relu", "layer_norm", "local_response_norm", "softmax", "cross_entropy mean", "dropout",
         "im2col"]


def sanitizer() -> str:
    """The tool; the test is skipped where there is none."""
    found = shutil.which("compute-sanitizer", path=os.pathsep.join([os.environ.get("PATH", ""), *PLACES]))
    if found is None:
        pytest.skip("needs compute-sanitizer, of the CUDA toolkit, which is not on this machine's PATH")
    return found


@pytest.mark.timeout(200)
@pytest.mark.parametrize("tool", ["memcheck", "racecheck"])
def test_clean(tool):
    command = [sanitizer(), "--tool", tool, "--report-api-errors", "no", "--error-exitcode", "9", sys.executable, "-c",
               PROGRAM.format(names=NAMES)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0 and "done" in done.stdout, f"{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
