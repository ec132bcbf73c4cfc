# A row of windows, left to right: the loop that all kernels share which go by windows.
from libc.math cimport INFINITY

cdef enum Kind:
    MAXIMUM                  # y and where from x
    SUM                      # y from x, by weights and scale
    TILE_TAPS                # x from y at the taps taken, where windows tile the image
    TILE_WEIGHTS             # x from y, by weights and scale, where windows tile the image


cdef struct Arrays:
    # What a kernel was handed: (N, H, W, C), (N, OH, OW, C) and its taps, (kh, kw), (OH, OW); NULL where it has no such array.
    void* x
    void* y
    unsigned char* where
    bint wide                # taps of four bytes
    void* weights
    void* scale
    bint streams             # x is written past the caches


cdef bint tiled(const Window* win) noexcept nogil:
    """Whether windows lie side by side and cover the whole image, as 2 × 2 windows with stride 2 and global ones do."""
    return (win.dy == 1 and win.dx == 1 and win.sy == win.kh and win.sx == win.kw and win.top == 0 and win.left == 0
            and win.OH * win.kh == win.H and win.OW * win.kw == win.W)


cdef void window_row(const Kind kind, const Arrays* arrays, const vector* like, Py_ssize_t row, const Window* win) noexcept nogil:
    """The OW windows of one row (n, oy): those at the edges by the taps that lie inside, the whole ones between them with all taps."""
    cdef Py_ssize_t oy = row % win.OH, iy = win.sy * oy - win.top, whole = 0, whole_end = 0
    cdef int side = 2 if win.kh == 2 and win.kw == 2 else 3 if win.kh == 3 and win.kw == 3 and kind == MAXIMUM else 0
    cdef Taps taps
    taps.kw, taps.down, taps.right = win.kw, win.dy * win.W * win.C, win.dx * win.C
    taps.ky0, taps.ky1 = first_tap(iy, win.dy), end_tap(iy, win.dy, win.kh, win.H)
    if side and taps.ky0 == 0 and taps.ky1 == side and win.W + win.left > win.dx * (side - 1):
        whole = min((win.left + win.sx - 1) // win.sx, win.OW)
        whole_end = max(whole, min((win.W - 1 - win.dx * (side - 1) + win.left) // win.sx + 1, win.OW))
    windows(kind, arrays, like, row, 0, whole, &taps, win, 0)
    if side == 2:
        windows(kind, arrays, like, row, whole, whole_end, &taps, win, 2)
    elif kind == MAXIMUM:
        windows(kind, arrays, like, row, whole, whole_end, &taps, win, 3)
    windows(kind, arrays, like, row, whole_end, win.OW, &taps, win, 0)


cdef inline void windows(const Kind kind, const Arrays* arrays, const vector* like, Py_ssize_t row, Py_ssize_t ox, Py_ssize_t end,
                         const Taps* taps, const Window* win, const int side) noexcept nogil:
    """Windows ox … end − 1 of a row, by as many registers at a time as the channels fill."""
    cdef Py_ssize_t C = win.C, lanes = lanes_of(like), safe, last
    if ox >= end:
        return
    if C >= 4 * lanes:
        every_window(kind, arrays, like, row, ox, end, taps, win, 4, 0, side)
    elif C >= 2 * lanes:
        every_window(kind, arrays, like, row, ox, end, taps, win, 2, 0, side)
    elif C >= lanes:
        every_window(kind, arrays, like, row, ox, end, taps, win, 1, 0, side)
    else:
        # Up to `safe`, a register at the last cell of a window ends within the image row, and one at its result within the row of results.
        safe, last = ox, win.W - (lanes + C - 1) // C - win.dx * (side - 1) + win.left
        if side and last >= 0 and win.OW * C >= lanes:
            safe = max(ox, min(last // win.sx + 1, win.OW - (lanes + C - 1) // C + 1, end))
            every_window(kind, arrays, like, row, ox, safe, taps, win, 1, 0, side)
        every_window(kind, arrays, like, row, safe, end, taps, win, 1, 1, side)


cdef inline void every_window(const Kind kind, const Arrays* arrays, const vector* like, Py_ssize_t row, Py_ssize_t ox, Py_ssize_t end,
                              const Taps* whole, const Window* win, const int registers, const bint partial,
                              const int side) noexcept nogil:
    """The channels of each window, block after block. All but `ox` and `c` is known before the loops, or a constant."""
    cdef Py_ssize_t lanes = lanes_of(like), C = win.C, step = win.sx * win.C, image = row // win.OH * win.H * win.W * C
    cdef Py_ssize_t line = image + (win.sy * (row % win.OH) - win.top) * win.W * C, cell = line + (win.sx * ox - win.left) * C
    cdef Py_ssize_t start = (row * win.OW + ox) * C, place = row % win.OH * win.OW, c
    cdef Py_ssize_t x_end = win.N * win.H * win.W * C, y_end = win.N * win.OH * win.OW * C, row_end = (row + 1) * win.OW * C
    cdef Taps taps = whole[0]
    cdef vector* x = <vector*>arrays.x
    cdef vector* y = <vector*>arrays.y
    cdef unsigned char* where = arrays.where
    cdef bint wide = arrays.wide and not side, streams = arrays.streams
    for ox in range(ox, end):
        if not side:
            taps.kx0 = first_tap(win.sx * ox - win.left, win.dx)
            taps.kx1 = end_tap(win.sx * ox - win.left, win.dx, win.kw, win.W)
        if kind == MAXIMUM and not side and (taps.ky0 >= taps.ky1 or taps.kx0 >= taps.kx1):
            nothing(y, where, wide, win.kh * win.kw, start, C)
        else:
            for c from 0 <= c < C by registers * lanes:
                c = max(0, min(c, C - registers * lanes))
                if kind == MAXIMUM:
                    maximum_block(<const vector*>x, cell + c, x_end, &taps, y, where, wide, start + c, row_end, registers, partial, side)
                elif kind == SUM:
                    sum_block(<const vector*>x, cell + c, x_end, &taps, <const vector*>arrays.weights,
                              at(<const vector*>arrays.scale, place + ox), y, start + c, row_end, registers, partial, side)
                elif kind == TILE_TAPS:
                    tile_block(<const vector*>y, start + c, y_end, where, wide, <const vector*>NULL, <const vector*>NULL, &taps,
                               x, cell + c, line + win.W * C, streams, registers, partial, side)
                else:
                    tile_block(<const vector*>y, start + c, y_end, <const unsigned char*>NULL, 0, <const vector*>arrays.weights,
                               at(<const vector*>arrays.scale, place + ox), &taps, x, cell + c, line + win.W * C, streams,
                               registers, partial, side)
        start += C
        cell += step


cdef void nothing(vector* y, unsigned char* where, bint wide, Py_ssize_t none, Py_ssize_t start, Py_ssize_t C) noexcept nogil:
    """A window without a cell: minus infinity, at no tap."""
    cdef Py_ssize_t i
    for i in range(start, start + C):
        if wide:
            (<int*>where)[i] = <int>none
        else:
            where[i] = <unsigned char>none
        if vector is vector_float:
            (<float*>y)[i] = -INFINITY
        else:
            (<double*>y)[i] = -INFINITY
