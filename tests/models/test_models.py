"""The networks by name, with the numbers that everybody knows them by."""
from __future__ import annotations

import math

import numpy as np
import pytest

from tinygradconv.models import MODELS, get, lenet5
from tinygradconv.spec import AvgPool, Conv, Dense, Flatten, Spec, Tanh

NETWORKS = [*((name, False) for name in MODELS), ("googlenet", True), ("googlenet_2014", True)]
SMALL = [name for name in MODELS if sum(math.prod(p.shape) for p in get(name)[0].infer(get(name)[1]).parameters.values()) < 12e6]



def test_lenet5_is_the_common_form():
    assert lenet5 == (Conv(6, 5, padding=2) >> Tanh() >> AvgPool(2) >> Conv(16, 5) >> Tanh() >> AvgPool(2) >> Flatten()
                      >> Dense(120) >> Tanh() >> Dense(84) >> Tanh() >> Dense(10))
    totals = lenet5.table((28, 28, 1)).totals
    assert totals["parameters"] == 61_706 and totals["macs"] == 416_520


@pytest.mark.parametrize("name", SMALL)
def test_every_model_builds_for_its_default_input(name):               # the larger ones: on abstract arrays, in test_counts.py
    spec, shape = get(name)
    assert isinstance(spec, Spec)
    assert spec.build(shape)(np.zeros((2, *shape), np.float32)).shape == (2, *spec.infer(shape).output_shape)


@pytest.mark.parametrize(("name", "heads"), NETWORKS)
def test_json_gives_the_same_network(name, heads):
    spec, _ = get(name, heads=heads)
    assert Spec.from_json(spec.to_json()) == spec == get(name, heads=heads)[0]


@pytest.mark.parametrize(("name", "heads"), NETWORKS)
def test_another_number_of_classes_changes_the_last_layers_alone(name, heads):
    (spec, shape), (usual, _) = get(name, classes=7, heads=heads), get(name, heads=heads)
    ours, theirs = spec.infer(shape), usual.infer(shape)
    assert ours.output_shape == (7,) and [ours.steps[step].shape for _, step, _ in ours.heads] == [(7,)] * 2 * heads
    last = {path for path, p in ours.parameters.items() if p != theirs.parameters[path]}
    assert len(last) == (0 if name == "lenet5_1998" else 2 + 4 * heads) and set(ours.parameters) == set(theirs.parameters)
    assert all(ours.parameters[path].shape[-1] == 7 for path in last)


def test_a_network_without_heads_says_who_has_them():
    assert not get("googlenet")[0].infer((224, 224, 3)).heads and len(get("googlenet", heads=True)[0].infer((224, 224, 3)).heads) == 2
    with pytest.raises(ValueError, match="vgg16 has no auxiliary heads; googlenet and googlenet_2014 have. Leave heads out"):
        get("vgg16", heads=True)


@pytest.mark.parametrize(("name", "text"), [
    ("lenet", "there is no model 'lenet'; did you mean 'lenet5'? The models are: "),
    ("LeNet-5", "there is no model 'LeNet-5'; did you mean 'lenet5'? The models are: "),
    ("resnet21", "there is no model 'resnet21'; did you mean 'resnet20'? The models are: "),
    ("ResNet1000", "there is no model 'ResNet1000'; did you mean 'resnet152'? The models are: "),
    ("vgg17_bn", "there is no model 'vgg17_bn'; did you mean 'vgg16_bn'? The models are: "),
    ("lenet51", "there is no model 'lenet51'; did you mean 'lenet5'? The models are: "),
    ("transformer", "there is no model 'transformer'. The models are: "),
])
def test_an_unknown_model_is_answered_with_the_closest(name, text):
    with pytest.raises(ValueError) as caught:
        get(name)
    assert str(caught.value).startswith(text)


def test_lenet5_agrees_with_torch_in_logits_and_gradients():
    torch = pytest.importorskip("torch")
    model = lenet5.build((28, 28, 1))
    x = np.random.default_rng(0).normal(size=(3, 28, 28, 1)).astype(np.float32)
    nn = torch.nn
    theirs = nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Flatten(),
                           nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10))
    flattened = {f"{step.path}.weight": step.flattened for step in model.network.steps if step.flattened}

    def as_torch(name, values):
        """Our layout as torch's: convolutions to O, I, kh, kw; dense rows from H·W·C to C·H·W order, transposed."""
        if values.ndim == 4:
            return values.transpose(3, 2, 0, 1)
        if name in flattened:
            (shape,) = flattened[name]
            values = values.reshape(*shape, -1).transpose(2, 0, 1, 3).reshape(values.shape)
        return values.T
    theirs.load_state_dict({name: torch.from_numpy(as_torch(name, p.numpy()).copy()) for name, p in model.parameters.items()})
    y, expected = model(x, train=True), theirs(torch.from_numpy(x).permute(0, 3, 1, 2))
    np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), atol=1e-5)
    (y * y).sum().backward()
    (expected * expected).sum().backward()
    for name, parameter in theirs.named_parameters():
        np.testing.assert_allclose(as_torch(name, model.parameters[name].grad.numpy()), parameter.grad.numpy(), rtol=1e-4, atol=1e-4)
