# The micro-kernel of convolution and matmul: a tile of the result stays in registers while a long sum runs through it.
#
#     y[to[i] + j] (+)= Σ_r Σ_k  x[row[i] + run[r] + k·step] · w[r·length + k, j]         i < rows, j < columns
#
# Rows i are output pixels and columns j output channels (convolution), rows and columns (matmul), or taps and output channels
# (grad-weight: the sum then runs over pixels). x is read in place, one broadcast element per row and term; `row`, `run` and
# `step` say where, so windows are gathered by addresses and never laid out in memory. w comes packed: each term is one
# contiguous line of one or two vectors, loaded once and used for all rows of the tile.

cdef extern from "vector.h":
    enum: TGC_WIDE_ROWS      # rows of a tile two vectors wide
    enum: TGC_NARROW_ROWS    # rows of a tile one vector wide

ctypedef fused vector:
    vector_float
    vector_double

# A sum is carried in registers over at most CHAIN terms and then added to memory: the packed lines of one chain (16 KB on AVX2)
# stay in the first-level cache while all rows of a strip pass by, and rounding errors grow with the chain, not with the whole sum.
cdef enum:
    CHAIN = 256


cdef inline void register_tile(const int MR, const int NV, const floating* x, const Py_ssize_t* row, const Py_ssize_t* run,
                               Py_ssize_t runs, Py_ssize_t length, Py_ssize_t step, const vector* w, floating* y,
                               const Py_ssize_t* to, Py_ssize_t rows, Py_ssize_t columns, bint add) noexcept nogil:
    """One tile of MR rows × NV vectors, both constants at the call: the loops over i and j unroll and `total` is registers.

    `row` must hold MR readable offsets even where rows < MR: the surplus rows are computed and not stored.
    """
    cdef vector total[TGC_REGISTERS][2]
    cdef vector line[2]
    cdef floating edge[TGC_BYTES]          # at least two vectors: a line of results whose last lanes are not stored
    cdef const floating* cell
    cdef floating* out
    cdef Py_ssize_t lanes = TGC_BYTES // sizeof(floating), r, k
    cdef int i, j
    for k in range(lanes):
        edge[k] = 0
    for i in range(MR):
        for j in range(NV):
            total[i][j] = (<vector*>edge)[0]
    for r in range(runs):
        cell = x + run[r]
        for k in range(length):
            for j in range(NV):
                line[j] = w[j]
            w += NV
            for i in range(MR):
                for j in range(NV):
                    total[i][j] = total[i][j] + cell[row[i]] * line[j]
            cell += step
    for i in range(MR):
        if i < rows:
            out = y + to[i]
            if columns == NV * lanes:
                for j in range(NV):
                    if add:
                        total[i][j] = total[i][j] + (<vector*>out)[j]
                    (<vector*>out)[j] = total[i][j]
            else:
                for j in range(NV):
                    (<vector*>edge)[j] = total[i][j]
                for k in range(columns):
                    out[k] = out[k] + edge[k] if add else edge[k]


cdef void panel(const floating* x, const Py_ssize_t* row, const Py_ssize_t* run, Py_ssize_t runs, Py_ssize_t length, Py_ssize_t step,
                const floating* w, floating* y, const Py_ssize_t* to, Py_ssize_t rows, Py_ssize_t columns, bint add) noexcept nogil:
    """All rows of one block of columns (at most two vectors of them), tile by tile; w stays in the first-level cache.

    `row` must be readable up to the next multiple of the tile's rows.
    """
    cdef Py_ssize_t i = 0
    if columns > TGC_BYTES // <Py_ssize_t>sizeof(floating):
        while i < rows:
            if floating is float:
                register_tile(TGC_WIDE_ROWS, 2, x, row + i, run, runs, length, step, <const vector_float*>w, y, to + i, rows - i, columns, add)
            else:
                register_tile(TGC_WIDE_ROWS, 2, x, row + i, run, runs, length, step, <const vector_double*>w, y, to + i, rows - i, columns, add)
            i += TGC_WIDE_ROWS
    else:
        while i < rows:
            if floating is float:
                register_tile(TGC_NARROW_ROWS, 1, x, row + i, run, runs, length, step, <const vector_float*>w, y, to + i, rows - i, columns, add)
            else:
                register_tile(TGC_NARROW_ROWS, 1, x, row + i, run, runs, length, step, <const vector_double*>w, y, to + i, rows - i, columns, add)
            i += TGC_NARROW_ROWS


cdef inline Py_ssize_t smaller(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return a if a < b else b


cdef inline Py_ssize_t larger(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return a if a > b else b


cdef inline Py_ssize_t round_up(Py_ssize_t size, Py_ssize_t unit) noexcept nogil:
    """The next multiple of `unit`."""
    return (size + unit - 1) // unit * unit


cdef inline Py_ssize_t lanes_of(Py_ssize_t itemsize) noexcept nogil:
    """Elements in one vector; a block of columns is two of them, and a last one that fits into one vector is one."""
    return TGC_BYTES // itemsize


cdef void pack(const floating* w, Py_ssize_t term_stride, Py_ssize_t column_stride, Py_ssize_t terms, Py_ssize_t columns,
               floating* packed) noexcept nogil:
    """One block of at most two vectors of columns: packed[term, lane] = w[term·term_stride + lane·column_stride], zero in lanes past `columns`.

    The inner loop runs along whichever axis of w is contiguous: columns (a weight as it lies), or terms (its transpose).
    """
    cdef Py_ssize_t width = round_up(columns, lanes_of(sizeof(floating))), begin = 0, end, term, lane
    if column_stride == 1:
        for term in range(terms):
            memcpy(packed + term * width, w + term * term_stride, columns * sizeof(floating))
            for lane in range(columns, width):
                packed[term * width + lane] = 0
        return
    while begin < terms:                       # 64 terms at a time, so that the lines being written stay in the cache
        end = smaller(begin + 64, terms)
        for lane in range(columns):
            for term in range(begin, end):
                packed[term * width + lane] = w[term * term_stride + lane * column_stride]
        for lane in range(columns, width):
            for term in range(begin, end):
                packed[term * width + lane] = 0
        begin = end


cdef void product(const floating* x, const Py_ssize_t* row, const Py_ssize_t* run, Py_ssize_t runs, Py_ssize_t length, Py_ssize_t step,
                  const floating* packed, floating* y, const Py_ssize_t* to, Py_ssize_t rows, Py_ssize_t columns, bint add) noexcept nogil:
    """All rows and columns, chain by chain: whole runs while they are short, equal pieces of a run that is longer than CHAIN.

    `packed` holds blocks of columns one after the other, each runs·length terms long.
    """
    cdef Py_ssize_t block = 2 * lanes_of(sizeof(floating)), terms = runs * length, together, piece, r = 0, start, count, width, j
    together = larger(1, CHAIN // larger(1, length))
    piece = length if length <= CHAIN else (length + (length + CHAIN - 1) // CHAIN - 1) // ((length + CHAIN - 1) // CHAIN)
    while r < runs:
        count = smaller(together, runs - r)
        start = 0
        while start < length:
            j = 0
            while j < columns:
                width = round_up(smaller(block, columns - j), lanes_of(sizeof(floating)))
                panel(x + start * step, row, run + r, count, smaller(piece, length - start), step,
                      packed + j * terms + (r * length + start) * width, y + j, to, rows, smaller(block, columns - j), add)
                j += block
            start += piece
            add = True
        r += count
