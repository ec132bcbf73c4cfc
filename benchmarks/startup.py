"""How long one waits before the first line of one's own code runs."""
from __future__ import annotations


def timeraw_import() -> tuple[str, str]:
    """`import tinygradconv` in a fresh interpreter that has imported numpy already."""
    return "import tinygradconv", "import numpy"


def timeraw_import_models() -> tuple[str, str]:
    """What the command line needs before it can build a network."""
    return "import tinygradconv.models", "import numpy"


def timeraw_first_convolution() -> tuple[str, str]:
    """The first call, which loads the compiled kernels."""
    return ("tgc.conv2d(tgc.Tensor(x), tgc.Tensor(w))",
            "import numpy\nimport tinygradconv as tgc\nx, w = numpy.ones((1, 8, 8, 1), 'f4'), numpy.ones((3, 3, 1, 1), 'f4')")


for _benchmark in (timeraw_import, timeraw_import_models, timeraw_first_convolution):
    _benchmark.version = "1"
    _benchmark.repeat = (3, 10, 10.0)
