"""GoogLeNet: table 1 of the paper, the lecture's inception modules, heads in training and in evaluation."""
from __future__ import annotations

import numpy as np
import pytest

from tinygradconv.models import get
from tinygradconv.models.googlenet import conv_relu, inception, naive_inception

from .shapes import shapes

# Output size, and operations in millions, as printed; not those of the 7×7 layer (34 is too few) and of 5a (54 would be 48 for the printed
# 32 in its 5×5 reduction).
TABLE_1 = {
    "conv1": ((112, 112, 64), None), "maxpool1": ((56, 56, 64), None), "conv3": ((56, 56, 192), None), "maxpool2": ((28, 28, 192), None),
    "inception3a": ((28, 28, 256), 128), "inception3b": ((28, 28, 480), 304), "maxpool3": ((14, 14, 480), None),
    "inception4a": ((14, 14, 512), 73), "inception4b": ((14, 14, 512), 88), "inception4c": ((14, 14, 512), 100),
    "inception4d": ((14, 14, 528), 119), "inception4e": ((14, 14, 832), 170), "maxpool4": ((7, 7, 832), None),
    "inception5a": ((7, 7, 832), None), "inception5b": ((7, 7, 1024), 71), "avgpool": ((1024,), None), "fc": ((1000,), 1),
}


@pytest.mark.parametrize("name", ["googlenet", "googlenet_2014"])
def test_the_sizes_are_table_1s(name):
    spec, shape = get(name)
    assert shapes(spec, shape, *TABLE_1) == [size for size, _ in TABLE_1.values()]


def test_the_operations_are_table_1s():
    spec, shape = get("googlenet_2014")
    rows = spec.table(shape).rows
    for path, (_, millions) in TABLE_1.items():
        macs = sum(row.macs for row in rows if row.path.startswith(path))
        assert millions is None or abs(macs / 1e6 - millions) < 1, path
    assert abs(sum(row.macs for row in rows if row.path.startswith(("conv2", "conv3"))) / 1e6 - 360) < 1     # 3×3 and its reduction


def test_the_lectures_inception_modules():
    naive = naive_inception(128, 192, 96).table((28, 28, 256))
    assert naive.totals["macs"] == 28 * 28 * 256 * (128 + 9 * 192 + 25 * 96) == 854_196_224
    assert naive.rows[-1].output == (28, 28, 672)
    narrow = inception(128, 64, 192, 64, 96, 64, conv=conv_relu).table((28, 28, 256))
    assert narrow.totals["macs"] == 28 * 28 * (256 * (128 + 64 + 64 + 64) + 64 * 9 * 192 + 64 * 25 * 96) == 271_351_808
    assert narrow.rows[-1].output == (28, 28, 480)


def test_inception_3a_of_the_paper():
    totals = inception(64, 96, 128, 16, 32, 32, conv=conv_relu).table((28, 28, 192)).totals
    assert (totals["parameters"], totals["macs"]) == (163_696, 128_049_152)


def test_the_third_branch_is_5x5_in_the_paper_and_3x3_in_torchvision():
    for name, size in (("googlenet_2014", 5), ("googlenet", 3)):
        parameters = get(name)[0].infer((224, 224, 3)).parameters
        assert {p.shape[:2] for path, p in parameters.items() if path.endswith("branch3.1.conv.weight")} == {(size, size)}


def test_the_paths_are_torchvisions():
    spec, shape = get("googlenet", heads=True)
    network = spec.infer(shape)
    assert {"conv1.conv.weight", "conv3.bn.bias", "inception3a.branch1.conv.weight", "inception3a.branch2.0.bn.weight",
            "inception4e.branch3.1.conv.weight", "inception5b.branch4.1.conv.weight", "aux1.conv.conv.weight", "aux1.conv.bn.weight",
            "aux2.fc1.weight", "aux2.fc2.bias", "fc.bias"} <= set(network.parameters)
    assert {"conv1.bn.running_mean", "inception3a.branch4.1.bn.running_var", "aux2.conv.bn.running_mean"} <= set(network.buffers)
    assert [path for path, _, _ in network.heads] == ["aux1", "aux2"]
    bare = get("googlenet")[0].infer(shape)
    assert set(bare.parameters) == {path for path in network.parameters if not path.startswith("aux")} and not bare.heads


def test_the_batch_norms_have_torchvisions_epsilon():
    steps = get("googlenet", heads=True)[0].infer((224, 224, 3)).steps
    assert {step.spec.epsilon for step in steps if step.kind == "BatchNorm"} == {0.001}
    assert [step.spec.rate for step in steps if step.kind == "Dropout"] == [0.7, 0.7, 0.2]


@pytest.mark.parametrize(("name", "shape"), [("googlenet", (64, 64, 3)), ("googlenet_2014", (224, 224, 3))])
def test_heads_run_in_training_alone(name, shape):
    spec, _ = get(name, classes=7, heads=True)
    model = spec.build(shape)
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    y, heads = model(x, train=True)
    assert y.shape == (2, 7) and {path: (head.shape, weight) for path, (head, weight) in heads.items()} == {
        "aux1": ((2, 7), 0.3), "aux2": ((2, 7), 0.3)}
    (y.sum() + sum(weight * head.sum() for head, weight in heads.values())).backward()
    assert all(p.grad is not None and np.isfinite(p.grad.numpy()).all() for p in model.parameters.values())
    evaluated = model(x)
    assert evaluated.shape == (2, 7)
    bare = get(name, classes=7)[0].build(shape)                          # each weight by its path: the heads have changed none
    for path, p in bare.parameters.items():
        np.testing.assert_array_equal(p.numpy(), model.parameters[path].numpy())
    bare.buffers.update({path: value for path, value in model.buffers.items() if path in bare.buffers})
    np.testing.assert_array_equal(bare(x).numpy(), evaluated.numpy())
