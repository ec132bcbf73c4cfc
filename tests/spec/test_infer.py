"""Shapes flow forward; what does not fit is said with its path and a cure."""
from __future__ import annotations

from fractions import Fraction

import pytest

from tinygradconv.spec import (
    Aux,
    AvgPool,
    BatchNorm,
    ChannelMaxPool,
    Concat,
    Conv,
    Conv1d,
    ConvTranspose,
    Dense,
    DistancePool,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GroupNorm,
    Identity,
    LayerNorm,
    MaxPool,
    Pad,
    ReLU,
    Reshape,
    Residual,
    Scope,
    Share,
    Sum,
    Tanh,
)


def shape_of(spec, shape):
    return spec.infer(shape).output_shape


def test_the_lectures_sizes():
    alexnet = Conv(96, 11, stride=4) >> ReLU() >> MaxPool(3, stride=2)
    assert [step.shape for step in alexnet.infer((227, 227, 3)).steps] == [(55, 55, 96), (55, 55, 96), (27, 27, 96)]
    assert shape_of(Conv(3, 3, stride=2), (7, 7, 1)) == (3, 3, 3)
    assert shape_of(MaxPool(2, stride=2, ceil_mode=True), (7, 7, 1)) == (4, 4, 1)


@pytest.mark.parametrize(("spec", "shape", "text"), [
    (Conv(8, 3) >> Dense(10), (56, 56, 64), "1: Dense expects a flat vector; got (54, 54, 8). Put Flatten() or GlobalAvgPool() before it."),
    (Dense(10), (4, 4, 1), "Dense expects a flat vector; got (4, 4, 1). Put Flatten() or GlobalAvgPool() before it."),
    (Scope(layer3=Residual(Conv(256, 3, stride=2, padding=1)) * 1), (56, 56, 64),
     "layer3.0: Residual adds body (28, 28, 256) to shortcut (56, 56, 64). Give a shortcut that ends in (28, 28, 256), "
     "e.g. Conv(256, 1, stride=2, bias=False) >> BatchNorm()"),
    (Residual(Conv(8, 3)), (26, 26, 8), "Residual adds body (24, 24, 8) to shortcut (26, 26, 8). "
                                        "Give the body's windows padding='same', so that it keeps the height and width of its input"),
    (Residual(Dense(5)), (4,), "Residual adds body (5,) to shortcut (4,). Give a shortcut that ends in (5,), e.g. Dense(5)"),
    (Residual(Conv(4, 1) >> Flatten()), (2, 2, 4), "Residual adds body (16,) to shortcut (2, 2, 4). Give a shortcut that ends in (16,)"),
    (Scope(mix=Concat(b1=Conv(8, 1), b5=Conv(8, 5))), (8, 8, 3),
     "mix: Concat lays channels side by side, so all other axes must agree; b1 gives (8, 8, 8), b5 gives (4, 4, 8)"),
    (Sum(Conv(8, 1), Conv(9, 1)), (8, 8, 3), "Sum adds its branches, so their shapes must be equal; 0 gives (8, 8, 8), 1 gives (8, 8, 9)"),
    (Scope(features=Conv(8, 3) >> Conv(8, 7)), (8, 8, 3),
        "features.1: Conv: a window that spans 7×7 does not fit into an image of 6×6 with padding "
     "(top 0, bottom 0, left 0, right 0). Use a smaller kernel_size or more padding"),
    (Flatten() >> Conv(8, 3), (8, 8, 3), "1: Conv expects an image (height, width, channels); got (192,). Is there a Flatten() before it?"),
    (Conv(8, 3), (10, 3),
     "Conv expects an image (height, width, channels); got (10, 3). A grey image is (10, 3, 1); Conv1d takes sequences"),
    (Conv1d(8, 3), (10, 10, 3), "Conv1d expects a sequence (length, channels); got (10, 10, 3). Conv takes images"),
    (Dense(3) >> MaxPool(2), (8,), "1: MaxPool expects an image (height, width, channels) or a sequence (length, channels); got (3,). "
                                   "Is there a Flatten() before it?"),
    (Conv(8, 3, groups=2), (8, 8, 3), "Conv: groups=2 must divide the 3 input channels and the 8 output channels; the input is (8, 8, 3)"),
    (GroupNorm(3), (8, 8, 4), "GroupNorm: groups=3 must divide the 4 channels of the input (8, 8, 4)"),
    (ChannelMaxPool(3), (8, 8, 4), "ChannelMaxPool: size=3 must divide the 4 channels of the input (8, 8, 4)"),
    (LayerNorm(axes=2), (8,), "LayerNorm over the last 2 axes got (8,), which has 1"),
    (Pad(5, "reflect"), (4, 6, 1), "Pad: padding 5 cannot be reflected in (4, 6, 1): it must be smaller than the axis, 4"),
    (Pad(((1, 0), (0, 0))), (4, 6),
     "Pad: padding ((1, 0), (0, 0)) is that of an image; a sequence (4, 6) takes one integer or (before, after)"),
    (Pad(1), (4,), "Pad expects an image (H, W, C) or a sequence (L, C); got (4,). Put it before Flatten()"),
    (Reshape((4, 4)), (15,), "Reshape to (4, 4) needs 16 values; got (15,), which is 15"),
    (MaxPool(2, padding=2), (8, 8, 1), "MaxPool: padding must be at most half of the window, got 2 for a window that spans 2"),
    (DistancePool(3, weights=((1.0, 1.0), (1.0, 1.0))), (8, 8, 1),
        "DistancePool: weights must have the shape (3, 3) of the window, got (2, 2)"),
    (MaxPool((2, 3)), (8, 3), "MaxPool got the sequence (8, 3), for which kernel_size is one integer, not (2, 3)"),
    (Scope(_a=Scope(conv=Conv(1, 1)), _b=Scope(conv=Conv(1, 1))), (8, 8, 1),
     "conv: Conv: two layers have the path 'conv.weight'. A keyword that begins with _ leaves no segment: give one of them a name, or, "
     "if they are to "
     "have the same parameters, write Share('conv', …) around both"),
    (Scope(_a=Scope(_d=Dropout()), _b=Scope(_d=Dropout())), (8,), "Dropout: two layers have the path '_d'"),
    (Share("k", Conv(8, 3)) >> Share("k", Conv(8, 3)), (8, 8, 3),
     "k: Conv: 'k.weight' is shared, but was (3, 3, 3, 8) at its first use and is (3, 3, 8, 8) here. "
     "Share needs inputs and layers that agree; give this one another key"),
    (Share("k", Scope(_a=Conv(1, 1), _b=Conv(1, 1))), (8, 8, 1), "k: Conv: two layers have the path 'k.weight'"),
    (Conv(96, 11, stride=4), (3, 8, 8), "Conv: a window that spans 11×11 does not fit into an image of 3×8 with padding "
     "(top 0, bottom 0, left 0, right 0). "
     "Use a smaller kernel_size or more padding. The input (3, 8, 8) looks channels-first: write (8, 8, 3)"),
    (ReLU(), (1, 28, 28, 1), "shape must be (height, width, channels), (length, channels) or (features,), got (1, 28, 28, 1). "
                             "Leave the batch axis out: (28, 28, 1)"),
    (ReLU(), (1, 3, 28, 28), "shape must be (height, width, channels), (length, channels) or (features,), got (1, 3, 28, 28). "
                             "Leave the batch axis out, channels last: (28, 28, 3)"),
    (ReLU(), (28, 0, 1), "shape: a length must be at least 1, got 0"),
    (ReLU(), 28, "shape must be (height, width, channels), (length, channels) or (features,), got 28"),
])
def test_what_does_not_fit_is_said_with_its_path(spec, shape, text):
    with pytest.raises(ValueError) as caught:
        spec.infer(shape)
    assert str(caught.value).startswith(text)


def test_a_wrong_connection_deep_in_152_layers_names_its_path():
    body = Scope(conv1=Conv(64, 3, padding=1, bias=False), bn1=BatchNorm())
    block, wrong = Scope(_sum=Residual(body), relu=ReLU()), Scope(_sum=Residual(Scope(conv1=Conv(32, 3, padding=1))))
    spec = Scope(layer1=block * 50 >> wrong >> block * 100)
    with pytest.raises(ValueError, match=r"^layer1\.50: Residual adds body \(56, 56, 32\) to shortcut \(56, 56, 64\)\. "
                                         r"Give a shortcut that ends in \(56, 56, 32\), e\.g\. Conv\(32, 1, bias=False\)"):
        spec.infer((56, 56, 64))


def test_a_square_image_of_one_or_three_rows_is_probably_channels_first():
    spec = Conv(8, 3, padding=1)
    with pytest.warns(UserWarning, match=r"^the input \(3, 32, 32\) is an image 3 high and 32 wide.*: \(32, 32, 3\)$") as seen:
        spec.build((3, 32, 32))
    assert seen[0].filename == __file__
    spec.table((3, 32, 16))
    spec.table((32, 32, 3))


def test_paths_are_torchvisions():
    block = Scope(_sum=Residual(Scope(conv1=Conv(8, 3, padding=1), bn1=BatchNorm()), Conv(8, 1) >> BatchNorm()), relu=ReLU())
    network = Scope(layer1=block * 2, _flat=Flatten(), fc=Dense(3, bias=False)).infer((4, 4, 3))
    assert list(network.parameters) == [f"layer1.{i}.{name}" for i in range(2) for name in (
        "conv1.weight", "conv1.bias", "bn1.weight", "bn1.bias", "downsample.0.weight", "downsample.0.bias", "downsample.1.weight",
        "downsample.1.bias")] + ["fc.weight"]
    assert list(network.buffers) == [f"layer1.{i}.{name}" for i in range(2) for name in (
        "bn1.running_mean", "bn1.running_var", "downsample.1.running_mean", "downsample.1.running_var")]
    assert [step.path for step in network.steps][-3:] == ["layer1.1.relu", "_flat", "fc"]
    assert network.steps[network.ends["layer1.1"]].kind == "ReLU" and network.steps[network.ends["layer1"]].path == "layer1.1.relu"


def test_receptive_fields():
    def seen(spec, shape):
        return spec.infer(shape).steps[-1].seen
    assert seen(Conv(1, 3) * 3, (32, 32, 1)) == seen(Conv(1, 7), (32, 32, 1))
    assert seen(Conv(1, 3, dilation=2), (32, 32, 1)).field == (5, 5)
    assert seen(Conv(1, 3, padding=1) | Conv(1, 5, padding=2) >> Conv(1, 3, padding=1), (32, 32, 1)).field == (7, 7)
    assert seen(Conv1d(1, 3, stride=2) >> Conv1d(1, 3), (32, 1)).field == (7,)
    assert seen(Conv(1, 5) >> Flatten() >> Dense(3), (9, 9, 1)).field == (9, 9)
    assert seen(GlobalAvgPool(), (9, 7, 1)).field == (9, 7)
    assert seen(ConvTranspose(1, 4, stride=2), (9, 9, 1)).jump == (Fraction(1, 2), Fraction(1, 2))
    assert seen(Conv(1, 2, stride=2) >> ConvTranspose(1, 2, stride=2), (8, 8, 1)).jump == (1, 1)


def test_flatten_is_remembered_by_the_dense_that_follows():
    def flattened(spec, shape):
        return [(step.path, step.flattened) for step in spec.infer(shape).steps if step.parameters]
    head = Flatten() >> Dropout() >> Tanh() >> Dense(5) >> ReLU() >> Dense(3)
    assert flattened(head, (6, 4, 2)) == [("3", ((6, 4, 2),)), ("5", None)]
    assert flattened(Flatten() >> BatchNorm() >> Dense(5), (6, 4, 2)) == [("1", ((6, 4, 2),)), ("2", ((6, 4, 2),))]
    assert flattened(GlobalAvgPool() >> Flatten() >> Dense(5), (6, 4, 2)) == [("2", None)]
    branches = (AvgPool(2) >> Flatten() | GlobalAvgPool()) >> Dense(5)
    assert flattened(branches, (6, 4, 2)) == [("1", ((3, 2, 2), (2,)))]


def test_shared_parameters_are_counted_once():
    same = Share("enc", Conv(16, 3, padding=1))
    network = (Conv(16, 1) >> same >> ReLU() >> same).infer((8, 8, 3))
    assert list(network.parameters) == ["0.weight", "0.bias", "enc.weight", "enc.bias"]
    assert [len(step.owned) for step in network.steps] == [2, 2, 0, 0]
    dropped = (Share("d", Dropout()) >> Share("d", Dropout())).infer((8,))
    assert len({step.stream for step in dropped.steps}) == 2


def test_an_auxiliary_head_leaves_the_main_path_alone():
    network = Scope(conv1=Conv(4, 3), aux1=Aux(Scope(_f=Flatten(), fc=Dense(2)), weight=0.25), conv2=Conv(5, 3)).infer((8, 8, 1))
    assert network.output_shape == (4, 4, 5)
    assert [(path, network.steps[step].path, weight) for path, step, weight in network.heads] == [("aux1", "aux1.fc", 0.25)]
    assert [step.path for step in network.steps if step.training_only] == ["aux1._f", "aux1.fc"]


def test_identity_leaves_everything():
    assert shape_of(Identity(), (3, 2, 1)) == (3, 2, 1)
