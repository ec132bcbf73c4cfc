"""Ranks with a GPU each that train together, with stand-ins: threads, each with a stub of the driver and kernels that are definitions.

Gradients are summed as the streams of the ranks come to it (test_nccl.py). One process on the CPU with the whole batch is the oracle.
"""
from __future__ import annotations

import json
import threading
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tests.parallel.test_nccl import Backend, ranks_with_gpus, stand_in  # noqa: F401  (a fixture)
from tests.parallel.threads import together
from tests.train import toy
from tinygradconv import Tensor, backends, grad, models, parallel
from tinygradconv.backends.cpu import CPU
from tinygradconv.cli import main
from tinygradconv.data import DeviceLoader
from tinygradconv.data.augment import Flip, PadCrop
from tinygradconv.ops.sync_batch_norm import all_reduce_sum, sync_batch_norm
from tinygradconv.parallel import Group, nccl
from tinygradconv.spec import BatchNorm, Conv, Dense, Dropout, Flatten, ReLU, Residual
from tinygradconv.train import Callback, Training, train
from tinygradconv.train.together import check_start
from tinygradconv.train.weights import weights_of

SPEC = (Conv(4, 3, stride=2) >> BatchNorm() >> ReLU() >> Residual(Conv(4, 3, padding=1) >> BatchNorm()) >> ReLU()
        >> Flatten() >> Dropout(0.3) >> Dense(3))
RECIPE = replace(toy.RECIPE, batch_size=9, augment=PadCrop(1) >> Flip(), sync_batch_norm=True)      # 28 images: the fourth batch has one


class PerThread(dict):
    """The back ends by device: each thread has a GPU of its own."""

    def __init__(self):
        super().__init__(cpu=CPU)
        self._here = threading.local()

    def get(self, device, otherwise=None):
        return self[device] if device in self else otherwise

    def __contains__(self, device):
        return device == "cuda" or super().__contains__(device)

    def __getitem__(self, device):
        if device != "cuda":
            return super().__getitem__(device)
        if not hasattr(self._here, "gpu"):
            self._here.gpu = Backend()
        return self._here.gpu


@pytest.fixture
def gpus(stand_in, monkeypatch):  # noqa: F811
    """`gpus(size, work)`: [work(group, backend) of each rank], whose "cuda" is that back end."""
    made = PerThread()
    monkeypatch.setattr(backends, "_made", made)

    def run(size, work):
        def of_its_own(group, backend):
            made._here.gpu, exchange = backend, group._host.exchange

            def driven(value):
                backend.driver.synchronize()               # a GPU goes on by itself while its host waits for other hosts; the stub does not
                return exchange(value)
            group._host.exchange = driven
            return work(group, backend)
        return ranks_with_gpus(stand_in, size, of_its_own)
    return run


class Losses(Callback):
    """The loss of every step, and how many images were right."""

    def __init__(self):
        self.seen = []

    def step(self, training, loss, images, correct):
        self.seen.append((loss, images, correct))


def trained(recipe, device="cpu", group=None):
    """(losses, weights and buffers, images that were right at the end)."""
    model, losses = SPEC.build((7, 7, 1), seed=5).to(device), Losses()
    at = train(model, toy.data(), recipe, seed=5, callbacks=[losses], workers=group, loader_workers=0)
    return losses.seen, {path: np.array(a) for path, a in weights_of(model).items()}, (at.correct, at.tested)


@pytest.mark.parametrize("change", [{}, {"augment": toy.RECIPE.augment}, {"clip": 0.5, "ema": 0.9}], ids=["there", "host", "clipped"])
@pytest.mark.parametrize("size", [2, 3])
def test_ranks_learn_what_one_learns_of_the_whole_batch(gpus, size, change):
    recipe = replace(RECIPE, **change)
    expected, weights, counted = trained(recipe)
    found = gpus(size, lambda group, backend: trained(recipe, "cuda", group))
    assert len(found[0][0]) == 8 and not any(losses for losses, *_ in found[1:]), "rank 0 alone tells its callbacks"
    np.testing.assert_allclose([loss for loss, *_ in found[0][0]], [loss for loss, *_ in expected], rtol=1e-5)
    assert [counts for _, *counts in found[0][0]] == [counts for _, *counts in expected]
    for _, arrays, right in found:
        assert right == counted
        for path, array in weights.items():
            np.testing.assert_allclose(arrays[path], array, rtol=1e-4, atol=1e-5, err_msg=path)
            assert arrays[path].tobytes() == found[0][1][path].tobytes(), "all ranks have the same bits"


def test_each_its_own_statistics_and_its_share_of_the_images_on_its_gpu(gpus):
    """Ranks with GPUs compute what ranks without compute; batches are made there, of as many images as the rank has rows."""
    recipe = replace(RECIPE, sync_batch_norm=False)
    expected = together(2, lambda group: trained(recipe, "cpu", group))

    def work(group, backend):
        training = Training(SPEC.build((7, 7, 1), seed=5).to("cuda"), toy.data(), recipe, 5, workers=group)
        assert type(training.loader) is type(training.tester) is DeviceLoader
        assert [len(labels) for _, labels in training.batches()] == [(5, 4)[group.rank]] * 3 + [1 - group.rank]
        return trained(recipe, "cuda", group)
    found = gpus(2, work)
    whole, *_ = trained(RECIPE)
    np.testing.assert_allclose([loss for loss, *_ in found[0][0]], [loss for loss, *_ in expected[0][0]], rtol=1e-5)
    assert not np.allclose([loss for loss, *_ in found[0][0]], [loss for loss, *_ in whole], rtol=1e-3)
    for (_, arrays, right), (_, others, theirs) in zip(found, expected, strict=True):
        assert right == theirs
        for path, array in others.items():
            np.testing.assert_allclose(arrays[path], array, rtol=1e-4, atol=1e-5, err_msg=path)


@pytest.mark.parametrize("activation", [None, "relu"])
def test_batch_norm_of_the_whole_batch_is_that_of_ranks_on_cpus(gpus, activation):
    rng = np.random.default_rng(0)
    x, residual, g = rng.normal(size=(3, 5, 2, 2, 3)).astype(np.float32) + np.float32(2)
    scale, shift = rng.normal(size=(2, 3)).astype(np.float32)
    rows = slice(0, 4), slice(4, 5)

    def rank(group, device):
        at = rows[group.rank]
        leaves = [Tensor(a).to(device).requires_grad_() for a in (x[at], scale, shift, residual[at])]
        out, *statistics = sync_batch_norm(*leaves[:3], group, residual=leaves[3], activation=activation)
        first = grad(out, leaves, Tensor(g[at]).to(device), create_graph=True)
        total = all_reduce_sum(sum([(t * t).sum() for t in first]), group)
        return [t.numpy() for t in (out, *statistics, *first, total, *grad(total, leaves[:3]))]
    expected = together(2, lambda group: rank(group, "cpu"))
    for ours, theirs in zip(gpus(2, lambda group, backend: rank(group, "cuda")), expected, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


# What is missing.
def test_ranks_that_have_no_gpu_each_are_told_what_to_do():
    asked = SimpleNamespace(workers=SimpleNamespace(size=2, device="cpu"), model=SimpleNamespace(device="cuda"))
    with pytest.raises(ValueError, match=r"^train: the model is on 'cuda', but the 2 ranks have no GPU each\. Give them "
                                         r"workers=parallel\.nccl\.with_gpus\(group\) before the model is moved, or model\.to\('cpu'\)$"):
        check_start(asked)


def test_one_alone_needs_none_of_it():
    alone = Group()
    assert nccl.with_gpus(alone) is alone


def test_every_rank_says_which_one_has_no_gpu(stand_in, monkeypatch):  # noqa: F811
    made = PerThread()
    monkeypatch.setattr(backends, "_made", made)
    monkeypatch.setattr(nccl, "take_gpu", lambda group: str(group.rank))
    monkeypatch.setattr(nccl.socket, "gethostname", lambda: "here")

    def missing(device, named=nccl.backend_named):
        if ranks.number == 1:
            raise RuntimeError("to('cuda'): there is no GPU")
        return named(device)
    monkeypatch.setattr(nccl, "backend_named", missing)
    ranks = threading.local()

    def work(group):
        ranks.number = group.rank
        with pytest.raises(ValueError) as problem:
            nccl.with_gpus(group)
        return str(problem.value)
    said = together(2, work)
    assert said == ["rank 1 of 2 cannot have GPU 1 of here: to('cuda'): there is no GPU. Start as many ranks on a machine as it has "
                    "GPUs"] * 2


def test_with_a_gpu_each_they_are_a_group_that_adds_there(stand_in, monkeypatch):  # noqa: F811
    monkeypatch.setattr(backends, "_made", PerThread())
    taken = []
    monkeypatch.setattr(nccl, "take_gpu", lambda group: taken.append(group.rank) or str(group.rank))
    found = together(2, nccl.with_gpus)
    assert [(type(each), each.rank, each.size, each.device) for each in found] == [(nccl.NCCLGroup, rank, 2, "cuda") for rank in (0, 1)]
    assert sorted(taken) == [0, 1] == sorted(rank for _, rank, _ in stand_in.made)


def test_the_command_gives_each_rank_its_gpu_and_goes_on_with_them(gpus, monkeypatch, tmp_path, capsys):
    """`train … --device cuda` and `train --resume` under mpirun, two steps of an epoch of two; a plain network, as definitions are slow."""
    asked, here, folder = [], threading.local(), str(tmp_path / "run")
    monkeypatch.setattr(models, "get", lambda name, classes=10: (Flatten() >> Dense(classes), (28, 28, 1)))
    monkeypatch.setattr(parallel, "ranks", lambda: nullcontext(here.group._host))
    monkeypatch.setattr(nccl, "with_gpus", lambda host: asked.append(host.rank) or here.group)

    def work(group, backend):
        here.group = group
        codes = [main(["train", "lenet5", "--device", "cuda", "--recipe", "sgd", "--epochs", "1", "--batch-size", "719", "--out",
                       folder])]
        codes.append(main(["train", "--resume", folder]))
        return codes, sum(name == "assemble" for name in backend.ran)
    assert gpus(2, work) == [([0, 0], 4)] * 2                                  # two batches to learn from, two to be tested by
    assert sorted(asked) == [0, 0, 1, 1]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[0] == lines[1] and lines[0].startswith("test accuracy ")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["device"] == "cuda" and config["versions"]["ranks"] == "2"
