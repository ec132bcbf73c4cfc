"""The three convolutions in tiles: a block gathers windows while it multiplies, and finishes its sums before they are written.

The loop is that of tiles.py on tensor cores, that of core_tiles.py in exact float32 and float64; what is multiplied is said by loaders.py.

With a stride, grad-input is taken apart into phases (iy mod sy, ix mod sx). In a phase the same taps meet every pixel, those with
dy · ky ≡ iy + top (mod sy), which lie sy / gcd(dy, sy) apart; so it is a convolution of g with them, of stride 1, with no zeros in
between. A test for divisibility in the loader, the other way, would multiply sy · sx times as many numbers, nearly all of them by zero. All
phases are one launch; one that no tap reaches is a sum over nothing, and writes zeros.
"""
from __future__ import annotations

from functools import cache

from ..cuda.division import divided
from ..cuda.engines import SASS, engine_of, type_of
from ..cuda.language import CudaKernel, DeviceFunction, Scalar, cuda, device, float64, int32, kernel, ptx
from ..cuda.tiles import quotient
from .finish import after, finish
from .loaders import WINDOWS, channels_as_lines, pixels_as_lines, rows_of_lines, taps_as_lines
from .moments import MOMENTS, ROOM, leave, tally

GEOMETRY = ", ".join(f"{name}: int64" for name in WINDOWS)
PHASES = ", ".join(f"{name}: int64" for name in (
    "lines", "places", "r_places", "columns", "r_columns", "sy", "sx", "apart_y", "apart_x", "inverse_y", "inverse_x", "dy", "dx", "top",
    "left", "kh", "kw", "H", "W", "wide", "groups", "height", "width", "pitch", "depth", "r_depth", "most", "r_most", "r_fewer", "back_y",
    "back_x", "down", "right"))
BLOCKS = "across: int64, tiles: int64, part: int64, size: int64"           # tiles side by side, tiles; k of a part, numbers of a result


@device
def block_place(tiles, across):
    """(group, or number of its product; row, column of its tile among the tiles) of this block."""
    product = quotient(cuda.blockIdx.x, tiles)
    tile = cuda.blockIdx.x - product * tiles
    down = quotient(tile, across)
    return product, down, tile - down * across


@cache
def pair(paired: bool) -> DeviceFunction:
    """A function of (p, at, a, b, both): p[at] = a and, if both, p[at + 1] = b; in one store where pairs are `paired`."""
    @device
    def together(p, at, a, b, both):
        ptx.store2(p, at, a, b)

    @device
    def apart(p, at, a, b, both):
        p[at] = a
        if both:
            p[at + 1] = b
    return together if paired else apart


@cache
def rows_store(T: Scalar, paired: bool) -> DeviceFunction:
    """A function of (out, i, j, a, b): the finished sums of row i and columns j, j + 1 of a group, to rows of `pitch` numbers.

    It returns what became of a and b.
    """
    finished, write = finish(T), pair(paired)

    @device
    def store(out, i, j, a, b):
        y, start, first, lines, wide, pitch, scale, bias, residual, given, activation = out
        if i < lines and j < wide:
            at, channel, both = i * pitch + first + j, first + j, j + 1 < wide
            a = finished(a, at, channel, scale, bias, residual, given, activation)
            if both:
                b = finished(b, at + 1, channel + 1, scale, bias, residual, given, activation)
            write(y, start + at, a, b, both)
        return a, b
    return store


@cache
def counted_store(T: Scalar, paired: bool) -> DeviceFunction:
    """The same, of out = (that of rows_store, lines, given, held): what is stored is counted in `held`, where MOMENTS are `given`."""
    store_rows = rows_store(T, paired)

    @device
    def store(out, i, j, a, b):
        rows, lines, given, held = out
        a, b = store_rows(rows, i, j, a, b)
        if given & MOMENTS and i < lines:
            tally(held, a, b)
    return store


@cache
def forward_tiles(mode: str, shape: tuple[int, ...], vector: int) -> CudaKernel:
    """y = act(scale · (cols of x · w) + bias + residual), or parts of the product along k. Blocks: (groups · tiles, parts).

    Where MOMENTS are `given`, and k is in one part, moments[row of tiles] are what moments.py says of y.
    """
    T, (rows, columns_, *_) = type_of(mode), shape
    left, right = pixels_as_lines(T, vector), rows_of_lines(T, vector)
    walk, spread, count, options = engine_of(mode, shape, left, right, counted_store(T, vector > 1))
    left_behind, room = leave(columns_, options["threads"], 1024 if mode in SASS else 16), ROOM

    @kernel(f"x: {T}*, w: {T}*, y: {T}*, {GEOMETRY}, wide: int64, channels: int64, K: int64, {BLOCKS}, {after(T)}, moments: float64*",
            **options)
    def forward_tiles(x, w, y, lines, places, r_places, columns, r_columns, sy, sx, first_y, first_x, height, width, pitch, depth, r_depth,
                      taps, r_taps, dy, dx, wide, channels, K, across, tiles, part, size, scale, bias, residual, given, activation,
                      moments):
        sums, held = cuda.local.array(count, T), cuda.local.array(room, float64)
        group, i, j = block_place(tiles, across)
        i0, j0, k = int32(i * rows), int32(j * columns_), cuda.blockIdx.y * part
        windows = (x, group * depth, lines, places, r_places, columns, r_columns, sy, sx, first_y, first_x, height, width, pitch, depth,
                   r_depth, taps, r_taps, dy, dx)
        walk(windows, (w, group * wide, wide, channels), i0, j0, k, min(K, k + part), sums)
        for n in range(room):
            held[n] = float64(0)
        out = y, cuda.blockIdx.y * size, group * wide, lines, wide, channels, scale, bias, residual, given, activation
        spread((out, lines, given, held), i0, j0, sums)
        if given & MOMENTS:
            left_behind(held, moments, i, j0, wide, group * wide, channels)
    return forward_tiles


@cache
def grad_weight_tiles(mode: str, shape: tuple[int, ...], vector: int) -> CudaKernel:
    """dw = cols of x, turned · g, or parts of the product along k, the pixels. Blocks: (groups · tiles, parts)."""
    T, (rows, columns_, *_) = type_of(mode), shape
    walk, spread, count, options = engine_of(mode, shape, taps_as_lines(T, vector), rows_of_lines(T, vector), rows_store(T, vector > 1))

    @kernel(f"x: {T}*, g: {T}*, w: {T}*, {GEOMETRY}, wide: int64, channels: int64, K: int64, {BLOCKS}", **options)
    def grad_weight_tiles(x, g, w, lines, places, r_places, columns, r_columns, sy, sx, first_y, first_x, height, width, pitch, depth,
                          r_depth, taps, r_taps, dy, dx, wide, channels, K, across, tiles, part, size):
        sums = cuda.local.array(count, T)
        group, i, j = block_place(tiles, across)
        i0, j0, k = int32(i * rows), int32(j * columns_), cuda.blockIdx.y * part
        windows = (x, group * depth, lines, places, r_places, columns, r_columns, sy, sx, first_y, first_x, height, width, pitch, depth,
                   r_depth, taps, r_taps, dy, dx)
        walk(windows, (g, group * wide, wide, channels), i0, j0, k, min(K, k + part), sums)
        spread((w, cuda.blockIdx.y * size, group * wide, lines, wide, channels, w, w, w, 0, 0), i0, j0, sums)
    return grad_weight_tiles


@device
def phase(p, step, apart, inverse, dilation, before, taps):
    """Along one axis, for the pixels p, p + step, …: (the first tap that meets them, how many do, the cell of g that it meets at p).

    apart = step / gcd(step, dilation), the distance between such taps; inverse is that of dilation / gcd modulo `apart`.
    """
    cell, common = p + before, quotient(step, apart)
    steps = quotient(cell, common)
    if steps * common != cell:
        return 0, 0, 0
    first = steps - quotient(steps, apart) * apart
    first *= inverse
    first -= quotient(first, apart) * apart
    reach = cell - dilation * first
    met = quotient(reach, step) if reach >= 0 else -quotient(-reach, step)             # without a remainder
    return first, quotient(taps - first + apart - 1, apart), met


@cache
def pixels_store(paired: bool) -> DeviceFunction:
    """A function of (out, i, j, a, b): sums of the i-th pixel of a phase, channels j and j + 1 of a group, to x."""
    write = pair(paired)

    @device
    def store(out, i, j, a, b):
        x, start, lines, places, r_places, columns, r_columns, py, px, sy, sx, H, W, wide, channels = out
        n = divided(i, r_places)
        at = i - n * places
        down = divided(at, r_columns)
        iy, ix = py + sy * down, px + sx * (at - down * columns)
        if i < lines and iy < H and ix < W and j < wide:
            write(x, start + ((n * H + iy) * W + ix) * channels + j, a, b, j + 1 < wide)
    return store


@cache
def grad_input_tiles(mode: str, shape: tuple[int, ...], vector: int) -> CudaKernel:
    """dx = cols of g, rotated · w, or parts of the product along k. Blocks: (phases · groups · tiles, parts).

    H, W, wide · groups are x's; height, width and pitch are g's, depth its channels in a group; places and columns are pixels of a phase.
    From a tap of a phase to the next it is back_y, back_x cells in g, and down, right numbers in w.
    """
    T, (rows, columns_, *_) = type_of(mode), shape
    left_loader, right_loader = pixels_as_lines(T, vector), channels_as_lines(T, vector)
    walk, spread, count, options = engine_of(mode, shape, left_loader, right_loader, pixels_store(vector > 1))
    if mode == "bf16":
        options["min_blocks"] = 1                                          # with two at once, addresses would spill

    @kernel(f"g: {T}*, w: {T}*, x: {T}*, {PHASES}, {BLOCKS}", **options)
    def grad_input_tiles(g, w, x, lines, places, r_places, columns, r_columns, sy, sx, apart_y, apart_x, inverse_y, inverse_x, dy, dx, top,
                         left, kh, kw, H, W, wide, groups, height, width, pitch, depth, r_depth, most, r_most, r_fewer, back_y, back_x,
                         down, right, across, tiles, part, size):
        sums = cuda.local.array(count, T)
        product, i, j = block_place(tiles, across)
        number = quotient(product, groups)
        group = product - number * groups
        beside = min(sx, W)                                                # phases, where an image may be narrower than a step
        py = int32(quotient(number, beside))
        px = int32(number - py * beside)
        first_ky, taps_y, first_y = phase(py, sy, apart_y, inverse_y, dy, top, kh)
        first_kx, taps, first_x = phase(px, sx, apart_x, inverse_x, dx, left, kw)
        i0, j0, k = int32(i * rows), int32(j * columns_), cuda.blockIdx.y * part
        r_taps = r_most if taps == most else r_fewer
        windows = (g, group * depth, lines, places, r_places, columns, r_columns, 1, 1, first_y, first_x, height, width, pitch, depth,
                   r_depth, taps, r_taps, back_y, back_x)
        weights = (w, (first_ky * kw + first_kx) * wide * pitch + group * depth, wide, pitch, depth, r_depth, taps, r_taps, down, right)
        walk(windows, weights, i0, j0, k, min(taps_y * taps * depth, k + part), sums)
        spread((x, cuda.blockIdx.y * size + group * wide, lines, places, r_places, columns, r_columns, py, px, sy, sx, H, W, wide,
                groups * wide), i0, j0, sums)
    return grad_input_tiles
