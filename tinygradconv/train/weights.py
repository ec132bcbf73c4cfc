"""A model's weights and buffers as arrays by path, and back."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygradconv.backends import backend_of
from tinygradconv.tensor import Tensor

from .optim import match_arrays


def weights_of(model: Any) -> dict[str, np.ndarray]:
    """Weights and buffers by path; those on the CPU are not copied."""
    return {path: t.numpy() for path, t in (*model.parameters.items(), *model.buffers.items())}


def load_weights(model: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Put weights and buffers by path into a model. ValueError names the first that is missing, too much or of another shape."""
    match_arrays("the weights", weights_of(model), arrays)
    for path, p in model.parameters.items():
        backend_of(p.data).assign(p.data, arrays[path])
        p.storage.version += 1
    for path, old in model.buffers.items():
        model.buffers[path] = Tensor.of(np.array(arrays[path])).to(old.device)


def host(values: Any) -> np.ndarray:
    """Values of a batch, an array or a tensor, as an array."""
    return values.numpy() if isinstance(values, Tensor) else values


def beside_weights(model: Any, values: Any) -> Tensor:
    """Values of a batch, an array or a tensor, as a tensor where the model's weights are; a model that does not say is on the CPU."""
    batch = values if isinstance(values, Tensor) else Tensor.of(values)
    return batch.to(getattr(model, "device", "cpu"))
