# The blocks of a matrix product, from the whole to the tile:
#
#     task       rows × columns of y, which one thread computes and nobody else touches
#     chain      the terms of the sum that are carried in registers before they are added to y (CHAIN at most)
#     group      columns whose part of b is packed at once: lines of b are read in pieces of some length, 256 bytes with AVX2
#     block      two vectors of columns: the lines of one chain, 16 KB, stay in the first-level cache while the task's rows pass by
#     tile       a few rows of a block, in registers
#
# An element of y is a sum over the chains in order, each in order, whatever task, group and tile it falls into: the same bits for any
# number of threads, and for one image as for a batch.
cdef enum:
    TASK_ROWS = 192            # of floats, half as many doubles
    TASK_COLUMNS = 512
    GROUP = 4                  # blocks
    COPY_ROW = 272             # CHAIN and a little more: rows a power of two apart would all fall into the same few lines of the cache
    COPY_BYTES = 212992        # one chain of a task's rows, in the second-level cache while the columns pass by
    WORTH_THREADS = 262144     # multiply-adds that take about 4 µs; waking a second thread takes 2


cdef struct Product:
    Py_ssize_t batch, M, K, N                               # sizes
    Py_ssize_t a_row, a_term, b_term, b_column              # strides of a and b in elements
    Py_ssize_t rows, columns, down, along, piece            # of one task; tasks down and along y; terms of one chain
    int threads, activation
    bint packed, in_place                                   # whether b comes packed, and whether a is read where it lies


cdef Py_ssize_t packed_elements(Py_ssize_t K, Py_ssize_t N, Py_ssize_t itemsize) noexcept nogil:
    """Elements of a packed b: its columns up to the next whole vector."""
    return K * round_up(N, lanes_of(itemsize))


cdef void plan(Product* pro, Py_ssize_t itemsize) noexcept nogil:
    """Equal chains, and tasks that are small enough to keep every thread busy: first fewer columns each, then fewer rows.

    Few tasks are as many for every thread: of three, one of two threads would compute two while the other waits.

    Rows that lie whole kilobytes apart share a few lines of the cache; such an a, and a transposed one, is copied chain by chain.
    """
    cdef Py_ssize_t block = 2 * lanes_of(itemsize), blocks = (pro.N + block - 1) // block, wanted
    cdef Py_ssize_t most_rows = TASK_ROWS * 4 // itemsize // TGC_WIDE_ROWS * TGC_WIDE_ROWS
    pro.piece = (pro.K + CHAIN - 1) // CHAIN
    pro.piece = (pro.K + pro.piece - 1) // pro.piece
    pro.in_place = pro.a_term == 1 and (pro.K <= CHAIN or pro.K * itemsize % 1024 != 0)
    pro.threads = THREADS if pro.batch * pro.M * pro.K * pro.N >= WORTH_THREADS else 1
    wanted = 1 if pro.threads == 1 else pro.threads if pro.batch * pro.M * pro.K * pro.N < 32 * WORTH_THREADS else 4 * pro.threads
    pro.down = (pro.M + most_rows - 1) // most_rows
    pro.along = (pro.N + TASK_COLUMNS - 1) // TASK_COLUMNS
    pro.along = smaller(blocks, larger(pro.along, wanted // (pro.batch * pro.down)))
    while pro.along < blocks and pro.batch * pro.down * pro.along < 4 * pro.threads and pro.batch * pro.down * pro.along % pro.threads:
        pro.along += 1
    pro.columns = (blocks + pro.along - 1) // pro.along * block
    pro.along = (pro.N + pro.columns - 1) // pro.columns
    pro.down = larger(pro.down, smaller(wanted // (pro.batch * pro.along), (pro.M + TGC_WIDE_ROWS - 1) // TGC_WIDE_ROWS))
    pro.rows = round_up((pro.M + pro.down - 1) // pro.down, TGC_WIDE_ROWS)
    pro.down = (pro.M + pro.rows - 1) // pro.rows


cdef void multiply(const Product* pro, const floating* a, const floating* b, const floating* bias, floating* y) noexcept nogil:
    """Every task; those that read the same columns of b follow one another."""
    cdef Py_ssize_t task, tasks = pro.batch * pro.down * pro.along
    if pro.threads == 1:                       # not even one thread of OpenMP: it would take longer than a small product
        for task in range(tasks):
            one_task(pro, a, b, bias, y, task)
    else:
        for task in prange(tasks, schedule="dynamic", num_threads=pro.threads):
            one_task(pro, a, b, bias, y, task)


cdef void one_task(const Product* pro, const floating* a, const floating* b, const floating* bias, floating* y,
                   Py_ssize_t task) noexcept nogil:
    """A task, with room for copies where it makes any."""
    if pro.in_place and pro.packed:
        block_task(pro, a, b, bias, y, task, <floating*>NULL, <floating*>NULL)
    else:
        task_with_copies(pro, a, b, bias, y, task)


cdef void task_with_copies(const Product* pro, const floating* a, const floating* b, const floating* bias, floating* y,
                           Py_ssize_t task) noexcept nogil:
    """A task with room, on its stack and from a cache line on, for the copy of a chain of a, and for a packed group of b."""
    cdef char copy[COPY_BYTES + 64]
    cdef char lines[CHAIN * GROUP * 2 * TGC_BYTES + 64]
    block_task(pro, a, b, bias, y, task, <floating*>(<size_t>(copy + 63) // 64 * 64), <floating*>(<size_t>(lines + 63) // 64 * 64))


cdef void block_task(const Product* pro, const floating* a, const floating* b, const floating* bias, floating* y, Py_ssize_t task,
                     floating* copy, floating* lines) noexcept nogil:
    """One block of y, chain by chain: the chain's part of a meets one group of columns after the other."""
    cdef Py_ssize_t index = task // (pro.down * pro.along), i0 = task % pro.down * pro.rows, j0 = task // pro.down % pro.along * pro.columns
    cdef Py_ssize_t rows = smaller(pro.rows, pro.M - i0), columns = smaller(pro.columns, pro.N - j0), a_row = pro.a_row, a_term = 1
    cdef Py_ssize_t k = 0, length, j, width, i, line = 64 // sizeof(floating), copied = round_up(rows, line) | line
    cdef Py_ssize_t row[TASK_ROWS + 2 * TGC_NARROW_ROWS]
    cdef Py_ssize_t to[TASK_ROWS + 2 * TGC_NARROW_ROWS]
    cdef const floating* x
    if not pro.in_place:
        a_row, a_term = 1 if pro.a_row == 1 else COPY_ROW, copied if pro.a_row == 1 else 1
    for i in range(rows + TGC_NARROW_ROWS):
        row[i], to[i] = a_row * i if i < rows else 0, pro.N * i
    a += index * pro.M * pro.K + i0 * pro.a_row
    b += index * pro.K * pro.N + j0 * (pro.K if pro.packed else pro.b_column)
    y += (index * pro.M + i0) * pro.N + j0
    while k < pro.K:
        length = smaller(pro.piece, pro.K - k)
        x = a + k * pro.a_term
        if not pro.in_place:
            copy_chain(pro, x, rows, length, copied, copy)
            x = copy
        j = 0
        while j < columns:
            width = smaller(GROUP * 2 * lanes_of(sizeof(floating)), columns - j)
            if pro.packed:
                group_of_columns(x, row, length, a_term, b + j * pro.K, k, pro.K, y + j, to, rows, width, k > 0)
            else:
                pack_group(b + k * pro.b_term + j * pro.b_column, pro.b_term, pro.b_column, length, width, lines)
                group_of_columns(x, row, length, a_term, lines, 0, length, y + j, to, rows, width, k > 0)
            if k + length == pro.K and (bias != NULL or pro.activation != 0):
                for i in range(rows):
                    finish(y + to[i] + j, <floating*>NULL, bias + j0 + j if bias != NULL else bias, <floating*>NULL, width, pro.activation)
            j += width
        k += length


cdef void copy_chain(const Product* pro, const floating* a, Py_ssize_t rows, Py_ssize_t terms, Py_ssize_t copied,
                     floating* copy) noexcept nogil:
    """The rows of one chain of a as they lie: copy[i·COPY_ROW + k], or copy[k·copied + i] of a transposed a, contiguous either way.

    `copied` is an odd number of cache lines, again so that the lines of a chain do not share few places in the cache.
    """
    cdef Py_ssize_t i
    if pro.a_row == 1:
        for i in range(terms):
            memcpy(copy + i * copied, a + i * pro.a_term, rows * sizeof(floating))
    else:
        for i in range(rows):
            memcpy(copy + i * COPY_ROW, a + i * pro.a_row, terms * sizeof(floating))


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
        rows_of_block(x, row, length, step, packed + j * K + k * round_up(width, lanes), y + j, to, rows, width, add)
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


cdef void rows_of_block(const floating* x, const Py_ssize_t* row, Py_ssize_t length, Py_ssize_t step, const floating* packed, floating* y,
                        const Py_ssize_t* to, Py_ssize_t rows, Py_ssize_t columns, bint add) noexcept nogil:
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
        whole_tiles(x, row, length, step, <const vector_float*>packed, y, to, rows - last, columns, add)
        last_rows(x, row + rows - last, length, step, <const vector_float*>packed, y, to + rows - last, last, columns, add)
    else:
        whole_tiles(x, row, length, step, <const vector_double*>packed, y, to, rows - last, columns, add)
        last_rows(x, row + rows - last, length, step, <const vector_double*>packed, y, to + rows - last, last, columns, add)


cdef void whole_tiles(const floating* x, const Py_ssize_t* row, Py_ssize_t length, Py_ssize_t step, const vector* lines, floating* y,
                      const Py_ssize_t* to, Py_ssize_t rows, Py_ssize_t columns, bint add) noexcept nogil:
    """The rows of one block by the largest tiles; of the last one some rows may be computed in vain."""
    cdef Py_ssize_t zero = 0, i = 0
    if columns > lanes_of(sizeof(floating)):
        while i < rows:
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


cdef void pack_group(const floating* b, Py_ssize_t term_stride, Py_ssize_t column_stride, Py_ssize_t terms, Py_ssize_t columns,
                     floating* packed) noexcept nogil:
    """A group of blocks, each `terms` lines long. Lines that lie a power of two apart share few lines of the cache: 16 at a time."""
    cdef Py_ssize_t lanes = lanes_of(sizeof(floating)), j, k = 0, width, some
    if column_stride != 1:
        j = 0
        while j < columns:
            width = smaller(2 * lanes, columns - j)
            pack_transposed(b + j * column_stride, column_stride, terms, width, packed + j * terms)
            j += width
        return
    while k < terms:
        some = smaller(16, terms - k)
        j = 0
        while j < columns:
            width = smaller(2 * lanes, columns - j)
            pack(b + k * term_stride + j, term_stride, 1, some, width, packed + j * terms + k * round_up(width, lanes))
            j += width
        k += some


cdef void pack_transposed(const floating* b, Py_ssize_t column_stride, Py_ssize_t terms, Py_ssize_t columns,
                          floating* packed) noexcept nogil:
    """packed[k, j] = b[j·column_stride + k] for one block: squares of lanes × lanes; terms and columns past the last square one by one."""
    cdef Py_ssize_t lanes = lanes_of(sizeof(floating)), width = round_up(columns, lanes), squares = terms // lanes * lanes, j = 0, k
    while j + lanes <= columns:
        k = 0
        while k < squares:
            if floating is float:
                transpose_square(TGC_BYTES // 4, b + j * column_stride + k, column_stride, <vector_float*>(packed + k * width + j), width)
            else:
                transpose_square(TGC_BYTES // 8, b + j * column_stride + k, column_stride, <vector_double*>(packed + k * width + j), width)
            k += lanes
        if squares < terms:
            pack_corner(b + j * column_stride + squares, column_stride, terms - squares, lanes, packed + squares * width + j, width, lanes)
        j += lanes
    if j < columns:
        pack_corner(b + j * column_stride, column_stride, terms, columns - j, packed + j, width, lanes)


cdef void pack_corner(const floating* b, Py_ssize_t column_stride, Py_ssize_t terms, Py_ssize_t columns, floating* packed, Py_ssize_t width,
                      Py_ssize_t lanes) noexcept nogil:
    """What does not fill a square, element by element, with zeros in the lanes past the columns."""
    cdef Py_ssize_t j, k
    for k in range(terms):
        for j in range(columns):
            packed[k * width + j] = b[j * column_stride + k]
        for j in range(columns, lanes):
            packed[k * width + j] = 0
