"""Are the derivative rules right? Compare them with finite differences, to second order.

For y = f(x₁, x₂, …) and a fixed random cotangent u of y, every entry of Σ u · ∂y/∂xᵢ is compared with

    (L(xᵢ + ε·e) − L(xᵢ − ε·e)) / 2ε,    L = Σ u · f(…),

in float64. Second order checks, in the same way, the function that maps (x, u) to a random projection of those
gradients, so that a rule whose own derivative is wrong is found too.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygradconv.autodiff import grad, no_grad
from tinygradconv.tensor import Tensor


class GradcheckError(AssertionError):
    """A derivative rule disagrees with finite differences; the message says which op, input and entry, and both values."""


def gradcheck(f: Callable[..., Tensor], inputs: Sequence[Any], *, order: int = 2, step: float = 1e-6, relative: float = 1e-5,
              absolute: float = 1e-7, seed: int = 0) -> None:
    """Raise GradcheckError where a derivative of f(*inputs), of first or (`order=2`) second order, differs from its finite difference.

    Floating inputs (numbers, arrays, tensors) are differentiated, as float64; others are passed as they are. f must be smooth within `step`
    of the inputs, and give the same result each time. Values are equal when |expected − got| ≤ absolute + relative · |expected|,
    with tolerances ten times wider at second order, whose finite difference is of a result that is itself rounded.

    >>> import tinygradconv as tgc
    >>> gradcheck(tgc.tanh, [[0.1, -2.0]])
    """
    if order not in (1, 2):
        raise ValueError(f"gradcheck: order must be 1 or 2, got {order}")
    if not isinstance(inputs, (list, tuple)):
        raise TypeError(f"gradcheck: inputs must be a list with one value per argument of f, got {inputs!r}")
    values = [_float64(value) for value in inputs]
    if not any(_floating(value) for value in values):
        raise ValueError("gradcheck: there is no floating input to differentiate")
    names = [f"x{i if len(values) > 1 else ''}" for i in range(len(values))]
    random = np.random.Generator(np.random.PCG64(seed))
    with no_grad():
        y = _call(f, values)
    if not isinstance(y, Tensor) or y.dtype != np.float64:
        raise TypeError("gradcheck: f must return a float64 tensor when its inputs are float64, "
                        f"got {getattr(y, 'dtype', type(y).__name__)}")
    cotangent = np.ones(()) if y.shape == () else random.uniform(0.5, 1.5, y.shape)
    name = getattr(f, "name", None) or getattr(f, "__name__", None) or type(f).__name__
    _compare(f"{name}: d/d{{}}", f, values, names, cotangent, step, relative, absolute)
    if order == 2:
        floating = [i for i, value in enumerate(values) if _floating(value)]
        weights = [random.uniform(0.5, 1.5, values[i].shape) for i in floating]

        def projected(*arguments: Any) -> Tensor:
            *xs, u = arguments
            targets = [xs[i] for i in floating]
            gradients = grad(f(*xs), targets, u, create_graph=True)
            total = (gradients[0] * weights[0]).sum()
            for gradient, weight in zip(gradients[1:], weights[1:]):
                total = total + (gradient * weight).sum()
            return total

        _compare(f"{name}: second order, d/d{{}}", projected, [*values, cotangent], [*names, "g"], np.ones(()), step,
                 10 * relative, 10 * absolute)


def _float64(value: Any) -> Any:
    array = value.numpy() if isinstance(value, Tensor) else np.asarray(value)
    return array.astype(np.float64) if array.dtype.kind == "f" else value


def _floating(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.float64


def _call(f: Callable[..., Tensor], values: Sequence[Any], *, requires_grad: bool = False) -> Tensor:
    return f(*[Tensor(v, requires_grad=requires_grad) if _floating(v) else v for v in values])


def _compare(where: str, f: Callable[..., Tensor], values: Sequence[Any], names: Sequence[str], cotangent: np.ndarray, step: float,
             relative: float, absolute: float) -> None:
    """Every entry of the analytic gradient against its central difference."""
    xs = [Tensor(v, requires_grad=True) if _floating(v) else v for v in values]
    targets = [(i, x) for i, x in enumerate(xs) if _floating(values[i])]
    y = f(*xs)
    if y.node is None:
        gradients = [np.zeros(x.shape) for _, x in targets]
    else:
        gradients = [g.numpy() for g in grad(y, [x for _, x in targets], Tensor(cotangent.reshape(y.shape)))]

    def loss(arguments: Sequence[Any]) -> float:
        return float((_call(f, arguments, requires_grad=True).numpy() * cotangent).sum())

    for (i, _), got in zip(targets, gradients):
        for index in np.ndindex(values[i].shape):
            moved = [v.copy() if j == i else v for j, v in enumerate(values)]
            moved[i][index] += step
            above = loss(moved)
            moved[i][index] -= 2 * step
            expected = (above - loss(moved)) / (2 * step)
            if not abs(expected - got[index]) <= absolute + relative * abs(expected):
                at = names[i] + (f"[{', '.join(map(str, index))}]" if index else "")
                raise GradcheckError(f"{where.format(at)}: expected {expected:.6g} from finite differences, "
                                     f"got {got[index]:.6g} from the rules")
