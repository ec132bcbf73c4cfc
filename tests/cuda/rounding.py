"""float32 rounded as the tensor-core kernels round their operands, by arithmetic that is not theirs; and products of such operands."""
from __future__ import annotations

import numpy as np

BITS = {"bf16": 8, "tf32": 11}             # of the significand, with the one that is not written
ERROR = {"bf16": 1e-2, "tf32": 1e-3}       # relative to the largest possible sum, of products of rounded operands


def rounded(x, precision):
    """x in float64, to so many bits: to nearest, ties to even for bfloat16 and away from zero for tf32."""
    fraction, exponent = np.frexp(np.asarray(x, np.float64))
    scaled = fraction * 2.0 ** BITS[precision]
    whole = np.rint(scaled) if precision == "bf16" else np.trunc(scaled + np.copysign(0.5, scaled))
    return np.ldexp(whole, exponent - BITS[precision])


def normal(rng, *shape):
    """Random float32."""
    return rng.standard_normal(shape, np.float32)


def check(y, a, b, precision):
    """y against a · b: within the precision's error of the exact product, and within float32's of that of rounded operands."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    most = np.abs(a) @ np.abs(b)
    assert (np.abs(y - a @ b) <= ERROR[precision] * most).all()
    bound = (a.shape[-1] + 2) * np.finfo(np.float32).eps * most
    assert (np.abs(y - rounded(a, precision) @ rounded(b, precision)) <= bound).all()
