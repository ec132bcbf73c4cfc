"""Specs: what one waits for between writing a network down and having it."""
from __future__ import annotations

from tinygradconv.models import MODELS, get
from tinygradconv.spec import Spec

from .common import Benchmark


class Specs(Benchmark):
    """Everything that is worked out from a spec, for the networks of the zoo."""

    params = [["lenet5", "resnet20", "resnet50"]]
    param_names = ["model"]

    def prepare(self, model: str) -> None:
        """The spec, the shape that it is made for, and its JSON."""
        if model not in MODELS:
            raise NotImplementedError(f"no {model} here yet")
        self.spec, self.shape = get(model)
        self.text = self.spec.to_json()

    def time_build(self, model: str) -> None:
        """Shape inference, and weights drawn."""
        self.spec.build(self.shape, seed=0)

    def time_table(self, model: str) -> None:
        """Shapes, parameters, MACs and memory, with no array allocated."""
        self.spec.table(self.shape)

    def time_from_json(self, model: str) -> None:
        """The spec read back."""
        Spec.from_json(self.text)

    def track_bytes_kept(self, model: str) -> int:
        """What the table says is kept for the backward pass of one image; exact."""
        return self.spec.table(self.shape).totals["kept_bytes"]

    track_bytes_kept.unit = "bytes"
