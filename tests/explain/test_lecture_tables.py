"""The lecture's tables: every computed number against arithmetic written out here, every cited one against the slides and the papers."""
from __future__ import annotations

import json

import pytest

from tests.test_lecture_networks import VGG16, is_printed_as
from tinygradconv import models
from tinygradconv.explain import lecture
from tinygradconv.explain.lecture import cited, counting
from tinygradconv.spec import Conv, Dense, Flatten, Residual

MADE = {}


def sheet(name):
    return MADE.setdefault(name, lecture.table(name))


def column(name, heading):
    """The values of a column, by the name that programs know it by."""
    i = [c.name for c in sheet(name).columns].index(heading)
    return [row[i] for row in sheet(name).rows]


def test_names():
    assert [sheet(name).name for name in lecture.TABLES] == list(lecture.TABLES)
    with pytest.raises(ValueError, match=r"^the lecture has no table 'vgg'; did you mean 'vgg16'\? Its tables are: sizes, lenet5, "):
        lecture.table("vgg")


@pytest.mark.parametrize("name", lecture.TABLES)
def test_every_table_is_written_in_every_format(name):
    made = sheet(name)
    text, latex, markdown = str(made), made.to_latex(), made.to_markdown()
    assert max(map(len, text.splitlines())) <= 120                                                    # a wide terminal
    assert made.title in text and all(note.split(".")[0].split()[0] in text for note in made.notes)
    assert latex.count("\n") > len(made.rows) and latex.isascii() == ("Sánchez" not in latex)        # all else has a command
    assert markdown.count("\n|") >= len(made.rows) + 2
    assert len(json.loads(made.to_json())["rows"]) == len(made.rows) == made.to_csv().count("\r\n") - 1 - len(made.totals)


# ---- windows

def test_output_sizes():
    arithmetic = [text.replace("·", "*").replace("−", "-").replace("⌊", "__import__('math').floor(").replace(
        "⌈", "__import__('math').ceil(").replace("⌋", ")").replace("⌉", ")") for text in column("sizes", "arithmetic")]
    assert [eval(text) for text in arithmetic] == column("sizes", "output") == [
        4, 3, 2, 3, 3, 28, 14, 55, 27, 224, 112, 28, 28, 28, 112]
    for output, printed in zip(column("sizes", "output"), column("sizes", "printed")):
        assert printed is None or {int(n) for n in printed.lower().replace("*", "x").split("x")} == {output}
    assert "(227 + 2·0 − 11)/4 + 1" in str(sheet("sizes"))


def test_receptive_fields():
    rows = {row[0]: row[1:] for row in sheet("receptive_field").rows}
    assert rows["3 × 3×3"] == ((7, 7), 3, "3·(3²C²)", 27, 27 * 64 * 64) and rows["1 × 7×7"] == ((7, 7), 1, "7²C²", 49, 49 * 64 * 64)
    assert rows["2 × 3×3"][0] == rows["1 × 5×5"][0] == (5, 5) and list(rows) == ["1 × 3×3", "2 × 3×3", "1 × 5×5", "3 × 3×3", "1 × 7×7"]


# ---- LeNet-5 and AlexNet

def test_lenet5():
    assert column("lenet5", "output") == [(28, 28, 1), (28, 28, 6), (14, 14, 6), (10, 10, 16), (5, 5, 16), (120,), (84,), (10,)]
    assert column("lenet5", "parameters") == [0, 6 * 26, 0, 16 * 151, 0, 120 * 401, 84 * 121, 10 * 85]
    assert sheet("lenet5").totals == (("total", None, 61_706, 416_520),)
    assert "60,000, on 340,908 connections" in sheet("lenet5").notes[0]


def test_alexnet_layer_by_layer():
    """Krizhevsky et al. 2012, section 3.5; conv2, conv4 and conv5 read half the maps."""
    weights = [11 * 11 * 3 * 96, 5 * 5 * 48 * 256, 3 * 3 * 256 * 384, 3 * 3 * 192 * 384, 3 * 3 * 192 * 256,
               9216 * 4096, 4096 * 4096, 4096 * 1000]
    places, biases = [55 ** 2, 27 ** 2, 13 ** 2, 13 ** 2, 13 ** 2, 1, 1, 1], [96, 256, 384, 384, 256, 4096, 4096, 1000]
    learned = {row[0]: row for row in sheet("alexnet").rows if row[2]}
    assert list(learned) == ["CONV1", "CONV2", "CONV3", "CONV4", "CONV5", "FC6", "FC7", "FC8"]
    assert [row[2] for row in learned.values()] == weights
    assert [row[3] for row in learned.values()] == [w + b for w, b in zip(weights, biases)]
    assert [row[4] for row in learned.values()] == [w * p for w, p in zip(weights, places)]
    assert sum(weights) + sum(biases) == 60_965_224 == sheet("alexnet").totals[0][3] and sheet("alexnet").totals[0][4] == 724_406_816
    assert {row[0]: row[1] for row in sheet("alexnet").rows} == {
        "INPUT": (227, 227, 3), "CONV1": (55, 55, 96), "NORM1": (55, 55, 96), "MAX POOL1": (27, 27, 96), "CONV2": (27, 27, 256),
        "NORM2": (27, 27, 256), "MAX POOL2": (13, 13, 256), "CONV3": (13, 13, 384), "CONV4": (13, 13, 384), "CONV5": (13, 13, 256),
        "MAX POOL3": (6, 6, 256), "FC6": (4096,), "FC7": (4096,), "FC8": (1000,)}
    printed = {row[0]: row[5:] for row in sheet("alexnet").rows if row[5]}
    assert printed == {"CONV1": ("55x55x96", "35K"), "MAX POOL1": ("27x27x96", "0")}
    assert is_printed_as(learned["CONV1"][2], "35K")


def test_ablations_by_hand():
    seven = 4096 * 4096 + 4096
    six_and_seven = 9216 * 4096 + 4096 + seven - (9216 - 4096) * 1000                # the classes read 9216 values, no longer 4096
    three_and_four = (9 * 256 * 384 + 384) + (9 * 192 * 384 + 384) + 9 * (192 - 128) * 256        # conv5's groups read 128 maps for 192
    assert column("ablations", "removed") == ["none", "3, 4", "7", "6, 7", "3, 4, 6, 7"]
    assert column("ablations", "fewer") == [0, three_and_four, seven, six_and_seven, three_and_four + six_and_seven]
    assert column("ablations", "fewer")[2:] == [16_781_312, 49_414_144, 51_110_656]
    assert column("ablations", "layers") == [8, 6, 7, 6, 4]
    assert column("ablations", "printed_fewer") == [None, None, "~16 million", None, "~50 million"]
    assert column("ablations", "printed_drop") == [None, None, "1.1%", None, "33.5%"]
    assert column("ablations", "top1_percent") == [40.5, 45.4, 40.0, 44.8, 71.3]            # Zeiler and Fergus 2014, table 3
    assert column("ablations", "top5_percent") == [18.1, 22.1, 18.4, 22.4, 50.1]
    assert column("ablations", "worse_top5_points") == [0.0, 4.0, 0.3, 4.3, 32.0]


def test_a_layer_taken_out_goes_with_what_follows_it():
    spec = models.get("alexnet_2012")[0]
    kinds = [type(layer).__name__ for layer in counting.leaves(counting.without(spec, (3, 4, 6, 7)))]
    assert kinds == ["Conv", "ReLU", "LRN", "MaxPool", "Conv", "ReLU", "LRN", "MaxPool", "Conv", "ReLU", "MaxPool", "Flatten", "Dense"]


# ---- VGG16 and the inception module

def test_vgg16_is_the_slide():
    rows = sheet("vgg16").rows
    assert len(rows) == len(VGG16) + 1 and rows[0][:5] == ("Input", "224·224·3", 150_528, "150K", None)
    for row, (_, output, memory, parameters) in zip(rows[1:], VGG16, strict=True):
        assert (row[3], row[6]) == (memory, f"{parameters:,}") and row[5] == parameters
        assert row[1] == "·".join(map(str, output)) and is_printed_as(row[2], memory)
        assert eval(row[1].replace("·", "*")) == row[2] and eval((row[4] or "0").replace("·", "*")) == parameters
    assert [row[0] for row in rows[1:5]] == ["3x3 conv, 64", "3x3 conv, 64", "Pool", "3x3 conv, 128"]
    assert [row[0] for row in rows[-3:]] == ["FC 4096", "FC 4096", "FC 1000"]


def test_vgg16s_totals_both_as_printed_and_as_they_are():
    total, size = sheet("vgg16").totals
    assert (total[2], total[3], total[5], total[6]) == (15_237_608, "24M", 138_344_128, "138M")
    assert (size[2], size[3]) == (60_950_432, "96MB") and not is_printed_as(total[2], "24M") and is_printed_as(total[5], "138M")
    text = " ".join(sheet("vgg16").notes)
    assert "15,237,608 values, 61 MB" in text and "24M and 96MB" in text and "13,416" in text and "138,357,544" in text


def test_inception_term_by_term():
    for name in ("inception_naive", "inception_bottleneck"):
        for term, macs in zip(column(name, "term"), column(name, "macs")):
            assert eval((term or "0").replace("·", "*")) == macs
    assert column("inception_naive", "macs") == [25_690_112, 346_816_512, 481_689_600, 0]
    assert sheet("inception_naive").totals == (("total", (28, 28, 672), None, 854_196_224, "854M"),)
    assert column("inception_bottleneck", "macs") == [25_690_112, 12_845_056, 86_704_128, 12_845_056, 120_422_400, 0, 12_845_056]
    assert sheet("inception_bottleneck").totals == (("total", (28, 28, 480), None, 271_351_808, "353M"),)
    said = " ".join(sheet("inception_bottleneck").notes)
    assert all(number in said for number in ("271,351,808", "353M", "264", "496,742,400", "647,671,808", "358M", "358,055,936"))


def test_the_slides_terms_differ_from_ours_only_in_the_misprint():
    for name in ("inception_naive", "inception_bottleneck"):
        differing = [(ours, slide) for ours, slide in zip(column(name, "term"), column(name, "printed"))
                     if (ours or "").replace("·", "x") != (slide or "")]
        assert differing == ([] if name == "inception_naive" else [("28·28·96·5·5·64", "28x28x96x5x5x264")])


# ---- published errors

def test_winners():
    """ILSVRC's results; Krizhevsky et al. 2012, table 2; Szegedy et al. 2015, table 2; He et al. 2016, table 5; what the slides print."""
    rows = {(row[0], row[2]): row for row in sheet("winners").rows}
    assert {key: row[3] for key, row in rows.items()} == {
        (2010, "NEC-UIUC (Lin et al.)"): 28.2, (2011, "XRCE (Sánchez and Perronnin)"): 25.8, (2012, "AlexNet, 5 networks"): 16.4,
        (2012, "AlexNet, 7 networks, more images"): 15.3, (2012, "SIFT + FVs"): 26.2, (2013, "ZFNet (Clarifai)"): 11.7,
        (2014, "VGG"): 7.32, (2014, "GoogLeNet"): 6.67, (2015, "ResNet"): 3.57, (None, "a person"): 5.1}
    assert [(row[3], row[4]) for row in rows.values() if row[4]] == [(15.3, "15.3%"), (26.2, "26.2%"), (11.7, "11.7%"), (7.32, "7.3%"),
                                                                   (6.67, "6.7%")]
    assert all(abs(row[3] - float(row[4].rstrip("%"))) <= 0.05 for row in rows.values() if row[4])
    assert all(row[-1] for row in rows.values())                                              # each has a source


def test_published_layers_are_those_that_are_counted():
    counted = [(entry.model, entry.layers) for entry in cited.ILSVRC if entry.model]
    assert [(row[6], row[7]) for row in sheet("winners").rows if row[6]] == counted
    assert {8, 19, 22, 152} == {layers for _, layers in counted}
    assert [counting.layers(counting.network(name)) for name in ("lenet5", "vgg16", "resnet34", "resnet50", "resnet20", "plain56")] == [
        5, 16, 34, 50, 20, 56]


def test_layers_are_counted_along_the_longest_path():
    spec = Conv(4, 3, padding=1) >> Residual(Conv(4, 1) >> Conv(4, 1), Conv(4, 1)) >> (Conv(2, 1) | Conv(2, 1) >> Conv(2, 1)) >> Flatten()
    assert counting.layers((spec >> Dense(3)).infer((8, 8, 3))) == 1 + 2 + 2 + 1


def test_alexnet_against_sparse_coding_and_sift():
    assert [row[:3] for row in sheet("rivals").rows] == [("Sparse coding", 47.1, 28.2), ("SIFT + FVs", 45.7, 25.7),
                                                         ("CNN (AlexNet)", 37.5, 17.0)]
    assert sheet("rivals").rows[2][3:] == ("alexnet_2012", 8, 60_965_224, 724_406_816)


def test_families():
    counts = {row[0]: row[2:4] for row in sheet("families").rows}
    assert counts == {
        "lenet5": (61_706, 416_520), "alexnet_2012": (60_965_224, 724_406_816), "zfnet": (62_357_608, 1_168_032_896),
        "vgg16": (138_357_544, 15_470_264_320), "googlenet_2014": (6_998_552, 1_582_671_872), "resnet34": (21_797_672, 3_663_761_408),
        "resnet50": (25_557_032, 4_089_184_256), "resnet101": (44_549_160, 7_801_405_440), "resnet152": (60_192_808, 11_513_626_624)}
    errors = {row[0]: row[4:6] for row in sheet("families").rows}
    assert errors == {
        "lenet5": (None, None), "alexnet_2012": (40.7, 18.2), "zfnet": (38.4, 16.5), "vgg16": (28.07, 9.33), "googlenet_2014": (None, 9.15),
        "resnet34": (24.52, 7.46), "resnet50": (22.85, 6.71), "resnet101": (21.75, 6.05), "resnet152": (21.43, 5.71)}


def test_every_model_has_a_paper():
    for name in models.MODELS:
        assert sum(name.startswith(family) for family in cited.PAPERS) == 1, name


# ---- totals

def test_totals():
    assert {row[0]: row[1:3] for row in sheet("totals").rows} == {
        "LeNet-5, parameters": ("60K", 61_706), "AlexNet, first layer": ("35K", 34_848), "AlexNet, parameters": ("60 Million", 60_965_224),
        "VGGNet, parameters": ("140 million", 138_357_544), "VGG16, weights": ("138M", 138_344_128),
        "VGG16, values in memory": ("24M", 15_237_608), "VGG16, bytes in memory": ("96MB", 60_950_432),
        "naive inception, operations": ("854M", 854_196_224), "inception with bottlenecks, operations": ("353M", 271_351_808),
        "GoogLeNet, parameters": ("5 million", 6_998_552), "GoogLeNet, times fewer than AlexNet": ("12x", 8.7),
        "GoogLeNet, layers": ("22", 22), "ResNet-152, layers": ("152", 152)}
    assert all(row[3] for row in sheet("totals").rows)
    assert 60_965_224 / 6_998_552 == pytest.approx(8.711, abs=1e-3)
