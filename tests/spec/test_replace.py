"""One part replaced by another, by path: in a spec, and in a model that keeps all its other weights."""
from __future__ import annotations

import numpy as np
import pytest

from tinygradconv import models
from tinygradconv.spec import (
    Aux,
    BatchNorm,
    Chain,
    Concat,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Identity,
    ReLU,
    Residual,
    Scope,
    Share,
    Sum,
    Tanh,
)

from .twins import SHAPE, SMALL, images

a, b, c, new = Conv(8, 1), Conv(8, 3, padding=1), ReLU(), Tanh()


@pytest.mark.parametrize(("spec", "path", "expected"), [
    (a >> b >> c, "1", a >> new >> c),
    (a >> b >> c, "", new),
    (a, "", new),
    (a * 3, "2", a >> a >> new),
    (Scope(conv=a, _relu=c, fc=b), "fc", Scope(conv=a, _relu=c, fc=new)),
    (Scope(conv=a, _relu=c), "_relu", Scope(conv=a, _relu=new)),
    (Scope(x=Scope(y=a >> b)), "x.y.1", Scope(x=Scope(y=a >> new))),
    (Scope(_x=Scope(y=a >> b)), "y.1", Scope(_x=Scope(y=a >> new))),
    (a | b, "1", a | new),
    (Concat(left=a, right=b >> c), "right", Concat(left=a, right=new)),
    (Concat(left=a, right=b >> c), "right.1", Concat(left=a, right=b >> new)),
    (Concat(a, right=b), "0", Concat(new, right=b)),
    (Sum(a, b), "0", Sum(new, b)),
    (Scope(x=Residual(a >> b, c)), "x.0", Scope(x=Residual(new >> b, c))),
    (Scope(x=Residual(a >> b, c)), "x._body", Scope(x=Residual(new, c))),
    (Scope(x=Residual(a, b >> c)), "x.downsample", Scope(x=Residual(a, new))),
    (Scope(x=Residual(a, b >> c)), "x.downsample.1", Scope(x=Residual(a, b >> new))),
    (Scope(x=Residual(a)), "x.downsample", Scope(x=Residual(a, new))),
    (Scope(aux1=Aux(Scope(fc=a), weight=0.5), z=c), "aux1.fc", Scope(aux1=Aux(Scope(fc=new), weight=0.5), z=c)),
    (Scope(aux1=Aux(Scope(fc=a)), z=c), "aux1", Scope(aux1=new, z=c)),
    (Share("enc", a) >> c >> Share("enc", a), "enc", Share("enc", new) >> c >> Share("enc", new)),
    (Share("e.f", a >> b) >> c >> Share("e.f", a >> b), "e.f.1", Share("e.f", a >> new) >> c >> Share("e.f", a >> new)),
    (Share("enc", a) >> c >> Share("enc", a), "2", Share("enc", a) >> c >> new),
    (Scope(enc=Share("enc", a)), "enc", Scope(enc=Share("enc", new))),
    (Scope(x=a), "x", Scope(x=new)),
], ids=repr)
def test_what_stands_at_a_path_is_replaced(spec, path, expected):
    before = repr(spec)
    made = spec.replace(path, new)
    assert made == expected and repr(spec) == before


def test_a_chain_in_a_chain_leaves_the_other_paths_as_they_are():
    spec = Flatten() >> Dense(8) >> c >> Dense(8, bias=False)
    made = spec.replace("1", Dense(5) >> Tanh() >> Dense(8))
    assert list(made.infer((3, 3, 1)).parameters) == ["1.0.weight", "1.0.bias", "1.2.weight", "1.2.bias", "3.weight"]
    assert made.from_json(made.to_json()) == made
    assert Scope(x=a, fc=b).replace("fc", a >> c) == Scope(x=a, fc=a >> c)
    assert a.replace("", a >> c) == a >> c


def test_every_path_of_the_zoo_can_be_replaced():
    for name in ("lenet5", "vgg11_bn", "resnet18", "resnet20", "plain20", "googlenet"):
        spec, shape = models.get(name)
        network = spec.infer(shape)
        for path in network.ends:
            made = spec.replace(path, Identity())
            assert made != spec, path
        assert len(network.ends) > 10


@pytest.mark.parametrize(("path", "kind", "text"), [
    ("layer3", ValueError, "replace: there is no 'layer3' in this spec. Did you mean 'layer2' or 'layer1'"),
    ("fc.weight", ValueError, "replace: there is no 'fc.weight' in this spec. Did you mean 'fc'?"),
    ("head", ValueError, "replace: there is no 'head' in this spec. Its parts are: conv1, bn1, relu, layer1, layer2, avgpool, fc"),
    (3, TypeError, "replace: a path must be a string such as 'layer1.0', got 3 of type int"),
])
def test_a_path_that_is_not_there(path, kind, text):
    with pytest.raises(kind) as caught:
        SMALL.replace(path, Dense(10))
    assert str(caught.value).startswith(text)


def test_what_is_not_a_spec():
    with pytest.raises(TypeError, match=r"replace: what comes in its place must be a layer, got the class ReLU\. Make one: ReLU\(…\)"):
        SMALL.replace("fc", ReLU)
    with pytest.raises(ValueError, match=r"replace: there is no 'x' in this spec\. It has no parts"):
        Dense(3).replace("x", ReLU())


# Models.

def equal(one, other, paths):
    return all(np.array_equal(one[path].numpy(), other[path].numpy()) for path in paths)


def test_a_new_head_in_one_line():
    model, x = SMALL.build(SHAPE, seed=1), images().astype(np.float32)
    model(x, train=True)
    made = model.replace("fc", Dense(10), seed=5)
    assert made(x).shape == (4, 10) and made.output_shape == (10,) and made.spec == SMALL.replace("fc", Dense(10)) and model.spec is SMALL
    body = [path for path in model.parameters if not path.startswith("fc")]
    assert equal(made.parameters, model.parameters, body) and equal(made.buffers, model.buffers, model.buffers)
    drawn = SMALL.replace("fc", Dense(10)).build(SHAPE, seed=5)
    assert equal(made.parameters, drawn.parameters, ["fc.weight", "fc.bias"])
    assert equal(model.replace("fc", Dense(10)).parameters, SMALL.replace("fc", Dense(10)).build(SHAPE, seed=1).parameters, ["fc.weight"])
    assert made.counter.value == model.counter.value == 1 and len(made.learned) == len(made.parameters)


def test_neither_model_changes_the_other():
    model, x = SMALL.build(SHAPE, seed=1), images().astype(np.float32)
    made = model.replace("fc", Dense(3))
    before, expected = {path: p.numpy().copy() for path, p in model.parameters.items()}, model(x).numpy()
    for path, parameter in made.parameters.items():
        assert not np.shares_memory(parameter.numpy(), model.parameters[path].numpy())
        parameter.data[...] = 0
    made(x, train=True)
    model.freeze("conv1")
    assert equal(model.parameters, {path: model.parameters[path] for path in before}, before) and "conv1.weight" in made.learned
    np.testing.assert_array_equal(model(x).numpy(), expected)
    assert made.counter.value == 1 and model.counter.value == 0


def test_a_head_of_the_same_shape_is_drawn_anew_and_a_body_without_a_name_too():
    spec = Scope(_body=Scope(a=Dense(4), _relu=ReLU()), b=Dense(2))
    model = spec.build((3,), seed=1)
    made = model.replace("_body", Scope(a=Dense(4), _tanh=Tanh()), seed=2)
    assert not equal(made.parameters, model.parameters, ["a.weight"]) and equal(made.parameters, model.parameters, ["b.weight"])
    made = model.replace("b", Dense(2), seed=2)
    assert not equal(made.parameters, model.parameters, ["b.weight"]) and equal(made.parameters, model.parameters, ["a.weight"])


def test_what_was_frozen_stays_so_but_for_the_new_part():
    model, x = SMALL.build(SHAPE, seed=1), images().astype(np.float32)
    model.freeze()
    made = model.replace("fc", Dense(2))
    assert list(made.learned) == ["fc.weight", "fc.bias"]
    before = dict(made.buffers)
    made(x, train=True)
    assert made.buffers == before                                             # the batch norms of the body are still in evaluation
    assert list(model.replace("layer2.0.bn1", BatchNorm(epsilon=1e-3)).learned) == ["layer2.0.bn1.weight", "layer2.0.bn1.bias"]


def test_what_is_shared_keeps_its_weights_when_one_use_goes():
    enc = Share("enc", Dense(4))
    model = (enc >> ReLU() >> enc).build((4,), seed=1)
    one = model.replace("2", Dense(4))
    assert equal(one.parameters, model.parameters, ["enc.weight"]) and "2.weight" in one.parameters
    both = model.replace("enc", Dense(4), seed=2)
    assert not equal(both.parameters, model.parameters, ["enc.weight"])
    more = (enc >> ReLU() >> Dense(4)).build((4,), seed=1)
    assert equal(more.replace("2", enc, seed=9).parameters, more.parameters, ["enc.weight"])


def test_parts_without_weights_dtypes_and_seeds():
    model = SMALL.build(SHAPE, seed=1, dtype="float64", fuse=False)
    made = model.replace("relu", Tanh() >> Dropout(0.2))
    assert made.parameters["fc.weight"].dtype == np.float64 and made.fuse is False and made.seed == 1
    assert equal(made.parameters, model.parameters, model.parameters)
    np.testing.assert_allclose(made.features(images(), "relu").numpy(), np.tanh(model.features(images(), "bn1").numpy()), rtol=1e-12)
    with pytest.raises(ValueError, match="replace: seed must be at least 0, got -1"):
        model.replace("fc", Dense(2), seed=-1)


def test_a_part_that_changes_what_follows_is_refused():
    model = SMALL.build(SHAPE)
    with pytest.raises(ValueError, match=r"^replace: bn1\.weight is \(5,\) and would have to be \(6,\): the new part's output is not "
                                         r"shaped like the old one's\. Give it that shape, or build the new spec: model\.spec\.replace"):
        model.replace("conv1", Conv(6, 3))
    with pytest.raises(ValueError, match=r"^fc: Dense expects a flat vector"):
        model.replace("avgpool", Identity())


def test_a_head_for_ten_classes_of_a_network_of_the_zoo():
    spec, shape = models.get("resnet20")
    made = spec.build(shape).replace("fc", Dense(3)).replace("avgpool", Chain(GlobalAvgPool()))
    assert made(np.zeros((1, *shape), np.float32)).shape == (1, 3) and made.parameter_count == 269_722 - 65 * 7
