"""Memory: what the pool costs, how much of it a training step asks for, and the most that the process held."""
from __future__ import annotations

from tinygradconv.backends import backend_named

from .common import DEVICES, Benchmark
from .gate.counters import counted_allocations
from .train import InferenceBatch, TrainingStep

SIZES = {"bias_64": (64,), "lenet_c1": (64, 28, 28, 6), "resnet_3x3_64_56": (8, 56, 56, 64), "vgg_3x3_64_224": (2, 224, 224, 64)}


class Arrays(Benchmark):
    """An array from the back end, and its memory given back: microseconds, whatever its size, once the pool knows the size."""

    params = [DEVICES, list(SIZES)]
    param_names = ["device", "layer"]
    repeat = (10, 100, 1.0)

    def prepare(self, device: str, layer: str) -> None:
        """The shape, and what makes arrays."""
        self.shape, self.empty = SIZES[layer], backend_named(device).empty

    def time_take_and_drop(self, device: str, layer: str) -> None:
        """Not filled, so no page of it is touched."""
        self.empty(self.shape, "float32")


class StepMemory(TrainingStep):
    """One training step's memory."""

    def peakmem_step(self, device: str, network: str) -> None:
        """The most memory that the process held, Python and NumPy included."""
        self.step()

    def track_pool_peak(self, device: str, network: str) -> int:
        """The most bytes of pooled arrays in use at once beyond those in use before the step; exact."""
        before = backend_named(device).memory_statistics(reset_peak=True)["in_use"]
        self.step()
        return backend_named(device).memory_statistics()["peak"] - before

    def track_allocations(self, device: str, network: str) -> int:
        """Arrays asked for, from the pool or from NumPy; exact."""
        with counted_allocations() as calls:
            self.step()
        return len(calls)

    track_pool_peak.unit = "bytes"
    track_allocations.unit = "arrays"


class InferenceMemory(InferenceBatch):
    """One batch without a tape."""

    def peakmem_batch(self, device: str, network: str) -> None:
        """The most memory that the process held."""
        self.infer()
