# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""im2col and col2im on the CPU: copies and sums along C, which is contiguous in the image and in the columns."""
include "common.pxi"


def im2col(const floating[:, :, :, ::1] x, floating[:, ::1] cols, geo):
    """reference.im2col. One task per output row; the innermost copy runs along C, contiguous on both sides."""
    cdef Window win = window_of(geo)
    cdef Py_ssize_t row
    if cols.shape[0] == 0 or cols.shape[1] == 0:
        return
    for row in prange(win.N * win.OH, nogil=True, schedule="static", num_threads=threads_for(cols.shape[0] * cols.shape[1])):
        gather_row(&x[0, 0, 0, 0], &cols[0, 0], row, &win)


cdef void gather_row(const floating* x, floating* cols, Py_ssize_t row, const Window* win) noexcept nogil:
    """The columns of the OW windows of one output row (n, oy)."""
    cdef Py_ssize_t n = row // win.OH, oy = row % win.OH, ox, ky, kx, iy, ix
    cdef floating* to = cols + row * win.OW * win.kh * win.kw * win.C
    for ox in range(win.OW):
        for ky in range(win.kh):
            iy = win.sy * oy + win.dy * ky - win.top
            for kx in range(win.kw):
                ix = win.sx * ox + win.dx * kx - win.left
                if 0 <= iy < win.H and 0 <= ix < win.W:
                    memcpy(to, x + ((n * win.H + iy) * win.W + ix) * win.C, win.C * sizeof(floating))
                else:
                    memset(to, 0, win.C * sizeof(floating))
                to += win.C


def col2im(const floating[:, ::1] cols, floating[:, :, :, ::1] x, geo):
    """reference.col2im. One task per image row, which gathers from the windows that cover it: no two tasks write one cell."""
    cdef Window win = window_of(geo)
    cdef Py_ssize_t row
    if x.shape[0] * x.shape[1] * x.shape[2] * x.shape[3] == 0:
        return
    for row in prange(win.N * win.H, nogil=True, schedule="static", num_threads=threads_for(cols.shape[0] * cols.shape[1])):
        sum_row(&cols[0, 0], &x[0, 0, 0, 0], row, &win)


cdef void sum_row(const floating* cols, floating* x, Py_ssize_t row, const Window* win) noexcept nogil:
    """One image row (n, iy): for each tap (ky, kx), in order, add the cells of the windows that it puts there."""
    cdef Py_ssize_t n = row // win.H, iy = row % win.H, oy, ox, ky, kx, ix, c
    cdef floating* to = x + row * win.W * win.C
    cdef const floating* cell
    memset(to, 0, win.W * win.C * sizeof(floating))
    for ky in range(win.kh):
        oy = iy + win.top - win.dy * ky
        if oy < 0 or oy % win.sy != 0 or oy // win.sy >= win.OH:
            continue
        oy = oy // win.sy
        for ox in range(win.OW):
            for kx in range(win.kw):
                ix = win.sx * ox + win.dx * kx - win.left
                if 0 <= ix < win.W:
                    cell = cols + (((n * win.OH + oy) * win.OW + ox) * win.kh * win.kw + ky * win.kw + kx) * win.C
                    for c in range(win.C):
                        to[ix * win.C + c] += cell[c]
