"""AlexNet and ZFNet: the sizes of the papers' figures, first weights as published, other image sizes, forward and backward."""
from __future__ import annotations

import numpy as np
import pytest

from tinygradconv.models import get
from tinygradconv.spec import Constant, Dense, Normal

from .shapes import shapes


def test_alexnets_figure_2():
    spec, shape = get("alexnet_2012")
    sizes = shapes(spec, shape, "conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5", "fc6", "fc7", "fc8")
    assert sizes == [(55, 55, 96), (27, 27, 96), (27, 27, 256), (13, 13, 256), (13, 13, 384), (13, 13, 384), (13, 13, 256), (6, 6, 256),
                     (4096,), (4096,), (1000,)]
    units = [int(np.prod(sizes[i])) for i in (2, 4, 5, 6, 8, 9, 10)]
    assert units == [186_624, 64_896, 64_896, 43_264, 4096, 4096, 1000]      # "the number of neurons in the network's remaining layers"


def test_torchvisions_alexnet_has_the_same_sizes():
    spec, shape = get("alexnet")
    assert shapes(spec, shape, "features.0", "features.2", "features.3", "features.5", "features.10", "features") == [
        (55, 55, 64), (27, 27, 64), (27, 27, 192), (13, 13, 192), (13, 13, 256), (6, 6, 256)]


def test_zfnets_figure_3():
    spec, shape = get("zfnet")
    assert shapes(spec, shape, "conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5", "fc6", "fc7", "fc8") == [
        (110, 110, 96), (55, 55, 96), (26, 26, 256), (13, 13, 256), (13, 13, 384), (13, 13, 384), (13, 13, 256), (6, 6, 256),
        (4096,), (4096,), (1000,)]


@pytest.mark.parametrize(("name", "ones"), [("alexnet_2012", {"conv2", "conv4", "conv5", "fc6", "fc7"}), ("zfnet", set())])
def test_first_weights_are_the_papers(name, ones):
    spec, shape = get(name)
    for path, parameter in spec.infer(shape).parameters.items():
        layer, kind = path.split(".")
        assert parameter.init == (Normal(0.01) if kind == "weight" else Constant(float(layer in ones))), path


def test_the_towers_meet_in_the_third_layer_and_the_dense_ones():
    spec, shape = get("alexnet_2012")
    inputs = {path: p.shape[-2] for path, p in spec.infer(shape).parameters.items() if path.endswith("weight")}
    assert inputs == {"conv1.weight": 3, "conv2.weight": 48, "conv3.weight": 256, "conv4.weight": 192, "conv5.weight": 192,
                      "fc6.weight": 9216, "fc7.weight": 4096, "fc8.weight": 4096}


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "vgg16_bn"])
@pytest.mark.parametrize("shape", [(64, 64, 3), (224, 288, 3), (300, 200, 3)])
def test_other_image_sizes_leave_the_parameters_as_they_are(name, shape):
    spec, usual = get(name)
    ours, theirs = spec.infer(shape), spec.infer(usual)
    assert ours.parameters == theirs.parameters and ours.output_shape == (1000,)
    assert next(step for step in ours.steps if step.flattened).flattened == next(step for step in theirs.steps if step.flattened).flattened


@pytest.mark.parametrize(("name", "dense", "shape"), [
    ("alexnet", ("classifier.1", "classifier.4"), (80, 64, 3)), ("alexnet_2012", ("fc6", "fc7"), (67, 67, 3)),
    ("zfnet", ("fc6", "fc7"), (64, 64, 3)), ("vgg11_bn", ("classifier.0", "classifier.3"), (64, 64, 3))])
def test_forward_and_backward(name, dense, shape):
    spec, _ = get(name, classes=5)
    for path in dense:
        spec = spec.replace(path, Dense(16))                              # or most of the time goes into drawing the dense weights
    model = spec.build(shape)
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    y = model(x, train=True)
    y.sum().backward()
    assert y.shape == model(x).shape == (2, 5) and np.isfinite(y.numpy()).all()
    assert all(p.grad.shape == p.shape and np.isfinite(p.grad.numpy()).all() for p in model.parameters.values())
    assert np.abs(next(iter(model.parameters.values())).grad.numpy()).max() > 0
