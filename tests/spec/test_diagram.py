"""Diagrams: every network of the zoo and random ones are read back from their SVG and held to the network, line by line."""
from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygradconv import models
from tinygradconv.spec import Aux, BatchNorm, Chain, Concat, Conv, Dropout, MaxPool, ReLU, Residual, Scope, Share, Sum
from tinygradconv.spec.base import Layer, layer

from .drawings import Picture, problems

ROOT = Path(__file__).resolve().parent.parent.parent
ZOO = {**{name: models.get(name) for name in models.MODELS},
       **{f"{name}_heads": models.get(name, heads=True) for name, entry in models.MODELS.items() if entry.has_heads}}
SHAPE = (8, 8, 4)


def texts(diagram) -> list[str]:
    """Everything that is written in the boxes."""
    return [text for box in Picture(diagram.svg).texts for text, _ in box]


# The pictures are sound.

@pytest.mark.parametrize("name", ZOO)
def test_the_networks_of_the_zoo(name):
    spec, shape = ZOO[name]
    network = spec.infer(shape)
    for collapse in ("op", "scope", None) if len(network.steps) < 200 else ("op", "scope"):
        for direction in ("vertical", "horizontal"):
            assert problems(spec.diagram(shape, collapse=collapse, direction=direction).svg, network) == []
    assert problems(spec.diagram().svg, network) == []


def test_every_layer_of_resnet152():
    spec, shape = ZOO["resnet152"]
    assert problems(spec.diagram(shape, collapse=None).svg, spec.infer(shape)) == []


LAYERS = st.sampled_from([Conv(4, 3, padding=1), Conv(4, 1, bias=False), BatchNorm(), ReLU(), MaxPool(3, stride=1, padding=1), Dropout(),
                          Share("tied", Conv(4, 1)), Conv(4, 3, padding=1) >> BatchNorm() >> ReLU()])


def combined(inner):
    """Specs that keep SHAPE, made of specs that keep it."""
    several = st.lists(inner, min_size=1, max_size=4)
    return st.one_of(
        several.map(lambda parts: Scope(**{f"part{'_of_the_scope' * (i == 2)}{i}": part for i, part in enumerate(parts)})),
        several.map(lambda parts: Chain(*parts)),
        several.map(lambda parts: Concat(*parts) >> Conv(4, 1)),
        several.map(lambda parts: Sum(*parts)),
        inner.map(lambda body: Residual(Scope(body=body))),
        st.tuples(inner, inner).map(lambda pair: Residual(Scope(body=pair[0]), pair[1])),
        inner.map(Aux), st.tuples(inner, st.integers(2, 4)).map(lambda pair: pair[0] * pair[1]))


SPECS = st.recursive(LAYERS, combined, max_leaves=12)


@given(SPECS, st.sampled_from(["op", "scope", None]), st.sampled_from(["vertical", "horizontal"]), st.booleans())
def test_random_networks(spec, collapse, direction, with_shape):
    drawn = spec.diagram(SHAPE if with_shape else None, collapse=collapse, direction=direction)
    assert problems(drawn.svg, spec.infer(SHAPE)) == []


def test_heads_within_heads_and_beside_one_another():
    head = Aux(Scope(conv=Conv(4, 3, padding=1), more=Aux(Conv(4, 1) * 3), fc=Conv(2, 1)))
    spec = Scope(a=head, b=Conv(4, 3, padding=1), c=head, d=Residual(Scope(e=head, f=Conv(4, 1))), g=head) >> head
    for direction in ("vertical", "horizontal"):
        assert problems(spec.diagram(SHAPE, collapse=None, direction=direction).svg, spec.infer(SHAPE)) == []


# The checks find what is planted.

def moved(svg, number, dx, dy):
    """The SVG with one box moved, its text with it."""
    parts = re.split(r'(?=<g data-steps)', svg)
    shift = lambda name, by: lambda found: f' {name}="{float(found[1]) + by:g}"'
    head, tail = parts[number + 1].split("</g>", 1)
    head = re.sub(r' x="([\d.]+)"', shift("x", dx), re.sub(r' y="([\d.]+)"', shift("y", dy), head))
    return "".join([*parts[:number + 1], head + "</g>" + tail, *parts[number + 2:]])


INCEPTION = Scope(module=Concat(left=Conv(8, 1) >> ReLU(), right=Conv(4, 1) >> Conv(8, 3, padding=1)), head=Aux(Conv(2, 1)),
                  last=Conv(4, 1))


@pytest.mark.parametrize(("plant", "found"), [
    (lambda svg: moved(svg, 2, -160, 0), "boxes 1 and 2 overlap"),
    (lambda svg: moved(svg, 6, 0, -32), "runs through box 6"),
    (lambda svg: svg.replace("3×3 conv, 8", "3×3 convolution with a long name, 8"), "does not fit in its box"),
    (lambda svg: svg.replace(">module<", ">module with a name that is far too long<"), "runs through the heading"),
    (lambda svg: re.sub(r'(class="tgc-frame" .*? width)="[\d.]+"', r'\1="99"', svg, count=1), "cuts a box"),
    (lambda svg: re.sub(r'<path class="tgc-edge".*?/><path.*?/>', "", svg, count=1), "no line from box 0"),
    (lambda svg: svg.replace('data-steps="2"', 'data-steps="3"'), "the steps drawn are"),
    (lambda svg: svg.replace('data-steps="2"', 'data-steps=""'), "the steps drawn are"),
    (lambda svg: re.sub(r'viewBox="0 0 (\d+)', r'viewBox="0 0 200', svg), "off the page"),
    (lambda svg: svg.replace("</g>\n<rect", '<path class="tgc-edge" d="M0 0L300 300"/>\n</g>\n<rect', 1), "is slanted"),
], ids=["box", "box on a line", "text", "heading", "frame", "line gone", "step twice", "step gone", "page", "slanted"])
def test_what_is_planted_is_found(plant, found):
    network, svg = INCEPTION.infer(SHAPE), INCEPTION.diagram(SHAPE).svg
    assert problems(svg, network) == [] and plant(svg) != svg
    assert any(found in problem for problem in problems(plant(svg), network))


def test_a_line_to_another_box_and_a_crossing_are_found():
    spec = Concat(Conv(4, 1), Conv(4, 3, padding=1)) >> Concat(ReLU(), MaxPool(3, stride=1, padding=1))
    svg, network = spec.diagram(SHAPE).svg, spec.infer(SHAPE)
    picture = Picture(svg)
    first, fourth = picture.boxes[1], picture.boxes[4]
    x, y = (first.left + first.right) / 2, first.bottom
    line = f'<path class="tgc-edge" d="M{x} {y}L{x} {y + 8}L{x + 90} {y + 8}L{x + 90} {fourth.top}"/>'
    found = problems(svg.replace("</g>\n<rect", line + "\n</g>\n<rect", 1), network)
    assert any("is no edge" in problem for problem in found)
    box = picture.boxes[2]
    line = (f'<path class="tgc-edge" d="M{x} {y}L{x} {y + 5}L{box.right + 30} {y + 5}L{box.right + 30} {box.top - 3}'
            f'L{box.right - 9} {box.top - 3}L{box.right - 9} {box.top}"/>')
    assert any("crosses" in problem for problem in problems(svg.replace("</g>\n<rect", line + "\n</g>\n<rect", 1), network))


# What they say.

def counted(diagram) -> int:
    """The parameters of the boxes, added up: "2 × 36,928 params" is twice, and what stands in a frame "×3" thrice."""
    picture, total = Picture(diagram.svg), 0
    for box, lines in zip(picture.boxes, picture.texts):
        for text, _ in lines:
            if found := re.search(r"(?:(\d+) × )?([\d,]+) params", text):
                copies = int(found[1] or 1)
                for frame, (heading, _) in zip(picture.frames, picture.headings):
                    if frame.holds(box) and (times := re.match(r"×(\d+)", heading)):
                        copies *= int(times[1])
                total += copies * int(found[2].replace(",", ""))
    return total


@pytest.mark.parametrize(("name", "parameters"), [
    ("lenet5", 61_706), ("vgg16", 138_357_544), ("alexnet", 61_100_840), ("googlenet", 6_624_904), ("googlenet_heads", 13_004_888),
    ("resnet50", 25_557_032), ("resnet152", 60_192_808), ("resnet110", 1_727_962)])
def test_the_parameters_in_the_boxes_add_up_to_the_published_ones(name, parameters):
    spec, shape = ZOO[name]
    assert {counted(spec.diagram(shape, collapse=collapse)) for collapse in ("op", "scope", None)} == {parameters}
    assert f"{parameters:,} parameters" in spec.diagram(shape).svg


def test_resnet50_by_scope_is_table_1_of_he():
    said = texts(ZOO["resnet50"][0].diagram((224, 224, 3), collapse="scope"))
    for width, times, title in ((64, 3, "layer1"), (128, 4, "layer2"), (256, 6, "layer3"), (512, 3, "layer4")):
        assert said[said.index(title) + 1] == f"[1×1, {width} · 3×3, {width} · 1×1, {4 * width}] ×{times}"
    assert "7×7 conv, 64, /2" in said and "112×112×64 · 9,536 params" in said and "56×56×256 · 215,808 params" in said
    assert len(Picture(ZOO["resnet50"][0].diagram(collapse="scope").svg).boxes) == 9


def test_googlenet_by_scope_has_a_box_for_each_module():
    said = texts(ZOO["googlenet_2014_heads"][0].diagram(collapse="scope"))
    assert [text for text in said if text.startswith("inception")] == [f"inception{name}" for name in "3a 3b 4a 4b 4c 4d 4e 5a 5b".split()]
    assert said.count("1×1 | 1×1 3×3 | 1×1 5×5 | max pool 1×1") == 9 and "aux1, weight 0.3" in said and "aux2, weight 0.3" in said


@pytest.mark.parametrize(("name", "frames"), [("resnet50", [2, 3, 5, 2]), ("resnet152", [2, 7, 35, 2]), ("resnet20", [3, 2, 2])])
def test_equal_blocks_are_drawn_once(name, frames):
    spec, shape = ZOO[name]
    headings = [text for text, _ in Picture(spec.diagram(shape).svg).headings]
    assert [int(found[1]) for text in headings if (found := re.match(r"×(\d+)", text))] == frames


def test_blocks_that_differ_are_not_drawn_as_one():
    same, other = Conv(4, 3, padding=1), Conv(4, 3, padding="same")
    assert texts((same * 3).diagram()) == ["input", "3×3 conv, 4  ×3"]
    assert texts((same * 2 >> other).diagram()) == ["input", "3×3 conv, 4  ×2", "3×3 conv, 4"]
    assert texts((same * 3).diagram((8, 8, 3)))[2:] == ["3×3 conv, 4", "8×8×4 · 112 params", "3×3 conv, 4  ×2", "8×8×4 · 2 × 148 params"]
    assert len(Picture((same * 3).diagram(collapse=None).svg).boxes) == 4


def test_shared_weights_are_counted_once_and_said():
    spec = Share("tied", Conv(4, 1)) * 2
    assert texts(spec.diagram(SHAPE))[2:] == ["1×1 conv, 4", "8×8×4 · 20 params", "1×1 conv, 4", "weights shared", "8×8×4"]
    assert "weights shared" in texts(spec.diagram())


def test_across_the_page_each_fact_has_a_line_of_its_own():
    said = texts(ZOO["googlenet_2014"][0].diagram((224, 224, 3), collapse="scope", direction="horizontal"))
    assert said[2:6] == ["7×7 conv", "64, /2", "ReLU", "112×112×64"]
    at = said.index("inception3a")
    assert said[at:at + 7] == ["inception3a", "1×1", "1×1 3×3", "1×1 5×5", "max pool 1×1", "28×28×256", "163,696 params"]


def test_layers_that_the_plan_runs_as_one_are_one_box_and_a_join_stays_to_be_seen():
    block = Residual(Conv(4, 1) >> BatchNorm()) >> ReLU()
    assert texts(block.diagram()) == ["input", "1×1 conv, 4", "batch norm", "+ ReLU"]
    assert texts(block.diagram(collapse=None)) == ["input", "1×1 conv, 4", "batch norm", "+", "ReLU"]


# The file.

@layer
class Nasty(Layer):
    """A layer of somebody's own, whose code is full of markup."""

    def __repr__(self):
        return "<&\"'>]]>\0|`"


def test_names_are_escaped():
    drawn = (Nasty() >> Conv(4, 1)).diagram(title="<script>&\x07\ufffe\udcff\"'")
    root = ElementTree.fromstring(drawn.svg)
    assert root[0].text == "<script>&?\"'" and "<&\"'>]]>|`" in texts(drawn)
    said = (Nasty() >> Conv(4, 1)).mermaid()
    assert "#60;#38;#34;'#62;#93;#93;#62; #124;#96;" in said and "<&" not in said


def test_the_svg_needs_nothing_else_and_says_what_it_is():
    svg = ZOO["googlenet_heads"][0].diagram((224, 224, 3), title="GoogLeNet").svg
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img" and root[0].tag.endswith("title") and root[0].text == "GoogLeNet" and root[1].tag.endswith("desc")
    assert root[1].text.startswith("205 layers, 13,004,888 parameters")
    assert {node.tag.split("}")[1] for node in root.iter()} <= {"svg", "title", "desc", "style", "rect", "g", "path", "text"}
    outside = svg.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|url\(|@import|href|<script|id=", outside) and "prefers-color-scheme:dark" in svg


def test_the_same_spec_gives_the_same_bytes():
    code = ("import sys; from tinygradconv import models; spec, shape = models.get('googlenet', heads=True); "
            "sys.stdout.buffer.write((spec.diagram(shape).svg + spec.mermaid(shape)).encode())")
    here = ZOO["googlenet_heads"][0].diagram((224, 224, 3)).svg + ZOO["googlenet_heads"][0].mermaid((224, 224, 3))
    for seed in ("1", "2"):
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True)
        assert done.stdout.decode() == here, done.stderr.decode()


def test_a_diagram_shows_itself_and_is_saved_whole(tmp_path):
    drawn = ZOO["lenet5"][0].diagram()
    assert str(drawn) == drawn.svg == drawn._repr_svg_() and "characters of SVG" in repr(drawn)
    assert drawn.save(tmp_path / "lenet5.svg").read_text("utf-8") == drawn.svg
    assert [path.name for path in tmp_path.iterdir()] == ["lenet5.svg"]
    with pytest.raises(ValueError, match=r"its name must end in \.svg; got .*lenet5\.png"):
        drawn.save(tmp_path / "lenet5.png")


def test_very_large_specs_fold_or_are_refused():
    assert texts((Conv(4, 1) * 2_500).diagram(SHAPE)) == ["input", "8×8×4", "1×1 conv, 4  ×2500", "8×8×4 · 2500 × 20 params"]
    many = Conv(4, 1) * 20_000
    with pytest.raises(ValueError, match=r"20,000 boxes are more than anyone can see.*collapse='op' or 'scope'"):
        many.diagram(collapse=None)
    different = Chain(*[Conv(1 + i, 1) for i in range(20_000)])
    with pytest.raises(ValueError, match=r"mermaid: 20,000 boxes .*collapse='scope'"):
        different.mermaid()


def test_deeply_nested_specs_are_drawn():
    spec = Conv(4, 1)
    for _ in range(90):
        spec = Residual(spec)
    assert problems(spec.diagram().svg, spec.infer(SHAPE)) == []
