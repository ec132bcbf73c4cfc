"""What leaves the parts of a model: PyTorch's forward hooks are the oracle; nothing but what leads there is run."""
from __future__ import annotations

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv.spec import Aux, BatchNorm, Concat, Conv, Dense, Dropout, Identity, ReLU, Residual, Scope, Share

from .twins import SHAPE, SMALL, images, outside, picture, twins

PATHS = ["conv1", "bn1", "relu", "layer1.0.conv1", "layer1.0.bn2", "layer1.0.downsample", "layer1.0.downsample.0", "layer1.0", "layer1",
         "layer1.1.downsample.1", "layer2.0", "layer2", "fc"]


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("fuse", [False, True])
def test_they_are_what_hooks_in_torch_see(train, fuse):
    torch = pytest.importorskip("torch")
    model, theirs = twins()
    model.fuse = fuse
    seen, modules = {}, dict(theirs.named_modules())
    for path in PATHS:
        modules[path].register_forward_hook(lambda _, x, y, path=path: seen.__setitem__(path, y.detach().numpy().copy()))
    theirs.train(train)(torch.from_numpy(picture(images())))
    for path, y in model.features(images(), PATHS, train=train).items():
        np.testing.assert_allclose(picture(y.numpy()), seen[path], rtol=1e-9, atol=1e-11, err_msg=path)
    named = dict(theirs.named_buffers())
    for path, buffer in model.buffers.items():
        np.testing.assert_allclose(buffer.numpy(), named[path].numpy(), rtol=1e-9, err_msg=path)


@pytest.mark.parametrize("train", [False, True])
def test_they_are_part_of_the_graph(train):
    torch = pytest.importorskip("torch")
    model, theirs = twins()
    (model.features(images(), "layer1.0.bn2", train=train) ** 2).sum().backward()
    theirs.train(train)
    x, block = torch.relu(theirs.bn1(theirs.conv1(torch.from_numpy(picture(images()))))), theirs.layer1[0]
    (block.bn2(block.conv2(torch.relu(block.bn1(block.conv1(x))))) ** 2).sum().backward()
    named = dict(theirs.named_parameters())
    for path, parameter in model.parameters.items():
        assert (parameter.grad is None) == (named[path].grad is None), path
        if parameter.grad is not None:
            np.testing.assert_allclose(outside(parameter.grad.numpy()), named[path].grad.numpy(), rtol=1e-7, atol=1e-9, err_msg=path)


def test_only_what_leads_there_is_run():
    spec = Scope(a=Conv(2, 1), mix=Concat(left=BatchNorm(), right=BatchNorm() >> Dropout()), c=BatchNorm())
    model = spec.build((4, 4, 3))
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype(np.float32)
    before = dict(model.buffers)
    model.features(x, "mix.left", train=True)
    assert {path for path in before if model.buffers[path] is not before[path]} == {"mix.left.running_mean", "mix.left.running_var"}
    assert model.counter.value == 1


def test_a_list_of_one_is_a_dict_and_the_whole_has_the_empty_path():
    model, x = SMALL.build(SHAPE), images().astype(np.float32)
    assert list(model.features(x, ["fc"])) == ["fc"] and model.features(x, []) == {}
    np.testing.assert_array_equal(model.features(x, "").numpy(), model(x).numpy())


def test_the_last_use_of_what_is_shared_and_the_input_itself():
    x = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
    model = (Share("enc", Dense(4)) >> ReLU() >> Share("enc", Dense(4))).build((4,))
    once = model.features(x, "0").numpy()
    weight, bias = model.parameters["enc.weight"].numpy(), model.parameters["enc.bias"].numpy()
    np.testing.assert_allclose(once, x @ weight + bias, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.features(x, "enc").numpy(), np.maximum(once, 0) @ weight + bias, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(Scope(image=Identity(), fc=Dense(2)).build((4,)).features(x, "image").numpy(), x)


def test_an_auxiliary_head_has_features_in_training():
    model = Scope(a=Dense(4), aux1=Aux(Scope(fc=Dense(2)) >> ReLU()), b=Dense(3)).build((5,))
    x = np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32)
    heads = model(x, train=True)[1]
    np.testing.assert_array_equal(model.features(x, "aux1", train=True).numpy(), heads["aux1"][0].numpy())
    with pytest.raises(ValueError, match=r"features: 'aux1\.0\.fc' is in an auxiliary head, which runs in training only: give train=True"):
        model.features(x, "aux1.0.fc")


def test_activations_are_the_features_of_every_layer():
    model, x = SMALL.build(SHAPE, seed=2), images().astype(np.float32)
    every = model.activations(x)
    assert [*every][:5] == ["conv1", "bn1", "relu", "layer1.0.conv1", "layer1.0.bn1"] and [*every][-2:] == ["avgpool", "fc"]
    assert len(every) == len(model.network.steps) and "layer1.0._sum" in every
    for path, y in model.features(x, list(every)).items():
        np.testing.assert_array_equal(every[path].numpy(), y.numpy())
    np.testing.assert_array_equal(every["relu"].numpy(), np.maximum(every["bn1"].numpy(), 0))
    np.testing.assert_allclose(every["layer1.0._sum"].numpy(), every["layer1.0.bn2"].numpy() + every["layer1.0.downsample.1"].numpy(),
                               rtol=1e-6, atol=1e-6)
    headed = Scope(a=Dense(4), aux1=Aux(Dense(2)), b=Residual(Dense(4))).build((5,))
    row = np.zeros((1, 5), np.float32)
    assert list(headed.activations(row)) == ["a", "b._body", "b"] and "aux1" in headed.activations(row, train=True)


def test_nothing_is_recorded_where_nothing_is_to_be():
    model, x = SMALL.build(SHAPE), images().astype(np.float32)
    with tgc.no_grad():
        assert not model.features(x, "layer1").requires_grad
    assert model.features(x, "layer1").requires_grad


@pytest.mark.parametrize(("at", "kind", "text"), [
    ("layer1.0.conv", ValueError, "features: there is no 'layer1.0.conv' in this model. Did you mean 'layer1.0.conv2' or 'layer1.0.conv1'"),
    ("fc.weight", ValueError, "features: there is no 'fc.weight' in this model. Did you mean 'fc'?"),
    ("nothing", ValueError, "features: there is no 'nothing' in this model. Its parts are: conv1, bn1, relu, layer1, layer2, avgpool, fc"),
    (["fc", "layer3"], ValueError, "features: there is no 'layer3' in this model. Did you mean 'layer2' or 'layer1'"),
    ({"fc"}, TypeError, "features: at must be a path or a list of paths, got {'fc'} of type set"),
    (["fc", 3], TypeError, "features: a path must be a string such as 'layer1.0', got 3 of type int"),
])
def test_a_path_that_is_not_there(at, kind, text):
    with pytest.raises(kind) as caught:
        SMALL.build(SHAPE).features(images().astype(np.float32), at)
    assert str(caught.value).startswith(text)
