# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Images sampled at places that an affine map gives, on the CPU.

One row of y is a walk along a straight line through x. Some rows, or a part of one, are a block of at most 512 pixels, which lie side by
side in y, and two loops work on it:

    find_places  along each row of y, over small buffers in the first-level cache: corner and shares of every pixel. Vector code, no branch.
    sample       along the whole block of y, which it writes in order; the four pixels come from wherever the line passes. Within a pixel
                 the channels are contiguous in x and y; three are a loop of constant length, and so unrolled, one is vector code.

    normalize    along the same block, while it lies in the first-level cache, where means and deviations are given: they are repeated
                 for as many pixels as a block has, so the few channels of a pixel do not cut the vectors short.

The image that is sampled is first laid out as float32 with a border of `fill`, so that no place has to be asked whether it is inside.

A large batch is sampled on the caller's thread alone: that is a loader's worker, and the cores belong to the step that trains meanwhile.
One of at most SMALL values has no worker (data/loader.py): the training itself makes it between two steps, when no core has anything else
to do, so images are shared out over all of them.
"""
import numpy as np

from libc.math cimport cos, exp, sin
from libc.stdint cimport int32_t, uint8_t, uint32_t

from tinygradconv.kernels.warp import reference

include "common.pxi"

from cython.parallel cimport threadid

cdef enum:
    SMALL = 65536           # values of a batch: 256 KB of float32
    BLOCK = 512
    VECTOR = 16             # places are found so many at a time: a multiple of what any register holds

cdef object BYTES = np.dtype(np.uint8)

ctypedef fused value:
    uint8_t
    float


cdef struct Shape:
    # x is (N, H, W, C), y is (N, h, w, C); `across` counts the values from one row of the bordered image to the next. `repeated` are the
    # channels' means BLOCK times, then their deviations as often, or NULL.
    Py_ssize_t N, H, W, C, h, w, across
    const float* repeated


cdef struct Walk:
    # Along one row of y the place is (row, column) + j · (down, right), held between the least and the most row and column.
    float row, column, down, right, top, left, bottom, rightmost


cdef struct Block:
    # For each pixel of a block: which pixel of the bordered image is its upper left one, and its distance from it.
    int32_t corner[BLOCK + VECTOR]
    float down[BLOCK + VECTOR]
    float right[BLOCK + VECTOR]


include "warp/sample.pxi"


def warp(x, maps, boxes, mean, deviation, y, double fill):
    """reference.warp."""
    cdef Shape shape
    cdef const double* box = NULL
    cdef float* scratch
    cdef float* repeated
    cdef const double[:, :, ::1] places = maps
    cdef const double[:, ::1] bounds = boxes
    cdef const float[::1] means = mean, deviations = deviation
    cdef Py_ssize_t k, own
    cdef int threads = threads_for(y.size) if y.size <= SMALL else 1
    cdef bint from_bytes = x.dtype == BYTES, to_bytes = y.dtype == BYTES
    shape.N, shape.H, shape.W, shape.C = x.shape
    shape.h, shape.w = y.shape[1], y.shape[2]
    shape.across = (shape.W + 2) * shape.C
    if y.size == 0:
        return
    if (shape.H + 2) * (shape.W + 2) > 2147483647:             # corners are counted in 32 bits
        reference.warp(x, maps, boxes, mean, deviation, y, fill)
        return
    if boxes is not None:
        box = &bounds[0, 0]
    own = (shape.H + 2) * shape.across + BLOCK * shape.C
    scratch = <float*>malloc((threads * own + 2 * BLOCK * shape.C) * sizeof(float))
    if scratch == NULL:
        raise MemoryError(f"warp: no memory for one image {shape.H}×{shape.W}×{shape.C} in float32")
    shape.repeated = NULL
    if mean is not None:
        shape.repeated = repeated = scratch + threads * own
        for k in range(BLOCK * shape.C):
            repeated[k], repeated[BLOCK * shape.C + k] = means[k % shape.C], deviations[k % shape.C]
    if from_bytes:
        warp_from[uint8_t](x, &places[0, 0, 0], box, y, to_bytes, <float>fill, scratch, own, threads, &shape)
    else:
        warp_from[float](x, &places[0, 0, 0], box, y, to_bytes, <float>fill, scratch, own, threads, &shape)
    free(scratch)


cdef warp_from(const value[:, :, :, ::1] x, const double* maps, const double* boxes, y, bint to_bytes, float fill, float* scratch,
               Py_ssize_t own, int threads, const Shape* shape):
    """All images of x, of one type; y is of either. Each thread has `own` floats of scratch: a bordered image, and a block aside."""
    cdef uint8_t[:, :, :, ::1] as_bytes
    cdef float[:, :, :, ::1] as_floats
    cdef uint8_t* bytes = NULL
    cdef float* floats = NULL
    cdef const value* pixels = NULL
    cdef float* bordered
    cdef Py_ssize_t n
    if to_bytes:
        as_bytes = y
        bytes = &as_bytes[0, 0, 0, 0]
    else:
        as_floats = y
        floats = &as_floats[0, 0, 0, 0]
    if x.shape[1] != 0 and x.shape[2] != 0:
        pixels = &x[0, 0, 0, 0]
    with nogil, parallel(num_threads=threads):
        bordered = scratch + threadid() * own
        fill_border(bordered, fill, shape)
        for n in prange(shape.N, schedule="static"):
            warp_one(pixels, maps, boxes, bytes, floats, n, bordered, shape)


cdef void warp_one(const value* pixels, const double* maps, const double* boxes, uint8_t* bytes, float* floats, Py_ssize_t n,
                   float* bordered, const Shape* shape) noexcept nogil:
    """Image n: laid out, then sampled into whichever of the two is there."""
    cdef float* aside = bordered + (shape.H + 2) * shape.across
    cdef const double* box = NULL
    cdef Py_ssize_t size = shape.h * shape.w * shape.C
    lay_out(pixels + n * shape.H * shape.W * shape.C, bordered, shape)
    if boxes != NULL:
        box = boxes + 4 * n
    if bytes != NULL:
        warp_image(bordered, maps + 6 * n, box, bytes + n * size, aside, shape)
    else:
        warp_image(bordered, maps + 6 * n, box, floats + n * size, aside, shape)


cdef void fill_border(float* bordered, float fill, const Shape* shape) noexcept nogil:
    """One pixel of `fill` around where images will lie."""
    cdef Py_ssize_t i, k, below = (shape.H + 1) * shape.across
    for k in range(shape.across):
        bordered[k] = fill
        bordered[below + k] = fill
    for i in range(1, shape.H + 1):
        for k in range(shape.C):
            bordered[i * shape.across + k] = fill
            bordered[(i + 1) * shape.across - shape.C + k] = fill


cdef void lay_out(const value* x, float* bordered, const Shape* shape) noexcept nogil:
    """An image as float32 within its border: row after row, as it lies."""
    cdef Py_ssize_t i, k, count = shape.W * shape.C
    for i in range(shape.H):
        bordered += shape.across
        for k in range(count):
            bordered[shape.C + k] = <float>x[i * count + k]


cdef inline float held(double place, Py_ssize_t most) noexcept nogil:
    """A bound of a box, in the bordered image."""
    return <float>min(max(place + 1, 0.0), <double>most)


cdef void warp_image(const float* bordered, const double* maps, const double* box, value* y, float* aside,
                     const Shape* shape) noexcept nogil:
    """One image of y, block after block; bytes are made of floats that wait `aside`."""
    cdef Walk walk
    cdef Block block
    cdef Py_ssize_t rows = max(<Py_ssize_t>1, BLOCK // shape.w), columns = min(shape.w, <Py_ssize_t>BLOCK)
    cdef Py_ssize_t i, j, first_row, first, count
    walk.down, walk.right = <float>maps[1], <float>maps[4]
    walk.top, walk.left, walk.bottom, walk.rightmost = 0, 0, <float>(shape.H + 1), <float>(shape.W + 1)
    if box != NULL:
        walk.top, walk.left = held(box[0], shape.H + 1), held(box[1], shape.W + 1)
        walk.bottom, walk.rightmost = held(box[2], shape.H + 1), held(box[3], shape.W + 1)
    for i in range((shape.h + rows - 1) // rows):
        first_row = i * rows
        for j in range((shape.w + columns - 1) // columns):
            first = j * columns
            count = find_rows(&walk, maps, first_row, min(shape.h, first_row + rows), first, min(columns, shape.w - first), &block, shape)
            if value is float:
                sample(bordered, &block, y, count, shape)
                if shape.repeated != NULL:
                    normalize(y, shape.repeated, shape.repeated + BLOCK * shape.C, count * shape.C)
            else:
                sample(bordered, &block, aside, count, shape)
                round_values(aside, y, count * shape.C)
            y += count * shape.C


cdef Py_ssize_t find_rows(Walk* walk, const double* maps, Py_ssize_t start, Py_ssize_t end, Py_ssize_t first, Py_ssize_t columns,
                          Block* block, const Shape* shape) noexcept nogil:
    """The places of a block: `columns` pixels, from column `first` on, of the rows start … end − 1. Returns how many they are."""
    cdef Py_ssize_t i, count = 0
    for i in range(start, end):
        walk.row, walk.column = <float>(maps[0] * i + (maps[2] + 1)), <float>(maps[3] * i + (maps[5] + 1))
        find_places(walk, <int>first, <int>columns, block.corner + count, block.down + count, block.right + count, shape)
        count += columns
    return count


def distortions(const uint32_t[:, ::1] bits, double[:, :, ::1] maps, Py_ssize_t H, Py_ssize_t W, double rotation, double scale,
                double shear, double shift):
    """reference.distortions. One image after another: two exponentials, a sine and a cosine each, less than calls of NumPy would take."""
    cdef Py_ssize_t n, N = bits.shape[1]
    cdef double angle, down, across, slant, cosine, sine
    cdef double row = 0.5 * <double>(H - 1), column = 0.5 * <double>(W - 1)
    for n in range(N):
        angle, slant = rotation * evenly(bits[0, n]), shear * evenly(bits[3, n])
        down, across = exp(scale * evenly(bits[1, n])), exp(scale * evenly(bits[2, n]))
        cosine, sine = cos(angle), sin(angle)
        maps[n, 0, 0], maps[n, 0, 1] = cosine * down, (cosine * slant + sine) * across
        maps[n, 1, 0], maps[n, 1, 1] = -sine * down, (cosine - sine * slant) * across
        maps[n, 0, 2] = shift * evenly(bits[4, n]) - (maps[n, 0, 0] * row + maps[n, 0, 1] * column) + row
        maps[n, 1, 2] = shift * evenly(bits[5, n]) - (maps[n, 1, 0] * row + maps[n, 1, 1] * column) + column


cdef inline double evenly(uint32_t word) noexcept nogil:
    """A random word as a multiple of 2⁻²³ in [−1, 1)."""
    return <double>(word >> 8) * 2.0 ** -23 - 1
