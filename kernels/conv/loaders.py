"""How the matrices of a convolution, which nobody writes down, are found in memory: the im2col of the GPU is in the load addresses.

The three convolutions of a group are matrix products. With cols[(n, oy, ox), (ky, kx, c)] the columns of im2col,

    forward       y [(n, oy, ox), o]      = Σ over (ky, kx, c)    cols of x         · w[(ky, kx, c), o]
    grad-input    dx[(n, iy, ix), c]      = Σ over (ky, kx, o)    cols of g, rotated · w[(ky, kx, o), c]
    grad-weight   dw[(ky, kx, c), o]      = Σ over (n, oy, ox)    cols of x, turned  · g[(n, oy, ox), o]

A Loader (kernels/cuda/loading.py) gives a few neighbouring numbers of such a matrix, zeros where a window looks beside the image. What does
not change along k is worked out once a line, and kept. k itself is taken apart by multiplication with reciprocals, two a chunk
(kernels/cuda/division.py): there is no state to carry, so one loader serves the loops of all precisions. Within an image, 32 bits are
enough to count in (layout.check): half the registers and a third of the instructions of 64.

An operand that is gathered is the tuple of WINDOWS, after the array and where its group begins:

    lines                  rows of the matrix
    places, columns        windows of an image, and in a row of them; each followed by its reciprocal
    sy, sx                 from a window to the next
    first_y, first_x       the cell that the first window begins with
    height, width, pitch   the image: rows, columns, channels of all groups
    depth, taps            channels of the group, and taps (kx) in a row of the window; each followed by its reciprocal
    dy, dx                 from a tap to the next; less than 0 in grad-input
"""
from __future__ import annotations

from functools import cache

from ..cuda.division import divided
from ..cuda.language import Scalar, device, int32, int64, ptx, uint32
from ..cuda.loading import Loader
from ..cuda.vectors import fetch

FAR = -(1 << 30)                           # a row so far above the image that no tap leads back into it
WINDOWS = ("lines", "places", "r_places", "columns", "r_columns", "sy", "sx", "first_y", "first_x", "height", "width", "pitch", "depth",
           "r_depth", "taps", "r_taps", "dy", "dx")


@device
def held(cell):
    """A row or column, kept in one register."""
    return int64(ptx.keep(int32(cell)))


@cache
def pixels_as_lines(T: Scalar, vector: int) -> Loader:
    """The columns of im2col: line (n, oy, ox), k = (ky, kx, c); neighbours in memory are channels."""
    load = fetch(T, vector)

    @device
    def place(operand, line):
        (_, start, lines, places, r_places, columns, r_columns, sy, sx, first_y, first_x, height, width, pitch,
         _, _, _, _, _, _) = operand
        n = divided(line, r_places)
        at = line - n * places
        oy = divided(at, r_columns)
        iy, ix = sy * oy + first_y, sx * (at - oy * columns) + first_x
        return held(iy if line < lines else FAR), held(ix), ptx.keep(start + ((n * height + iy) * width + ix) * pitch)

    @device
    def chunk(operand, where, k, end):
        x, _, _, _, _, _, _, _, _, _, _, height, width, pitch, depth, r_depth, taps, r_taps, dy, dx = operand
        tap = divided(k, r_depth)
        ky = divided(tap, r_taps)
        down, right = dy * ky, dx * (tap - ky * taps)
        inside = k < end and uint32(where[0] + down) < uint32(height) and uint32(where[1] + right) < uint32(width)
        return load(x, where[2] + int32((down * width + right) * pitch + k - tap * depth), inside)
    return Loader(place, chunk, True, vector, 3)


@cache
def taps_as_lines(T: Scalar, vector: int) -> Loader:
    """The columns of im2col turned over: line (ky, kx, c), k = (n, oy, ox); neighbours in memory are channels, so lines."""
    load = fetch(T, vector)

    @device
    def place(operand, line):
        _, start, lines, _, _, _, _, _, _, first_y, first_x, _, width, pitch, depth, r_depth, taps, r_taps, dy, dx = operand
        tap = divided(line, r_depth)
        ky = divided(tap, r_taps)
        down, right = first_y + dy * ky, first_x + dx * (tap - ky * taps)
        return held(down if line < lines else FAR), held(right), ptx.keep(start + (down * width + right) * pitch + line - tap * depth)

    @device
    def chunk(operand, where, k, end):
        x, _, _, places, r_places, columns, r_columns, sy, sx, _, _, height, width, pitch, _, _, _, _, _, _ = operand
        n = divided(k, r_places)
        at = k - n * places
        oy = divided(at, r_columns)
        down, right = sy * oy, sx * (at - oy * columns)
        inside = k < end and uint32(where[0] + down) < uint32(height) and uint32(where[1] + right) < uint32(width)
        return load(x, where[2] + n * (height * width * pitch) + int32((down * width + right) * pitch), inside)
    return Loader(place, chunk, False, vector, 3)


@cache
def rows_of_lines(T: Scalar, vector: int) -> Loader:
    """A matrix as it lies: operand (p, start, lines, step) is p[start + line + k · step]."""
    load = fetch(T, vector)

    @device
    def place(operand, line):
        _, start, lines, _ = operand
        return (ptx.keep(start + line if line < lines else int64(-1)),)

    @device
    def chunk(operand, where, k, end):
        p, _, _, step = operand
        return load(p, where[0] + k * step, k < end and where[0] >= 0)
    return Loader(place, chunk, False, vector, 1)


@cache
def channels_as_lines(T: Scalar, vector: int) -> Loader:
    """Weights for grad-input: line c, k = (jy, jx, o) over some of the taps; neighbours in memory are output channels, so along k.

    operand (w, start, lines, step, depth, r_depth, taps, r_taps, down, right): w[start + line · step + jy · down + jx · right + o].
    """
    load = fetch(T, vector)

    @device
    def place(operand, line):
        _, start, lines, step, _, _, _, _, _, _ = operand
        return (ptx.keep(start + line * step if line < lines else int64(-1)),)

    @device
    def chunk(operand, where, k, end):
        w, _, _, _, depth, r_depth, taps, r_taps, down, right = operand
        tap = divided(k, r_depth)
        jy = divided(tap, r_taps)
        return load(w, where[0] + int32(jy * down + (tap - jy * taps) * right + k - tap * depth), k < end and where[0] >= 0)
    return Loader(place, chunk, True, vector, 1)
