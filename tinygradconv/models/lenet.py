"""LeNet-5: the convolutional network that read handwriting (LeCun, Bottou, Bengio and Haffner 1998, "Gradient-based learning applied to
document recognition").
"""
from __future__ import annotations

from numbers import Integral

from tinygradconv.spec import RBF, AvgPool, Conv, Dense, FanIn, Flatten, Scale, ScaledTanh, Scope, Spec, SumPool, TableConv, Tanh, Uniform

from .bitmaps import DIGITS


def lenet(classes: int = 10) -> Spec:
    """LeNet-5 in its common form, for 28×28×1: 61,706 parameters, 416,520 multiply-accumulates."""
    return (Conv(6, 5, padding=2) >> Tanh() >> AvgPool(2)
            >> Conv(16, 5) >> Tanh() >> AvgPool(2) >> Flatten()
            >> Dense(120) >> Tanh() >> Dense(84) >> Tanh() >> Dense(classes))


lenet5 = lenet()

# Table I: the maps of S2 that each of the 16 maps of C3 reads. 3 neighbours, 4 neighbours, two pairs, all; 60 connections.
TABLE_I = (*[tuple((o + i) % 6 for i in range(3)) for o in range(6)], *[tuple((o + i) % 6 for i in range(4)) for o in range(6)],
           (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5))


def lenet5_1998(classes: int = 10) -> Spec:
    """LeNet-5 as it was published (section II.B, figure 2), for 32×32×1: 60,000 trainable parameters, 340,908 connections.

    A pool adds up its 2×2 cells and learns a factor and an offset per map; C3 is connected by table I; every unit is squashed by
    1.7159·tanh(2/3·x); the 84 units of F6 are compared with drawn 7×12 digits, which do not learn. Weights start uniform on ±2.4 / fan-in
    (appendix A). The paper's images have the background at −0.1 and the ink at 1.175. ValueError for more classes than ten digits.
    """
    if not isinstance(classes, Integral) or not 1 <= classes <= len(DIGITS):
        raise ValueError(f"lenet5_1998 compares with a drawing of each class and has drawings of the {len(DIGITS)} digits; got "
                         f"classes={classes!r}. lenet5 takes any number of classes")
    init, squash = FanIn(2.4), ScaledTanh()
    pool = Scope(_sum=SumPool(2), _scale=Scale(init=Uniform(2.4 / 4)))                    # a unit has four inputs
    return Scope(c1=Conv(6, 5, init=init), _squash1=squash, s2=pool, _squash2=squash,
                 c3=TableConv(TABLE_I, 5, init=init), _squash3=squash, s4=pool, _squash4=squash,
                 c5=Conv(120, 5, init=init), _squash5=squash, _flatten=Flatten(),
                 f6=Dense(84, init=init), _squash6=squash, output=RBF(DIGITS[:classes]))
