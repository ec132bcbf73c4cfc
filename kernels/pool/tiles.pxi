# The adjoints where windows tile the image, as 2 × 2 windows with stride 2 and global ones do: each cell belongs to one window.

cdef bint tiled(const Window* win) noexcept nogil:
    """Whether windows lie side by side and cover the whole image."""
    return (win.dy == 1 and win.dx == 1 and win.sy == win.kh and win.sx == win.kw and win.top == 0 and win.left == 0
            and win.OH * win.kh == win.H and win.OW * win.kw == win.W)


cdef void tile_row(const vector* g, const unsigned char* where, bint wide, const vector* weights, const vector* scale, vector* x,
                   Py_ssize_t row, const Window* win) noexcept nogil:
    """The cells of one row of windows (n, oy), by the taps that a maximum took or, where there are none (NULL), by weights and scale."""
    cdef Py_ssize_t ox, c, C = win.C, lanes = lanes_of(g)
    for ox in range(win.OW):
        if C >= 4 * lanes:
            for c from 0 <= c < C by 4 * lanes:
                tile_block(g, where, wide, weights, scale, x, row, ox, min(c, C - 4 * lanes), win, 4, 0)
        elif C >= 2 * lanes:
            for c from 0 <= c < C by 2 * lanes:
                tile_block(g, where, wide, weights, scale, x, row, ox, min(c, C - 2 * lanes), win, 2, 0)
        elif C >= lanes:
            for c from 0 <= c < C by lanes:
                tile_block(g, where, wide, weights, scale, x, row, ox, min(c, C - lanes), win, 1, 0)
        else:
            tile_block(g, where, wide, weights, scale, x, row, ox, 0, win, 1, 1)


cdef inline void tile_block(const vector* g, const unsigned char* where, bint wide, const vector* weights, const vector* scale, vector* x,
                            Py_ssize_t row, Py_ssize_t ox, Py_ssize_t c, const Window* win, const int registers,
                            const bint partial) noexcept nogil:
    """Some registers of channels of one window, read once and written to each of its cells, left to right in every image row."""
    cdef vector value[4]
    cdef vector taken[4]
    cdef vector tap = every_lane(g, 0)
    cdef Py_ssize_t ky, kx, j, lanes = lanes_of(g), start = (row * win.OW + ox) * win.C + c, end = win.N * win.OH * win.OW * win.C
    cdef Py_ssize_t cell, row_end
    for j in range(registers):
        value[j] = read(g, start + j * lanes, end, partial)
        if where != NULL:
            taken[j] = read_taps(where, start + j * lanes, end, wide, partial, g)
        else:
            value[j] = scaled(scale, row % win.OH * win.OW + ox, value[j])
    for ky in range(win.kh):
        row_end = (row * win.kh + ky + 1) * win.W * win.C
        cell = row_end + (ox * win.kw - win.W) * win.C + c
        for kx in range(win.kw):
            for j in range(registers):
                if where != NULL:
                    write(x, cell + j * lanes, only(value[j], taken[j], tap), row_end, partial)
                else:
                    write(x, cell + j * lanes, scaled(weights, ky * win.kw + kx, value[j]), row_end, partial)
            cell += win.C
            tap = next_tap(tap)
