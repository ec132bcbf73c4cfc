"""What a step does with each part of a recipe, what watches it, and how a training that diverges is stopped."""
from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import tinygradconv as tgc
from tests.train import toy
from tinygradconv.data import Loader
from tinygradconv.data.augment import Flip, Mixup
from tinygradconv.ops.loss import cross_entropy
from tinygradconv.spec import BatchNorm, Conv, Dense, Flatten, Scope, Tanh
from tinygradconv.train import Callback, GradientError, LossError, Progress, Recipe, Run, Training, evaluate, train, weights_of
from tinygradconv.train import training as module

PLAIN = Scope(conv=Conv(3, 3), _tanh=Tanh(), _flatten=Flatten(), fc=Dense(3))                       # an image does not depend on others
SGD = Recipe("sgd", 0.05, epochs=2, batch_size=8)


def plain(seed: int = 5, spec=PLAIN):
    return spec.build((7, 7, 1), seed=seed)


def first_batch(recipe: Recipe):
    return next(iter(Loader.training(toy.data(), recipe.batch_size, 0, recipe.augment).batches()))


@pytest.mark.parametrize("parts", [2, 3, 8])
def test_a_batch_in_parts_learns_the_same_as_at_once(parts):
    models = [plain(), plain()]
    ends = [train(model, toy.data(), recipe, callbacks=()) for model, recipe in zip(models, (SGD, replace(SGD, accumulate=parts)))]
    assert ends[0].step == ends[1].step == 8, "an update for a batch, in however many parts"
    assert ends[0].loss_sum == pytest.approx(ends[1].loss_sum, rel=1e-5) and ends[0].correct_sum == ends[1].correct_sum
    for path, a in weights_of(models[0]).items():
        np.testing.assert_allclose(weights_of(models[1])[path], a, rtol=1e-4, atol=1e-6)


def test_a_step_with_clipping_is_as_long_as_the_limit():
    model = plain()
    before = {path: a.copy() for path, a in weights_of(model).items()}
    recipe = replace(SGD, clip=0.125, schedule="constant")
    Training(model, toy.data(), recipe).step(*first_batch(recipe))
    step = np.sqrt(sum(((a - before[path]).astype(np.float64) ** 2).sum() for path, a in weights_of(model).items()))
    assert step == pytest.approx(0.05 * 0.125, rel=1e-4)


def test_the_running_mean_is_tested_and_kept(tmp_path):
    model, recipe = plain(), replace(SGD, rate=0.2, ema=0.5)
    run = Run.create(tmp_path / "run", {})
    means: dict[str, np.ndarray] = {}

    class Averaging(Callback):
        def step(self, training, loss, images, correct):
            for path, a in weights_of(training.model).items():
                means[path] = a.astype(np.float64) if training.position.step == 1 else 0.5 * means[path] + 0.5 * a
    at = train(model, toy.data(), recipe, run=run, callbacks=[Averaging()])
    kept = run.weights()
    for path, mean in means.items():
        np.testing.assert_allclose(kept[path], mean, rtol=1e-5, atol=1e-7)
    assert any((kept[path] != a).any() for path, a in weights_of(model).items()), "the model goes on with its own weights"
    assert {path: a.tobytes() for path, a in run.load()[0].model.items()} == {path: a.tobytes() for path, a in weights_of(model).items()}
    tested = plain(seed=1)
    for path, p in tested.parameters.items():
        p.data[...] = kept[path]
    assert evaluate(tested, Loader.testing(toy.data()).batches()) == (at.correct, at.tested)


def test_enough_epochs_that_are_not_better_are_the_last():
    """At this rate no weight moves by a bit, so no epoch is better than the first."""
    at = train(plain(), toy.data(), replace(SGD, rate=1e-20, epochs=9, patience=3), callbacks=())
    assert (at.epoch, at.best_epoch) == (4, 1)


@pytest.mark.parametrize("augment", [None, Mixup()])
def test_the_log_counts_the_training_images_that_were_right(tmp_path, augment):
    recipe, model = replace(SGD, augment=augment), plain()
    twin, right, total = plain(), 0, 0
    training = Training(twin, toy.data(), recipe, 3)
    for epoch in range(2):
        for x, labels in Loader.training(toy.data(), 8, 3, augment).batches(epoch):
            scores = twin(x, train=True).numpy()
            right += sum(int(max(range(3), key=lambda k: row[k])) == (int(np.argmax(label)) if augment else int(label))
                         for row, label in zip(scores.tolist(), labels))
            total += len(labels)
            training.step(x, labels)
    run = Run.create(tmp_path / "run", {})
    train(model, toy.data(), recipe, seed=3, run=run, callbacks=())
    rows = run.log.rows()
    assert total == 56 and sum(float(row["train_accuracy"]) for row in rows) / 100 * 28 == pytest.approx(right, abs=1e-3)


# What watches.
class Diary(Callback):
    """Writes down what it is told."""

    def __init__(self, name: str, book: list[str], failing: str = "") -> None:
        self.name, self.book, self.failing = name, book, failing

    def _write(self, what: str) -> None:
        self.book.append(f"{self.name} {what}")
        if what == self.failing:
            raise KeyError(what)

    def begin(self, training):
        self._write("begins")

    def step(self, training, loss, images, correct):
        self._write(f"step {training.position.step}")
        assert np.isfinite(loss) and 0 <= correct <= images == (8 if training.position.batch < 4 else 4)

    def epoch(self, training):
        self._write(f"epoch {training.position.epoch}")
        assert training.position.tested == 12

    def end(self, training):
        self._write("ends")


def test_callbacks_are_told_in_their_order_and_end_in_the_opposite_one():
    book: list[str] = []
    train(plain(), toy.data(), replace(SGD, epochs=1), callbacks=[Diary("a", book), Diary("b", book)])
    told = [f"{name} {what}" for what in ("begins", "step 1", "step 2", "step 3", "step 4", "epoch 1") for name in "ab"]
    assert book == [*told, "b ends", "a ends"]


@pytest.mark.parametrize(("failing", "last"), [("begins", ["a begins", "b begins", "a ends"]), ("step 2", ["b step 2", "b ends", "a ends"]),
                                               ("ends", ["b ends", "a ends"])])
def test_a_callback_that_fails_keeps_no_other_from_ending(failing, last):
    book: list[str] = []
    with pytest.raises(KeyError, match=failing):
        train(plain(), toy.data(), SGD, callbacks=[Diary("a", book), Diary("b", book, failing)])
    assert book[-len(last):] == last


def test_a_callback_changes_no_bit(tmp_path):
    ends = []
    for i, callbacks in enumerate(((), [Progress(), Diary("a", [])])):
        run = Run.create(tmp_path / str(i), {})
        train(plain(), toy.data(), SGD, run=run, callbacks=callbacks)
        ends.append((tmp_path / str(i) / "last.safetensors").read_bytes())
    assert ends[0] == ends[1]


def test_what_is_no_callback_is_named():
    for wrong, said in ((Progress, "the class Progress"), ("bar", "'bar'")):
        with pytest.raises(TypeError, match=rf"^train: a callback must be a Callback, such as Progress\(\), got {said}$"):
            train(plain(), toy.data(), SGD, callbacks=[wrong])


# The loader.
@pytest.mark.parametrize("augment", [None, Flip() >> Mixup()])
def test_workers_of_the_loader_change_no_bit(augment):
    ends = []
    for workers in (0, 1, 3):
        model = plain()
        train(model, toy.data(), replace(SGD, augment=augment), callbacks=(), loader_workers=workers)
        ends.append({path: a.tobytes() for path, a in weights_of(model).items()})
    assert ends[0] == ends[1] == ends[2]


def test_the_time_that_batches_were_waited_for_is_written_down(tmp_path, monkeypatch):
    """By a clock that the loader moves by 2 and a step by 3."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    batches, gradients = Loader.batches, Training._gradients

    def slow_batches(self, epoch=0, start=0):
        for batch in batches(self, epoch, start):
            clock.now += 2 * (self.seed is not None)
            yield batch

    def slow_gradients(self, x, labels):
        clock.now += 3
        return gradients(self, x, labels)
    monkeypatch.setattr(Loader, "batches", slow_batches)
    monkeypatch.setattr(Training, "_gradients", slow_gradients)
    at = train(plain(), toy.data(), SGD, run=Run.create(tmp_path / "run", {}), callbacks=())
    assert (at.waiting, at.seconds) == (8 * 2, 8 * 5)
    said = json.loads((tmp_path / "run" / "state.json").read_text())["position"]
    assert (said["waiting"], said["seconds"]) == (16, 40)


# What diverges.
class Rooted:
    """scores = x · √(w · w): at w = 0 the loss is finite, but its gradient is not. A buffer counts the calls, as batch norm's would."""

    def __init__(self) -> None:
        self.parameters = {"stem.w": tgc.Tensor(np.ones((7, 3), np.float32), requires_grad=True),
                           "head.w": tgc.Tensor(np.zeros(3, np.float32), requires_grad=True)}
        self.buffers, self.counter = {"calls": tgc.Tensor([0.0])}, SimpleNamespace(value=7)

    def __call__(self, x, train=False):
        self.buffers["calls"], self.counter.value = self.buffers["calls"] + 1, self.counter.value + 1
        stem, head = self.parameters.values()
        return x[:, 0, :, 0] @ stem * tgc.sqrt(head * head)


@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_a_gradient_that_is_not_finite_is_named_and_nothing_is_learned(clip):
    model, recipe = Rooted(), replace(SGD, clip=clip)
    training = Training(model, toy.data(), recipe)
    said = (r"^the gradient of head\.w is nan at index \(0,\) at step 1 \(epoch 1, batch 1\): sqrt at .*test_training\.py:\d+: in the "
            r"backward pass a finite cotangent gave x the gradient .*\. Nothing was learned from this batch\. Try a smaller rate")
    with pytest.raises(GradientError, match=said):
        training.step(*first_batch(recipe))
    assert (model.parameters["stem.w"].numpy() == 1).all() and model.buffers["calls"].tolist() == [0] and model.counter.value == 7
    assert training.position.step == training.position.images == 0


@pytest.mark.parametrize("parts", [1, 2])
def test_a_loss_that_is_not_finite_names_op_layer_and_line(parts):
    spec = Scope(stem=Conv(3, 3), bn=BatchNorm(), _flatten=Flatten(), body=Scope(fc1=Dense(4), fc2=Dense(3)))
    model = plain(spec=spec)
    model.parameters["body.fc2.weight"].data[...] = 3e38
    training = Training(model, toy.data(), replace(SGD, accumulate=parts))
    before = {path: a.tobytes() for path, a in weights_of(model).items()}
    with np.errstate(all="ignore"), pytest.raises(LossError, match=(
            r"^the loss is (nan|inf) at step 1 \(epoch 1, batch 1\): \w+ at .*test_training\.py:\d+: finite inputs gave .* "
            r"of shape \(\d, 3\), in body\.fc2: Dense of the model\. Nothing")):
        training.step(*first_batch(SGD))
    assert {path: a.tobytes() for path, a in weights_of(model).items()} == before, "the running statistics are where they were"
    assert model.counter.value == 0


def test_images_that_are_not_finite_are_named():
    x, labels = first_batch(SGD)
    x[2, 3, 4, 0] = np.nan
    with pytest.raises(LossError, match=r"an image of the batch is nan at index \(2, 3, 4, 0\) already\. Nothing was learned"):
        Training(plain(), toy.data(), SGD).step(x, labels)


def test_weights_that_an_update_made_infinite_reach_no_snapshot(tmp_path):
    run = Run.create(tmp_path / "run", {})
    said = r"^\S+ is -?(inf|nan) at index .* after step 1: the update was too large\. Try a smaller rate, or clip the gradients$"
    with np.errstate(all="ignore"), pytest.raises(LossError, match=said):
        train(plain(), toy.data(), replace(SGD, rate=3e38, options={"momentum": 0.9, "decay": 9.0}, schedule="constant"), run=run,
              callbacks=(), save_every=0.0)
    state, _ = run.load()
    assert state.position.step == 0 and all(np.isfinite(a).all() for a in state.model.values())


# A loop of one's own, over the same parts.
def test_the_parts_are_enough_for_a_loop_of_ones_own():
    model, twin = plain(), plain()
    train(model, toy.data(), SGD, callbacks=())
    training = Training(twin, toy.data(), SGD)
    while not training.finished:
        for x, labels in training.batches():
            training.step(x, labels)
        training.judge()
    assert {path: a.tobytes() for path, a in weights_of(twin).items()} == {path: a.tobytes() for path, a in weights_of(model).items()}
    hand, rate = plain(), SGD.make_schedule(8)
    optimizer, step = SGD.make_optimizer(hand.parameters), 0
    for epoch in range(2):
        for x, labels in Loader.training(toy.data(), 8, 0).batches(epoch):
            optimizer.update(tgc.grad(cross_entropy(hand(x, train=True), labels), list(hand.parameters.values())), rate(step))
            step += 1
    for path, a in weights_of(hand).items():
        np.testing.assert_array_equal(a, weights_of(model)[path])
