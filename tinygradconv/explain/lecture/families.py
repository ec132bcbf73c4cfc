"""The comparison of the families: published error rates, joined with what our networks are computed to have."""
from __future__ import annotations

from tinygradconv.spec.table import Sheet

from . import cited
from .columns import number, percent, printed, text
from .counting import layers, macs, network, parameters

COMPUTED = (text("our model", "model"), number("layers", "layers"), number("parameters", "parameters"), number("MACs", "macs"))


def winners() -> Sheet:
    """The winners of ILSVRC from 2010 to 2015 and the two runners-up that the slides name."""
    rows = [(entry.year, entry.place, entry.name, entry.top5, entry.printed, entry.layers, *_computed(entry.model), entry.source)
            for entry in cited.ILSVRC]
    human, source = cited.HUMAN
    rows.append((None, None, "a person", human, None, None, *_computed(None), source))
    return Sheet((printed("year", "year"), text("place", "place"), text("entry", "entry", width=17), percent("top-5", "top5_percent"),
                  printed("lecture"), number("", "published_layers"), *COMPUTED, text("source of the errors", "source", width=18)),
                 tuple(rows), name="winners",
                 title="ImageNet large scale visual recognition challenge (ILSVRC): top-5 errors on its test images", notes=(
        "Errors are published, and those of whole entries, which average several networks; parameters and multiply-accumulates are "
        "computed, and those of one network. Layers: convolutions and dense layers on the longest path.",
        "Entries without layers are not networks. AlexNet has 16.4% with the challenge's own images and 15.3%, which the lecture prints, "
        "with further ones."))


def rivals() -> Sheet:
    """AlexNet against sparse coding and SIFT with Fisher vectors."""
    rows = [(one.method, one.top1, one.top5, *_computed(one.model)) for one in cited.ILSVRC_2010]
    return Sheet((text("model", "method"), percent("top-1", "top1_percent"), percent("top-5", "top5_percent"), *COMPUTED), tuple(rows),
                 name="rivals", title="AlexNet against sparse coding and SIFT: errors on the test images of ILSVRC 2010",
                 notes=("Errors are published: Krizhevsky, Sutskever and Hinton 2012, table 1. The slide prints the same.",))


def families() -> Sheet:
    """From LeNet-5 to ResNet-152: layers, parameters and multiply-accumulates computed, errors of one network published."""
    rows = [("lenet5", *_computed("lenet5")[1:], None, None, None)]
    rows += [(one.model, *_computed(one.model)[1:], one.top1, one.top5, one.source) for one in cited.TEN_CROPS]
    return Sheet((*COMPUTED, percent("top-1", "top1_percent"), percent("top-5", "top5_percent"), text("source of the errors", "source")),
                 tuple(rows), name="families", title="The families", notes=(
        "Errors of a single network on the validation images of ILSVRC 2012, averaged over ten crops, as published; the lecture prints "
        "AlexNet's 18.2%. Ours are networks of the same layers, not the weights behind the errors; ResNet-50 and deeper have their stride "
        "in the 3×3 convolution of a block, as torchvision's, where the paper has it in the first 1×1.",))


def _computed(model: str | None) -> tuple[str | int | None, ...]:
    """(name, layers, parameters, multiply-accumulates) of one of our networks."""
    if model is None:
        return None, None, None, None
    made = network(model)
    return model, layers(made), parameters(made), macs(made)
