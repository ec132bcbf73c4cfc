# The rows of a task and some columns: which tiles compute them.

cdef void group_of_columns(const floating* x, const Py_ssize_t* row, Py_ssize_t length, Py_ssize_t step, const floating* packed,
                           Py_ssize_t k, Py_ssize_t K, floating* y, const Py_ssize_t* to, Py_ssize_t rows, Py_ssize_t columns,
                           bint add) noexcept nogil:
    """All rows of a task and one group of columns, block by block; `packed` has K lines for each, of which k and on are this chain's."""
    cdef Py_ssize_t lanes = lanes_of(sizeof(floating)), j = 0, width
    if rows == 1 and columns == GROUP * 2 * lanes:
        if floating is float:
            row_of_group(x + row[0], length, step, <const vector_float*>(packed + k * 2 * lanes), K, y, add)
        else:
            row_of_group(x + row[0], length, step, <const vector_double*>(packed + k * 2 * lanes), K, y, add)
        return
    while j < columns:
        width = smaller(2 * lanes, columns - j)
        rows_of_block(x, row, length, step, packed + j * K + k * round_up(width, lanes), K, y + j, to, rows, width, add)
        j += width


cdef void row_of_group(const floating* x, Py_ssize_t length, Py_ssize_t step, const vector* lines, Py_ssize_t K, floating* y,
                       bint add) noexcept nogil:
    """One row alone (a single image) and a whole group of columns: eight sums side by side, where a tile of one row has two, each of which
    would have to wait for the term before. The blocks' lines lie K apart; the order of every sum is the tile's.
    """
    cdef vector total[GROUP][2]
    cdef floating nothing[TGC_BYTES]
    cdef Py_ssize_t k
    cdef int i, j
    for k in range(TGC_BYTES // <Py_ssize_t>sizeof(floating)):
        nothing[k] = 0
    for i in range(GROUP):
        for j in range(2):
            total[i][j] = (<vector*>nothing)[0]
    for k in range(length):
        for i in range(GROUP):
            for j in range(2):
                total[i][j] = total[i][j] + x[0] * lines[2 * i * K + j]
        lines += 2
        x += step
    for i in range(GROUP):
        for j in range(2):
            if add:
                total[i][j] = total[i][j] + (<vector*>y)[2 * i + j]
            (<vector*>y)[2 * i + j] = total[i][j]


cdef void rows_of_block(const floating* x, const Py_ssize_t* row, Py_ssize_t length, Py_ssize_t step, const floating* packed,
                        Py_ssize_t K, floating* y, const Py_ssize_t* to, Py_ssize_t rows, Py_ssize_t columns, bint add) noexcept nogil:
    """Whole tiles of rows, and the last eight rows or fewer by tiles of about their number, so that few are computed in vain.

    Eight accumulators keep the multipliers busy (each waits four cycles for its last sum): 8 rows are two tiles of 4 × 2, not 6 and 2.
    """
    cdef bint wide = columns > lanes_of(sizeof(floating))
    cdef Py_ssize_t tile = TGC_WIDE_ROWS if wide else TGC_NARROW_ROWS, last = rows % tile
    if 0 < last <= 8 - tile and rows > tile:
        last += tile
    if last > 8 or last == tile - 1:
        last = 0
    if floating is float:
        whole_tiles(x, row, length, step, <const vector_float*>packed, K, y, to, rows - last, columns, add)
        last_rows(x, row + rows - last, length, step, <const vector_float*>packed, y, to + rows - last, last, columns, add)
    else:
        whole_tiles(x, row, length, step, <const vector_double*>packed, K, y, to, rows - last, columns, add)
        last_rows(x, row + rows - last, length, step, <const vector_double*>packed, y, to + rows - last, last, columns, add)


cdef void whole_tiles(const floating* x, const Py_ssize_t* row, Py_ssize_t length, Py_ssize_t step, const vector* lines, Py_ssize_t K,
                      floating* y, const Py_ssize_t* to, Py_ssize_t rows, Py_ssize_t columns, bint add) noexcept nogil:
    """The rows of one block by the largest tiles; of the last one some rows may be computed in vain.

    Meanwhile the lines of the next block come nearer, some with every tile: without that, its first tile would wait for each of them. They
    come to the second-level cache only, as the first is full. Past the last block they are of no use, and no harm.
    """
    cdef Py_ssize_t zero = 0, i = 0, tiles = (rows + TGC_WIDE_ROWS - 1) // TGC_WIDE_ROWS, ahead = 0, some
    cdef const char* following = <const char*>(lines + 2 * K)
    if columns > lanes_of(sizeof(floating)):
        some = (2 * length * TGC_BYTES // 64 + tiles - 1) // tiles if tiles >= LEAST_TILES else 0
        while i < rows:
            for ahead in range(some):
                __builtin_prefetch(following + 64 * ahead, 0, 2)
            following += 64 * some
            register_tile(TGC_WIDE_ROWS, 2, x, row + i, &zero, 1, length, step, lines, y, to + i, rows - i, columns, add)
            i += TGC_WIDE_ROWS
    else:
        while i < rows:
            register_tile(TGC_NARROW_ROWS, 1, x, row + i, &zero, 1, length, step, lines, y, to + i, rows - i, columns, add)
            i += TGC_NARROW_ROWS


cdef void last_rows(const floating* x, const Py_ssize_t* row, Py_ssize_t length, Py_ssize_t step, const vector* lines, floating* y,
                    const Py_ssize_t* to, Py_ssize_t rows, Py_ssize_t columns, bint add) noexcept nogil:
    """At most eight rows of one block, by the smallest tiles that hold them."""
    cdef Py_ssize_t zero = 0, i = 0, left
    cdef bint wide = columns > lanes_of(sizeof(floating))
    while i < rows:
        left = rows - i
        if not wide and left > 4:
            register_tile(8, 1, x, row + i, &zero, 1, length, step, lines, y, to + i, left, columns, add)
            i += 8
        elif not wide:
            register_tile(4, 1, x, row + i, &zero, 1, length, step, lines, y, to + i, left, columns, add)
            i += 4
        elif left > 4 and TGC_WIDE_ROWS >= 8:
            register_tile(8, 2, x, row + i, &zero, 1, length, step, lines, y, to + i, left, columns, add)
            i += 8
        elif left > 2:
            register_tile(4, 2, x, row + i, &zero, 1, length, step, lines, y, to + i, left, columns, add)
            i += 4
        else:
            register_tile(2, 2, x, row + i, &zero, 1, length, step, lines, y, to + i, left, columns, add)
            i += 2
