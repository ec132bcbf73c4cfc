"""A recipe: everything that decides how a network learns, as one frozen value that can be written as JSON. Named ones: recipes.py."""
from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from tinygradconv.data.augment import Augmentation, Chain, chain
from tinygradconv.data.augment import json as augment_json
from tinygradconv.geometry import described, integer
from tinygradconv.tensor import Tensor

from . import shares
from .checks import fraction, number
from .optim import LARS, SGD, Adam, AdamW, Muon, Optimizer, RMSprop
from .optim.patterns import matching
from .schedule import Schedule

OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW, "rmsprop": RMSprop, "lars": LARS, "muon": Muon}
PATTERNS = ("exclude", "adamw")           # the options of optimisers that are patterns of paths


@dataclass(frozen=True)
class Recipe:
    """Optimiser, learning rate and how it changes, how long, how many images at a time, and what is done to them.

    optimizer         "sgd", "adam", "adamw", "rmsprop", "lars" or "muon"
    rate              the highest learning rate
    epochs            how often all the training images are seen
    batch_size        images for one update
    options           of the optimiser: momentum, nesterov, decay, exclude=("*.bias",), …
    schedule          "cosine", "drops", "steps", "polynomial", "one-cycle" or "constant": see shares.py
    schedule_options  of the schedule: at=(0.5, 0.75), factor, rise, …
    warm_up           the share of the steps before the schedule, in which the rate rises from 0, or is `warm_up_rate` where that is given
    smoothing         label smoothing of the loss
    augment           what is done to the training images: PadCrop(4) >> Flip()
    clip              the norm that all gradients together may have
    accumulate        in how many parts a batch goes through the network, to need less memory; one update for all of them
    ema               the decay of a running mean of weights, which is then what is tested and kept as the best
    patience          stop after so many epochs in a row without a better test accuracy
    sync_batch_norm   where several ranks train together, batch norm takes its statistics of the whole batch, not of a rank's own rows

    ValueError or TypeError says which field is wrong. `to_json` and `from_json` write and read it.
    """

    optimizer: str
    rate: float
    epochs: int
    batch_size: int
    options: Mapping[str, Any] = field(default_factory=dict)
    schedule: str = "cosine"
    schedule_options: Mapping[str, Any] = field(default_factory=dict)
    warm_up: float = 0.0
    warm_up_rate: float | None = None
    smoothing: float = 0.0
    augment: Augmentation | None = None
    clip: float | None = None
    accumulate: int = 1
    ema: float | None = None
    patience: int | None = None
    sync_batch_norm: bool = False

    def __post_init__(self) -> None:
        where = "a recipe"
        for name in ("epochs", "batch_size", "accumulate", *(() if self.patience is None else ("patience",))):
            integer(name, getattr(self, name), at_least=1, where=where)
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"a recipe's optimizer must be {_either(OPTIMIZERS)}, got {self.optimizer!r}")
        if self.schedule not in shares.SCHEDULES:
            raise ValueError(f"a recipe's schedule must be {_either(shares.SCHEDULES)}, got {self.schedule!r}")
        for name, bounds in (("rate", {"above": 0}), ("smoothing", {"at_least": 0, "below": 1}), ("warm_up", {"at_least": 0, "below": 1})):
            number(where, name, getattr(self, name), **bounds)
        if self.clip is not None:
            number(where, "clip", self.clip, above=0)
        if self.ema is not None:
            fraction(where, "ema", self.ema)
        if self.accumulate > self.batch_size:
            raise ValueError(f"a recipe: accumulate cuts a batch into parts, so it must be at most batch_size, {self.batch_size}, "
                             f"got {self.accumulate}")
        for name in ("options", "schedule_options"):
            object.__setattr__(self, name, _plain(name, getattr(self, name)))
        object.__setattr__(self, "augment", _known(self.augment))
        self.make_schedule(1000 * self.epochs)
        OPTIMIZERS[self.optimizer]({}, **{name: value for name, value in self.options.items() if name not in PATTERNS})

    @property
    def at_once(self) -> int:
        """How many images of a batch go through the network at once."""
        return -(-self.batch_size // self.accumulate)

    def make_optimizer(self, parameters: Mapping[str, Tensor]) -> Optimizer:
        """The optimiser of this recipe for these parameters."""
        return OPTIMIZERS[self.optimizer](parameters, **self.options)

    def make_schedule(self, steps: int) -> Schedule:
        """The learning rate as a function of the step, for a run of this many steps."""
        return shares.named(self.schedule, self.rate, steps, self.epochs, warm_up=self.warm_up, warm_up_rate=self.warm_up_rate,
                            **self.schedule_options)

    def ended(self, epoch: int, waited: int) -> bool:
        """Whether a training has come to its end after so many epochs, the last `waited` of which were not better than the best."""
        return epoch >= self.epochs or (self.patience is not None and waited >= self.patience)

    def check(self, paths: Collection[str]) -> None:
        """ValueError where a pattern of the optimiser's options matches none of a model's parameters."""
        for name in PATTERNS:
            if self.options.get(name) is not None:
                matching(OPTIMIZERS[self.optimizer].__name__, name, self.options[name], paths)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON has them."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        lists = {name: {key: list(value) if isinstance(value, tuple) else value for key, value in values[name].items()}
                 for name in ("options", "schedule_options")}
        return {**values, **lists, "augment": None if self.augment is None else augment_json.to_json(self.augment)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Recipe:
        """The recipe that `to_json` made these values of. ValueError or TypeError says what is wrong with them."""
        values = dict(values)
        known = [each.name for each in fields(cls)]
        for name in values:
            if name not in known:
                raise ValueError(f"a recipe has no {name!r}; it has: {', '.join(known)}")
        for name in known[:4]:
            if name not in values:
                raise ValueError(f"a recipe needs {name}; got: {', '.join(map(str, values)) or 'nothing'}")
        if values.get("augment") is not None:
            values["augment"] = augment_json.from_json(values["augment"])
        return cls(**values)


def _either(names: Collection[str]) -> str:
    *others, last = map(repr, names)
    return f"{', '.join(others)} or {last}"


def _plain(name: str, options: Any) -> dict[str, Any]:
    """Options as a dict of their own, with tuples for the lists that JSON has."""
    if not isinstance(options, Mapping):
        raise TypeError(f"a recipe: {name} must be a dict by name, got {described(options)}")
    return {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}


def _known(augment: Any) -> Augmentation | None:
    """`augment` as one value that JSON can have; of a chain of one step the step, which draws the same random numbers read again."""
    made = chain(augment)
    if made is None:
        return None
    if not isinstance(made, Augmentation):
        raise TypeError(f"a recipe: augment must be an augmentation such as PadCrop(4) >> Flip(), got {augment!r}. A function of one's own "
                        f"goes to a Loader: it could not be read again from a run's config.json")
    augment_json.to_json(made)
    return made.steps[0] if isinstance(made, Chain) and len(made.steps) == 1 else made
