"""The lecture's arithmetic of windows: how large an output is, and how much of the input a stack of small filters sees."""
from __future__ import annotations

from tinygradconv.geometry import output_size
from tinygradconv.spec import Conv
from tinygradconv.spec.table import Sheet

from ..text import places
from .columns import number, printed, shape, text

# What slides, which N, P on each side, F, stride; what the slides print; whether a last window that is cut short is kept.
SIZES = (
    ("a 3×3 filter on the 6×6 matrix", 6, 0, 3, 1, "4x4", False),
    ("a 3×3 filter on the 7×7 matrix", 7, 0, 3, 2, "3x3", False),
    ("backpropagation: a 2×2 filter on 3×3", 3, 0, 2, 1, None, False),
    ("backpropagation: the full convolution of its 2×2 gradient", 2, 1, 2, 1, None, False),
    ("pooling with downsampling: 3 of 6 values, the last region smaller", 6, 0, 3, 2, None, True),
    ("LeNet-5, C1: 5×5, padded", 28, 2, 5, 1, None, False),
    ("LeNet-5, S2: 2×2", 28, 0, 2, 2, None, False),
    ("AlexNet, CONV1: 11×11", 227, 0, 11, 4, "55x55", False),
    ("AlexNet, MAX POOL1: 3×3", 55, 0, 3, 2, "27x27", False),
    ("VGG: 3×3, padded", 224, 1, 3, 1, "224*224", False),
    ("VGG: pooling 2×2", 224, 0, 2, 2, "112*112", False),
    ("inception: 3×3, padded", 28, 1, 3, 1, "28X28", False),
    ("inception: 5×5, padded", 28, 2, 5, 1, "28X28", False),
    ("inception: pooling 3×3, padded", 28, 1, 3, 1, "28X28", False),
    ("ResNet: 7×7 conv. 64 / 2", 224, 3, 7, 2, None, False),
)


def sizes() -> Sheet:
    """Output size = (N + 2P − F)/stride + 1, for every window of the lecture."""
    rows = []
    for what, size, padding, window, stride, said, ceil_mode in SIZES:
        output = output_size(size, window, stride, padding, padding, ceil_mode=ceil_mode)
        rows.append((what, size, padding, window, stride, places(size, padding, padding, window, stride, output, ceil_mode).split(" = ")[0],
                     output, said))
    return Sheet((text("where", "where", width=50), number("N", "n"), number("P", "p"), number("F", "f"), number("stride", "stride"),
                  text("(N + 2P − F)/stride + 1", "arithmetic"), number("output", "output"), printed("lecture")), tuple(rows),
                 name="sizes", title="How large the output of a convolution or a pool is")


def receptive_field(channels: int = 64) -> Sheet:
    """Stacks of 3×3 convolutions beside one larger filter: the same field, and 3·(3²C²) weights for 7²C²."""
    rows = []
    for depth in (1, 2, 3):
        for copies, size in {(depth, 3), (1, 2 * depth + 1)}:
            filters = Conv(channels, size, padding=size // 2, bias=False) * copies
            table = filters.table((32, 32, channels))
            weights = table.totals["parameters"]
            rows.append((f"{copies} × {size}×{size}", table.rows[-1].receptive_field, copies,
                         f"{copies}·({size}²C²)" if copies > 1 else f"{size}²C²", weights // channels ** 2, weights))
    rows.sort(key=lambda row: (row[1], -row[2]))
    return Sheet((text("filters", "filters"), shape("field", "receptive_field"), number("ReLUs", "relus"), text("weights", "formula"),
                  number("weights / C²", "weights_per_c2"), number(f"C = {channels}", "weights")), tuple(rows), name="receptive_field",
                 title="Why small filters: three 3×3 convolutions see 7×7",
                 notes=(f"27C² weights where one 7×7 filter has 49C² ({27 / 49:.0%}), and three non-linearities for one.",))
