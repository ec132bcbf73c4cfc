"""Captured steps over a stub of the driver, with kernels that are their NumPy definitions: what is recorded, replayed, and refused."""
from __future__ import annotations

import gc

import numpy as np
import pytest

import tinygradconv as tgc
from tests.cuda.defined import calls, gpu
from tinygradconv import backends
from tinygradconv.backends.cuda.graph import ROWS, sweep
from tinygradconv.remat import Counter
from tinygradconv.train.ema import EMA
from tinygradconv.train.optim import SGD, Adam

__all__ = ["gpu"]                          # a fixture


def cuda(*shape, seed=0, dtype=np.float32):
    return tgc.Tensor(np.random.default_rng(seed).standard_normal(shape).astype(dtype)).to("cuda")


def network(dropout=0.5):
    from tinygradconv.spec import BatchNorm, Conv, Dense, Dropout, Flatten, ReLU
    return (Conv(4, 3) >> BatchNorm() >> ReLU() >> Flatten() >> Dropout(dropout) >> Dense(3)).build((6, 6, 2), seed=0).to("cuda")


class Training:
    """A network that learns; `step(x, labels, rate)` is what is captured."""

    def __init__(self, optimizer=lambda p: Adam(p), ema=False):
        self.model = network()
        self.optimizer = optimizer(self.model.parameters)
        self.ema = EMA(self.model) if ema else None
        self.runs = 0

    def step(self, x, labels, rate):
        self.runs += 1
        loss = tgc.cross_entropy(self.model(x, train=True), labels)
        self.optimizer.update(tgc.grad(loss, list(self.model.parameters.values()), retain_graph=False), rate)
        if self.ema is not None:
            self.ema.update()
        return loss

    def everything(self):
        averages = {} if self.ema is None else self.ema.state()
        return {path: t.numpy() for path, t in {**self.model.parameters, **self.model.buffers}.items()} | self.optimizer.state() | averages


def batches(count, size=5):
    return [(cuda(size, 6, 6, 2, seed=i), tgc.Tensor(np.random.default_rng(i).integers(0, 3, size)).to("cuda"), 0.1 / (i + 1))
            for i in range(count)]


def test_a_number_stays_though_other_shapes_are_replayed(gpu):
    """A rate that never changes is put there once; the other recording, of the same pool, must not write over it."""
    from tinygradconv.spec import BatchNorm, Conv, Dense, Flatten, ReLU
    spec, ends = Conv(4, 3) >> BatchNorm() >> ReLU() >> Flatten() >> Dense(3), []
    for captured in (False, True):
        training = Training(lambda p: SGD(p, momentum=0.9))
        training.model = spec.build((6, 6, 2), seed=0).to("cuda")
        training.optimizer = SGD(training.model.parameters, momentum=0.9)
        step = tgc.capture(training.step) if captured else training.step
        for i in range(10):
            labels = tgc.Tensor(np.arange(5 if i % 2 else 16) % 3).to("cuda")
            step(cuda(len(labels), 6, 6, 2, seed=i), labels, 0.1)
        ends.append(training.everything())
    assert all((array == ends[1][name]).all() for name, array in ends[0].items())


@pytest.mark.parametrize("optimizer", [lambda p: Adam(p), lambda p: SGD(p, momentum=0.9, decay=1e-3)], ids=["adam", "sgd"])
def test_captured_is_eager_to_the_bit(gpu, optimizer):
    eager, captured = Training(optimizer, ema=True), Training(optimizer, ema=True)
    step = tgc.capture(captured.step)
    losses = [(eager.step(*batch), step(*batch)) for batch in batches(7)]
    for mine, replayed in losses:                               # read last: each call's result is its own
        assert mine.item() == replayed.item()
    expected, found = eager.everything(), captured.everything()
    assert set(expected) == set(found)
    for name, array in expected.items():
        assert (array == found[name]).all(), name
    assert captured.model.counter.value == eager.model.counter.value == captured.optimizer.steps == 7
    assert captured.ema.updates == 7
    assert captured.runs == 2 and calls(gpu, "begin_capture") == calls(gpu, "end_capture") == 1 and calls(gpu, "start") == 6


def test_a_replay_launches_nothing_but_the_graph(gpu):
    training = Training()
    step = tgc.capture(training.step)
    some = batches(9)
    for batch in some[:3]:
        step(*batch)
    gpu.synchronize()
    before = len(gpu.driver.calls)
    step(*some[3])
    copies = [("copy_within", 5 * 6 * 6 * 2 * 4), ("copy_within", 5 * 8)]
    made = [call for call in gpu.driver.calls[before:] if call[0] not in ("allocate", "fill")]
    assert made[:2] == copies and [call[0] for call in made[2:]] == ["finish", "copy_in", "record", "start", "copy_within"]


def test_numbers_are_put_there_again_only_where_they_change(gpu):
    scale = tgc.capture(lambda x, rate: SGD({"x": x}).update({"x": x}, rate))
    x = cuda(4).requires_grad_()
    for _ in range(2):
        scale(x, 0.5)
    before = calls(gpu, "copy_in")
    for _ in range(3):
        scale(x, 0.5)
    assert calls(gpu, "copy_in") == before
    scale(x, 0.25)
    assert calls(gpu, "copy_in") == before + 1


def test_the_host_may_be_ahead_of_the_gpu_by_many_replays(gpu):
    values = cuda(3)
    p = tgc.Tensor(np.zeros(3, np.float32)).to("cuda").requires_grad_()
    optimizer = SGD({"p": p})
    step = tgc.capture(lambda g, rate: optimizer.update({"p": g}, rate))
    for i in range(3 * ROWS):
        step(values, float(i))
    expected = np.zeros(3, np.float32)
    for i in range(3 * ROWS):
        expected -= np.float32(i) * values.numpy()
    assert (p.numpy() == expected).all()


def test_each_call_has_a_result_of_its_own_and_inputs_are_left_alone(gpu):
    step = tgc.capture(lambda x, more: {"double": x * 2, "sum": (x + more["y"], [x - 1, None])})
    xs, ys = [cuda(3, seed=i) for i in range(5)], [cuda(3, seed=9 + i) for i in range(5)]
    results = [step(x, {"y": y}) for x, y in zip(xs, ys)]
    for i, (x, y, result) in enumerate(zip(xs, ys, results)):
        assert (result["double"].numpy() == 2 * x.numpy()).all() and (result["sum"][0].numpy() == x.numpy() + y.numpy()).all()
        assert (result["sum"][1][0].numpy() == x.numpy() - 1).all() and result["sum"][1][1] is None
        assert (x.numpy() == np.random.default_rng(i).standard_normal(3).astype(np.float32)).all()


def test_another_shape_is_another_recording(gpu):
    training = Training()
    step = tgc.capture(training.step)
    large, small = batches(4), batches(4, size=2)
    for one, other in zip(large, small):
        step(*one)
        step(*other)
    assert calls(gpu, "begin_capture") == 2 and training.runs == 4 and training.model.counter.value == 8


def test_so_many_shapes_and_no_more(gpu):
    step = tgc.capture(lambda x: x + 1)
    for size in range(1, 9):
        step(cuda(size))
        step(cuda(size))
    step(cuda(9))
    with pytest.raises(RuntimeError, match="<lambda> has been recorded for 8 different shapes or other arguments, and each recording keeps "
                                           "memory. Give batches of one shape, or capture a function for each kind of call"):
        step(cuda(9))
    assert (step(cuda(3)).numpy() == cuda(3).numpy() + 1).all()
    step.forget()
    assert (step(cuda(9)).numpy() == cuda(9).numpy() + 1).all()


def test_hashable_arguments_and_settings_are_part_of_what_is_recorded(gpu):
    step = tgc.capture(lambda x, name, negate=False: -getattr(tgc, name)(x) if negate else getattr(tgc, name)(x))
    x = cuda(4)
    for _ in range(3):
        assert (step(x, "square").numpy() == np.square(x.numpy())).all()
        assert (step(x, "abs", negate=True).numpy() == -np.abs(x.numpy())).all()
    with tgc.settings(precision="tf32"):
        step(x, "square")
        step(x, "square")
    assert calls(gpu, "begin_capture") == 3


def test_versions_move_at_every_replay(gpu):
    training = Training(lambda p: SGD(p))
    p = next(iter(training.model.parameters.values()))
    y = (p * p).sum()
    step = tgc.capture(training.step)
    for i, batch in enumerate(batches(5)):
        step(*batch)
        assert p.version == i + 1
    with pytest.raises(RuntimeError, match="was changed in place after the forward pass"):
        tgc.grad(y, p)


def test_memory_of_a_recording_is_its_own_until_it_is_forgotten(gpu):
    training = Training()
    step = tgc.capture(training.step)
    for batch in batches(3):
        step(*batch)
    gpu.synchronize()
    (pool,) = gpu.allocator._pools
    own = set(sum(pool._free.values(), []))
    assert own
    others = [gpu.empty((size,), np.float32) for size in range(1, 2000, 7)]            # of every class that the step used
    assert not own & {array.pointer for array in others}
    step.forget()
    gc.collect()
    sweep()
    gpu.allocator.release()
    assert not gpu.allocator._pools and calls(gpu, "drop_executable") == 1
    assert not own & set(gpu.driver.held)
    x, labels, rate = batches(1)[0]
    assert np.isfinite(step(x, labels, rate).item())


def test_statistics_that_were_replaced_are_found_by_recording_anew(gpu):
    eager, captured = Training(), Training()
    step = tgc.capture(captured.step)
    for i, batch in enumerate(batches(8)):
        if i == 4:
            for training in (eager, captured):
                training.model(batch[0], train=True)             # outside the step: puts other tensors into model.buffers
        assert eager.step(*batch).item() == step(*batch).item()
    assert calls(gpu, "begin_capture") == 2
    for path, buffer in eager.model.buffers.items():
        assert (buffer.numpy() == captured.model.buffers[path].numpy()).all()


def test_running_statistics_move_together_as_they_do_on_the_cpu_one_by_one(gpu):
    from tinygradconv.spec import BatchNorm, Conv, Dense, Flatten, Share
    twice = Share("bn", BatchNorm(momentum=0.3))
    spec = (Conv(2, 1) >> twice >> Conv(2, 1) >> twice >> BatchNorm() >> BatchNorm(momentum=0.0) >> BatchNorm(momentum=1.0)
            >> Flatten() >> Dense(3))
    models = [spec.build((4, 4, 2), seed=0), spec.build((4, 4, 2), seed=0).to("cuda")]
    for i in range(3):
        x = tgc.Tensor(np.random.default_rng(i).standard_normal((5, 4, 4, 2)).astype(np.float32))
        for model in models:
            before = dict(model.buffers)
            model(x.to(model.device), train=True)
            assert all(tensor.version == 0 for tensor in before.values())          # replaced, not changed
    on_cpu, on_gpu = ({path: tensor.numpy() for path, tensor in model.buffers.items()} for model in models)
    assert len(on_cpu) == 8
    for path, expected in on_cpu.items():
        np.testing.assert_allclose(on_gpu[path], expected, rtol=2e-6, atol=2e-7, err_msg=path)
    assert gpu.ran.count("sgd") == 3 * 8                            # a call for each pair of shares, and what is shared comes twice


def test_a_part_that_is_frozen_is_found_by_recording_anew(gpu):
    eager, captured = Training(lambda p: SGD(p)), Training(lambda p: SGD(p))
    step = tgc.capture(captured.step)
    for i, batch in enumerate(batches(6)):
        if i == 3:
            for training in (eager, captured):
                training.model._freeze_steps(training.model.network.steps_in("1"))         # the batch norm; its parameters go on
        assert eager.step(*batch).item() == step(*batch).item()
    assert calls(gpu, "begin_capture") == 2
    for path, buffer in eager.model.buffers.items():
        assert (buffer.numpy() == captured.model.buffers[path].numpy()).all()


def test_what_is_recomputed_takes_the_same_numbers_again(gpu):
    found = []
    for wrap in (lambda step: step, tgc.capture):
        counter, w = Counter(), cuda(4, 3, seed=2).requires_grad_()
        optimizer = SGD({"w": w})
        dropped = tgc.remat(lambda x, w, counter=counter: tgc.tanh(tgc.dropout(x @ w, 0.5, key=3, step=counter.advance())))

        def step(x, rate, w=w, optimizer=optimizer, dropped=dropped):
            y = dropped(x, w)
            optimizer.update(tgc.grad(y.sum(), [w]), rate)
            return y

        call = wrap(step)
        found.append([[call(cuda(5, 4, seed=i), 0.1).tolist() for i in range(4)], w.tolist(), counter.value])
    assert found[0] == found[1] and found[0][2] == 4


def test_a_step_without_tensors_among_its_arguments(gpu):
    training, (x, labels, _) = Training(), batches(1)[0]
    gpu.device.launches = 0
    step = tgc.capture(lambda rate: training.step(x, labels, rate))
    gpu.device.launch = lambda *a, **k: None                       # kernels that are definitions are not launched
    for _ in range(3):
        gpu.device.launches += 1
        assert np.isfinite(step(0.1).item())


def test_on_the_cpu_it_is_the_function():
    seen = []

    @tgc.capture
    def step(x, rate):
        """A step."""
        seen.append(rate)
        return x * rate, rate > 1

    assert step.__name__ == "step" and step.__doc__ == "A step."
    for rate in (1.0, 2.0, 3.0):
        y, larger = step(tgc.Tensor([1.0, 2.0]), rate)
        assert y.tolist() == [rate, 2 * rate] and larger is (rate > 1)
    assert seen == [1.0, 2.0, 3.0]
    x = tgc.Tensor([1.0], requires_grad=True)
    assert step(x, 2.0)[0].requires_grad
    assert step(np.ones(2, np.float32), 2.0)[0].tolist() == [2, 2]              # of any argument
    step.forget()


# What cannot be recorded.

def on_host(x):
    return x * x.sum().item()


def hooked(x):
    w = tgc.Tensor(np.ones(3, np.float32)).requires_grad_() if x.device == "cpu" else x.detach().requires_grad_()
    w.register_hook(lambda g: g * 2)
    return tgc.grad((w * x).sum(), w)


def told(x):
    w = x.detach().requires_grad_()
    return tgc.grad((w * x).sum(), [w], on_ready=lambda i, g: None)


def moved(x):
    return x + tgc.Tensor(np.ones(3, np.float32)).to("cuda")


def accumulated(x):
    w.node.grad = None
    (w * x).sum().backward()
    return w.detach() * 1


w = None
double = tgc.custom_op(lambda x: 2 * x, vjp=lambda g: 2 * g, name="double")

REFUSED = {
    "a value on the host": (on_host, "reads values of the GPU on the host"),
    "numpy()": (lambda x: x + float(x.numpy().sum()), "reads values of the GPU on the host"),
    "if": (lambda x: x if x.sum() > 0 else -x, "reads values of the GPU on the host"),
    "a custom op": (double, "reads values of the GPU on the host"),
    "a hook": (hooked, "runs a hook of a tensor"),
    "on_ready": (told, "calls a function of yours in the backward pass"),
    "values of the host": (moved, "moves values from the CPU to the GPU"),
    "a number": (lambda x: (x + 1, 7), "returns 7, of type int"),
    "a tensor on the CPU": (lambda x: tgc.Tensor([1.0]), "returns a tensor on the CPU"),
    ".grad": (accumulated, "leaves a .grad behind"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_recorded_is_named_and_goes_on_eagerly(gpu, name):
    global w
    w = cuda(3, seed=5).requires_grad_()
    function, said = REFUSED[name]
    step, x = tgc.capture(function), cuda(3)
    first = step(x)
    with pytest.raises(RuntimeError, match=f"capture: .* cannot be recorded:.* it {said}.*Called by itself, without capture, it works"):
        step(x)
    assert not backends.live.recorder and calls(gpu, "begin_capture") == calls(gpu, "end_capture")
    again = step.function(x)
    for a, b in zip(*[[t for t in (r if isinstance(r, (list, tuple)) else [r]) if isinstance(t, tgc.Tensor)] for r in (first, again)]):
        assert (a.numpy() == b.numpy()).all()


def test_the_line_is_said(gpu):
    step, x = tgc.capture(on_host), cuda(3)
    step(x)
    line = on_host.__code__.co_firstlineno + 1
    with pytest.raises(RuntimeError, match=f"on_host cannot be recorded: at .*test_capture.py:{line} it reads"):
        step(x)


@pytest.mark.parametrize("setting", ["anomaly", "tune", "launch_blocking"])
def test_settings_that_need_the_host_are_named(gpu, setting):
    step, x = tgc.capture(lambda x: x + 1), cuda(3)
    step(x)
    with tgc.settings(**{setting: True}):
        with pytest.raises(RuntimeError, match=f"it runs under the setting {setting}, which .*: switch it off"):
            step(x)
    assert (step(x).numpy() == x.numpy() + 1).all()


def test_computing_with_a_number_that_changes_is_refused(gpu):
    step, x = tgc.capture(lambda x, rate: x * rate), cuda(3)
    step(x, 0.1)
    with pytest.raises(TypeError, match="capture: rate is a number that changes from call to call"):
        step(x, 0.1)


def test_a_rate_that_is_none_is_refused_at_the_replay_too(gpu):
    training = Training(lambda p: SGD(p))
    step = tgc.capture(training.step)
    (x, labels, _), before = batches(1)[0], None
    for rate in (0.1, 0.1, float("nan")):
        if rate != rate:
            before = training.everything()
            with pytest.raises(ValueError, match="SGD: rate must be at least 0 and finite, got nan"):
                step(x, labels, rate)
        else:
            step(x, labels, rate)
    after = training.everything()
    assert all((before[name] == after[name]).all() for name in training.model.parameters)


def test_a_gradient_from_before_is_not_added_to(gpu):
    p = cuda(3).requires_grad_()

    def step(x):
        (p * x).sum().backward()
        g, p.grad = p.grad, None
        return g

    captured, x = tgc.capture(step), cuda(3, seed=1)
    assert (captured(x).numpy() == x.numpy()).all() and (captured(x).numpy() == x.numpy()).all()
    p.grad = p.detach()
    other = tgc.capture(step)
    other(x)
    p.grad = p.detach()
    with pytest.raises(RuntimeError, match="it adds to a .grad that was there before it"):
        other(x)


def test_arguments_that_cannot_be_told_apart(gpu):
    step = tgc.capture(lambda x, y: x)
    with pytest.raises(TypeError, match="capture: an argument must be tensors, numbers or something hashable, .* got ndarray. An array is "
                                        "given as Tensor\\(array\\).to\\('cuda'\\)"):
        step(cuda(3), np.ones(3))
    step(cuda(3), tgc.Tensor([1.0]))
    with pytest.raises(RuntimeError, match="it takes y, which is on the CPU: give y.to\\('cuda'\\)"):
        step(cuda(3), tgc.Tensor([1.0]))
    with pytest.raises(TypeError, match="capture: expected a function, got 7 of type int"):
        tgc.capture(7)


def test_a_driver_that_gives_up_is_reported(gpu):
    step, x = tgc.capture(lambda x: x + 1), cuda(3)
    step(x)
    gpu.driver.fails.append(("end_capture", "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"))
    with pytest.raises(RuntimeError, match="capture: the driver cannot record this step: end_capture: CUDA_ERROR_STREAM_CAPTURE_INVALID"):
        step(x)
