"""Captured steps of a training, over a stub of the driver with kernels that are their NumPy definitions: `Training.step` is the oracle."""
from __future__ import annotations

import os
import re
import signal
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygradconv as tgc
from tests.cuda.defined import calls, gpu
from tests.train import toy
from tinygradconv.data.augment import Flip, Mixup, PadCrop
from tinygradconv.spec import BatchNorm, Conv, Dense, Dropout, Flatten, ReLU
from tinygradconv.train import Callback, GradientError, Interrupted, LossError, Run, Training, captured, clip_by_global_norm, loop, train
from tinygradconv.train.callbacks import Callbacks
from tinygradconv.train.evaluate import correct_of, correct_there
from tinygradconv.train.record import Record
from tinygradconv.train.weights import beside_weights, weights_of

__all__ = ["gpu"]                          # a fixture
SPEC = Conv(3, 3, stride=2) >> BatchNorm() >> ReLU() >> Flatten() >> Dropout(0.2) >> Dense(3)
RECIPE = replace(toy.RECIPE, augment=PadCrop(1) >> Flip(), epochs=3)             # 28 images in batches of 8: the last of an epoch has 4


class Seen(Callback):
    """What a callback is told."""

    def __init__(self, looking=False):
        self.told, self.looking, self.ahead = [], looking, []

    def looks(self):
        return self.looking

    def begin(self, training):
        self.training = training

    def step(self, training, loss, images, correct):
        self.ahead.append(training.ahead)
        self.told.append((training.position.epoch, training.position.batch, training.position.step, loss, images, correct))
        if self.looking:
            assert training.ahead == 0
            self.told[-1] += (*[array.tobytes() for array in weights_of(training.model).values()],)


def trained(recipe, monkeypatch, textbook, seen=None, spec=SPEC, **options):
    """(what the callback was told, everything at the end) of a training on the GPU."""
    seen = Seen() if seen is None else seen
    with monkeypatch.context() as patch:
        if textbook:
            patch.setattr(loop, "learner", lambda training: training)
        train(spec.build((7, 7, 1), seed=5).to("cuda"), toy.data(), recipe, seed=5, callbacks=[seen], loader_workers=0, **options)
    return seen.told, everything(seen.training)


def everything(training):
    """All that a snapshot would keep, but for the clock."""
    return bits(training.state())


def bits(state):
    """A state, without what the clock says."""
    arrays = {f"{part}.{name}": array.tobytes() for part in ("model", "optimizer", "ema") for name, array in getattr(state, part).items()}
    return {**arrays, "position": replace(state.position, seconds=0.0, waiting=0.0)}


WAYS = {"as it is": RECIPE, "running means": replace(RECIPE, ema=0.9), "clipped": replace(RECIPE, clip=0.05),
        "in parts": replace(RECIPE, accumulate=2), "made on the host": toy.RECIPE, "mixed": replace(RECIPE, augment=Mixup(0.5)),
        "adam": replace(RECIPE, optimizer="adam", options={}, rate=0.01)}


@pytest.mark.parametrize(("way", "looking"), [*((way, False) for way in WAYS), ("as it is", True), ("running means", True)])
def test_captured_is_the_textbook_to_the_bit(gpu, monkeypatch, capsys, way, looking):
    expected, at_the_end = trained(WAYS[way], monkeypatch, True, seen=Seen(looking))
    assert not calls(gpu, "start")
    found, end = trained(WAYS[way], monkeypatch, False, seen=(seen := Seen(looking)))
    assert found == expected and end == at_the_end
    # As it is: the first step of each size. Recorded: each size, and the larger one anew when the smaller has replaced the buffers.
    assert calls(gpu, "begin_capture") == 3 and calls(gpu, "start") == len(found) - 2
    assert set(seen.ahead) == ({0} if looking else {0, 1})
    assert capsys.readouterr().err == ""


def test_a_step_reads_three_numbers_and_its_batch_is_made_by_the_graph(gpu, monkeypatch):
    """After an epoch: 16 bytes to the step, from the places that lie there, and 24 from it; the rate, where it has changed."""
    monkeypatch.setattr(captured, "EVERY", 1000)
    diary = []

    class Watching(Seen):
        def step(self, training, loss, images, correct):
            diary.append(len(gpu.driver.calls))
    trained(replace(RECIPE, epochs=4), monkeypatch, False, seen=Watching())
    between = gpu.driver.calls[diary[13]:diary[14]]                    # two steps within the last epoch
    moved = [call for call in between if call[0] in ("copy_in", "copy_out", "copy_within")]
    assert [call for call in moved if call[0] != "copy_in"] == [("copy_within", 16), ("copy_within", 24), ("copy_out", 24)]
    assert sum(nbytes for name, nbytes in moved if name == "copy_in") <= 64 and sum(call[0] == "start" for call in between) == 1


def test_it_goes_on_from_a_snapshot_to_the_same_bits(gpu, tmp_path):
    """Stopped by a signal while a step is under way, which is told and kept too; and with a snapshot after every step."""
    ends = []
    for name, stop_at, save_every in (("whole", 0, 1e9), ("stopped", 6, 1e9), ("saved", 10, 0.0)):
        class Stopping(Seen):
            def step(self, training, loss, images, correct, stop_at=stop_at):
                super().step(training, loss, images, correct)
                if training.position.step == stop_at:
                    os.kill(os.getpid(), signal.SIGTERM)
        run, seen = Run.create(tmp_path / name, {}), Stopping()

        def go(run, seen, save_every=save_every):
            return train(SPEC.build((7, 7, 1), seed=5).to("cuda"), toy.data(), replace(RECIPE, ema=0.9), seed=5, run=run, callbacks=[seen],
                         save_every=save_every)
        if stop_at:
            with pytest.raises(Interrupted):
                go(run, seen)
            kept = run.load()[0].position
            assert kept.step == seen.told[-1][2] == stop_at + (save_every > 0)
            run = Run.open(tmp_path / name)
        go(run, seen)
        ends.append(([each[:6] for each in seen.told], everything(seen.training), [tuple(row.values())[:-1] for row in run.log.rows()],
                     {path: a.tobytes() for path, a in run.weights().items()}))
        run.close()
    assert ends[0] == ends[1] == ends[2]


def test_a_snapshot_is_never_a_step_ahead_of_its_position(gpu, monkeypatch, tmp_path):
    """Though it is found to be time for one when a step has begun, or not: what is kept is what the textbook has at that step."""
    kept = []
    for textbook in (True, False):
        answers, states = iter([True, False, False] * 9), {}
        monkeypatch.setattr(Callbacks, "look", lambda self, answers=answers: next(answers))
        monkeypatch.setattr(Record, "looks", lambda self: True)
        monkeypatch.setattr(Run, "save", lambda self, state, states=states: states.update({state.position.step: bits(state)}))
        run = Run.create(tmp_path / str(textbook), {})
        trained(replace(RECIPE, ema=0.9), monkeypatch, textbook, run=run)
        kept.append(states)
    assert len(kept[0]) == 13 and 5 < len(kept[1]) < 13
    assert all(state == kept[0][step] for step, state in kept[1].items())


# What is not finite.
PLAIN = Conv(3, 3) >> ReLU() >> Flatten() >> Dense(3)


def with_image(value, place=20):
    """The data set with one training image that is this number everywhere."""
    data = toy.data()
    images = data.train.images.astype(np.float32)
    images[place] = value
    return replace(data, train=replace(data.train, images=images))


def steep(part):
    """Training.part, whose gradients are infinite where an image is very bright."""
    def planted(self, x, labels):
        loss, scores, gradients = part(self, x, labels)
        with tgc.no_grad():
            factor = tgc.where(beside_weights(self.model, x).max() > 1e10, np.float32(np.inf), np.float32(1))
            return loss, scores, {path: g * factor for path, g in gradients.items()}
    return planted


DIVERGING = {"loss": (PLAIN, RECIPE, 1e37, "the loss is nan at step 4 .* finite inputs gave inf .* in 3: Dense of the model"),
             "image": (SPEC, replace(RECIPE, ema=0.9), np.nan, "the loss is nan at step 3 .* an image of the batch is nan at index"),
             "gradient": (PLAIN, replace(RECIPE, ema=0.9), 1e20, "the gradient of 3.bias is -?(inf|nan)( at index .*)? at step 3 "),
             "in a later epoch": (PLAIN, replace(RECIPE, warm_up=0.0, schedule="drops", schedule_options={"at": (0.5,), "factor": (1e36,)}),
                                  90, r"the loss is nan at step 8 \(epoch 2, batch 4\): "),
             "clipped": (PLAIN, replace(RECIPE, clip=1.0), 1e20, "the gradient of 3.bias is -?(inf|nan)( at index .*)? at step 3 ")}


@pytest.mark.parametrize("interval", [2, 256])
@pytest.mark.parametrize("name", DIVERGING)
def test_what_is_not_finite_is_said_as_the_textbook_says_it_and_nothing_is_learned(gpu, monkeypatch, name, interval):
    monkeypatch.setattr(captured, "EVERY", interval)
    spec, recipe, value, said = DIVERGING[name]
    data = with_image(value)
    monkeypatch.setattr(toy, "data", lambda: data)
    if value == 1e20:
        monkeypatch.setattr(Training, "part", steep(Training.part))
    ends = []
    for textbook in (True, False):
        seen = Seen()
        with pytest.raises((LossError, GradientError), match=f"^{said}.*Nothing was learned from this batch") as problem:
            trained(recipe, monkeypatch, textbook, seen=seen, spec=spec)
        ends.append((type(problem.value), str(problem.value), seen.told, everything(seen.training), seen.training.ahead))
    assert ends[0] == ends[1]
    assert calls(gpu, "start") >= 1                                      # the step before the last was a replay


def test_what_only_captured_steps_get_wrong_is_said(gpu, monkeypatch):
    arrived = gpu.arrived
    monkeypatch.setattr(gpu, "arrived", lambda numbers: arrived(numbers) * np.array([1, 1, 0]))
    with pytest.raises(LossError, match=r"^the loss is \d.*, or a gradient is not finite, at step 1 \(epoch 1, batch 1\) of a captured "
                                        "training, but not where the step is not captured"):
        trained(RECIPE, monkeypatch, False)


# What is not captured.
def test_a_step_that_cannot_be_captured_is_said_once_and_goes_on(gpu, monkeypatch, capsys):
    double = tgc.custom_op(lambda x: 2 * x, vjp=lambda g: 2 * g, name="double")
    monkeypatch.setattr(Training, "loss", lambda self, y, labels, loss=Training.loss: loss(self, double(y), labels))
    expected = trained(RECIPE, monkeypatch, True)
    assert trained(RECIPE, monkeypatch, False) == expected and not calls(gpu, "start")
    assert re.fullmatch(r"tinygradconv: steps are not captured, each kernel is started by itself: capture: step_at cannot be recorded: at "
                        r"\S*test_captured.py:\d+ it reads values of the GPU on the host .*\n", capsys.readouterr().err)


@pytest.mark.parametrize("where", ["recording", "the first step"])
def test_memory_that_is_not_there_is_said_and_training_goes_on(gpu, monkeypatch, capsys, where):
    """In the first step it is missed when the network has run: that pass counts for nothing."""
    def full(*_):
        raise MemoryError("no memory on the GPU for an array of 7 bytes")
    expected = trained(RECIPE, monkeypatch, True)
    with monkeypatch.context() as patch:
        place = (sys.modules["tinygradconv.capture"], "_Recorded") if where == "recording" else (captured, "flattened")
        patch.setattr(*place, full)
        assert trained(RECIPE, monkeypatch, False) == expected
    assert capsys.readouterr().err.count("steps are not captured, each kernel is started by itself: no memory on the GPU") == 1


@pytest.mark.parametrize(("optimizer", "reads"), [("lars", "LARS reads the norms of weights and gradients on the host"),
                                                  ("muon", "Muon reads the norms of gradients on the host")])
def test_optimisers_that_read_norms_are_named(gpu, monkeypatch, capsys, optimizer, reads):
    recipe = replace(RECIPE, optimizer=optimizer, options={}, epochs=1)
    expected = trained(recipe, monkeypatch, True)
    assert trained(recipe, monkeypatch, False) == expected and not calls(gpu, "begin_capture")
    assert capsys.readouterr().err == f"tinygradconv: steps are not captured, each kernel is started by itself: {reads}\n"


def test_other_errors_are_not_taken_for_that(gpu, monkeypatch):
    def broken(self, x, labels):
        raise RuntimeError("the kernel sgd failed")
    monkeypatch.setattr(Training, "part", broken)
    with pytest.raises(RuntimeError, match="^the kernel sgd failed"):
        trained(RECIPE, monkeypatch, False)


# The parts.
@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.sampled_from([0.0, 1.0, 2.0, float("nan"), float("inf"), -float("inf")]), min_size=3, max_size=3), max_size=6),
       st.booleans())
def test_what_is_right_is_counted_the_same_on_the_gpu(rows, probabilities):
    scores = np.array(rows, np.float32).reshape(-1, 3)
    labels = np.eye(3, dtype=np.float32)[np.arange(len(rows)) % 3] if probabilities else np.arange(len(rows)) % 3
    assert correct_there(tgc.Tensor(scores), tgc.Tensor(labels)).item() == correct_of(scores, labels)


@pytest.mark.parametrize("limit", [1e-3, 2.5, 1e3])
def test_gradients_on_the_gpu_are_clipped_as_those_on_the_cpu(gpu, limit):
    rng = np.random.default_rng(0)
    there = {name: tgc.Tensor(rng.standard_normal(shape).astype(np.float32)) for name, shape in {"a": (3, 4), "b": (), "c": (5,)}.items()}
    expected, norm = clip_by_global_norm(there, limit)
    found, length = clip_by_global_norm({name: g.to("cuda") for name, g in there.items()}, limit)
    assert length == pytest.approx(norm, rel=1e-6) == pytest.approx(np.sqrt(sum((g.numpy() ** 2).sum() for g in there.values())), rel=1e-6)
    for name, g in expected.items():
        assert found[name].device == "cuda"
        np.testing.assert_allclose(found[name].numpy(), g.numpy(), rtol=1e-6)
    there["c"] = tgc.Tensor(np.array([1, np.nan], np.float32))
    with pytest.raises(GradientError, match="the norm of the gradient of c is not finite"):
        clip_by_global_norm({name: g.to("cuda") for name, g in there.items()}, limit)
