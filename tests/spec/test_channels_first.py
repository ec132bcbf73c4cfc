"""Layouts with the channels first: the same weights in torch's own layers give the same numbers."""
from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygradconv.spec import (
    BatchNorm,
    Concat,
    Conv,
    Conv1d,
    ConvTranspose,
    ConvTranspose1d,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GroupNorm,
    LayerNorm,
    MaxPool,
    ReLU,
    Reshape,
    Scope,
    Share,
    TableConv,
)
from tinygradconv.spec.channels_first import layouts

IMAGE, SEQUENCE = (6, 5, 4), (7, 4)


def cases(nn):
    """(our spec, torch's network, input shape): the layers with parameters, and what comes behind a Flatten."""
    import torch

    class Beside(nn.Module):
        """Two images and a vector, flattened and side by side, then a dense layer."""

        def __init__(self):
            super().__init__()
            self.left, self.right, self.last = nn.Conv2d(4, 3, 3), nn.Conv2d(4, 2, 1), nn.Linear(3 * 4 * 3 + 2 * 6 * 5 + 4, 6)

        def forward(self, x):
            return self.last(torch.relu(torch.cat([self.left(x).flatten(1), x.mean((2, 3)), self.right(x).flatten(1)], 1)))

    beside = Scope(_parts=Concat(_left=Scope(left=Conv(3, 3), _flat=Flatten()), _mean=GlobalAvgPool(),
                                 _right=Scope(right=Conv(2, 1), _flat=Flatten())),
                   _relu=ReLU(), last=Dense(6))
    flat = 6 * 5 * 4
    return {
        "conv": (Conv(6, (3, 2), stride=2, groups=2), nn.Conv2d(4, 6, (3, 2), stride=2, groups=2), IMAGE),
        "conv1d": (Conv1d(6, 3, groups=2), nn.Conv1d(4, 6, 3, groups=2), SEQUENCE),
        "transposed": (ConvTranspose(6, (3, 2), stride=2, groups=2), nn.ConvTranspose2d(4, 6, (3, 2), stride=2, groups=2), IMAGE),
        "transposed1d": (ConvTranspose1d(6, 3, stride=2, groups=2), nn.ConvTranspose1d(4, 6, 3, stride=2, groups=2), SEQUENCE),
        "layer norm": (LayerNorm(axes=3), nn.LayerNorm((4, 6, 5)), IMAGE),
        "group norm": (GroupNorm(2), nn.GroupNorm(2, 4), IMAGE),
        "flatten": (Flatten() >> Dropout() >> ReLU() >> Dense(3), nn.Sequential(nn.Flatten(), nn.Dropout(), nn.ReLU(), nn.Linear(flat, 3)),
                    IMAGE),
        "flatten a sequence": (Flatten() >> Dense(3), nn.Sequential(nn.Flatten(), nn.Linear(28, 3)), SEQUENCE),
        "batch norm of a vector": (Flatten() >> BatchNorm() >> Dense(3),
                                   nn.Sequential(nn.Flatten(), nn.BatchNorm1d(flat), nn.Linear(flat, 3)), IMAGE),
        "layer norm of a vector": (Flatten() >> LayerNorm() >> Dense(3),
                                   nn.Sequential(nn.Flatten(), nn.LayerNorm(flat), nn.Linear(flat, 3)), IMAGE),
        "two dense layers": (Conv(2, 3) >> MaxPool(2) >> Flatten() >> Dense(5) >> Dense(3),
                             nn.Sequential(nn.Conv2d(4, 2, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, 5), nn.Linear(5, 3)), IMAGE),
        "beside": (beside, Beside(), IMAGE),
    }


NAMES = ["conv", "conv1d", "transposed", "transposed1d", "layer norm", "group norm", "flatten", "flatten a sequence",
         "batch norm of a vector", "layer norm of a vector", "two dense layers", "beside"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_torchs_weights_give_torchs_numbers_and_come_back_to_the_bit(name, suffix, tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file
    torch.manual_seed(0)
    spec, network, shape = cases(torch.nn)[name]
    with torch.no_grad():
        for values in [*network.parameters(), *(b for b in network.buffers() if b.is_floating_point())]:
            values.uniform_(0.5, 1.5)
    theirs = network.state_dict()
    first, second = tmp_path / f"first.{suffix}", tmp_path / f"second.{suffix}"
    (save_file if suffix == "safetensors" else torch.save)(theirs, first)
    model = spec.build(shape)
    assert not model.load_torch(first)
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    expected = network.eval()(torch.from_numpy(np.moveaxis(x, -1, 1).copy())).detach().numpy()
    np.testing.assert_allclose(np.moveaxis(model(x).numpy(), -1, 1), expected, rtol=1e-4, atol=1e-4)

    model.save_torch(second)
    again = torch.load(second, weights_only=True) if suffix == "pth" else load_file(second)
    network.load_state_dict(again, strict=True)
    for path, values in theirs.items():
        assert again[path].dtype == values.dtype and torch.equal(again[path], values), path


LENGTH = st.integers(1, 4)


@given(st.lists(st.one_of(st.tuples(LENGTH, LENGTH, LENGTH), st.tuples(LENGTH, LENGTH), st.tuples(LENGTH)), min_size=1, max_size=3), LENGTH)
def test_the_rows_behind_flattened_images_are_found_one_by_one(images, features):
    branches = {f"branch{i}": Dense(math.prod(shape)) >> Reshape(shape) >> Flatten() for i, shape in enumerate(images)}
    layout = layouts(Scope(_beside=Concat(**branches), last=Dense(features)).infer((5,)))["last.weight"]
    rows = sum(map(math.prod, images))
    weight = np.arange(rows * features, dtype=np.float64).reshape(rows, features)
    expected, begin = np.empty((features, rows)), 0
    for *lengths, channels in images:
        places = math.prod(lengths)
        for place, channel in itertools.product(range(places), range(channels)):
            expected[:, begin + channel * places + place] = weight[begin + place * channels + channel]
        begin += places * channels
    np.testing.assert_array_equal(layout.to_theirs(weight), expected)
    back = np.empty_like(weight)
    layout.to_ours(expected, back)
    np.testing.assert_array_equal(back, weight)


def test_rows_that_are_shared_behind_different_images_have_no_one_order():
    shared = Flatten() >> Share("same", Dense(3))
    spec = Scope(_a=Conv(2, 3, padding=1) >> shared) | Scope(_b=Conv(2, (3, 3), padding=1) >> shared)
    assert layouts(spec.infer((4, 3, 2)))["same.weight"].flattened == ((4, 3, 2),)
    other = Scope(_a=Conv(2, 1) >> shared) | Scope(_b=Conv(1, 1) >> MaxPool((2, 1)) >> Conv(4, 1) >> shared)
    with pytest.raises(ValueError, match=r"same\.weight is shared by layers behind Flattens of different images, \(\(4, 3, 2\),\) and "
                                         r"\(\(2, 3, 4\),\): no one order of its rows is right channels-first"):
        layouts(other.infer((4, 3, 2)))


def test_a_convolution_by_a_table_has_no_twin_in_torch_and_keeps_its_own_layout():
    spec = Scope(c3=TableConv(((0, 1), (1, 2), (0, 2)), 3))
    network = spec.infer((6, 6, 3))
    assert all(layout.axes == tuple(range(len(layout.axes))) for layout in layouts(network).values())
