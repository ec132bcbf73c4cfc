# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""3×3 convolution and its two adjoints on the CPU by Winograd's F(4×4, 3×3): transforms around the products of tile.pxi."""
from cython.parallel cimport threadid

include "common.pxi"
include "tile.pxi"
include "epilogue.pxi"
include "conv/arguments.pxi"
include "transforms.pxi"
include "tiles.pxi"
include "filters.pxi"
include "rounds.pxi"
include "correlate.pxi"
include "outer.pxi"


def winograd_forward(const floating[:, :, :, ::1] x, unsigned char[::1] packed, const floating[::1] scale, const floating[::1] bias,
                     const floating[:, :, :, ::1] residual, unsigned char[::1] workspace, floating[:, :, :, ::1] y, int activation, geo):
    """reference.winograd_forward: each block of tiles goes through transform, products, transform and epilogue in the cache."""
    cdef Window win = window_of(geo)
    cdef Blocks blocks = divide(forward_tiles(&win, sizeof(floating)), False, sizeof(floating))
    cdef Finish last
    if y.shape[0] * y.shape[1] * y.shape[2] * y.shape[3] == 0:
        return
    check_shape("winograd_forward", &win)
    last = what_follows(scale, bias, residual, activation)
    check_bytes("winograd_forward", "packed", packed, blocks.packed_size * sizeof(floating))
    check_bytes("winograd_forward", "workspace", workspace, workspace_bytes(&blocks, sizeof(floating), 1))
    with nogil:
        correlate(&blocks, &x[0, 0, 0, 0], <const floating*>&packed[0], NULL, &y[0, 0, 0, 0], &last, &workspace[0], workspace.shape[0])


def winograd_forward_pack(const floating[:, :, :, ::1] w, unsigned char[::1] packed, geo):
    """`packed` = the 36 matrices of transformed filters, in blocks of output channels."""
    cdef Window win = window_of(geo)
    cdef Blocks blocks = divide(forward_tiles(&win, sizeof(floating)), False, sizeof(floating))
    check_shape("winograd_forward_pack", &win)
    check_bytes("winograd_forward_pack", "packed", packed, blocks.packed_size * sizeof(floating))
    with nogil:
        pack_filters(&blocks.tiles, &w[0, 0, 0, 0], <floating*>&packed[0], blocks.filter_pitch)


def winograd_forward_packed_bytes(w, geo):
    """Bytes of `packed` for winograd_forward."""
    cdef Window win = window_of(geo)
    cdef Py_ssize_t itemsize = w.itemsize
    cdef Blocks blocks = divide(forward_tiles(&win, itemsize), False, itemsize)
    return blocks.packed_size * itemsize


def winograd_grad_input(const floating[:, :, :, ::1] g, const floating[:, :, :, ::1] w, unsigned char[::1] workspace,
                        floating[:, :, :, ::1] x, geo):
    """reference.winograd_grad_input: winograd_forward of g, with filters that are transformed here, since weights change every step."""
    cdef Window win = window_of(geo)
    cdef Blocks blocks = divide(backward_tiles(&win, sizeof(floating)), True, sizeof(floating))
    cdef Finish last = nothing()
    cdef Py_ssize_t packed_bytes = 0 if blocks.terms else blocks.packed_size * sizeof(floating)
    if x.shape[0] * x.shape[1] * x.shape[2] * x.shape[3] == 0:
        return
    check_shape("winograd_grad_input", &win)
    check_bytes("winograd_grad_input", "workspace", workspace, packed_bytes + workspace_bytes(&blocks, sizeof(floating), 1))
    with nogil:
        if packed_bytes > 0:
            pack_filters(&blocks.tiles, &w[0, 0, 0, 0], <floating*>&workspace[0], blocks.filter_pitch)
        correlate(&blocks, &g[0, 0, 0, 0], <const floating*>&workspace[0], &w[0, 0, 0, 0], &x[0, 0, 0, 0], &last,
                  &workspace[0] + packed_bytes, workspace.shape[0] - packed_bytes)


def winograd_grad_weight(const floating[:, :, :, ::1] x, const floating[:, :, :, ::1] g, unsigned char[::1] workspace,
                         floating[:, :, :, ::1] w, geo):
    """reference.winograd_grad_weight: 36 products over tiles, in rounds and lanes of tiles that the shape decides."""
    cdef Window win = window_of(geo)
    cdef Outer outer = outer_plan(&win, sizeof(floating))
    check_shape("winograd_grad_weight", &win)
    if g.shape[0] * g.shape[1] * g.shape[2] == 0:
        memset(&w[0, 0, 0, 0], 0, 9 * win.C * win.O * sizeof(floating))
        return
    check_bytes("winograd_grad_weight", "workspace", workspace,
                shared_bytes(&outer, sizeof(floating)) + scratch_bytes(&outer, sizeof(floating)))
    with nogil:
        sum_outer(&outer, &x[0, 0, 0, 0], &g[0, 0, 0, 0], &w[0, 0, 0, 0], &workspace[0], workspace.shape[0])


def winograd_forward_workspace(geo, Py_ssize_t itemsize):
    """Bytes of `workspace` for winograd_forward at the present number of threads; it runs with fewer threads in less."""
    cdef Window win = window_of(geo)
    cdef Blocks blocks = divide(forward_tiles(&win, itemsize), False, itemsize)
    return workspace_bytes(&blocks, itemsize, THREADS)


def winograd_grad_input_workspace(geo, Py_ssize_t itemsize):
    """Bytes of `workspace` for winograd_grad_input at the present number of threads."""
    cdef Window win = window_of(geo)
    cdef Blocks blocks = divide(backward_tiles(&win, itemsize), True, itemsize)
    return (0 if blocks.terms else blocks.packed_size * itemsize) + workspace_bytes(&blocks, itemsize, THREADS)


def winograd_grad_weight_workspace(geo, Py_ssize_t itemsize):
    """Bytes of `workspace` for winograd_grad_weight at the present number of threads."""
    cdef Window win = window_of(geo)
    cdef Outer outer = outer_plan(&win, itemsize)
    return shared_bytes(&outer, itemsize) + THREADS * scratch_bytes(&outer, itemsize)


cdef check_shape(name, const Window* win):
    """A ValueError for a convolution that is not of this kind."""
    if (win.kh, win.kw, win.sy, win.sx, win.dy, win.dx, win.groups) != (3, 3, 1, 1, 1, 1, 1) or win.C == 0 or win.O == 0:
        raise ValueError(f"{name}: expected a 3×3 filter, stride 1, dilation 1 and groups 1, got {win.kh}×{win.kw}, stride "
                         f"{win.sy, win.sx}, dilation {win.dy, win.dx} and groups {win.groups}. "
                         f"Use conv2d_{name.removeprefix('winograd_')}")
