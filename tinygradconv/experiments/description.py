"""What an experiment is: frozen descriptions of networks to train, of what was published, and of the range that tells whether it held."""
from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tinygradconv.spec import Spec
from tinygradconv.spec.table import Sheet
from tinygradconv.train.recipe import Recipe

from .images import Images
from .pictures import curves

if TYPE_CHECKING:
    from .place import Place
    from .results import Results

FORMS = ("quick", "small", "full")


@dataclass(frozen=True)
class Net:
    """One network to train: the name of its folder, its spec, images, recipe and seed.

    `called` is how the report names it; the key where it is left out.
    """

    key: str
    spec: Spec
    images: Images
    recipe: Recipe
    seed: int = 0
    called: str = ""

    @property
    def title(self) -> str:
        """The name in the report."""
        return self.called or self.key


@dataclass(frozen=True)
class Expectation:
    """A number that is measured, what was published of it, and the open interval (low, high) in which it must lie to agree.

    says        what the number is
    measure     the number, of the results; it raises Unfinished where a network that it needs is not trained yet
    published   the paper's own number, as it prints it
    source      the paper, and the table or section
    unit        "%" of test images, "points" between two of those, "×", …
    """

    says: str
    measure: Callable[[Results], float]
    low: float
    high: float
    published: str
    source: str
    unit: str = "%"

    @property
    def range(self) -> str:
        """The interval in words: `0.7 … 1.2 %`, `above 0 points`, `× 0.6 … 0.97`."""
        low, high = (f"{bound:g}".replace("-", "−") for bound in (self.low, self.high))
        text = f"above {low}" if math.isinf(self.high) else f"below {high}" if math.isinf(self.low) else f"{low} … {high}"
        return f"× {text}" if self.unit == "×" else f"{text} {self.unit}"


@dataclass(frozen=True)
class Form:
    """One size of an experiment: `says` how it differs from what the paper did.

    measure   what is measured once all networks are trained (an average of several, times): it returns numbers by name
    tables    what the report shows besides, made of the results
    pictures  by name, how each is painted on matplotlib's axes
    """

    says: str
    nets: tuple[Net, ...]
    expectations: tuple[Expectation, ...]
    measure: Callable[[Place], Mapping[str, object]] | None = None
    tables: Callable[[Results], tuple[Sheet, ...]] | None = None
    pictures: Mapping[str, Callable[[Any, Place, Results], None]] = field(default_factory=lambda: {"curves": curves})

    def __post_init__(self) -> None:
        keys = [net.key for net in self.nets]
        if len(set(keys)) != len(keys):
            raise ValueError(f"an experiment's networks must have different keys, got {', '.join(keys)}")


@dataclass(frozen=True)
class Experiment:
    """An experiment: its name, what it asks, the papers that answered, and its forms (quick: seconds; small: minutes; full: the paper's).

    `forms` holds functions, as a form builds specs and recipes: only the one that is asked for is made.
    """

    name: str
    title: str
    asks: str
    papers: tuple[str, ...]
    forms: Mapping[str, Callable[[], Form]] = field(default_factory=dict)

    def form(self, name: str) -> Form:
        """The form called `name`; ValueError lists those that there are."""
        if name not in self.forms:
            raise ValueError(f"{self.name} has no form {name!r}; it has: {', '.join(self.forms)}")
        return self.forms[name]()
