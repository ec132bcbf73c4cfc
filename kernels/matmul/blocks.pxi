# The blocks of a matrix product, from the whole to the tile:
#
#     task       rows × columns of y, which one thread computes and nobody else touches
#     chain      the terms of the sum that are carried in registers before they are added to y (LONGEST at most)
#     group      columns whose part of b is packed at once: lines of b are read in pieces of some length, 256 bytes with AVX2
#     block      two vectors of columns: the lines of one chain, 26 KB, stay in the first-level cache while the task's rows pass by
#     tile       a few rows of a block, in registers
#
# That is the order of GotoBLAS (Goto and van de Geijn, Anatomy of high-performance matrix multiplication, 2008): lines of b in the
# first-level cache, a block of a in the second. What a task costs beside its multiplications is y, which is read and written once for
# every chain, and its rows of a, which every task along y brings in anew: so chains are longer than a convolution's, and tasks are wide.
#
# An element of y is a sum over the chains in order, each in order, whatever task, group and tile it falls into: the same bits for any
# number of threads, and for one image as for a batch.
cdef enum:
    LONGEST = 416              # terms of a chain
    TASK_ROWS = 144            # of floats, half as many doubles
    TASK_COLUMNS = 1024
    LEAST_COLUMNS = 256        # of a task that copies its part of a, unless there are fewer
    GROUP = 4                  # blocks
    COPY_BYTES = 239616        # one chain of a task's rows, in the second-level cache while the columns pass by
    LEAST_TILES = 4            # of rows, in whose time the lines of the next block can be fetched
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
    cdef Py_ssize_t block = 2 * lanes_of(itemsize), blocks = (pro.N + block - 1) // block, wanted, most
    cdef Py_ssize_t most_rows = TASK_ROWS * 4 // itemsize // TGC_WIDE_ROWS * TGC_WIDE_ROWS
    pro.piece = (pro.K + LONGEST - 1) // LONGEST
    pro.piece = (pro.K + pro.piece - 1) // pro.piece
    pro.in_place = pro.a_term == 1 and (pro.K <= LONGEST or pro.K * itemsize % 1024 != 0)
    pro.threads = THREADS if pro.batch * pro.M * pro.K * pro.N >= WORTH_THREADS else 1
    wanted = 1 if pro.threads == 1 else pro.threads if pro.batch * pro.M * pro.K * pro.N < 32 * WORTH_THREADS else 4 * pro.threads
    pro.down = (pro.M + most_rows - 1) // most_rows
    pro.along = (pro.N + TASK_COLUMNS - 1) // TASK_COLUMNS
    most = blocks if pro.in_place else larger(1, pro.N // LEAST_COLUMNS)
    pro.along = smaller(blocks, larger(pro.along, smaller(most, wanted // (pro.batch * pro.down))))
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
    cdef char lines[LONGEST * GROUP * 2 * TGC_BYTES + 64]
    block_task(pro, a, b, bias, y, task, <floating*>(<size_t>(copy + 63) // 64 * 64), <floating*>(<size_t>(lines + 63) // 64 * 64))


cdef void block_task(const Product* pro, const floating* a, const floating* b, const floating* bias, floating* y, Py_ssize_t task,
                     floating* copy, floating* lines) noexcept nogil:
    """One block of y, chain by chain: the chain's part of a meets one group of columns after the other."""
    cdef Py_ssize_t index = task // (pro.down * pro.along), i0 = task % pro.down * pro.rows, j0 = task // pro.down % pro.along * pro.columns
    cdef Py_ssize_t rows = smaller(pro.rows, pro.M - i0), columns = smaller(pro.columns, pro.N - j0), a_term = 1
    cdef Py_ssize_t k = 0, length, j, width, i
    cdef Py_ssize_t row[TASK_ROWS + 2 * TGC_NARROW_ROWS]
    cdef Py_ssize_t to[TASK_ROWS + 2 * TGC_NARROW_ROWS]
    cdef const floating* x
    for i in range(rows + TGC_NARROW_ROWS):
        row[i], to[i] = pro.a_row * i if i < rows else 0, pro.N * i
    a += index * pro.M * pro.K + i0 * pro.a_row
    b += index * pro.K * pro.N + j0 * (pro.K if pro.packed else pro.b_column)
    y += (index * pro.M + i0) * pro.N + j0
    while k < pro.K:
        length = smaller(pro.piece, pro.K - k)
        x = a + k * pro.a_term
        if not pro.in_place:
            copy_chain(pro, x, rows, length, copy)
            x, a_term = copy, TGC_WIDE_ROWS
            for i in range(rows):
                row[i] = i // TGC_WIDE_ROWS * TGC_WIDE_ROWS * length + i % TGC_WIDE_ROWS
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


cdef void copy_chain(const Product* pro, const floating* a, Py_ssize_t rows, Py_ssize_t terms, floating* copy) noexcept nogil:
    """One chain of a in the order in which the tiles read it: those of one tile's rows lie together, term by term.

    copy[(i − r)·terms + R·k + r] = a[i, k], where R is TGC_WIDE_ROWS and r = i mod R. Each tile then reads one stream of memory, not R. The
    last tile's missing rows repeat its first. The inner loop runs along the rows, which is along memory for a transposed a. Where terms lie
    along memory, they go by squares, transposed in registers; a square's lines are longer than a tile has rows, and each is written over
    the end of the one before.
    """
    cdef Py_ssize_t i = 0, k, r, last, lanes = lanes_of(sizeof(floating))
    while i < rows:
        last, k = smaller(TGC_WIDE_ROWS, rows - i), 0
        if lanes >= TGC_WIDE_ROWS and pro.a_term == 1 and i + lanes <= rows:
            while k + lanes <= terms:
                if floating is float:
                    transpose_square(TGC_BYTES // 4, a + k, pro.a_row, <vector_float*>(copy + k * TGC_WIDE_ROWS), TGC_WIDE_ROWS)
                else:
                    transpose_square(TGC_BYTES // 8, a + k, pro.a_row, <vector_double*>(copy + k * TGC_WIDE_ROWS), TGC_WIDE_ROWS)
                k += lanes
        if last == TGC_WIDE_ROWS:
            for k in range(k, terms):
                for r in range(TGC_WIDE_ROWS):
                    copy[k * TGC_WIDE_ROWS + r] = a[r * pro.a_row + k * pro.a_term]
        else:
            for k in range(terms):
                for r in range(TGC_WIDE_ROWS):
                    copy[k * TGC_WIDE_ROWS + r] = a[(r if r < last else 0) * pro.a_row + k * pro.a_term]
        a += TGC_WIDE_ROWS * pro.a_row
        copy += TGC_WIDE_ROWS * terms
        i += TGC_WIDE_ROWS
