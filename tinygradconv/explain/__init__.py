"""Teaching: the engine's operations as steps that can be followed on paper, each number checked against the engine.

>>> from tinygradconv import explain
>>> steps = explain.conv2d([[3, 0, 1], [1, 5, 8], [2, 7, 2]], [[1, 0, -1]] * 3)
>>> steps.y.tolist()
[[-5.0]]

In a REPL or a notebook an explanation shows itself; in a program `steps.show()` or `print(steps)` prints it.
"""
from .conv import Conv2dSteps, conv2d
from .pool import MaxPool2dSteps, max_pool2d
from .steps import ExplanationError

__all__ = ["Conv2dSteps", "ExplanationError", "MaxPool2dSteps", "conv2d", "max_pool2d"]
