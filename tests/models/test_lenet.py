"""LeNet-5 as published in 1998: every layer's parameters and connections, its table, its codes, its numbers in NumPy."""
from __future__ import annotations

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv.models import get, lenet
from tinygradconv.models.bitmaps import DIGITS
from tinygradconv.models.connections import connections
from tinygradconv.spec import RBF, Conv, Dense, FanIn, Flatten, MaxPool, ReLU
from tinygradconv.train.optim import SGD

from .shapes import shapes

LENET, INPUT = get("lenet5_1998")

LAYERS = {                    # section II.B: output, trainable parameters, connections
    "c1": ((28, 28, 6), 156, 122_304), "s2": ((14, 14, 6), 12, 5_880), "c3": ((10, 10, 16), 1_516, 151_600), "s4": ((5, 5, 16), 32, 2_000),
    "c5": ((1, 1, 120), 48_120, 48_120), "f6": ((84,), 10_164, 10_164), "output": ((10,), 0, 840),
}

TABLE_I = """
    X...XXX..XXXX.XX
    XX...XXX..XXXX.X
    XXX...XXX..X.XXX
    .XXX..XXXX..X.XX
    ..XXX..XXXX.XX.X
    ...XXX..XXXX.XXX
"""                           # as printed: rows are maps of S2, columns maps of C3


@pytest.mark.parametrize("layer", LAYERS)
def test_each_layer_is_the_papers(layer):
    output, parameters, wires = LAYERS[layer]
    network, counts = LENET.infer(INPUT), connections(LENET, INPUT)
    assert shapes(LENET, INPUT, layer) == [output]
    assert sum(int(np.prod(p.shape)) for path, p in network.parameters.items() if path.startswith(layer)) == parameters
    assert sum(count for path, count in counts.items() if path.startswith(layer)) == wires


def test_the_whole_is_the_papers():
    assert LENET.table(INPUT).totals["parameters"] == 60_000 and sum(connections(LENET, INPUT).values()) == 340_908


def test_connections_of_other_layers():
    spec = Conv(4, 3, bias=False) >> ReLU() >> MaxPool((1, 2)) >> Flatten() >> Dense(3) >> Dense(2, bias=False)
    assert connections(spec, (5, 6, 2)) == {"0": 4 * 12 * 18, "2": 2 * 3 * 2 * 4, "4": 24 * 3 + 3, "5": 6}


def test_c3_is_connected_by_table_i():
    printed = [[row[o] == "X" for row in TABLE_I.split()] for o in range(16)]
    assert [tuple(i for i in range(6) if column[i]) for column in printed] == [tuple(sorted(row)) for row in lenet.TABLE_I]
    assert sum(map(sum, printed)) == 60


def test_the_codes_are_drawings_of_the_digits():
    codes = np.array([[mark == "#" for mark in code.replace(" ", "")] for code in DIGITS])
    assert codes.shape == (10, 84) and [len(code.split()) for code in DIGITS] == [12] * 10
    assert not codes.reshape(10, 12, 7)[:, 10:].any() and codes.reshape(10, 12, 7)[:, 9].any(1).all()      # two rows for tails
    apart = (codes[:, None] != codes[None]).sum(2)
    assert (apart[~np.eye(10, dtype=bool)] >= 6).all()


def squash(a):
    return 1.7159 * np.tanh(2 / 3 * a)


def test_the_numbers_are_those_of_loops_in_numpy():
    model = LENET.build(INPUT, seed=1, dtype="float64")
    x = np.random.default_rng(0).uniform(-0.1, 1.175, (32, 32))
    p = {path: value.numpy() for path, value in model.parameters.items()}

    def windows(image, size=5):
        return np.lib.stride_tricks.sliding_window_view(image, (size, size))

    def pooled(maps, layer):
        return [squash(m.reshape(len(m) // 2, 2, len(m) // 2, 2).sum((1, 3)) * p[f"{layer}.weight"][i] + p[f"{layer}.bias"][i])
                for i, m in enumerate(maps)]

    c1 = [squash((windows(x) * p["c1.weight"][:, :, 0, o]).sum((2, 3)) + p["c1.bias"][o]) for o in range(6)]
    s2, number, c3 = pooled(c1, "s2"), 0, []
    for o, row in enumerate(lenet.TABLE_I):
        total = p["c3.bias"][o]
        for one in sorted(row):
            total, number = total + (windows(s2[one]) * p["c3.weight"][:, :, number]).sum((2, 3)), number + 1
        c3.append(squash(total))
    s4 = np.stack(pooled(c3, "s4"), 2)
    c5 = squash(np.einsum("yxc,yxco->o", s4, p["c5.weight"]) + p["c5.bias"])
    f6 = squash(c5 @ p["f6.weight"] + p["f6.bias"])
    codes = np.array([[1 if mark == "#" else -1 for mark in code.replace(" ", "")] for code in DIGITS])
    np.testing.assert_allclose(model(x[None, :, :, None]).numpy()[0], -((f6 - codes) ** 2).sum(1), rtol=1e-10)


def test_softmax_cross_entropy_is_the_papers_criterion():
    model = LENET.build(INPUT, dtype="float64")
    y = model(np.random.default_rng(0).normal(size=(3, *INPUT)), train=True)
    penalties, answers = -y.numpy(), np.array([3, 0, 7])                     # equation 9 with j = ∞
    expected = np.mean(penalties[range(3), answers] + np.log(np.exp(-penalties).sum(1)))
    loss = tgc.cross_entropy(y, tgc.Tensor(answers))
    np.testing.assert_allclose(loss.numpy(), expected, rtol=1e-12)
    loss.backward()
    assert all(np.abs(p.grad.numpy()).min(initial=1) > 0 for path, p in model.parameters.items() if path != "c3.weight")
    assert model.parameters["c3.weight"].grad.shape == (5, 5, 60) and (model.parameters["c3.weight"].grad.numpy() != 0).all()


def test_it_learns_a_batch_of_drawings():
    drawings = np.full((10, *INPUT), -0.1, np.float32)                      # the codes themselves, twice as large, as images
    for k, code in enumerate(DIGITS):
        ink = np.array([[mark == "#" for mark in row] for row in code.split()])
        drawings[k, 4:28, 9:23, 0] += 1.275 * ink.repeat(2, 0).repeat(2, 1)
    model = LENET.build(INPUT, seed=0)
    optimizer = SGD(model.parameters)
    for _ in range(50):
        loss = tgc.cross_entropy(model(drawings, train=True), tgc.arange(10))
        optimizer.update(dict(zip(model.parameters, tgc.grad(loss, list(model.parameters.values())))), 0.01)
    assert (model(drawings).numpy().argmax(1) == np.arange(10)).all()


def test_weights_are_drawn_as_in_the_paper():
    p = LENET.build(INPUT, seed=2).parameters
    for path, fan_in in (("c1", 25), ("c5", 400), ("f6", 120), ("s2", 4), ("s4", 4)):
        weight = np.abs(p[f"{path}.weight"].numpy())
        assert weight.max() <= 2.4 / fan_in * 1.000001 and (weight.size < 100 or weight.max() > 0.95 * 2.4 / fan_in)
    fan_in = np.repeat([len(row) * 25 for row in lenet.TABLE_I], [len(row) for row in lenet.TABLE_I])
    reach = np.abs(p["c3.weight"].numpy()).max((0, 1)) * fan_in / 2.4
    assert (reach <= 1.000001).all() and (reach > 0.6).all()
    assert LENET.infer(INPUT).parameters["c3.weight"].init == FanIn(2.4)


def test_fewer_digits_and_no_more():
    spec, _ = get("lenet5_1998", classes=3)
    assert dict(spec.children())["output"] == RBF(DIGITS[:3]) and spec.infer(INPUT).output_shape == (3,)
    for classes in (0, 11):
        with pytest.raises(ValueError, match=f"has drawings of the 10 digits; got classes={classes}"):
            get("lenet5_1998", classes=classes)
