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

cdef extern from *:
    void __builtin_prefetch(const void* address, int write, ...) noexcept nogil

# A sum is carried in registers over at most CHAIN terms and then added to memory: the packed lines of one chain (16 KB on AVX2)
# stay in the first-level cache while all rows of a strip pass by, and rounding errors grow with the chain, not with the whole sum.
cdef enum:
    CHAIN = 256


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


cdef inline void register_tile(const int MR, const int NV, const floating* x, const Py_ssize_t* row, const Py_ssize_t* run,
                               Py_ssize_t runs, Py_ssize_t length, Py_ssize_t step, const vector* w, floating* y,
                               const Py_ssize_t* to, Py_ssize_t rows, Py_ssize_t columns, bint add) noexcept nogil:
    """window_tile of runs whose lines lie one after the other."""
    if (floating is float and vector is vector_float) or (floating is double and vector is vector_double):
        window_tile(MR, NV, x, row, run, runs, length, step, w, 0, y, to, rows, columns, add)


cdef inline void window_tile(const int MR, const int NV, const floating* x, const Py_ssize_t* row, const Py_ssize_t* run,
                             Py_ssize_t runs, Py_ssize_t length, Py_ssize_t step, const vector* w, Py_ssize_t skip, floating* y,
                             const Py_ssize_t* to, Py_ssize_t rows, Py_ssize_t columns, bint add) noexcept nogil:
    """One tile of MR rows × NV vectors, both constants at the call: the loops over i and j unroll and `total` is registers.

    `row` must hold MR readable offsets even where rows < MR: the surplus rows are computed and not stored. `skip` lines lie between
    those of one run and the next.
    """
    cdef vector total[TGC_REGISTERS][2]
    cdef vector line[2]
    cdef floating edge[TGC_BYTES]          # at least two vectors: a line of results whose last lanes are not stored
    cdef const floating* cell
    cdef floating* out
    cdef Py_ssize_t lanes = TGC_BYTES // sizeof(floating), r, k, whole
    cdef int i, j
    for i in range(MR):
        if i < rows:
            __builtin_prefetch(y + to[i], 1)       # the result's lines arrive while the sum runs
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
        w += skip * NV
    rows = smaller(rows, MR)
    whole = rows                           # rows that are stored in whole vectors
    if columns < NV * lanes:               # only where what is too much belongs to rows that are stored afterwards
        whole = larger(0, rows - (NV * lanes - 1) // columns) if to[rows - 1] - to[0] == (rows - 1) * columns else 0
    if add:                                # all rows are loaded before the first is stored
        for i in range(MR):
            if i < rows:
                out = y + to[i]
                if i >= whole:
                    for k in range(columns):
                        edge[k] = out[k]
                    out = edge
                for j in range(NV):
                    total[i][j] = total[i][j] + (<vector*>out)[j]
    for i in range(MR):
        if i < rows:
            out = y + to[i]
            if i < whole:
                for j in range(NV):
                    (<vector*>out)[j] = total[i][j]
            else:
                for j in range(NV):
                    (<vector*>edge)[j] = total[i][j]
                for k in range(columns):
                    out[k] = edge[k]


cdef void panel(const floating* x, const Py_ssize_t* row, const Py_ssize_t* run, Py_ssize_t runs, Py_ssize_t length, Py_ssize_t step,
                const floating* w, Py_ssize_t skip, floating* y, const Py_ssize_t* to, Py_ssize_t rows, Py_ssize_t columns,
                bint add) noexcept nogil:
    """All rows of one block of columns (at most two vectors of them), tile by tile; w stays in the first-level cache."""
    cdef Py_ssize_t i = 0
    cdef Py_ssize_t last[TGC_REGISTERS]
    if floating is float:
        lines = <const vector_float*>w
    else:
        lines = <const vector_double*>w
    if columns > lanes_of(sizeof(floating)):
        while i + TGC_WIDE_ROWS <= rows:
            window_tile(TGC_WIDE_ROWS, 2, x, row + i, run, runs, length, step, lines, skip, y, to + i, TGC_WIDE_ROWS, columns, add)
            i += TGC_WIDE_ROWS
        if i < rows:
            fill_up(row + i, rows - i, last)
            window_tile(TGC_WIDE_ROWS, 2, x, last, run, runs, length, step, lines, skip, y, to + i, rows - i, columns, add)
    else:
        while i + TGC_NARROW_ROWS <= rows:
            window_tile(TGC_NARROW_ROWS, 1, x, row + i, run, runs, length, step, lines, skip, y, to + i, TGC_NARROW_ROWS, columns, add)
            i += TGC_NARROW_ROWS
        if i < rows:
            fill_up(row + i, rows - i, last)
            window_tile(TGC_NARROW_ROWS, 1, x, last, run, runs, length, step, lines, skip, y, to + i, rows - i, columns, add)


cdef void fill_up(const Py_ssize_t* row, Py_ssize_t rows, Py_ssize_t* last) noexcept nogil:
    """The rows of a tile that has fewer than it could; the others read what its first row reads."""
    cdef Py_ssize_t i
    for i in range(TGC_REGISTERS):
        last[i] = row[i] if i < rows else row[0]


cdef void pack(const floating* w, Py_ssize_t term_stride, Py_ssize_t column_stride, Py_ssize_t terms, Py_ssize_t columns,
               floating* packed) noexcept nogil:
    """packed[term, lane] = w[term·term_stride + lane·column_stride] for one block of columns; the lanes past them hold whatever lies there.

    The inner loop runs along whichever axis of w is contiguous: columns (a weight as it lies), or terms (its transpose).
    """
    cdef Py_ssize_t width = round_up(columns, lanes_of(sizeof(floating))), begin = 0, end, term, lane
    if column_stride == 1:
        end = (terms - 1) * term_stride + columns - width          # the last element from which a whole line can be read
        end = smaller(terms, end // larger(1, term_stride) + 1) if end >= 0 else 0
        for term in range(end):                                    # constant sizes: one or two vector moves, no call
            if width * <Py_ssize_t>sizeof(floating) == TGC_BYTES:
                memcpy(packed + term * width, w + term * term_stride, TGC_BYTES)
            else:
                memcpy(packed + term * width, w + term * term_stride, 2 * TGC_BYTES)
        for term in range(end, terms):
            for lane in range(columns):
                packed[term * width + lane] = w[term * term_stride + lane]
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
    """All rows and columns; `packed` holds blocks of columns one after the other, each of runs·length lines."""
    windows(x, row, run, runs, length, step, packed, runs * length, 0, length, y, to, rows, columns, add)


cdef void windows(const floating* x, const Py_ssize_t* row, const Py_ssize_t* run, Py_ssize_t runs, Py_ssize_t length, Py_ssize_t step,
                  const floating* packed, Py_ssize_t lines, Py_ssize_t line, Py_ssize_t spacing, floating* y, const Py_ssize_t* to,
                  Py_ssize_t rows, Py_ssize_t columns, bint add) noexcept nogil:
    """All rows and columns, chain by chain: whole runs while they are short, equal pieces of a run that is longer than CHAIN.

    `packed` holds blocks of columns one after the other, `lines` lines each, of which those of run r begin at line + r·spacing. A few
    tiles of rows meet every block of columns before the next rows do, so that lines of y are finished while they are in the cache.
    """
    cdef Py_ssize_t block = 2 * lanes_of(sizeof(floating)), pieces = (length + CHAIN - 1) // CHAIN
    cdef Py_ssize_t together = larger(1, CHAIN // length), piece = (length + pieces - 1) // pieces, r = 0, start, some, i, j, width
    cdef Py_ssize_t many = 8 * TGC_WIDE_ROWS if columns > block else rows
    while r < runs:
        start = 0
        while start < length:
            some = smaller(piece, length - start)
            i = 0
            while i < rows:
                j = 0
                while j < columns:
                    width = smaller(block, columns - j)
                    panel(x + start * step, row + i, run + r, smaller(together, runs - r), some, step,
                          packed + j * lines + (line + r * spacing + start) * round_up(width, lanes_of(sizeof(floating))), spacing - some,
                          y + j, to + i, smaller(many, rows - i), width, add)
                    j += block
                i += many
            start += piece
            add = True
        r += together
