# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""2-D convolution and its two adjoints on the CPU: one register tile behind all three (tile.pxi)."""
from cython.parallel cimport threadid

include "common.pxi"
include "tile.pxi"
include "correlate.pxi"
include "outer.pxi"


def conv2d_forward(const floating[:, :, :, ::1] x, const floating[:, :, :, ::1] w, unsigned char[::1] workspace,
                   floating[:, :, :, ::1] y, geo):
    """reference.conv2d_forward: one correlation of x with w."""
    cdef Window win = window_of(geo)
    cdef Correlation cor = forward_plan(&win, sizeof(floating))
    if y.shape[0] * y.shape[1] * y.shape[2] * y.shape[3] == 0:
        return
    if cor.packed_size == 0:
        memset(&y[0, 0, 0, 0], 0, y.shape[0] * y.shape[1] * y.shape[2] * y.shape[3] * sizeof(floating))
        return
    check_workspace("conv2d_forward", workspace, workspace_bytes(&cor, sizeof(floating), 1))
    with nogil:
        correlate(&cor, &x[0, 0, 0, 0], &w[0, 0, 0, 0], &y[0, 0, 0, 0], workspace)


def conv2d_grad_input(const floating[:, :, :, ::1] g, const floating[:, :, :, ::1] w, unsigned char[::1] workspace,
                      floating[:, :, :, ::1] x, geo):
    """reference.conv2d_grad_input: sy·sx correlations of g, none of which multiplies by a stuffed zero.

    Pixels whose row and column leave the same remainders by the stride see the same taps of the rotated filter: one correlation.
    """
    cdef Window win = window_of(geo)
    cdef Correlation cor
    cdef Py_ssize_t phase
    if x.shape[0] * x.shape[1] * x.shape[2] * x.shape[3] == 0:
        return
    if w.shape[0] * w.shape[1] * w.shape[3] == 0 or g.shape[1] * g.shape[2] == 0 or win.sy * win.sx > 1:
        memset(&x[0, 0, 0, 0], 0, x.shape[0] * x.shape[1] * x.shape[2] * x.shape[3] * sizeof(floating))
    for phase in range(win.sy * win.sx):
        cor = phase_plan(&win, phase // win.sx, phase % win.sx, sizeof(floating))
        if cor.packed_size > 0 and cor.OH > 0 and cor.OW > 0:
            check_workspace("conv2d_grad_input", workspace, workspace_bytes(&cor, sizeof(floating), 1))
            with nogil:
                correlate(&cor, &g[0, 0, 0, 0], &w[0, 0, 0, 0], &x[0, 0, 0, 0], workspace)


def conv2d_grad_weight(const floating[:, :, :, ::1] x, const floating[:, :, :, ::1] g, unsigned char[::1] workspace,
                       floating[:, :, :, ::1] w, geo):
    """reference.conv2d_grad_weight: an outer product summed over places, in a number of chunks that the shape decides."""
    cdef Window win = window_of(geo)
    cdef Outer outer = outer_plan(&win, sizeof(floating))
    if w.shape[0] * w.shape[1] * w.shape[2] * w.shape[3] == 0:
        return
    if g.shape[0] * g.shape[1] * g.shape[2] == 0:
        memset(&w[0, 0, 0, 0], 0, w.shape[0] * w.shape[1] * w.shape[2] * w.shape[3] * sizeof(floating))
        return
    check_workspace("conv2d_grad_weight", workspace, outer_bytes(&outer, sizeof(floating), 1))
    with nogil:
        sum_outer(&outer, &x[0, 0, 0, 0], &g[0, 0, 0, 0], &w[0, 0, 0, 0], workspace)


def conv2d_forward_workspace(geo, Py_ssize_t itemsize):
    """Bytes of `workspace` for conv2d_forward at the present number of threads; it runs with fewer threads in less."""
    cdef Window win = window_of(geo)
    cdef Correlation cor = forward_plan(&win, itemsize)
    return workspace_bytes(&cor, itemsize, THREADS)


def conv2d_grad_input_workspace(geo, Py_ssize_t itemsize):
    """Bytes of `workspace` for conv2d_grad_input at the present number of threads: its phases use it one after the other."""
    cdef Window win = window_of(geo)
    cdef Correlation cor
    cdef Py_ssize_t phase, most = 0
    for phase in range(win.sy * win.sx):
        cor = phase_plan(&win, phase // win.sx, phase % win.sx, itemsize)
        if cor.packed_size > 0 and cor.OH > 0 and cor.OW > 0:
            most = larger(most, workspace_bytes(&cor, itemsize, THREADS))
    return most


def conv2d_grad_weight_workspace(geo, Py_ssize_t itemsize):
    """Bytes of `workspace` for conv2d_grad_weight at the present number of threads."""
    cdef Window win = window_of(geo)
    cdef Outer outer = outer_plan(&win, itemsize)
    return outer_bytes(&outer, itemsize, THREADS)


cdef check_workspace(name, unsigned char[::1] workspace, Py_ssize_t bytes):
    """A ValueError where `workspace` cannot hold one thread's share."""
    if workspace.shape[0] < bytes:
        raise ValueError(f"{name}: workspace must have at least {bytes} bytes, got {workspace.shape[0]}. "
                         f"Size it with {name}_workspace(geo, itemsize)")
