# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Batched matrix products on the CPU: b packed in blocks of columns, a copied in blocks of rows, the register tile (tile.pxi) between."""
include "common.pxi"
include "tile.pxi"

cdef enum:
    PACKED_BYTES = 16777216    # of b at a time: whole products are packed together up to here, then one by one
    TASK_ROWS = 96             # of a per task: 96 KB of one chain, in the second-level cache while the columns pass by
    TASK_COLUMNS = 512
    COPY_ROW = 272             # CHAIN and a little more: rows a power of two apart would all fall into the same few lines of the cache
    COPY_ELEMENTS = 26112      # TASK_ROWS · COPY_ROW


cdef struct Product:
    Py_ssize_t M, K, N, a_row, a_term, b_term, b_column     # sizes, and strides of a and b in elements
    Py_ssize_t rows, columns, down, along, packed_size      # of one task; tasks down and along y; elements of one packed b
    bint in_place                                           # whether a is read where it lies


def matmul(const floating[:, :, ::1] a, const floating[:, :, ::1] b, floating[:, :, ::1] y, bint transpose_a, bint transpose_b):
    """reference.matmul. A task is a block of rows and columns of one product, which it owns, so no order of sums depends on the threads."""
    cdef Product pro
    cdef Py_ssize_t batch = y.shape[0], first = 0, together
    cdef floating* packed
    pro.M, pro.N, pro.K = y.shape[1], y.shape[2], a.shape[1] if transpose_a else a.shape[2]
    if batch * pro.M * pro.N == 0:
        return
    if pro.K == 0:
        memset(&y[0, 0, 0], 0, batch * pro.M * pro.N * sizeof(floating))
        return
    plan(&pro, transpose_a, transpose_b, batch, sizeof(floating))
    together = larger(1, smaller(batch, PACKED_BYTES // (pro.packed_size * <Py_ssize_t>sizeof(floating))))
    packed = <floating*>malloc(together * pro.packed_size * sizeof(floating))
    if packed == NULL:
        raise MemoryError(f"matmul: no memory for {together * pro.packed_size * sizeof(floating)} bytes of packed b")
    while first < batch:
        with nogil:
            multiply(&pro, &a[first, 0, 0], &b[first, 0, 0], &y[first, 0, 0], packed, smaller(together, batch - first))
        first += together
    free(packed)


cdef void plan(Product* pro, bint transpose_a, bint transpose_b, Py_ssize_t batch, Py_ssize_t itemsize) noexcept nogil:
    """Strides, and blocks of rows small enough to keep every thread busy."""
    pro.a_row, pro.a_term = 1 if transpose_a else pro.K, pro.M if transpose_a else 1
    pro.b_term, pro.b_column = 1 if transpose_b else pro.N, pro.K if transpose_b else 1
    pro.in_place = not transpose_a and pro.K <= CHAIN
    pro.packed_size = pro.K * round_up(pro.N, lanes_of(itemsize))
    pro.columns, pro.along = TASK_COLUMNS, (pro.N + TASK_COLUMNS - 1) // TASK_COLUMNS
    pro.rows = smaller(TASK_ROWS, round_up(pro.M, TGC_WIDE_ROWS))
    while pro.rows > 2 * TGC_WIDE_ROWS and batch * pro.along * ((pro.M + pro.rows - 1) // pro.rows) < 2 * THREADS:
        pro.rows = round_up(pro.rows // 2, TGC_WIDE_ROWS)
    pro.down = (pro.M + pro.rows - 1) // pro.rows


cdef void multiply(const Product* pro, const floating* a, const floating* b, floating* y, floating* packed,
                   Py_ssize_t batch) noexcept nogil:
    """Pack every b, then compute every block of every y."""
    cdef Py_ssize_t task, block = 2 * lanes_of(sizeof(floating)), blocks = (pro.N + block - 1) // block
    cdef int threads = threads_for(batch * pro.M * pro.K * pro.N)
    for task in prange(batch * blocks, schedule="static", num_threads=threads):
        pack(b + task // blocks * pro.K * pro.N + task % blocks * block * pro.b_column, pro.b_term, pro.b_column, pro.K,
             smaller(block, pro.N - task % blocks * block), packed + task // blocks * pro.packed_size + task % blocks * block * pro.K)
    for task in prange(batch * pro.down * pro.along, schedule="dynamic", num_threads=threads):
        block_task(pro, a, packed, y, task // pro.down // pro.along, task % pro.down * pro.rows, task // pro.down % pro.along * pro.columns)


cdef void block_task(const Product* pro, const floating* a, const floating* packed, floating* y, Py_ssize_t index, Py_ssize_t i0,
                     Py_ssize_t j0) noexcept nogil:
    """The block of y from (i0, j0) on, chain by chain: the chain's part of a, copied to lie densely, meets each block of columns."""
    cdef Py_ssize_t rows = smaller(pro.rows, pro.M - i0), columns = smaller(pro.columns, pro.N - j0), block = 2 * lanes_of(sizeof(floating))
    cdef Py_ssize_t k = 0, length, j, width, i, zero = 0, a_row = pro.a_row, a_term = 1
    cdef Py_ssize_t row[TASK_ROWS + 2 * TGC_NARROW_ROWS]
    cdef Py_ssize_t to[TASK_ROWS + 2 * TGC_NARROW_ROWS]
    cdef floating copy[COPY_ELEMENTS]
    cdef const floating* x
    if not pro.in_place:
        a_row, a_term = 1 if pro.a_row == 1 else COPY_ROW, TASK_ROWS if pro.a_row == 1 else 1
    for i in range(pro.rows + TGC_NARROW_ROWS):
        row[i], to[i] = a_row * i if i < rows else 0, pro.N * i
    a += index * pro.M * pro.K + i0 * pro.a_row
    packed += index * pro.packed_size + j0 * pro.K
    y += (index * pro.M + i0) * pro.N + j0
    while k < pro.K:
        length = smaller(CHAIN, pro.K - k)
        x = a + k * pro.a_term
        if not pro.in_place:
            copy_chain(pro, x, rows, length, copy)
            x = copy
        j = 0
        while j < columns:
            width = smaller(block, columns - j)
            panel(x, row, &zero, 1, length, a_term, packed + j * pro.K + k * round_up(width, lanes_of(sizeof(floating))), y + j, to,
                  rows, width, k > 0)
            j += block
        k += length


cdef void copy_chain(const Product* pro, const floating* a, Py_ssize_t rows, Py_ssize_t terms, floating* copy) noexcept nogil:
    """The rows of one chain of a as they lie: copy[i·COPY_ROW + k], or copy[k·TASK_ROWS + i] of a transposed a, contiguous either way."""
    cdef Py_ssize_t i
    if pro.a_row == 1:
        for i in range(terms):
            memcpy(copy + i * TASK_ROWS, a + i * pro.a_term, rows * sizeof(floating))
    else:
        for i in range(rows):
            memcpy(copy + i * COPY_ROW, a + i * pro.a_row, terms * sizeof(floating))
