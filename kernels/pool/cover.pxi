# The adjoints where windows overlap, or leave gaps: each cell gathers from the windows that cover it, so that no two tasks write one cell.

cdef struct Cover:
    # For each cell i along one axis, entries first[i] … first[i + 1] − 1 name the taps and windows that meet there, taps ascending,
    # each times a unit of the caller's, so that those of both axes need only be added.
    Py_ssize_t* first
    Py_ssize_t* tap
    Py_ssize_t* place


cdef Py_ssize_t* cover_axis(Cover* cover, Py_ssize_t size, Py_ssize_t taps, Py_ssize_t places, Py_ssize_t stride, Py_ssize_t dilation,
                            Py_ssize_t before, Py_ssize_t tap_unit, Py_ssize_t place_unit) except NULL:
    """Fill `cover` for an axis of `size` cells, so that no cell has to divide; returns its memory, to be freed."""
    cdef Py_ssize_t i, k, first, ahead, entries = 0
    cdef Py_ssize_t* memory = <Py_ssize_t*>malloc((size + 1 + 2 * taps * places) * sizeof(Py_ssize_t))
    if memory == NULL:
        raise MemoryError(f"pooling: no memory for the table of {places} windows of {taps} over {size} cells")
    cover.first, cover.tap, cover.place = memory, memory + size + 1, memory + size + 1 + taps * places
    for i in range(size):
        cover.first[i] = entries
        # Window o starts at stride·o − before and its tap k lies dilation·k further: o is in range for these k alone.
        first = first_tap((places - 1) * stride - i - before, dilation)
        for k in range(first, min(taps, (i + before) // dilation + 1)):
            ahead = i + before - dilation * k
            if ahead % stride == 0:
                cover.tap[entries] = k * tap_unit
                cover.place[entries] = ahead // stride * place_unit
                entries += 1
    cover.first[size] = entries
    return memory


cdef int gather_cells(const Arrays* arrays, const vector* like, const Window* win, int threads) except -1:
    """x from y: at the taps taken or, where there are none, by weights and scale. One task per image row."""
    cdef Cover rows, columns
    cdef Py_ssize_t row
    cdef Py_ssize_t* rows_memory = NULL
    cdef Py_ssize_t* columns_memory = NULL
    try:
        rows_memory = cover_axis(&rows, win.H, win.kh, win.OH, win.sy, win.dy, win.top, win.kw, win.OW)
        columns_memory = cover_axis(&columns, win.W, win.kw, win.OW, win.sx, win.dx, win.left, 1, 1)
        with nogil, parallel(num_threads=threads):
            for row in prange(win.N * win.H, schedule="static"):
                cell_row(arrays, like, row, &rows, &columns, win)
            fence()
    finally:
        free(rows_memory)
        free(columns_memory)
    return 0


cdef void cell_row(const Arrays* arrays, const vector* like, Py_ssize_t row, const Cover* rows, const Cover* columns,
                   const Window* win) noexcept nogil:
    """The W cells of one image row (n, iy)."""
    if arrays.where == NULL:
        cells(arrays, like, row, rows, columns, win, 0, 0)
    elif arrays.wide:
        cells(arrays, like, row, rows, columns, win, 1, 1)
    else:
        cells(arrays, like, row, rows, columns, win, 1, 0)


cdef inline void cells(const Arrays* arrays, const vector* like, Py_ssize_t row, const Cover* rows, const Cover* columns,
                       const Window* win, const bint by_taps, const bint wide) noexcept nogil:
    """A row's cells, by as many registers at a time as the channels fill. `by_taps` and `wide` are constants."""
    if win.C >= 4 * lanes_of(like):
        every_cell(arrays, like, row, rows, columns, win, by_taps, wide, 4, 0)
    elif win.C >= 2 * lanes_of(like):
        every_cell(arrays, like, row, rows, columns, win, by_taps, wide, 2, 0)
    elif win.C >= lanes_of(like):
        every_cell(arrays, like, row, rows, columns, win, by_taps, wide, 1, 0)
    else:
        every_cell(arrays, like, row, rows, columns, win, by_taps, wide, 1, 1)


cdef inline void every_cell(const Arrays* arrays, const vector* like, Py_ssize_t row, const Cover* rows, const Cover* columns,
                            const Window* win, const bint by_taps, const bint wide, const int registers, const bint partial) noexcept nogil:
    """The channels of each cell, block after block: the values of the windows that cover it, as far as they are its own."""
    cdef Py_ssize_t lanes = lanes_of(like), C = win.C, iy = row % win.H, row_end = (row + 1) * win.W * C
    cdef Py_ssize_t ix, c, i, k, j, tap, window, start, end = (win.N - row // win.H) * win.OH * win.OW * C
    cdef Py_ssize_t row_first = rows.first[iy], row_last = rows.first[iy + 1], first, last
    cdef const vector* y = at(<const vector*>arrays.y, row // win.H * win.OH * win.OW * C)
    cdef const unsigned char* where = arrays.where + (row // win.H * win.OH * win.OW * C * (4 if wide else 1) if by_taps else 0)
    cdef vector* x = <vector*>arrays.x
    cdef bint streams = arrays.streams          # as locals: the compiler would read them anew after every store
    cdef vector total[4]
    cdef vector value, this
    for ix in range(win.W):
        first, last = columns.first[ix], columns.first[ix + 1]
        for c from 0 <= c < C by registers * lanes:
            c = max(0, min(c, C - registers * lanes))
            for j in range(registers):
                total[j] = zeros(like)
            for i in range(row_first, row_last):
                for k in range(first, last):
                    tap, window = rows.tap[i] + columns.tap[k], rows.place[i] + columns.place[k]
                    this, start = every_lane(like, tap), window * C + c
                    for j in range(registers):
                        value = read(y, start + j * lanes, end, partial)
                        if by_taps:
                            value = only(value, read_taps(where, start + j * lanes, end, wide, partial, like), this)
                        else:
                            value = scaled(<const vector*>arrays.weights, tap, scaled(<const vector*>arrays.scale, window, value))
                        total[j] = total[j] + value
            put(x, row_end + (ix - win.W) * C + c, total, row_end, streams, registers, partial)
