"""How a test calls the three kernels of a convolution, whichever algorithm computes them."""
from __future__ import annotations

from .variants import TYPES, poisoned, workspace

NAMES = ("forward", "grad_input", "grad_weight")
PLAIN = (None, None, None, 0)          # scale, bias, residual and activation of a forward pass that ends with the sum


def calls(geo, x, w, g):
    """(which, arrays in, shape filled) of the three kernels."""
    return zip(NAMES, ((x, w), (g, w), (x, g)), (geo.y_shape, geo.x_shape, geo.w_shape))


def by_definition(module, prefix, which, inputs, shape, geo, after=PLAIN):
    """What a NumPy definition fills."""
    filled = poisoned(shape, inputs[0].dtype)
    size = getattr(module, f"{prefix}_{which}_workspace", lambda geo, itemsize: 0)
    more, activation = (after[:3], after[3:]) if which == "forward" else ((), ())
    getattr(module, f"{prefix}_{which}")(*inputs, *more, workspace(size(geo, filled.itemsize)), filled, *activation, geo)
    return filled


def by_cython(module, prefix, which, inputs, shape, geo, kind, threads=2, after=PLAIN):
    """What a compiled variant fills."""
    module.set_threads(threads)
    filled, more, activation = poisoned(shape, TYPES[kind]), (), ()
    room = workspace(getattr(module, f"{prefix}_{which}_workspace")(geo, filled.itemsize))
    if which == "forward":
        inputs, more, activation = (inputs[0], packed(module, prefix, inputs[1], geo, kind)), after[:3], after[3:]
    getattr(module, f"{prefix}_{which}")[kind](*inputs, *more, room, filled, *activation, geo)
    return filled


def packed(module, prefix, w, geo, kind):
    """What the forward kernel takes in place of w."""
    room = workspace(getattr(module, f"{prefix}_forward_packed_bytes")(w, geo))
    getattr(module, f"{prefix}_forward_pack")[kind](w, room, geo)
    return room
