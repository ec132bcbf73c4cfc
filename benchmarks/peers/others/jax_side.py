"""A training step in JAX on the CPU: one jitted function, channels last."""
from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ...common import values
from ..training import DECAY, MOMENTUM, RATE, labels_of
from .networks import loss


class Step:
    """Our model's weights and batch, learned by XLA's code."""

    def __init__(self, name: str, model: Any, batch: int) -> None:
        import jax
        from jax import numpy as jnp
        device = jax.devices("cpu")[0]

        class Ops:
            """What networks.py asks for."""

            tanh, exp, log, sqrt, maximum, sum = jnp.tanh, jnp.exp, jnp.log, jnp.sqrt, jnp.maximum, jnp.sum

            @staticmethod
            def conv(x: Any, w: Any, stride: int, padding: int) -> Any:
                return jax.lax.conv_general_dilated(x, w, (stride, stride), [(padding, padding)] * 2,
                                                    dimension_numbers=("NHWC", "HWIO", "NHWC"))

            @staticmethod
            def pad_channels(x: Any, before: int, after: int) -> Any:
                return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (before, after)))

        @partial(jax.jit, donate_argnums=(0, 1))
        def learn(p: Any, velocity: Any, x: Any, chosen: Any, rate: Any) -> Any:
            value, g = jax.value_and_grad(lambda p: loss(Ops, name, p, x, chosen))(p)
            velocity = jax.tree.map(lambda v, g, p: MOMENTUM * v + g + DECAY * p, velocity, g, p)
            return jax.tree.map(lambda p, v: p - rate * v, p, velocity), velocity, value

        self.learn = learn
        self.p = {path: jax.device_put(p.numpy().copy(), device) for path, p in model.parameters.items()}
        self.velocity = jax.tree.map(jnp.zeros_like, self.p)
        self.x = jax.device_put(values(batch, *model.input_shape), device)
        self.chosen = jax.device_put(np.eye(model.output_shape[0], dtype=np.float32)[labels_of(model, batch)], device)

    def __call__(self, rate: float = RATE) -> Any:
        """One step, waited for; returns its loss."""
        self.p, self.velocity, value = self.learn(self.p, self.velocity, self.x, self.chosen, rate)
        return value.block_until_ready()
