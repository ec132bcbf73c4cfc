"""No kernel reads or writes outside its arrays, its workspace or its packed weights, whatever the shape; and it fills all that it fills."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tinygradconv._compiled import memory
from tinygradconv.kernels import KERNELS

import tinygradconv as tgc
from tinygradconv.backends import CPU
from tinygradconv.geometry import Conv2dGeometry, WindowGeometry

from .guarded import Guarded

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="pages are forbidden as Linux does it")
LENGTHS = st.sampled_from([1, 2, 3, 6, 7, 8, 9, 15, 16, 17, 31, 33, 64, 70, 130])
FEW = st.sampled_from([0, 1, 2, 3, 5])


@st.composite
def windows(draw, kind):
    """A convolution's geometry that `kind` can compute, or with kind "pool" that of a pooling: padding on each side by itself."""
    kernel, stride, dilation = (tuple(draw(st.integers(1, most)) for _ in range(2)) for most in (5, 3, 2))
    if kind == "winograd":
        kernel, stride, dilation = (3, 3), (1, 1), (1, 1)
    reach = [dilation[i] * (kernel[i] - 1) + 1 for i in range(2)]
    padding = tuple((draw(st.integers(0, n - 1)), draw(st.integers(0, n - 1))) for n in reach)
    H, W = (max(1, reach[i] - sum(padding[i])) + draw(st.integers(0, 12)) for i in range(2))
    N, C, O, groups = draw(FEW), draw(LENGTHS), draw(LENGTHS), 1
    if kind == "pool":
        return WindowGeometry.of("test", (N, H, W, C), kernel, stride=stride, padding=padding, dilation=dilation)
    if kind == "depthwise":
        O = groups = C
    elif kind == "conv2d":
        groups = draw(st.integers(1, 3))
        C, O = groups * -(-C // groups), groups * -(-O // groups)
    return Conv2dGeometry.of("test", (N, H, W, C), kernel, stride=stride, padding=padding, dilation=dilation, O=O, groups=groups)


@st.composite
def convolutions(draw):
    """Arguments of the three kernels, an array being its shape; None stands for what is left out."""
    kind = draw(st.sampled_from(["conv2d", "winograd", "depthwise"]))
    geo, some = draw(windows(kind)), st.booleans()
    after = [shape if draw(some) else None for shape in ((geo.O,), (geo.O,), geo.y_shape)]
    x, w, y = geo.x_shape, geo.w_shape, geo.y_shape
    return [(f"{kind}_forward", (x, w, *after, y, draw(st.integers(0, 2)), geo)), (f"{kind}_grad_input", (y, w, x, geo)),
            (f"{kind}_grad_weight", (x, y, w, geo))]


@st.composite
def columns(draw):
    """Calls of kernels on M rows of C values."""
    M, C, act, relu = draw(st.sampled_from([0, 1, 2, 5, 31, 33, 200])), draw(LENGTHS), draw(st.integers(0, 2)), draw(st.integers(0, 1))
    X, c, beside = (M, C), (C,), (M, C) if draw(st.booleans()) else None
    K, bits = draw(LENGTHS), ((M * C + 7) // 8,) if relu else None
    calls = [("softmax", (X, X)), ("log_softmax", (X, X)), ("binary", (X, c, X, "add")), ("binary", ((M, 1), X, X, "maximum")),
             ("unary", (X, X, "tanh")), ("unary", (X, X, "exp")),
             ("reduce", (X, (1, C), "sum", (0,))), ("reduce", (X, (M, 1), "sum", (1,))),
             ("bias_backward", (X, X if act else None, X, c, act)), ("affine", (X, c, c, beside, X, relu)),
             ("local_response_norm_forward", (X, X, K, 0.1, 0.75, 2.0)), ("local_response_norm_backward", (X, X, X, K, 0.1, 0.6, 2.0)),
             ("dense", (X, (C, K), (K,), (M, K), act)),
             *[("matmul", ((2, C, M) if a else (2, M, C), (2, K, C) if b else (2, C, K), (2, M, K), bool(a), bool(b)))
               for a in (0, 1) for b in (0, 1)]]
    if M:
        calls += [("batch_norm_forward", (X, c, c, beside, X, c, c, bits, 0.1, relu)),
                  ("batch_norm_backward", (X, X, bits, c, c, c, X, c, c, X, 0.1, relu)),
                  ("group_norm_forward", ((M, 3, 2, C), (M, 3, 2, C), (M, 2), (M, 2), 0.1)),
                  ("group_norm_backward", ((M, 3, 2, C), (M, 3, 2, C), (M, 2), (M, 2), (M, 3, 2, C), 0.1))]
    return calls


@st.composite
def pools(draw):
    """Calls of kernels that average or unfold windows."""
    geo = draw(windows("pool"))
    weights, scale, cols = (geo.kh, geo.kw), (geo.OH, geo.OW), (geo.N * geo.OH * geo.OW, geo.kh * geo.kw * geo.C)
    x, y = (geo.N, geo.H, geo.W, geo.C), (geo.N, geo.OH, geo.OW, geo.C)
    return [("window_sum", (x, weights, scale, y, geo)), ("window_spread", (y, weights, scale, x, geo)),
            ("im2col", (x, cols, geo)), ("col2im", (cols, x, geo))]


@settings(deadline=None, max_examples=60)
@given(shape=st.tuples(FEW, LENGTHS, LENGTHS, st.sampled_from([1, 2, 3, 4, 17])), size=st.tuples(LENGTHS, st.sampled_from([1, 7, 70, 515])),
       source=st.sampled_from([np.uint8, np.float32]), target=st.sampled_from([np.uint8, np.float32]), boxed=st.booleans(),
       far=st.sampled_from([1.0, 100.0, 1e9]), at_end=st.booleans(), seed=st.integers(0, 99))
def test_the_loaders_kernels_touch_nothing_else_wherever_a_map_leads(shape, size, source, target, boxed, far, at_end, seed):
    guarded, random, (N, H, W, C) = Guarded(at_end), np.random.default_rng(seed), shape
    x = guarded.like(random.integers(0, 256, shape).astype(source))
    maps, boxes = guarded.like(random.normal(0, far, (N, 2, 3))), guarded.like(np.sort(random.normal(0, far, (N, 4)))) if boxed else None
    mean, deviation = (guarded.like(random.uniform(1, 2, C).astype(np.float32)) for _ in range(2))
    y, normal = guarded.empty((N, *size, C), target), guarded.empty((N * H * W, C), np.float32)
    CPU.run("warp", x, maps, boxes, *((mean, deviation) if target == np.float32 else (None, None)), y, 3.0)
    CPU.run("normalize", x.reshape(N * H * W, C), mean, deviation, normal)
    bits, drawn = guarded.like(random.integers(0, 2**32, (6, N), np.uint32)), guarded.empty((N, 2, 3), np.float64)
    CPU.run("distortions", bits, drawn, H, W, 0.3, 0.2, 0.1, far)
    assert np.isfinite(y).all() and np.isfinite(normal).all() and np.isfinite(drawn).all()
    del x, maps, boxes, mean, deviation, y, normal, bits, drawn
    guarded.close()


@settings(deadline=None, max_examples=100)
@given(calls=st.one_of(convolutions(), columns(), pools()), dtype=st.sampled_from([np.float32, np.float64]), at_end=st.booleans(),
       threads=st.integers(1, 3))
def test_no_kernel_touches_what_is_not_its_own(calls, dtype, at_end, threads):
    given_by_pool = memory.array

    def kind(name):
        return np.uint8 if name == "passed" else dtype                     # bits
    for kernel, arguments in calls:
        guarded, random = Guarded(at_end), np.random.default_rng(0)
        names = [name for name in KERNELS[kernel].arguments if name != "workspace"]
        arrays = [name for name, argument in zip(names, arguments, strict=True) if type(argument) is tuple and name != "axes"]
        handed = {name: argument if name not in arrays else guarded.empty(argument, kind(name)) if name in KERNELS[kernel].fills
                  else guarded.like(random.uniform(0.5, 2, argument).astype(kind(name))) for name, argument in zip(names, arguments)}
        memory.array = guarded.empty
        try:
            with tgc.settings(threads=threads):
                CPU.run(kernel, *handed.values(), algorithm=kernel)
        finally:
            memory.array = given_by_pool
        for name in set(KERNELS[kernel].fills) & set(arrays):
            assert np.isfinite(handed[name]).all(), (kernel, name)
        del handed
        guarded.close()


@pytest.mark.parametrize("at_end, index", [(False, -1), (True, 3)])
def test_the_guard_is_there(at_end, index):
    code = ("import sys; from tests.kernels.guarded import Guarded; import numpy as np\n"
            f"a = Guarded({at_end}).empty((3,), np.float32); a[...] = 1; print(a.sum(), flush=True)\n"
            f"np.lib.stride_tricks.as_strided(a[0:1], (2,), (4 * {index},))[1]")
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.stdout.strip() == "3.0" and done.returncode < 0
