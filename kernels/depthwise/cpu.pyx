# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Depthwise convolution (one filter per channel: groups = C = O) and its two adjoints on the CPU: vectors of channels, nothing copied."""
include "common.pxi"
include "tile.pxi"
include "epilogue.pxi"
include "conv/arguments.pxi"
include "conv/plan.pxi"
include "depthwise/rows.pxi"
include "depthwise/outer.pxi"


def depthwise_forward(const floating[:, :, :, ::1] x, unsigned char[::1] packed, const floating[::1] scale, const floating[::1] bias,
                      const floating[:, :, :, ::1] residual, unsigned char[::1] workspace, floating[:, :, :, ::1] y, int activation, geo):
    """reference.depthwise_forward for O = C; `packed` is w as it lies."""
    cdef Window win = one_filter_per_channel("depthwise_forward", geo)
    cdef Correlation cor = forward_plan(&win, sizeof(floating))
    if y.shape[0] * y.shape[1] * y.shape[2] * y.shape[3] == 0:
        return
    cor.last = what_follows(scale, bias, residual, activation)
    check_bytes("depthwise_forward", "packed", packed, cor.taps * cor.C * sizeof(floating))
    with nogil:
        correlate_rows(&cor, &x[0, 0, 0, 0], <const floating*>&packed[0], &y[0, 0, 0, 0])


def depthwise_grad_input(const floating[:, :, :, ::1] g, const floating[:, :, :, ::1] w, unsigned char[::1] workspace,
                         floating[:, :, :, ::1] x, geo):
    """reference.depthwise_grad_input for O = C: the phases of conv/plan.pxi, with the filter rotated."""
    cdef Window win = one_filter_per_channel("depthwise_grad_input", geo)
    cdef Correlation cor = adjoint_plan(&win, sizeof(floating))
    if x.shape[0] * x.shape[1] * x.shape[2] * x.shape[3] == 0:
        return
    with nogil:
        correlate_rows(&cor, &g[0, 0, 0, 0], &w[0, 0, 0, 0], &x[0, 0, 0, 0])


def depthwise_grad_weight(const floating[:, :, :, ::1] x, const floating[:, :, :, ::1] g, unsigned char[::1] workspace,
                          floating[:, :, :, ::1] w, geo):
    """reference.depthwise_grad_weight for O = C, in chunks of rows that the shape decides."""
    cdef Window win = one_filter_per_channel("depthwise_grad_weight", geo)
    cdef Correlation cor = forward_plan(&win, sizeof(floating))
    cdef Py_ssize_t size = w.shape[0] * w.shape[1] * w.shape[3]
    if size == 0:
        return
    if g.shape[0] * g.shape[1] * g.shape[2] == 0:
        memset(&w[0, 0, 0, 0], 0, size * sizeof(floating))
        return
    check_bytes("depthwise_grad_weight", "workspace", workspace, partial_bytes(&cor, sizeof(floating)))
    with nogil:
        sum_chunks(&cor, &x[0, 0, 0, 0], &g[0, 0, 0, 0], <floating*>&workspace[0], &w[0, 0, 0, 0])


def depthwise_forward_pack(const floating[:, :, :, ::1] w, unsigned char[::1] packed, geo):
    """`packed` = w: its channels already lie as the vectors want them."""
    cdef Py_ssize_t size = w.shape[0] * w.shape[1] * w.shape[3] * sizeof(floating)
    if size > 0:
        check_bytes("depthwise_forward_pack", "packed", packed, size)
        memcpy(&packed[0], &w[0, 0, 0, 0], size)


def depthwise_forward_packed_bytes(w, geo):
    """Bytes of `packed` for depthwise_forward."""
    return w.nbytes


def depthwise_forward_workspace(geo, Py_ssize_t itemsize):
    """Bytes of `workspace` for depthwise_forward: none."""
    return 0


def depthwise_grad_input_workspace(geo, Py_ssize_t itemsize):
    """Bytes of `workspace` for depthwise_grad_input: none."""
    return 0


def depthwise_grad_weight_workspace(geo, Py_ssize_t itemsize):
    """Bytes of `workspace` for depthwise_grad_weight: one partial sum for each chunk."""
    cdef Window win = window_of(geo)
    cdef Correlation cor = forward_plan(&win, itemsize)
    return partial_bytes(&cor, itemsize)


cdef Py_ssize_t partial_bytes(const Correlation* cor, Py_ssize_t itemsize):
    """Bytes of the partial sums of depthwise_grad_weight."""
    return smaller(CHUNKS, cor.win.N * cor.win.OH) * cor.taps * cor.win.C * itemsize


cdef Window one_filter_per_channel(name, geo):
    """The geometry as C integers; ValueError where there is not one filter per channel."""
    if not geo.C == geo.O == geo.groups:
        raise ValueError(f"{name}: takes one filter per channel (groups = C = O), got groups {geo.groups}, C {geo.C}, O {geo.O}. "
                         f"Use {name.replace('depthwise', 'conv2d')}")
    return window_of(geo)
