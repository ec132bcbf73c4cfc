# The weighted sum over a window, and its adjoint.

def window_sum(const floating[:, :, :, ::1] x, const floating[:, ::1] weights, const floating[:, ::1] scale,
               floating[:, :, :, ::1] y, geo):
    """reference.window_sum. One task per output row."""
    cdef Window win = window_of(geo)
    cdef Py_ssize_t row, size = y.shape[0] * y.shape[1] * y.shape[2] * y.shape[3]
    if size == 0:
        return
    for row in prange(win.N * win.OH, nogil=True, schedule="static", num_threads=threads_for(size * win.kh * win.kw)):
        if floating is float:
            sum_row(<const vector_float*>&x[0, 0, 0, 0], <const vector_float*>&weights[0, 0], <const vector_float*>&scale[0, 0],
                    <vector_float*>&y[0, 0, 0, 0], row, &win)
        else:
            sum_row(<const vector_double*>&x[0, 0, 0, 0], <const vector_double*>&weights[0, 0], <const vector_double*>&scale[0, 0],
                    <vector_double*>&y[0, 0, 0, 0], row, &win)


cdef void sum_row(const vector* x, const vector* weights, const vector* scale, vector* y, Py_ssize_t row,
                  const Window* win) noexcept nogil:
    """The OW windows of one output row (n, oy)."""
    cdef Py_ssize_t ox, c, n = row // win.OH, C = win.C, lanes = lanes_of(x), start = row * win.OW * C
    cdef const vector* image = at(x, n * win.H * win.W * C)
    cdef const vector* factor = at(scale, row % win.OH * win.OW)
    cdef Py_ssize_t end = (win.N - n) * win.H * win.W * C
    cdef Taps taps
    taps.iy = win.sy * (row % win.OH) - win.top
    taps.ky0, taps.ky1 = first_tap(taps.iy, win.dy), end_tap(taps.iy, win.dy, win.kh, win.H)
    for ox in range(win.OW):
        taps.ix = win.sx * ox - win.left
        taps.kx0, taps.kx1 = first_tap(taps.ix, win.dx), end_tap(taps.ix, win.dx, win.kw, win.W)
        if C >= 2 * lanes:
            for c from 0 <= c < C by 2 * lanes:
                c = min(c, C - 2 * lanes)
                sum_block(image, weights, at(factor, ox), y, start + c, c, end, &taps, win, 2, 0)
        elif C >= lanes:
            sum_block(image, weights, at(factor, ox), y, start, 0, end, &taps, win, 1, 0)
            if C > lanes:
                sum_block(image, weights, at(factor, ox), y, start + C - lanes, C - lanes, end, &taps, win, 1, 0)
        else:
            sum_block(image, weights, at(factor, ox), y, start, 0, end, &taps, win, 1, 1)
        start += C


cdef inline void sum_block(const vector* image, const vector* weights, const vector* scale, vector* y, Py_ssize_t to, Py_ssize_t c,
                           Py_ssize_t end, const Taps* taps, const Window* win, const int registers, const bint partial) noexcept nogil:
    """The channels of one or two registers, from channel c on, of one window, stored from element `to` on. Each row of the window
    is summed by itself, then the rows: large windows round less. `registers` and `partial` are constants wherever this is called."""
    cdef vector zero, total, total2, part, part2
    cdef Py_ssize_t ky, kx, cell, lanes = lanes_of(image)
    memset(&zero, 0, TGC_BYTES)
    total, total2 = zero, zero
    for ky in range(taps.ky0, taps.ky1):
        cell = ((taps.iy + win.dy * ky) * win.W + taps.ix + win.dx * taps.kx0) * win.C + c
        part, part2 = zero, zero
        for kx in range(taps.kx0, taps.kx1):
            part = part + scaled(weights, ky * win.kw + kx, read(image, cell, end, partial))
            if registers == 2:
                part2 = part2 + scaled(weights, ky * win.kw + kx, at(image, cell + lanes)[0])
            cell += win.dx * win.C
        total = total + part
        total2 = total2 + part2
    write(y, to, scaled(scale, 0, total), win.C, partial)
    if registers == 2:
        write(y, to + lanes, scaled(scale, 0, total2), win.C, 0)


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
            if floating is float:
                spread_row(<const vector_float*>&g[0, 0, 0, 0], <const vector_float*>&weights[0, 0], <const vector_float*>&scale[0, 0],
                           <vector_float*>&x[0, 0, 0, 0], row, &rows, &columns, &win)
            else:
                spread_row(<const vector_double*>&g[0, 0, 0, 0], <const vector_double*>&weights[0, 0], <const vector_double*>&scale[0, 0],
                           <vector_double*>&x[0, 0, 0, 0], row, &rows, &columns, &win)
    finally:
        free(rows_memory)
        free(columns_memory)


cdef void spread_row(const vector* g, const vector* weights, const vector* scale, vector* x, Py_ssize_t row,
                     const Cover* rows, const Cover* columns, const Window* win) noexcept nogil:
    """The W cells of one image row (n, iy)."""
    cdef Py_ssize_t ix, c, n = row // win.H, iy = row % win.H, C = win.C, lanes = lanes_of(g), start = row * win.W * C
    cdef const vector* image = at(g, n * win.OH * win.OW * C)
    cdef Py_ssize_t end = (win.N - n) * win.OH * win.OW * C
    for ix in range(win.W):
        if C >= 2 * lanes:
            for c from 0 <= c < C by 2 * lanes:
                c = min(c, C - 2 * lanes)
                spread_block(image, weights, scale, x, start + c, c, end, iy, ix, rows, columns, win, 2, 0)
        elif C >= lanes:
            spread_block(image, weights, scale, x, start, 0, end, iy, ix, rows, columns, win, 1, 0)
            if C > lanes:
                spread_block(image, weights, scale, x, start + C - lanes, C - lanes, end, iy, ix, rows, columns, win, 1, 0)
        else:
            spread_block(image, weights, scale, x, start, 0, end, iy, ix, rows, columns, win, 1, 1)
        start += C


cdef inline void spread_block(const vector* image, const vector* weights, const vector* scale, vector* x, Py_ssize_t to, Py_ssize_t c,
                              Py_ssize_t end, Py_ssize_t iy, Py_ssize_t ix, const Cover* rows, const Cover* columns, const Window* win,
                              const int registers, const bint partial) noexcept nogil:
    """Some channels of one cell: for each window that covers it, its value times its scale and the weight it gives this cell."""
    cdef vector total, total2
    cdef Py_ssize_t i, k, tap, window, lanes = lanes_of(image)
    memset(&total, 0, TGC_BYTES)
    total2 = total
    for i in range(rows.first[iy], rows.first[iy + 1]):
        for k in range(columns.first[ix], columns.first[ix + 1]):
            tap = rows.tap[i] * win.kw + columns.tap[k]
            window = rows.place[i] * win.OW + columns.place[k]
            total = total + scaled(weights, tap, scaled(scale, window, read(image, window * win.C + c, end, partial)))
            if registers == 2:
                total2 = total2 + scaled(weights, tap, scaled(scale, window, at(image, window * win.C + c + lanes)[0]))
    write(x, to, total, win.C, partial)
    if registers == 2:
        write(x, to + lanes, total2, win.C, 0)
