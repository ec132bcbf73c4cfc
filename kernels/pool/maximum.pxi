# The maximum of a window with its position, and reading and adding at positions.
from libc.math cimport INFINITY


def max_pool2d(const floating[:, :, :, ::1] x, floating[:, :, :, ::1] y, int[:, :, :, ::1] where, geo):
    """reference.max_pool2d. One task per output row."""
    cdef Window win = window_of(geo)
    cdef Py_ssize_t row, size = y.shape[0] * y.shape[1] * y.shape[2] * y.shape[3]
    if size == 0:
        return
    for row in prange(win.N * win.OH, nogil=True, schedule="static", num_threads=threads_for(size * win.kh * win.kw)):
        maximum_row(&x[0, 0, 0, 0], &y[0, 0, 0, 0], &where[0, 0, 0, 0], row, &win)


cdef void maximum_row(const floating* x, floating* y, int* where, Py_ssize_t row, const Window* win) noexcept nogil:
    """The OW windows of one output row (n, oy)."""
    cdef Py_ssize_t ox, c, lanes, C = win.C
    cdef const floating* image = x + row // win.OH * win.H * win.W * C
    cdef floating* to = y + row * win.OW * C
    cdef int* to_where = where + row * win.OW * C
    cdef Taps taps
    taps.iy = win.sy * (row % win.OH) - win.top
    taps.ky0, taps.ky1 = first_tap(taps.iy, win.dy), end_tap(taps.iy, win.dy, win.kh, win.H)
    lanes = block_lanes(C)
    for ox in range(win.OW):
        taps.ix = win.sx * ox - win.left
        taps.kx0, taps.kx1 = first_tap(taps.ix, win.dx), end_tap(taps.ix, win.dx, win.kw, win.W)
        c = 0
        while c < C:
            c = min(c, C - lanes)
            if lanes == 16:
                maximum_block(image, to + c, to_where + c, c, &taps, win, 16)
            elif lanes == 8:
                maximum_block(image, to + c, to_where + c, c, &taps, win, 8)
            elif lanes == 4:
                maximum_block(image, to + c, to_where + c, c, &taps, win, 4)
            else:
                maximum_block(image, to + c, to_where + c, c, &taps, win, 1)
            c += lanes
        to += C
        to_where += C


cdef inline void maximum_block(const floating* image, floating* y, int* where, Py_ssize_t c, const Taps* taps, const Window* win,
                               const int lanes) noexcept nogil:
    """`lanes` channels, from channel c on, of one window: the first maximum in window order, the first NaN before any number."""
    cdef floating best[16]
    cdef int place[16]
    cdef Py_ssize_t ky, kx, cell
    cdef const floating* values
    cdef int j, position
    cdef bint takes
    if taps.ky0 >= taps.ky1 or taps.kx0 >= taps.kx1:
        for j in range(lanes):
            y[j] = -INFINITY
            where[j] = -1
        return
    cell = ((taps.iy + win.dy * taps.ky0) * win.W + taps.ix + win.dx * taps.kx0) * win.C + c
    values, position = image + cell, <int>cell
    for j in range(lanes):
        best[j] = values[j]
        place[j] = position
    for ky in range(taps.ky0, taps.ky1):
        for kx in range(taps.kx0, taps.kx1):            # meets the first cell again, which does not beat itself
            cell = ((taps.iy + win.dy * ky) * win.W + taps.ix + win.dx * kx) * win.C + c
            values, position = image + cell, <int>cell
            for j in range(lanes):
                # "not <=" is true of a NaN, and best is itself a NaN only where best != best. | and & keep it free of branches.
                takes = (not values[j] <= best[j]) & (best[j] == best[j])
                best[j] = values[j] if takes else best[j]
                place[j] = position if takes else place[j]
    for j in range(lanes):
        y[j] = best[j]
    for j in range(lanes):
        where[j] = place[j] + j


def pool_gather(const floating[:, :, :, ::1] x, const int[:, :, :, ::1] where, floating[:, :, :, ::1] y, geo):
    """reference.pool_gather. One task per output row; reads jump about in one image, writes run along C."""
    cdef Window win = window_of(geo)
    cdef Py_ssize_t row, size = y.shape[0] * y.shape[1] * y.shape[2] * y.shape[3]
    if size == 0:
        return
    for row in prange(win.N * win.OH, nogil=True, schedule="static", num_threads=threads_for(size)):
        gather_row(&x[0, 0, 0, 0], &where[0, 0, 0, 0], &y[0, 0, 0, 0], row, &win)


cdef void gather_row(const floating* x, const int* where, floating* y, Py_ssize_t row, const Window* win) noexcept nogil:
    """The values of one output row (n, oy)."""
    cdef Py_ssize_t i
    cdef const floating* image = x + row // win.OH * win.H * win.W * win.C
    for i in range(row * win.OW * win.C, (row + 1) * win.OW * win.C):
        y[i] = image[where[i]] if where[i] >= 0 else 0


def pool_scatter(const floating[:, :, :, ::1] g, const int[:, :, :, ::1] where, floating[:, :, :, ::1] x, geo):
    """reference.pool_scatter. One task per image and, for few images, per block of its channels: a window's position keeps its
    channel, so no two tasks write one cell, and each cell adds its windows in order."""
    cdef Window win = window_of(geo)
    cdef Py_ssize_t task, parts, size = x.shape[0] * x.shape[1] * x.shape[2] * x.shape[3]
    if size == 0:
        return
    parts = 1 if win.N >= 16 else max(1, min(16 // win.N, win.C // 16))
    for task in prange(win.N * parts, nogil=True, schedule="static", num_threads=threads_for(size)):
        scatter_part(&g[0, 0, 0, 0], &where[0, 0, 0, 0], &x[0, 0, 0, 0], task, parts, &win)


cdef void scatter_part(const floating* g, const int* where, floating* x, Py_ssize_t task, Py_ssize_t parts,
                       const Window* win) noexcept nogil:
    """The channels c0 <= c < c1 of one image. Rows are cleared just before the first window that reaches them, while near."""
    cdef Py_ssize_t n = task // parts, part = task % parts, C = win.C, oy, ox, c, i, cleared = 0, reach
    cdef Py_ssize_t c0 = part * C // parts, c1 = (part + 1) * C // parts
    cdef floating* image = x + n * win.H * win.W * C
    for oy in range(win.OH):
        reach = min(win.H, max(cleared, win.sy * oy - win.top + win.dy * (win.kh - 1) + 1))
        clear_channels(image, cleared * win.W, reach * win.W, C, c0, c1)
        cleared = reach
        for ox in range(win.OW):
            i = ((n * win.OH + oy) * win.OW + ox) * C
            for c in range(c0, c1):
                if where[i + c] >= 0:
                    image[where[i + c]] += g[i + c]
    clear_channels(image, cleared * win.W, win.H * win.W, C, c0, c1)


cdef void clear_channels(floating* image, Py_ssize_t start, Py_ssize_t end, Py_ssize_t C, Py_ssize_t c0, Py_ssize_t c1) noexcept nogil:
    """Zero the channels c0 <= c < c1 of the cells start … end − 1."""
    cdef Py_ssize_t cell
    if c1 - c0 == C:
        memset(image + start * C, 0, (end - start) * C * sizeof(floating))
        return
    for cell in range(start, end):
        memset(image + cell * C + c0, 0, (c1 - c0) * sizeof(floating))
