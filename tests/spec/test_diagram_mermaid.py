"""Mermaid text: read back by a small parser of its grammar, it has the boxes and the edges of the SVG."""
from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygradconv import models

from .drawings import Picture, ends_of
from .test_diagram import SHAPE, SPECS

NODE = re.compile(r'(n\d+)(?:\["([^"]*)"\]|\(\["([^"]*)"\]\))')
EDGE = re.compile(r"(n\d+) (-->|-\.->) (n\d+)")


def read(text):
    """(direction, texts of the nodes by name, edges, subgraph headings); AssertionError for a line that is not Mermaid."""
    first, *lines = text.splitlines()
    nodes, edges, headings, depth = {}, [], [], 0
    for line in map(str.strip, lines):
        if found := NODE.fullmatch(line):
            assert found[1] not in nodes
            nodes[found[1]] = (found[2] or found[3]).split("<br/>")
        elif found := EDGE.fullmatch(line):
            edges.append((found[1], found[3], found[2]))
        elif found := re.fullmatch(r'subgraph g\d+\["([^"]*)"\]', line):
            headings.append(found[1])
            depth += 1
        elif line == "end":
            depth -= 1
            assert depth >= 0
        else:
            assert re.fullmatch(r"classDef \w+ fill:#\w{6},stroke:#\w{6},color:#\w{6}|class n\d+(,n\d+)* \w+", line), line
    assert depth == 0 and {end for edge in edges for end in edge[:2]} <= set(nodes)
    return first, nodes, edges, headings


def plain(text):
    """Text with Mermaid's codes read as characters."""
    return re.sub(r"#(\d+);", lambda found: chr(int(found[1])), text)


def same_as_svg(spec, shape, collapse):
    picture = Picture(spec.diagram(shape, collapse=collapse).svg)
    _, nodes, edges, headings = read(spec.mermaid(shape, collapse=collapse))
    said = {name: tuple(map(plain, lines)) for name, lines in nodes.items()}
    drawn = [tuple(text for text, _ in texts) for texts in picture.texts]
    assert sorted(said.values()) == sorted(drawn) and sorted(map(plain, headings)) == sorted(text for text, _ in picture.headings)
    assert sorted((said[a], said[b]) for a, b, _ in edges) == sorted((drawn[a], drawn[b]) for a, b in (ends_of(picture, line)
                                                                                                      for line in picture.lines))


@pytest.mark.parametrize("collapse", ["op", "scope", None])
@pytest.mark.parametrize("name", ["lenet5", "vgg16_bn", "googlenet", "resnet50", "resnet20"])
def test_the_networks_of_the_zoo(name, collapse):
    spec, shape = models.get(name, heads=name == "googlenet")
    same_as_svg(spec, shape, collapse)


@given(SPECS, st.sampled_from(["op", "scope", None]))
def test_random_networks(spec, collapse):
    same_as_svg(spec, SHAPE, collapse)


def test_lenet5_word_for_word():
    lines = models.get("lenet5")[0].mermaid((28, 28, 1), direction="horizontal").splitlines()
    assert lines[:4] == ["flowchart LR", '  n0(["input<br/>28×28×1"])', '  n1["5×5 conv, 6<br/>tanh<br/>28×28×6 · 156 params"]',
                         '  n2["2×2 avg pool, /2<br/>14×14×6"]']
    assert "  n0 --> n1" in lines and "  class n1,n3 conv" in lines


def test_what_runs_only_in_training_hangs_on_dashed_edges():
    _, _, edges, headings = read(models.get("googlenet", heads=True)[0].mermaid())
    assert [arrow for *_, arrow in edges].count("-.->") == 2 and headings.count("aux1, weight 0.3") == 1


def test_github_draws_every_network_of_the_zoo():
    for name in models.MODELS:                             # Mermaid's own limits: 500 edges, 50,000 characters
        text = models.get(name)[0].mermaid(models.get(name)[1])
        assert len(text) < 50_000 and len(read(text)[2]) <= 500
