"""The CUDA back end over memory of the host: kernels by name, arrays and views, constants, copies, errors; and what tensors do there."""
from __future__ import annotations

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinygradconv.kernels import KERNELS, Kernel
from tinygradconv.kernels.cuda.language import float32

import tinygradconv as tgc
from tinygradconv import Tensor, backends
from tinygradconv.backends.cuda import survey
from tinygradconv.backends.cuda.array import CudaView
from tinygradconv.backends.cuda.backend import CUDABackend
from tinygradconv.backends.cuda.report import Compiled, Report

from . import kernels
from .emulated import DefinedBackend, HostMemory


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


# Kernels.

@pytest.mark.parametrize("name", [name for name, row in KERNELS.items() if row.folder in survey.folders()])
def test_a_host_function_takes_the_arguments_of_its_row(name):
    module = survey._module(KERNELS[name].folder)
    if not hasattr(module, name):
        pytest.skip(f"kernels/{KERNELS[name].folder}/cuda.py has no {name}")
    assert tuple(inspect.signature(getattr(module, name)).parameters) == ("device", *KERNELS[name].arguments, *KERNELS[name].also)


def test_a_kernel_without_a_cuda_form_is_refused_by_name(monkeypatch):
    monkeypatch.setitem(KERNELS, "fold", Kernel("nowhere", ("x", "y"), ("y",)))
    monkeypatch.setitem(KERNELS, "bend", Kernel("softmax", ("x", "y"), ("y",)))
    made = CUDABackend(HostMemory())
    for name, folder in (("fold", "nowhere"), ("bend", "softmax")):
        with pytest.raises(NotImplementedError, match=rf"the kernel {name} has no CUDA form in kernels/{folder}/cuda.py, and nothing is "
                                                      r"computed on the CPU in its place. Move the tensors to the CPU .* x.to\('cpu'\)"):
            made.run(name, made.asarray(numbers(2)), made.empty((2,), np.float32))


def test_scratch_is_the_kernels_own_affair_and_another_algorithm_may_be_asked_for(monkeypatch):
    called = []
    made = CUDABackend(HostMemory())
    monkeypatch.setattr(made, "host_function", lambda name: lambda device, *arguments: called.append((name, arguments)))
    made.run("conv2d_grad_input", "g", "w", "x", "geo")
    made.run("conv2d_forward", "x", "w", None, None, None, "y", 0, "geo", packed={}, algorithm="winograd_forward")
    assert called == [("conv2d_grad_input", ("g", "w", None, "x", "geo")),
                      ("winograd_forward", ("x", "w", None, None, None, None, "y", 0, "geo"))]


def test_a_kernel_that_takes_whole_arrays_is_handed_no_view(gpu):
    x, y = gpu.asarray(numbers(3, 4)), gpu.empty((4, 3), np.float32)
    with pytest.raises(TypeError, match="softmax takes whole arrays on the GPU, and one of its arguments is a view"):
        gpu.run("softmax", x.transpose((1, 0)), y)


# Arrays and views.

@st.composite
def looks(draw):
    """(shape, a function that looks at an array as NumPy does): transposed, indexed, broadcast."""
    shape = tuple(draw(st.lists(st.integers(0, 4), min_size=1, max_size=3)))
    axes = tuple(draw(st.permutations(range(len(shape)))))
    part = st.one_of(st.slices(3), st.just(slice(None)), st.just(slice(None, None, -1)), st.none())
    index = tuple(draw(st.lists(part, max_size=3)))
    index = index if sum(one is not None for one in index) <= len(shape) else ()
    lead = draw(st.integers(0, 2))
    return shape, lambda a: np.broadcast_to(a.transpose(axes)[index], (lead, *a.transpose(axes)[index].shape))


@given(looks())
def test_views_are_numpys(case):
    shape, look = case
    made, values = DefinedBackend(), np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
    view = look(made.asarray(values))
    assert type(view) is CudaView and type(made.whole(view)) is not CudaView
    np.testing.assert_array_equal(made.to_numpy(view), look(values), strict=True)


def test_a_view_is_written_through_and_has_one_shape(gpu):
    y, expected = gpu.asarray(np.zeros((3, 4), np.float32)), np.zeros((3, 4), np.float32)
    gpu.run("copy", gpu.asarray(numbers(2, 3)), y[::2, 1:])
    expected[::2, 1:] = numbers(2, 3)
    np.testing.assert_array_equal(gpu.to_numpy(y), expected)
    np.testing.assert_array_equal(gpu.to_numpy(y[1, 2]), expected[1, 2])
    with pytest.raises(TypeError, match=r"reshape: a CudaView of shape \(2, 4\) is not whole. Copy it first: backend.whole\(view\)"):
        y[1:].reshape((8,))
    with pytest.raises(TypeError, match=r"np.sort: this array is on the GPU and NumPy cannot read it. Use x.to\('cpu'\)"):
        np.sort(y)


def test_one_length_of_a_shape_is_worked_out(gpu):
    x = gpu.asarray(numbers(2, 6))
    assert (x.reshape(-1).shape, x.reshape((-1, 4)).shape, x.reshape(3, -1).shape) == ((12,), (3, 4), (3, 4))
    assert np.may_share_memory(x, x.reshape(-1)) and not np.may_share_memory(x, gpu.asarray(numbers(2)))
    with pytest.raises(ValueError, match=r"reshape: \(2, 6\) has 12 elements, \(5, 2\) has 10"):
        x.reshape((5, -1))


# Constants and copies.

def test_constants_are_moved_once(gpu):
    first = gpu.constant(numbers(3, 4))
    assert gpu.constant(numbers(3, 4)) is first and gpu.constant(numbers(4, 3)) is not first
    assert gpu.constant(numbers(3, 4).astype(np.float64)) is not first
    assert gpu.to_numpy(gpu.constant(np.float32(2.5))).item() == 2.5 and gpu.constant(np.array(True)).dtype == bool
    large = np.zeros(1 << 17, np.uint8)
    assert gpu.constant(large) is not gpu.constant(large)


def test_values_come_and_go_and_are_changed_in_place(gpu):
    x = gpu.asarray(numbers(5, 3)[::2].T)
    np.testing.assert_array_equal(gpu.to_numpy(x), numbers(5, 3)[::2].T)
    gpu.assign(x, 7)
    assert (gpu.to_numpy(x) == 7).all()
    assert tgc.memory_statistics("cuda")["in_use"] >= x.nbytes


def test_nothing_is_computed_before_somebody_waits(gpu):
    y = Tensor(numbers(3)).to("cuda") + 1
    assert gpu.driver.streams[gpu.driver.compute]
    assert np.array_equal(y.numpy(), numbers(3) + 1) and not any(gpu.driver.streams.values())
    y = y * 2
    gpu.synchronize()
    assert not any(gpu.driver.streams.values())


def test_there_is_one_back_end_made_when_it_is_first_asked_for(monkeypatch):
    from tinygradconv.backends.cuda import driver, toolchain
    made = []
    monkeypatch.delitem(backends._made, "cuda", raising=False)
    monkeypatch.setattr(toolchain, "obstacles", lambda: [])
    monkeypatch.setattr(driver, "Driver", lambda: made.append(HostMemory()) or made[-1])
    first = backends.backend_named("cuda")
    assert backends.backend_named("cuda") is first and first.driver is made[0] and len(made) == 1
    assert backends.backend_of(first.empty((2,), np.float32)) is first
    backends._made.pop("cuda")


# Settings and errors.

class Launching(CUDABackend):
    """A back end whose kernels are launched, and do nothing."""

    def __init__(self):
        driver = HostMemory()

        def compile(kernel, architecture):
            driver.functions[kernel.name] = [kind for _, kind in kernel.parameters], lambda *_: None
            return Compiled(kernel.name, b"", Report(8, 0, 0, 0, 0))
        super().__init__(driver, compile)


def test_poison_fills_fresh_arrays_with_nan_and_minus_one():
    made = Launching()
    clean = made.asarray(np.zeros(8, np.float32))
    made.synchronize()
    del clean
    assert (made.to_numpy(made.empty((8,), np.float32)) == 0).all()              # the block that was used before
    with tgc.settings(poison=True):
        assert np.isnan(made.to_numpy(made.empty((8,), np.float32))).all()
        assert (made.to_numpy(made.empty((8,), np.int32)) == -1).all()


def test_precision_is_read_at_each_launch():
    device = Launching().device
    assert device.precision == "fp32"
    with tgc.settings(precision="bf16"):
        assert device.precision == "bf16"


def test_launch_blocking_says_whose_error_it_is():
    made = Launching()
    x, y = made.asarray(numbers(2, 3)), made.empty((2, 3), np.float32)
    made.driver.fails.append(("synchronize", "CUDA_ERROR_ILLEGAL_ADDRESS"))
    with tgc.settings(launch_blocking=True), pytest.raises(RuntimeError) as refused:
        made.run("unary", x, y, "exp")
    assert str(refused.value).startswith("unary[") and "x float32 (2, 3), y float32 (2, 3)" in str(refused.value)
    assert str(refused.value).endswith("synchronize: CUDA_ERROR_ILLEGAL_ADDRESS (a kernel reached outside its arrays). No more can be "
                                       "computed on the GPU by this process")


@pytest.mark.parametrize(("call", "ask"), [("copy_out", lambda be, x: be.to_numpy(x)), ("synchronize", lambda be, x: be.synchronize()),
                                           ("copy_in", lambda be, x: be.assign(x, 1))])
def test_an_error_that_shows_later_says_how_to_learn_whose_it_is(call, ask):
    made = Launching()
    x = made.asarray(numbers(2))
    made.driver.fails.append((call, "CUDA_ERROR_ILLEGAL_ADDRESS"))
    with pytest.raises(RuntimeError, match=rf"^\w+: {call}: CUDA_ERROR_ILLEGAL_ADDRESS \(a kernel reached outside its arrays\)\. "
                                           r"It, or a kernel started before it, went wrong: TGC_LAUNCH_BLOCKING=1 says which"):
        ask(made, x)


def test_a_kernel_of_the_tests_runs_on_the_device():
    made = Launching()
    x = made.asarray(numbers(4))
    made.device.launch(kernels.axpy(float32), 1, 2.0, x, x, 4)
    assert made.driver.launches[-1][0] == "axpy"


# Tensors.

def test_tensors_say_where_they_are(gpu):
    x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = x.to("cuda")
    assert (x.device, y.device, y.to("cuda") is y, y.to("cpu").device) == ("cpu", "cuda", True, "cpu")
    assert repr(y.detach()) == "Tensor([[1., 2.],\n        [3., 4.]], device='cuda')"
    assert y.tolist() == x.tolist() and y[1, 0].item() == 3 and bool((y > 0).all()) and 2.0 in y and not y.numpy().flags.writeable
    assert (y.shape, y.size, y.nbytes, y.dtype, len(y)) == ((2, 2), 4, 16, np.float32, 2)
    copied = Tensor(y, dtype="float64")
    assert copied.device == "cuda" and copied.dtype == np.float64 and copied.tolist() == x.tolist()
    assert (tgc.ones_like(y).device, tgc.zeros_like(y).tolist()) == ("cuda", [[0, 0], [0, 0]])
    with pytest.raises(TypeError, match=r"this tensor, of shape \(2, 2\), is on the GPU, where NumPy cannot read it. Use x.numpy\(\)"):
        np.asarray(y)


def test_a_gradient_goes_back_to_where_its_tensor_is(gpu):
    x = Tensor(numbers(3), requires_grad=True)
    y = (x.to("cuda") ** 3).sum()
    first = tgc.grad(y, x, create_graph=True)
    second = tgc.grad((first.to("cuda") * x.to("cuda")).sum(), x)
    assert (first.device, second.device) == ("cpu", "cpu")
    np.testing.assert_allclose(first.numpy(), 3 * numbers(3) ** 2, rtol=1e-6)
    np.testing.assert_allclose(second.numpy(), 9 * numbers(3) ** 2, rtol=1e-6)
    leaf = Tensor(numbers(3)).to("cuda").requires_grad_()
    (leaf * 2).sum().backward()
    (leaf * leaf).to("cpu").sum().backward()
    assert leaf.grad.device == "cuda"
    np.testing.assert_allclose(leaf.grad.numpy(), 2 + 2 * numbers(3), rtol=1e-6)
    assert tgc.grad((leaf * 2).sum(), [leaf, Tensor([1.0]).to("cuda").requires_grad_()])[1].device == "cuda"


def test_mixed_devices_are_refused_by_name(gpu):
    here, there = Tensor(numbers(3)), Tensor(numbers(3)).to("cuda")
    for call, said in (
            (lambda: here + there, r"add: a is on cpu but b is on cuda. Move one: b.to\('cpu'\)"),
            (lambda: there * numbers(3), r"multiply: a is on cuda but b is on cpu. Move one: b.to\('cuda'\)"),
            (lambda: tgc.where(there > 0, 0.0, here), r"where: condition is on cuda but b is on cpu"),
            (lambda: there * Tensor(2.0, requires_grad=True), r"multiply: a is on cuda but b is on cpu"),
            (lambda: tgc.cross_entropy(there[None], Tensor([1], "int64")), r"cross_entropy: logits is on cuda but labels is on cpu"),
            (lambda: tgc.take(there, Tensor([1], "int64")), "gather_flat: x is on cuda but where is on cpu"),
            (lambda: tgc.grad((there.requires_grad_() * 2), there, here), "grad: y is on cuda but cotangent is on cpu")):
        with pytest.raises(ValueError, match=said):
            call()
    assert ((there + 1) * Tensor(2.0) + np.float32(1)).device == "cuda"              # bare numbers join


def test_a_reshaped_tensor_shares_its_version_and_a_slice_does_not(gpu):
    x = Tensor(numbers(2, 3)).to("cuda")
    assert x.reshape(6).storage is x.storage and x[1:].storage is not x.storage and x.T.storage is not x.storage
    assert type(x[1:].data) is type(x.T.data) is type(x.data)


def test_a_label_out_of_range_is_nan_on_the_gpu(emulated):
    logits = Tensor(numbers(3, 4)).to("cuda").requires_grad_()
    loss = tgc.cross_entropy(logits, Tensor(np.array([0, -1, 3])).to("cuda"))
    assert np.isnan(loss.item())
    good = tgc.cross_entropy(logits, Tensor(np.array([0, 2, 3])).to("cuda"), ignore_index=2)
    np.testing.assert_allclose(good.item(), tgc.cross_entropy(numbers(3, 4), np.array([0, 2, 3]), ignore_index=2).item(), rtol=1e-6)
