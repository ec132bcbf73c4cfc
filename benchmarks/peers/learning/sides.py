"""Ours and PyTorch's: the same network, weights, optimiser and rates, told the same batches."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np

from ..protocol import take_turns
from ..torch_models import MODELS as TORCH_MODELS
from ..torch_side import LAYOUTS, channels_first, compiled, load, the_torch, torch_weights
from ..work import OURS, Options
from .case import Case

Batch = tuple[np.ndarray, np.ndarray]


class Side(Protocol):
    """A library that learns."""

    def prepared(self, batch: Batch) -> Any:
        """A batch in the order in which this side likes its images; not timed."""

    def step(self, batch: Any) -> float:
        """Learn from a prepared batch; its loss."""

    def accuracy(self, batches: Sequence[Any]) -> float:
        """In %, on prepared test batches."""


class OurSide:
    """Ours: `Training`, as the command `train` has it."""

    def __init__(self, case: Case, data: Any, recipe: Any, seed: int) -> None:
        from tinygradconv import models
        from tinygradconv.train.training import Training
        spec, _ = models.get(case.model, classes=len(data.classes))
        self.training = Training(spec.build(data.input_shape, seed=seed), data, recipe, seed)

    def prepared(self, batch: Batch) -> Batch:
        """The batch as it is: channels last."""
        return batch

    def step(self, batch: Batch) -> float:
        """One update; its loss."""
        return self.training.step(*batch)

    def accuracy(self, batches: Sequence[Batch]) -> float:
        """In %, on the test images."""
        from tinygradconv.train.evaluate import evaluate
        correct, total = evaluate(self.training.model, batches)
        return 100 * correct / total


class TorchSide:
    """PyTorch: the same network with the same weights, the same optimiser, the same rate at each step, in a layout or compiled."""

    def __init__(self, case: Case, weights: Mapping[str, Any], recipe: Any, steps: int, layout: str) -> None:
        self.layout, self.smoothing, self.rate, self.steps = layout, recipe.smoothing, recipe.make_schedule(steps), 0
        self.module = load(TORCH_MODELS[case.model](), weights, layout)
        self.optimizer = torch_optimizer(recipe, self.module.parameters())
        self.compute: Callable[[Any, Any], Any] = self.loss

    def loss(self, x: Any, labels: Any) -> Any:
        """Cross-entropy with the recipe's smoothing."""
        return the_torch().nn.functional.cross_entropy(self.module(x), labels, label_smoothing=self.smoothing)

    def prepared(self, batch: Batch) -> tuple[Any, Any]:
        """Tensors, channels first by their shape, in this side's memory order."""
        x, labels = batch
        return channels_first(x, self.layout), the_torch().from_numpy(np.array(labels))

    def step(self, batch: tuple[Any, Any]) -> float:
        """One update; its loss."""
        if not self.module.training:
            self.module.train()
        self.optimizer.param_groups[0]["lr"] = self.rate(self.steps)
        self.optimizer.zero_grad()
        loss = self.compute(*batch)
        loss.backward()
        self.optimizer.step()
        self.steps += 1
        return loss.item()

    def accuracy(self, batches: Sequence[tuple[Any, Any]]) -> float:
        """In %, on the test images."""
        torch = the_torch()
        self.module.eval()
        with torch.no_grad():
            correct = sum(int((self.module(x).argmax(1) == labels).sum()) for x, labels in batches)
        return 100 * correct / sum(len(labels) for _, labels in batches)


def torch_optimizer(recipe: Any, parameters: Iterable[Any]) -> Any:
    """The recipe's optimiser as torch has it. ValueError for what the two do not have in common."""
    torch, options = the_torch(), dict(recipe.options)
    decay = options.pop("decay", 0.0)
    if recipe.optimizer == "sgd":
        made = torch.optim.SGD(parameters, lr=recipe.rate, momentum=options.pop("momentum", 0.0), nesterov=options.pop("nesterov", False),
                               weight_decay=decay, fused=True)
    elif recipe.optimizer == "adam":
        kind = torch.optim.AdamW if options.pop("decoupled", False) else torch.optim.Adam
        made = kind(parameters, lr=recipe.rate, betas=(options.pop("beta1", 0.9), options.pop("beta2", 0.999)),
                    eps=options.pop("epsilon", 1e-8), weight_decay=decay, fused=True)
    else:
        raise ValueError(f"no twin of the optimiser {recipe.optimizer!r} is built here")
    beyond = [*options, *(name for name in ("clip", "ema") if getattr(recipe, name) is not None)]
    if beyond or recipe.accumulate != 1:
        raise ValueError(f"the recipe has what no twin is built of here: {', '.join(beyond) or 'accumulate'}")
    return made


def best_torch(case: Case, spare: OurSide, recipe: Any, steps: int, batch: Batch, options: Options) -> tuple[str, TorchSide, list[str]]:
    """(name, side, notes): PyTorch in the form, of both layouts and with `options.compiles` of both compiled, that does a step soonest.

    The forms are tried out on networks that are then thrown away, and so is `spare`, ours, which takes its turns with them: threads and
    caches of both libraries are warm afterwards. The side that is returned has the weights that `spare` had, and has not learnt anything.
    """
    weights = torch_weights(spare.training.model)

    def made(layout: str, compiles: bool) -> tuple[TorchSide | None, str]:
        side, why = TorchSide(case, weights, recipe, steps, layout), ""
        if compiles:
            before = {path: tensor.clone() for path, tensor in side.module.state_dict().items()}
            side.compute, why = compiled(side.loss, lambda loss: loss(*side.prepared(batch)).backward(), options)
            side.optimizer.zero_grad()
            side.module.load_state_dict(before)                # running means have seen the batch that it was compiled with
        return (side if side.compute is not None else None), why

    forms = {name: (layout, False) for name, layout in LAYOUTS.items()}
    if options.compiles:
        forms |= {f"{name} compiled": (layout, True) for name, layout in LAYOUTS.items()}
    trials, notes = {OURS: partial(spare.step, batch)}, []
    for name, form in forms.items():
        side, why = made(*form)
        if side is None:
            notes.append(why)
        else:
            trials[name] = partial(side.step, side.prepared(batch))
    times = take_turns(trials, options.samples)
    best = min((name for name in times if name != OURS), key=lambda name: times[name].minimum)
    notes += [f"a step of {name} takes {1e3 * taken.minimum:.1f} ms" for name, taken in times.items()]
    side, _ = made(*forms[best])
    return best, side, notes
