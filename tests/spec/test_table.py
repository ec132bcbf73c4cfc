"""The table: known counts, and bytes that a real tape is measured to keep."""
from __future__ import annotations

import gc
import json
import tracemalloc

import numpy as np
import pytest

from tinygradconv import Tensor, models
from tinygradconv.models import lenet5
from tinygradconv.ops.elementwise import tanh
from tinygradconv.spec import (
    LRN,
    Aux,
    AvgPool,
    BatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GroupNorm,
    Identity,
    LayerNorm,
    MaxPool,
    ReLU,
    Residual,
    Scope,
    Share,
    Sigmoid,
    Sum,
    Tanh,
)
from tinygradconv.spec.table import amount
from tinygradconv.tape import Node


def test_lenet5_layer_by_layer():
    table = lenet5.table((28, 28, 1))
    assert [(row.path, row.kind, row.output, row.parameters, row.macs) for row in table.rows] == [
        ("0", "Conv", (28, 28, 6), 156, 117_600), ("1", "Tanh", (28, 28, 6), 0, 0), ("2", "AvgPool", (14, 14, 6), 0, 0),
        ("3", "Conv", (10, 10, 16), 2_416, 240_000), ("4", "Tanh", (10, 10, 16), 0, 0), ("5", "AvgPool", (5, 5, 16), 0, 0),
        ("6", "Flatten", (400,), 0, 0), ("7", "Dense", (120,), 48_120, 48_000), ("8", "Tanh", (120,), 0, 0),
        ("9", "Dense", (84,), 10_164, 10_080), ("10", "Tanh", (84,), 0, 0), ("11", "Dense", (10,), 850, 840)]
    assert table.totals["parameters"] == 61_706 and table.totals["macs"] == 416_520
    # Float32 by hand: each weight keeps its input, each tanh its output; an average keeps nothing, and a dense layer shares the tanh's.
    assert [row.kept_bytes for row in table.rows] == [4 * n for n in (784, 4704, 0, 1176, 1600, 0, 0, 400, 120, 0, 84, 0)]
    assert [row.activation_bytes for row in table.rows] == [4 * n for n in (4704, 4704, 1176, 1600, 1600, 400, 0, 120, 120, 84, 84, 10)]
    assert [row.receptive_field for row in table.rows[:6]] == [(n, n) for n in (5, 5, 6, 14, 14, 16)]
    assert [row.stride for row in table.rows[:6]] == [(n, n) for n in (1, 1, 2, 2, 2, 4)]


def test_as_text():
    assert str((Conv(6, 5, padding=2) >> Tanh() >> Flatten() >> Dense(10, bias=False)).table((28, 28, 1))) == """\
path  layer    output   parameters     MACs  activation      kept  field  stride
────────────────────────────────────────────────────────────────────────────────
      input    28×28×1
0     Conv     28×28×6         156  117,600    18.4 KiB  3.06 KiB    5×5     1×1
1     Tanh     28×28×6                         18.4 KiB  18.4 KiB    5×5     1×1
2     Flatten  4704                                                  5×5     1×1
3     Dense    10           47,040   47,040        40 B            32×32   28×28
────────────────────────────────────────────────────────────────────────────────
      total                 47,196  164,640    36.8 KiB  21.4 KiB"""


def test_as_json():
    table = lenet5.table((28, 28, 1))
    data = json.loads(table.to_json())
    assert data == table.as_dict() and list(data) == ["input", "layers", "totals"] and data["input"] == [28, 28, 1]
    assert data["layers"][0] == {"path": "0", "kind": "Conv", "layer": "Conv(6, 5, padding=2)", "output": [28, 28, 6], "parameters": 156,
                                 "macs": 117600, "activation_bytes": 18816, "kept_bytes": 3136, "receptive_field": [5, 5], "stride": [1, 1]}
    assert data["totals"] == {"parameters": 61706, "macs": 416520, "activation_bytes": 58408, "kept_bytes": 35472}


SMALL = Conv(6, 5, padding=2) >> Tanh() >> Flatten() >> Dense(10, bias=False)


def test_as_csv():
    text = SMALL.table((28, 28, 1)).to_csv()
    assert text == "\r\n".join([
        "path,kind,layer,output,parameters,macs,activation_bytes,kept_bytes,receptive_field,stride",
        ",input,,28x28x1,,,,,,",
        '0,Conv,"Conv(6, 5, padding=2)",28x28x6,156,117600,18816,3136,5x5,1x1',
        "1,Tanh,Tanh(),28x28x6,0,0,18816,18816,5x5,1x1",
        "2,Flatten,Flatten(),4704,0,0,0,0,5x5,1x1",
        '3,Dense,"Dense(10, bias=False)",10,47040,47040,40,0,32x32,28x28',
        ",total,,,47196,164640,37672,21952,,", ""])


def test_as_markdown():
    assert SMALL.table((28, 28, 1)).to_markdown() == """\
| path | layer | output | parameters | MACs | activation | kept | field | stride |
| :--- | :--- | :--- | ---: | ---: | ---: | ---: | ---: | ---: |
|  | input | 28×28×1 |  |  |  |  |  |  |
| 0 | Conv | 28×28×6 | 156 | 117,600 | 18.4 KiB | 3.06 KiB | 5×5 | 1×1 |
| 1 | Tanh | 28×28×6 |  |  | 18.4 KiB | 18.4 KiB | 5×5 | 1×1 |
| 2 | Flatten | 4704 |  |  |  |  | 5×5 | 1×1 |
| 3 | Dense | 10 | 47,040 | 47,040 | 40 B |  | 32×32 | 28×28 |
|  | total |  | 47,196 | 164,640 | 36.8 KiB | 21.4 KiB |  |  |"""


def test_as_latex():
    lines = SMALL.table((28, 28, 1)).to_latex().splitlines()
    assert lines[:3] == [r"\begin{tabular}{lllrrrrrr}", r"\toprule",
                         r"path & layer & output & parameters & MACs & activation & kept & field & stride \\"]
    assert lines[5] == r"0 & Conv & 28$\times$28$\times$6 & 156 & 117,600 & 18.4 KiB & 3.06 KiB & 5$\times$5 & 1$\times$1 \\"
    assert lines[-4:] == [r"\midrule", r" & total &  & 47,196 & 164,640 & 36.8 KiB & 21.4 KiB &  &  \\", r"\bottomrule", r"\end{tabular}"]


def test_a_stride_below_one_is_a_fraction_for_people_and_a_number_for_programs():
    table = ConvTranspose(2, 2, stride=2).table((4, 4, 1))
    assert "1/2×1/2" in str(table) and "0.5x0.5" in table.to_csv() and table.as_dict()["layers"][0]["stride"] == [0.5, 0.5]


def test_memory_has_three_figures_and_its_unit():
    for size, said in ((999, "999 B"), (1000, "0.98 KiB"), (18_816, "18.4 KiB"), (602_112, "588 KiB"), (999 * 1024, "999 KiB"),
                       (1000 * 1024, "0.98 MiB"), (3 * 2 ** 30, "3.00 GiB"), (0, "")):
        assert amount(size) == said


def test_a_sum_of_nothing_is_printed_as_0():
    assert str(MaxPool(2).table((4, 4, 1))).splitlines()[-1].split() == ["total", "0", "0", "16", "B", "0"]


def test_collapsed_rows_add_up_their_layers():
    spec = Scope(stem=Conv(4, 3), layer1=Scope(conv=Conv(4, 3, padding=1), relu=ReLU()) * 2, head=Flatten() >> Dense(3))
    table = spec.table((8, 8, 1))
    whole, one, two = table.rows, table.collapsed(1), table.collapsed(2)
    assert [(row.path, row.kind, row.output) for row in one.rows] == [("stem", "Conv", (6, 6, 4)), ("layer1", "4 layers", (6, 6, 4)),
                                                                      ("head", "2 layers", (3,))]
    assert [row.path for row in two.rows] == ["stem", "layer1.0", "layer1.1", "head.0", "head.1"]
    assert one.rows[1].parameters == 2 * (9 * 4 * 4 + 4) and one.rows[1].macs == sum(row.macs for row in whole[1:5])
    assert one.rows[1].receptive_field == whole[4].receptive_field == (7, 7)
    assert one.totals == two.totals == table.totals and table.collapsed(3) == table


def test_the_table_of_vgg19_allocates_no_weights():
    spec, shape = models.get("vgg19")
    spec.table(shape)                                   # imports and caches are not the table's
    tracemalloc.start()
    try:
        table = spec.table(shape)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert table.totals["parameters"] * 4 > 570e6 and table.totals["kept_bytes"] > 50e6 and peak < 3e6


def arrays_held_by(y):
    """Every array that can be reached from a tensor's node: the garbage collector's word, not the tape's."""
    found, seen, waiting = {}, set(), [y.node]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, np.ndarray):
            while isinstance(thing.base, np.ndarray):
                thing = thing.base
            found[id(thing)] = thing
        elif isinstance(thing, Tensor):
            waiting += [thing.data, thing.node]
        elif isinstance(thing, Node):
            waiting += [thing.kept, *thing.parents]
        elif isinstance(thing, (dict, tuple, list)):
            waiting += gc.get_referents(thing)
    return list(found.values())


def block(width, stride):
    body = Conv(width, 3, stride=stride, padding=1, bias=False) >> BatchNorm() >> ReLU() >> Conv(width, 3, padding=1,
        bias=False) >> BatchNorm()
    return Residual(body, Conv(width, 1, stride=stride, bias=False) >> BatchNorm()) >> ReLU()


@pytest.mark.parametrize(("spec", "shape"), [
    (lenet5, (28, 28, 1)),
    (Conv(8, 3, padding=1) >> block(8, 1) >> block(16, 2) >> GlobalAvgPool() >> Dense(10), (16, 16, 3)),
    ((Conv(4, 1) >> ReLU() | Conv(4, 3, padding=1) >> Sigmoid() | MaxPool(3, stride=1, padding=1) >> Conv(2,
        1)) >> LRN() >> Flatten() >> Dropout() >> Dense(3),
     (12, 10, 3)),
    (Conv(8, 3, stride=2) >> GroupNorm(2) >> ReLU() >> MaxPool(2) >> LayerNorm() >> Sum(a=Tanh(), b=Identity()) >> Flatten() >> Dense(3),
        (17, 17, 2)),
    (Dropout() >> Conv(4, 3) >> Share("k", Conv(4, 1)) >> ReLU() >> Share("k", Conv(4, 1)) >> AvgPool(2) >> Flatten() >> Dense(2),
        (9, 9, 3)),
], ids=["lenet5", "residual", "branches", "norms", "shared"])
def test_kept_bytes_are_those_that_a_real_tape_holds(spec, shape):
    model = spec.build(shape)
    y = model(np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32), train=True)
    own = {id(parameter.data) for parameter in model.parameters.values()}
    own |= {id(parameter.data.base) for parameter in model.parameters.values() if parameter.data.base is not None}
    measured = sum(array.nbytes for array in arrays_held_by(y) if id(array) not in own)
    assert spec.table(shape).totals["kept_bytes"] == measured


def test_what_comes_before_the_first_parameter_keeps_nothing():
    rows = (LRN() >> MaxPool(2) >> Conv(4, 3)).table((8, 8, 2)).rows
    assert [row.kept_bytes for row in rows] == [0, 0, 4 * 4 * 4 * 2]


def test_float64_takes_twice_the_bytes():
    single, double = lenet5.table((28, 28, 1)), lenet5.table((28, 28, 1), dtype="float64")
    assert double.totals["kept_bytes"] == 2 * single.totals["kept_bytes"]


def test_heads_and_shared_parameters_are_in_the_totals_once():
    spec = Scope(a=Share("k", Conv(3, 1)), aux=Aux(Flatten() >> Dense(2)), b=Share("k", Conv(3, 1)))
    table = spec.table((4, 4, 3))
    assert [(row.path, row.parameters) for row in table.rows] == [("k", 12), ("aux.0", 0), ("aux.1", 98), ("k", 0)]
    assert table.totals["macs"] == 2 * 144 + 96


def test_the_measurement_notices_one_array_more():
    x, scale = Tensor(np.ones((4, 8), np.float32), requires_grad=True), Tensor(np.ones((4, 8), np.float32), requires_grad=True)
    once, more = (sum(array.nbytes for array in arrays_held_by(y)) for y in (x * scale, tanh(x * scale)))
    assert (once, more) == (256, 384)
