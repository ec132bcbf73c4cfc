"""Inference of whole networks: weights that do not change, nothing recorded."""
from __future__ import annotations

import tinygradconv as tgc

from ...common import constant, values
from ..compare import same
from ..torch_models import MODELS as TORCH_MODELS
from ..torch_side import channels_first, in_every_form, load, the_torch, torch_weights
from ..training import floor, our_model
from ..work import Options, Sides, Work, timed

NETWORKS = {"vgg16": 2, "resnet18": 8}           # images in a batch


def sides(name: str, batch: int, options: Options) -> Sides:
    """The outputs for one batch. torch's compiled form has its weights folded and packed (`freezing`), its best for inference."""
    torch, model = the_torch(), our_model(name)
    x, weights = constant((batch, *model.input_shape)), torch_weights(model)

    def ours() -> tgc.Tensor:
        with tgc.no_grad():
            return model(x)

    def bound(function, layout: str):
        tx = channels_first(values(batch, *model.input_shape), layout)

        def call():
            with torch.no_grad():
                return function(tx)
        return call

    def eager(layout: str):
        return load(TORCH_MODELS[name](), weights, layout).eval()

    peers, notes = in_every_form(eager, bound, options, freezes=True)

    def verify() -> None:
        y = ours().numpy()
        for peer, call in peers.items():
            same(f"y of {peer}", y, call().numpy(), 1e-4)

    return Sides(ours, peers, verify, floor(model, batch, training=False), notes)


def works() -> list[Work]:
    """One for each network."""
    return [timed(f"inference {name} b{batch}", lambda options, name=name, batch=batch: sides(name, batch, options))
            for name, batch in NETWORKS.items()]
