"""Training steps of whole networks."""
from __future__ import annotations

from ..protocol import take_turns
from ..torch_side import LAYOUTS, compiled, torch_weights
from ..training import OurStep, TorchStep, floor, our_model, verify
from ..work import Options, Sides, Work, timed

STEPS = {"lenet5": 64, "resnet20": 128, "resnet18": 8}           # images in a batch


def sides(name: str, batch: int, options: Options) -> Sides:
    """One step of the network called `name`. Only the quicker memory order of torch is compiled as well, as that takes a minute."""
    model = our_model(name)
    weights = torch_weights(model)
    ours = OurStep(model, batch)
    peers = {peer: TorchStep(name, model, batch, weights, layout) for peer, layout in LAYOUTS.items()}
    notes = []
    if options.compiles:
        least = take_turns(peers, 2)
        quicker = min(least, key=lambda peer: least[peer].minimum)
        step = TorchStep(name, model, batch, weights, LAYOUTS[quicker])
        step.compute, why = compiled(step.eager, lambda made: made(step.x, step.labels).backward(), options)
        if step.compute is not None:
            peers[f"{quicker} compiled"] = restarted(step, weights, LAYOUTS[quicker])
        notes += [why] if why else []
        for peer in LAYOUTS:
            restarted(peers[peer], weights, LAYOUTS[peer])
    return Sides(ours, peers, lambda: verify(ours, peers), floor(model, batch), notes)


def restarted(step: TorchStep, weights, layout: str) -> TorchStep:
    """A step that has been tried, with the first weights and no momentum, as ours begins."""
    step.module.load_state_dict({path: tensor.clone() for path, tensor in weights.items()}, strict=False)
    step.optimizer.state.clear()
    step.optimizer.zero_grad()
    return step


def works() -> list[Work]:
    """One for each network."""
    return [timed(f"step {name} b{batch}", lambda options, name=name, batch=batch: sides(name, batch, options))
            for name, batch in STEPS.items()]
