# The weighted sum over a window, and its adjoint.

def window_sum(const floating[:, :, :, ::1] x, const floating[:, ::1] weights, const floating[:, ::1] scale,
               floating[:, :, :, ::1] y, geo):
    """reference.window_sum. One task per output row."""
    cdef Window win = window_of(geo)
    cdef Py_ssize_t row, size = y.shape[0] * y.shape[1] * y.shape[2] * y.shape[3]
    if size == 0:
        return
    for row in prange(win.N * win.OH, nogil=True, schedule="static", num_threads=threads_for(size * win.kh * win.kw)):
        sum_row(&x[0, 0, 0, 0], &weights[0, 0], &scale[0, 0], &y[0, 0, 0, 0], row, &win)


cdef void sum_row(const floating* x, const floating* weights, const floating* scale, floating* y, Py_ssize_t row,
                  const Window* win) noexcept nogil:
    """The OW windows of one output row (n, oy)."""
    cdef Py_ssize_t ox, c, C = win.C, lanes = block_lanes(win.C)
    cdef const floating* image = x + row // win.OH * win.H * win.W * C
    cdef const floating* factor = scale + row % win.OH * win.OW
    cdef floating* to = y + row * win.OW * C
    cdef Taps taps
    taps.iy = win.sy * (row % win.OH) - win.top
    taps.ky0, taps.ky1 = first_tap(taps.iy, win.dy), end_tap(taps.iy, win.dy, win.kh, win.H)
    for ox in range(win.OW):
        taps.ix = win.sx * ox - win.left
        taps.kx0, taps.kx1 = first_tap(taps.ix, win.dx), end_tap(taps.ix, win.dx, win.kw, win.W)
        c = 0
        while c < C:
            c = min(c, C - lanes)
            if lanes == 16:
                sum_block(image + c, weights, factor[ox], to + c, &taps, win, 16)
            elif lanes == 8:
                sum_block(image + c, weights, factor[ox], to + c, &taps, win, 8)
            elif lanes == 4:
                sum_block(image + c, weights, factor[ox], to + c, &taps, win, 4)
            else:
                sum_block(image + c, weights, factor[ox], to + c, &taps, win, 1)
            c += lanes
        to += C


cdef inline void sum_block(const floating* image, const floating* weights, floating scale, floating* y, const Taps* taps,
                           const Window* win, const int lanes) noexcept nogil:
    """`lanes` channels of one window. Each row of the window is summed by itself, then the rows: large windows round less."""
    cdef floating total[16]
    cdef floating part[16]
    cdef floating weight
    cdef Py_ssize_t ky, kx
    cdef const floating* values
    cdef int j
    for j in range(lanes):
        total[j] = 0
    for ky in range(taps.ky0, taps.ky1):
        values = image + ((taps.iy + win.dy * ky) * win.W + taps.ix + win.dx * taps.kx0) * win.C
        for j in range(lanes):
            part[j] = 0
        for kx in range(taps.kx0, taps.kx1):
            weight = weights[ky * win.kw + kx]
            for j in range(lanes):
                part[j] += weight * values[j]
            values += win.dx * win.C
        for j in range(lanes):
            total[j] += part[j]
    for j in range(lanes):
        y[j] = scale * total[j]


cdef struct Cover:
    # For each cell i along one axis, entries first[i] … first[i + 1] − 1 name the taps and windows that meet there.
    Py_ssize_t* first
    Py_ssize_t* tap
    Py_ssize_t* place


cdef Py_ssize_t* cover_axis(Cover* cover, Py_ssize_t size, Py_ssize_t taps, Py_ssize_t places, Py_ssize_t stride, Py_ssize_t dilation,
                            Py_ssize_t before) noexcept nogil:
    """Fill `cover` for an axis of `size` cells, so that no cell has to divide; returns its memory, to be freed, or NULL."""
    cdef Py_ssize_t i, k, first, ahead, entries = 0
    cdef Py_ssize_t* memory = <Py_ssize_t*>malloc((size + 1 + 2 * taps * places) * sizeof(Py_ssize_t))
    if memory == NULL:
        return NULL
    cover.first, cover.tap, cover.place = memory, memory + size + 1, memory + size + 1 + taps * places
    for i in range(size):
        cover.first[i] = entries
        # Window o starts at stride·o − before and its tap k lies dilation·k further: o is in range for these k alone.
        first = first_tap((places - 1) * stride - i - before, dilation)
        for k in range(first, min(taps, (i + before) // dilation + 1)):
            ahead = i + before - dilation * k
            if ahead % stride == 0:
                cover.tap[entries] = k
                cover.place[entries] = ahead // stride
                entries += 1
    cover.first[size] = entries
    return memory


def window_spread(const floating[:, :, :, ::1] g, const floating[:, ::1] weights, const floating[:, ::1] scale,
                  floating[:, :, :, ::1] x, geo):
    """reference.window_spread. One task per image row, which gathers from the windows that cover it: no two tasks write one cell."""
    cdef Window win = window_of(geo)
    cdef Cover rows, columns
    cdef Py_ssize_t row, size = x.shape[0] * x.shape[1] * x.shape[2] * x.shape[3]
    cdef Py_ssize_t* rows_memory = NULL
    cdef Py_ssize_t* columns_memory = NULL
    if size == 0:
        return
    try:
        rows_memory = cover_axis(&rows, win.H, win.kh, win.OH, win.sy, win.dy, win.top)
        columns_memory = cover_axis(&columns, win.W, win.kw, win.OW, win.sx, win.dx, win.left)
        if rows_memory == NULL or columns_memory == NULL:
            raise MemoryError(f"window_spread: no memory for the tables of {win.kh}×{win.kw} windows over {win.H}×{win.W} cells")
        for row in prange(win.N * win.H, nogil=True, schedule="static", num_threads=threads_for(size)):
            spread_row(&g[0, 0, 0, 0], &weights[0, 0], &scale[0, 0], &x[0, 0, 0, 0], row, &rows, &columns, &win)
    finally:
        free(rows_memory)
        free(columns_memory)


cdef void spread_row(const floating* g, const floating* weights, const floating* scale, floating* x, Py_ssize_t row,
                     const Cover* rows, const Cover* columns, const Window* win) noexcept nogil:
    """The W cells of one image row (n, iy)."""
    cdef Py_ssize_t iy = row % win.H, ix, c, C = win.C, lanes = block_lanes(win.C)
    cdef const floating* image = g + row // win.H * win.OH * win.OW * C
    cdef floating* to = x + row * win.W * C
    for ix in range(win.W):
        c = 0
        while c < C:
            c = min(c, C - lanes)
            if lanes == 16:
                spread_block(image + c, weights, scale, to + c, iy, ix, rows, columns, win, 16)
            elif lanes == 8:
                spread_block(image + c, weights, scale, to + c, iy, ix, rows, columns, win, 8)
            elif lanes == 4:
                spread_block(image + c, weights, scale, to + c, iy, ix, rows, columns, win, 4)
            else:
                spread_block(image + c, weights, scale, to + c, iy, ix, rows, columns, win, 1)
            c += lanes
        to += C


cdef inline void spread_block(const floating* image, const floating* weights, const floating* scale, floating* x, Py_ssize_t iy,
                              Py_ssize_t ix, const Cover* rows, const Cover* columns, const Window* win, const int lanes) noexcept nogil:
    """`lanes` channels of one cell: for each window that covers it, its value times its scale and the weight it gives this cell."""
    cdef floating total[16]
    cdef floating weight
    cdef Py_ssize_t i, k, window
    cdef const floating* values
    cdef int j
    for j in range(lanes):
        total[j] = 0
    for i in range(rows.first[iy], rows.first[iy + 1]):
        for k in range(columns.first[ix], columns.first[ix + 1]):
            window = rows.place[i] * win.OW + columns.place[k]
            weight = weights[rows.tap[i] * win.kw + columns.tap[k]] * scale[window]
            values = image + window * win.C
            for j in range(lanes):
                total[j] += weight * values[j]
    for j in range(lanes):
        x[j] = total[j]
