# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""2-D convolution and its two adjoints on the CPU: one register tile behind all three (tile.pxi)."""
from cython.parallel cimport threadid

include "common.pxi"
include "tile.pxi"
include "epilogue.pxi"
include "slope.pxi"
include "arguments.pxi"
include "plan.pxi"
include "pack.pxi"
include "correlate.pxi"
include "planes.pxi"
include "outer.pxi"
include "scatter.pxi"


def conv2d_forward(const floating[:, :, :, ::1] x, unsigned char[::1] packed, const floating[::1] scale, const floating[::1] bias,
                   const floating[:, :, :, ::1] residual, unsigned char[::1] workspace, floating[:, :, :, ::1] y, int activation, geo):
    """reference.conv2d_forward: one correlation of x with the packed weights, along channels or, where they are few, along x; what follows
    it is applied strip by strip, in the cache."""
    cdef Window win = window_of(geo)
    cdef Correlation cor = forward_plan(&win, sizeof(floating))
    cdef Planes planes = planes_plan(&win, sizeof(floating))
    cdef Py_ssize_t places = y.shape[0] * y.shape[1] * y.shape[2]
    if places * y.shape[3] == 0:
        return
    cor.last = what_follows(scale, bias, residual, activation)
    if cor.packed_size == 0:
        memset(&y[0, 0, 0, 0], 0, places * y.shape[3] * sizeof(floating))
        finish_channels(&cor, &y[0, 0, 0, 0], 0, 0, cor.O, places)
        return
    check_bytes("conv2d_forward", "packed", packed, forward_packed_size(&win, sizeof(floating)) * sizeof(floating))
    if in_planes(&win, sizeof(floating)):
        check_bytes("conv2d_forward", "workspace", workspace, planes_bytes(&planes, sizeof(floating), 1))
        with nogil:
            convolve_planes(&planes, &cor.last, &x[0, 0, 0, 0], <const floating*>&packed[0], &y[0, 0, 0, 0], &workspace[0],
                            workspace.shape[0])
        return
    check_bytes("conv2d_forward", "workspace", workspace, workspace_bytes(&cor, sizeof(floating), 1))
    with nogil:
        correlate(&cor, &x[0, 0, 0, 0], <const floating*>&packed[0], &y[0, 0, 0, 0], &workspace[0], workspace.shape[0])


def conv2d_forward_pack(const floating[:, :, :, ::1] w, unsigned char[::1] packed, geo):
    """`packed` = w in blocks of output channels, terms in the order in which the windows of x lie in a strip."""
    cdef Window win = window_of(geo)
    cdef Correlation cor = forward_plan(&win, sizeof(floating))
    cdef Planes planes = planes_plan(&win, sizeof(floating))
    if cor.packed_size > 0:
        check_bytes("conv2d_forward_pack", "packed", packed, forward_packed_size(&win, sizeof(floating)) * sizeof(floating))
        with nogil:
            if in_planes(&win, sizeof(floating)):
                pack_planes(&planes, &w[0, 0, 0, 0], <floating*>&packed[0])
            else:
                pack_weights(&cor, &w[0, 0, 0, 0], <floating*>&packed[0])


cdef Py_ssize_t forward_packed_size(const Window* win, Py_ssize_t itemsize) noexcept nogil:
    """Elements of the packed weights of conv2d_forward."""
    if in_planes(win, itemsize):
        return planes_plan(win, itemsize).packed_size
    return forward_plan(win, itemsize).packed_size


def conv2d_forward_packed_bytes(w, geo):
    """Bytes of `packed` for conv2d_forward."""
    cdef Window win = window_of(geo)
    cdef Py_ssize_t itemsize = w.itemsize
    return forward_packed_size(&win, itemsize) * itemsize


def conv2d_grad_input(const floating[:, :, :, ::1] g, const floating[:, :, :, ::1] w, unsigned char[::1] workspace,
                      floating[:, :, :, ::1] x, geo):
    """reference.conv2d_grad_input: one correlation of g for each remainder by the stride, none of which multiplies by a stuffed zero; or a
    product that is scattered, where pixels have few channels."""
    cdef Window win = window_of(geo)
    cdef Correlation cor = adjoint_plan(&win, sizeof(floating))
    cdef Scatter few = scatter_plan(&win, sizeof(floating))
    cdef Py_ssize_t packed_bytes = round_up(cor.packed_size * sizeof(floating), 64)
    if x.shape[0] * x.shape[1] * x.shape[2] * x.shape[3] == 0:
        return
    if cor.packed_size == 0 or g.shape[1] * g.shape[2] == 0:
        memset(&x[0, 0, 0, 0], 0, x.shape[0] * x.shape[1] * x.shape[2] * x.shape[3] * sizeof(floating))
        return
    if scatters(&win, sizeof(floating)):
        check_bytes("conv2d_grad_input", "workspace", workspace, scatter_bytes(&few, sizeof(floating), 1))
        with nogil:
            scatter(&few, &g[0, 0, 0, 0], &w[0, 0, 0, 0], &x[0, 0, 0, 0], &workspace[0], workspace.shape[0])
        return
    check_bytes("conv2d_grad_input", "workspace", workspace, packed_bytes + workspace_bytes(&cor, sizeof(floating), 1))
    with nogil:
        pack_weights(&cor, &w[0, 0, 0, 0], <floating*>&workspace[0])
        correlate(&cor, &g[0, 0, 0, 0], <const floating*>&workspace[0], &x[0, 0, 0, 0], &workspace[0] + packed_bytes,
                  workspace.shape[0] - packed_bytes)


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
    check_bytes("conv2d_grad_weight", "workspace", workspace, outer_bytes(&outer, sizeof(floating), 1))
    with nogil:
        sum_outer(&outer, &x[0, 0, 0, 0], &g[0, 0, 0, 0], &w[0, 0, 0, 0], workspace)


def conv2d_forward_workspace(geo, Py_ssize_t itemsize):
    """Bytes of `workspace` for conv2d_forward at the present number of threads; it runs with fewer threads in less."""
    cdef Window win = window_of(geo)
    cdef Correlation cor = forward_plan(&win, itemsize)
    cdef Planes planes = planes_plan(&win, itemsize)
    if in_planes(&win, itemsize):
        return planes_bytes(&planes, itemsize, THREADS)
    return workspace_bytes(&cor, itemsize, THREADS)


def conv2d_grad_input_workspace(geo, Py_ssize_t itemsize):
    """Bytes of `workspace` for conv2d_grad_input at the present number of threads."""
    cdef Window win = window_of(geo)
    cdef Correlation cor = adjoint_plan(&win, itemsize)
    cdef Scatter few = scatter_plan(&win, itemsize)
    if scatters(&win, itemsize):
        return scatter_bytes(&few, itemsize, THREADS)
    return round_up(cor.packed_size * itemsize, 64) + workspace_bytes(&cor, itemsize, THREADS)


def conv2d_grad_weight_workspace(geo, Py_ssize_t itemsize):
    """Bytes of `workspace` for conv2d_grad_weight at the present number of threads."""
    cdef Window win = window_of(geo)
    cdef Outer outer = outer_plan(&win, itemsize)
    return outer_bytes(&outer, itemsize, THREADS)
