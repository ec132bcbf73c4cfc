# Where the tiles lie: output is cut into tiles of 4×4, and each needs the 6×6 patch of input under it, at any padding.

cdef struct Tiles:
    Py_ssize_t N, H, W, C, OH, OW, O, top, left           # the image read and the image written, with their channels
    Py_ssize_t w0, w_tap, w_c, w_o                        # where w(ky, kx, c, o) lies: w0 + (3·ky + kx)·w_tap + c·w_c + o·w_o
    Py_ssize_t down, along, count                         # tiles of an image and in all
    Py_ssize_t depth, width                               # channels read and written, in whole vectors


cdef Tiles forward_tiles(const Window* win, Py_ssize_t itemsize) noexcept nogil:
    """winograd_forward: x is read, y is written."""
    cdef Tiles tiles
    tiles.N, tiles.H, tiles.W, tiles.C, tiles.OH, tiles.OW, tiles.O = win.N, win.H, win.W, win.C, win.OH, win.OW, win.O
    tiles.top, tiles.left = win.top, win.left
    tiles.w0, tiles.w_tap, tiles.w_c, tiles.w_o = 0, win.C * win.O, win.O, 1
    count_tiles(&tiles, itemsize)
    return tiles


cdef Tiles backward_tiles(const Window* win, Py_ssize_t itemsize) noexcept nogil:
    """winograd_grad_input: g is read, x is written, with the filter rotated (taps from last to first) and its channels swapped."""
    cdef Tiles tiles
    tiles.N, tiles.H, tiles.W, tiles.C, tiles.OH, tiles.OW, tiles.O = win.N, win.OH, win.OW, win.O, win.H, win.W, win.C
    tiles.top, tiles.left = 2 - win.top, 2 - win.left
    tiles.w0, tiles.w_tap, tiles.w_c, tiles.w_o = 8 * win.C * win.O, -win.C * win.O, 1, win.O
    count_tiles(&tiles, itemsize)
    return tiles


cdef void count_tiles(Tiles* tiles, Py_ssize_t itemsize) noexcept nogil:
    tiles.down, tiles.along = (tiles.OH + TILE - 1) // TILE, (tiles.OW + TILE - 1) // TILE
    tiles.count = tiles.N * tiles.down * tiles.along
    tiles.depth, tiles.width = round_up(tiles.C, lanes_of(itemsize)), round_up(tiles.O, lanes_of(itemsize))


cdef inline void point(int size, floating** cell, const floating* image, Py_ssize_t H, Py_ssize_t W, Py_ssize_t C, Py_ssize_t y,
                       Py_ssize_t x, const floating* outside) noexcept nogil:
    """Pointers to the size×size cells from (y, x) on; those that are not in the image are `outside`, so no loop over channels asks."""
    cdef int i, j
    for i in range(size):
        for j in range(size):
            if 0 <= y + i < H and 0 <= x + j < W:
                cell[size * i + j] = <floating*>image + ((y + i) * W + x + j) * C
            else:
                cell[size * i + j] = <floating*>outside


cdef inline void point_at_tail(int cells, floating** cell, Py_ssize_t channel, Py_ssize_t channels, floating* copy,
                               floating** tail) noexcept nogil:
    """Copies of the last channels of some cells, fewer than a vector, with zeros behind them: nothing is read past the image."""
    cdef int i
    cdef Py_ssize_t lanes = lanes_of(sizeof(floating))
    for i in range(cells):
        tail[i] = copy + i * lanes
        memset(tail[i], 0, TGC_BYTES)
        memcpy(tail[i], cell[i] + channel, (channels - channel) * sizeof(floating))


cdef void read_patches(const Tiles* tiles, const floating* x, Py_ssize_t first, Py_ssize_t count, floating* values, Py_ssize_t pitch,
                       const floating* zeros) noexcept nogil:
    """values[36][tile][channel] = Bᵀ d B of the patches of `count` tiles; the loop runs along channels, contiguous in x and in values."""
    cdef floating* cell[POINTS]
    cdef floating* tail[POINTS]
    cdef floating copy[POINTS * TGC_BYTES]
    cdef Py_ssize_t lanes = lanes_of(sizeof(floating)), tile, n, ty, tx, channel
    for tile in range(first, first + count):
        n, ty, tx = tile // (tiles.down * tiles.along), tile // tiles.along % tiles.down, tile % tiles.along
        point(PATCH, cell, x + n * tiles.H * tiles.W * tiles.C, tiles.H, tiles.W, tiles.C,
              TILE * ty - tiles.top, TILE * tx - tiles.left, zeros)
        channel = 0
        while channel + lanes <= tiles.C:
            if floating is float:
                transform_input(cell, channel, <vector_float*>(values + channel), pitch // lanes)
            else:
                transform_input(cell, channel, <vector_double*>(values + channel), pitch // lanes)
            channel += lanes
        if channel < tiles.C:
            point_at_tail(POINTS, cell, channel, tiles.C, copy, tail)
            if floating is float:
                transform_input(tail, 0, <vector_float*>(values + channel), pitch // lanes)
            else:
                transform_input(tail, 0, <vector_double*>(values + channel), pitch // lanes)
        values += tiles.depth


cdef void write_tiles(const Tiles* tiles, floating* y, const Finish* last, Py_ssize_t first, Py_ssize_t count, const floating* sums,
                      Py_ssize_t row, Py_ssize_t pitch, Py_ssize_t o, Py_ssize_t columns, floating* nowhere) noexcept nogil:
    """y = Aᵀ m A of the sums m[36][tile][channel] of `count` tiles, rows of `row` elements, for the channels o, …, o + columns − 1."""
    cdef floating* cell[TILE * TILE]
    cdef floating* tail[TILE * TILE]
    cdef floating copy[TILE * TILE * TGC_BYTES]
    cdef Py_ssize_t lanes = lanes_of(sizeof(floating)), tile, n, ty, tx, channel, i
    for tile in range(first, first + count):
        n, ty, tx = tile // (tiles.down * tiles.along), tile // tiles.along % tiles.down, tile % tiles.along
        point(TILE, cell, y + n * tiles.OH * tiles.OW * tiles.O + o, tiles.OH, tiles.OW, tiles.O, TILE * ty, TILE * tx, nowhere)
        channel = 0
        while channel + lanes <= columns:
            if floating is float:
                transform_output(<const vector_float*>(sums + channel), pitch // lanes, cell, channel)
            else:
                transform_output(<const vector_double*>(sums + channel), pitch // lanes, cell, channel)
            channel += lanes
        if channel < columns:
            for i in range(TILE * TILE):
                tail[i] = copy + i * lanes
            if floating is float:
                transform_output(<const vector_float*>(sums + channel), pitch // lanes, tail, 0)
            else:
                transform_output(<const vector_double*>(sums + channel), pitch // lanes, tail, 0)
            for i in range(TILE * TILE):
                memcpy(cell[i] + channel, tail[i], (columns - channel) * sizeof(floating))
        sums += row
        if anything(last):
            for i in range(TILE * TILE):
                if cell[i] != nowhere:
                    finish_cell(y, last, cell[i] - y, o, columns)


cdef inline void finish_cell(floating* y, const Finish* last, Py_ssize_t at, Py_ssize_t o, Py_ssize_t columns) noexcept nogil:
    """Finish `columns` channels, from o on, of one place of y, which begin at y[at] and are still in the first-level cache."""
    cdef const floating* scale = NULL if last.scale == NULL else <const floating*>last.scale + o
    cdef const floating* bias = NULL if last.bias == NULL else <const floating*>last.bias + o
    finish(y + at, scale, bias, NULL if last.residual == NULL else <const floating*>last.residual + at, columns, last.activation)
