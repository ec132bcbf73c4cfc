# winograd_grad_weight: the transposed algorithm. The sum over tiles is the long one, so the 36 products turn round,
#
#     sums[36][c, o] = Σ_tiles values[36][tile, c] · lines[36][tile, o],     values = Bᵀ d B,  lines = A e Aᵀ,     w = Gᵀ sums G
#
# Few channels: the sums of all of them stay in a second-level cache, so a task takes a chunk of the tiles through everything, a block of
# tiles at a time, into a w of its own; these are added in order. Many channels: a round transforms a block of tiles, all threads together;
# then a task multiplies for some rows c and columns o of all 36 matrices and adds the transform of its sums to w. Either way nothing but
# x, g and w goes through memory, and the shape alone says which terms are added in which order.

cdef enum:
    SMALL_BYTES = 163840      # of all sums, for the first way
    CHUNK_BYTES = 262144      # of values and lines of a block, in the first way: the second-level cache holds them and the sums
    ROUND_BYTES = 2097152     # and in the second way: writing 36 streams is slow where they go to memory
    PIECE_TILES = 96          # whose values and lines of one task stay in the first-level cache
    CHUNKS = 16               # of tiles, in the first way
    BLOCK_TILES = 256         # at most in a block
    SUM_ROWS = 48             # at most, and columns, of the sums of a task, in the second way
    SUM_COLUMNS = 32
    TASK_TILES = 8            # transformed by one task, in the second way


cdef struct Outer:
    Tiles tiles
    Py_ssize_t block, chunks                              # tiles of a block; chunks of tiles, or 0 for the second way
    Py_ssize_t rows, columns, down, along                 # of the sums of a task; tasks down and along the matrices
    Py_ssize_t value_pitch, line_pitch, sum_pitch         # elements from one of the 36 matrices to the next
    Py_ssize_t partial_size, block_size, sums_size, zeros_size, table_bytes


cdef Outer outer_plan(const Window* win, Py_ssize_t itemsize) noexcept nogil:
    """How the tiles are cut into blocks and the sums into tasks: by shape only."""
    cdef Outer outer
    cdef Py_ssize_t line = 64 // itemsize, fits
    outer.tiles = forward_tiles(win, itemsize)
    if outer.tiles.depth * itemsize % 256 == 0:
        outer.tiles.depth += line        # a sum walks from tile to tile, which must not all fall into the same few lines of the cache
    outer.chunks = 0
    outer.down, outer.along = (win.C + SUM_ROWS - 1) // SUM_ROWS, (win.O + SUM_COLUMNS - 1) // SUM_COLUMNS
    outer.rows, outer.columns = round_up((win.C + outer.down - 1) // larger(1, outer.down), TGC_WIDE_ROWS), SUM_COLUMNS
    fits = ROUND_BYTES // (POINTS * (outer.tiles.depth + outer.tiles.width) * itemsize)
    outer.block = larger(4 * TASK_TILES, smaller(fits, BLOCK_TILES)) // TASK_TILES * TASK_TILES
    if POINTS * win.C * outer.tiles.width * itemsize <= SMALL_BYTES:
        outer.chunks = larger(1, smaller(CHUNKS, outer.tiles.count // 16))
        outer.down, outer.along, outer.rows, outer.columns = 1, 1, win.C, outer.tiles.width
        fits = CHUNK_BYTES // (POINTS * (outer.tiles.depth + outer.tiles.width) * itemsize)
        outer.block = larger(1, smaller(fits, smaller(BLOCK_TILES, (outer.tiles.count + outer.chunks - 1) // outer.chunks)))
    outer.block = larger(1, smaller(outer.block, outer.tiles.count))
    outer.value_pitch = uneven(outer.block * outer.tiles.depth, itemsize)
    outer.line_pitch = uneven(outer.block * outer.tiles.width, itemsize)
    outer.sum_pitch = uneven(outer.rows * outer.columns, itemsize)
    outer.partial_size = round_up(9 * win.C * win.O, line)
    outer.block_size, outer.sums_size = POINTS * (outer.value_pitch + outer.line_pitch), POINTS * outer.sum_pitch
    outer.zeros_size = round_up(larger(outer.tiles.depth, outer.tiles.width), line)
    outer.table_bytes = round_up((2 * (outer.rows + TGC_NARROW_ROWS) + 1) * sizeof(Py_ssize_t), 64)
    return outer


cdef Py_ssize_t shared_bytes(const Outer* outer, Py_ssize_t itemsize) noexcept nogil:
    """Two tables of rows, a line of zeros, and the w of each chunk or one block."""
    return outer.table_bytes + (outer.zeros_size + (outer.chunks * outer.partial_size if outer.chunks else outer.block_size)) * itemsize


cdef Py_ssize_t scratch_bytes(const Outer* outer, Py_ssize_t itemsize) noexcept nogil:
    """Of each thread: the sums of a task, and its block of tiles."""
    return (outer.sums_size + (outer.block_size if outer.chunks else 0)) * itemsize


cdef void sum_outer(const Outer* outer, const floating* x, const floating* g, floating* w, unsigned char* workspace,
                    Py_ssize_t workspace_size) noexcept nogil:
    """Every chunk and then their sum in order, or every round."""
    cdef Py_ssize_t task, i, count = outer.rows + TGC_NARROW_ROWS, size = 9 * outer.tiles.C * outer.tiles.O, first = 0, have
    cdef Py_ssize_t* table = <Py_ssize_t*>workspace
    cdef floating* zeros = <floating*>(workspace + outer.table_bytes)
    cdef floating* shared = zeros + outer.zeros_size
    cdef unsigned char* scratch = workspace + shared_bytes(outer, sizeof(floating))
    cdef Py_ssize_t each = scratch_bytes(outer, sizeof(floating))
    cdef int threads = smaller(threads_for(outer.tiles.count * POINTS * outer.tiles.C * outer.tiles.O),
                               (workspace_size - shared_bytes(outer, sizeof(floating))) // each)
    for i in range(count):
        table[i] = i if i < outer.rows else 0
        table[count + i] = i * outer.columns
    table[2 * count] = 0
    memset(zeros, 0, outer.zeros_size * sizeof(floating))
    if outer.chunks > 0:
        for task in prange(outer.chunks, schedule="dynamic", num_threads=threads):
            chunk_task(outer, x, g, shared + task * outer.partial_size, table, zeros, <floating*>(scratch + threadid() * each), task)
        memcpy(w, shared, size * sizeof(floating))
        for task in range(1, outer.chunks):
            for i in range(size):
                w[i] = w[i] + shared[task * outer.partial_size + i]
        return
    while first < outer.tiles.count:
        have = smaller(outer.block, outer.tiles.count - first)
        for task in prange((have + TASK_TILES - 1) // TASK_TILES, schedule="dynamic", num_threads=threads):
            read_block(outer, x, g, shared, zeros, first, task * TASK_TILES, smaller(TASK_TILES, have - task * TASK_TILES), have)
        for task in prange(outer.down * outer.along, schedule="dynamic", num_threads=threads):
            sum_task(outer, shared, w, table, <floating*>(scratch + threadid() * each), have, task, first > 0)
        first += have


cdef void chunk_task(const Outer* outer, const floating* x, const floating* g, floating* w, const Py_ssize_t* table, const floating* zeros,
                     floating* sums, Py_ssize_t chunk) noexcept nogil:
    """The first way: w of one chunk of tiles, block by block."""
    cdef Py_ssize_t begin = chunk * outer.tiles.count // outer.chunks, end = (chunk + 1) * outer.tiles.count // outer.chunks
    cdef Py_ssize_t first = begin, have
    cdef floating* block = sums + outer.sums_size
    while first < end:
        have = smaller(outer.block, end - first)
        read_block(outer, x, g, block, zeros, first, 0, have, have)
        add_sums(outer, block, table, sums, have, 0, 0, outer.tiles.C, outer.tiles.O, first > begin)
        first += have
    write_weights(outer, sums, w, outer.tiles.C, outer.tiles.O, False)


cdef void sum_task(const Outer* outer, const floating* block, floating* w, const Py_ssize_t* table, floating* sums, Py_ssize_t have,
                   Py_ssize_t task, bint add) noexcept nogil:
    """The second way: the sums of one round for some rows and columns of all 36 matrices, and their transform added to w."""
    cdef Py_ssize_t c = task // outer.along * outer.rows, o = task % outer.along * outer.columns
    cdef Py_ssize_t rows = smaller(outer.rows, outer.tiles.C - c), columns = smaller(outer.columns, outer.tiles.O - o)
    if rows > 0:
        add_sums(outer, block, table, sums, have, c, o, rows, columns, False)
        write_weights(outer, sums, w + c * outer.tiles.O + o, rows, columns, add)


cdef void add_sums(const Outer* outer, const floating* block, const Py_ssize_t* table, floating* sums, Py_ssize_t have, Py_ssize_t c,
                   Py_ssize_t o, Py_ssize_t rows, Py_ssize_t columns, bint add) noexcept nogil:
    """sums[36] (+)= Σ_tiles values · lines for some rows and columns, few tiles at a time, so both stay in the first-level cache."""
    cdef Py_ssize_t count = outer.rows + TGC_NARROW_ROWS, width = 2 * lanes_of(sizeof(floating)), point, j, begin, piece
    cdef const floating* values
    cdef const floating* lines
    for point in range(POINTS):
        values = block + point * outer.value_pitch + c
        lines = block + POINTS * outer.value_pitch + point * outer.line_pitch + o * have
        begin = 0
        while begin < have:
            piece = smaller(PIECE_TILES, have - begin)
            j = 0
            while j < columns:
                product(values + begin * outer.tiles.depth, table, table + 2 * count, 1, piece, outer.tiles.depth,
                        lines + j * have + begin * round_up(smaller(width, columns - j), lanes_of(sizeof(floating))),
                        sums + point * outer.sum_pitch + j, table + count, rows, smaller(width, columns - j), add or begin > 0)
                j += width
            begin += piece


cdef void write_weights(const Outer* outer, const floating* sums, floating* w, Py_ssize_t rows, Py_ssize_t columns,
                        bint add) noexcept nogil:
    """w (+)= Gᵀ u G of some rows and columns of the sums u."""
    cdef Py_ssize_t row
    for row in range(rows):
        if floating is float:
            write_taps(<const vector_float*>(sums + row * outer.columns), outer.sum_pitch, w + row * outer.tiles.O,
                       outer.tiles.C * outer.tiles.O, columns, add)
        else:
            write_taps(<const vector_double*>(sums + row * outer.columns), outer.sum_pitch, w + row * outer.tiles.O,
                       outer.tiles.C * outer.tiles.O, columns, add)


cdef void read_block(const Outer* outer, const floating* x, const floating* g, floating* values, const floating* zeros, Py_ssize_t first,
                     Py_ssize_t begin, Py_ssize_t count, Py_ssize_t have) noexcept nogil:
    """Values and lines of `count` tiles, from `begin` on, of a block that has `have` tiles: first, first + 1, …"""
    read_patches(&outer.tiles, x, first + begin, count, values + begin * outer.tiles.depth, outer.value_pitch, zeros)
    read_cotangents(&outer.tiles, g, first + begin, count, values + POINTS * outer.value_pitch, outer.line_pitch, begin, have, zeros)


cdef void read_cotangents(const Tiles* tiles, const floating* g, Py_ssize_t first, Py_ssize_t count, floating* lines, Py_ssize_t pitch,
                          Py_ssize_t begin, Py_ssize_t have, const floating* zeros) noexcept nogil:
    """lines[36][block of columns][tile][column] = A e Aᵀ of the tiles e of g: packed as tile.pxi reads them, `have` tiles to a block."""
    cdef floating* cell[TILE * TILE]
    cdef floating* tail[TILE * TILE]
    cdef floating copy[TILE * TILE * TGC_BYTES]
    cdef floating** source
    cdef floating* to
    cdef Py_ssize_t lanes = lanes_of(sizeof(floating)), tile, n, ty, tx, channel, block, width, at
    for tile in range(first, first + count):
        n, ty, tx = tile // (tiles.down * tiles.along), tile // tiles.along % tiles.down, tile % tiles.along
        point(TILE, cell, g + n * tiles.OH * tiles.OW * tiles.O, tiles.OH, tiles.OW, tiles.O, TILE * ty, TILE * tx, zeros)
        channel = 0
        while channel < tiles.O:
            block = channel // (2 * lanes) * 2 * lanes
            width = smaller(2 * lanes, tiles.width - block)
            to = lines + block * have + (begin + tile - first) * width + channel - block
            source, at = cell, channel
            if channel + lanes > tiles.O:
                point_at_tail(TILE * TILE, cell, channel, tiles.O, copy, tail)
                source, at = tail, 0
            if floating is float:
                transform_cotangent(source, at, <vector_float*>to, pitch // lanes)
            else:
                transform_cotangent(source, at, <vector_double*>to, pitch // lanes)
            channel += lanes


cdef inline void write_taps(const vector* sums, Py_ssize_t pitch, floating* w, Py_ssize_t distance, Py_ssize_t columns,
                            bint add) noexcept nogil:
    """w[tap·distance + column] (+)= Gᵀ u G for one row of columns of the sums u."""
    cdef vector tap[9]
    cdef Py_ssize_t lanes = lanes_of(sizeof(floating)), column = 0, i, k
    cdef floating* to
    while column < columns:
        transform_weight(sums + column // lanes, pitch // lanes, tap, 1)
        for i in range(9):
            to = w + i * distance + column
            if column + lanes <= columns:
                (<vector*>to)[0] = (<vector*>to)[0] + tap[i] if add else tap[i]
            else:
                for k in range(columns - column):
                    to[k] = to[k] + (<floating*>&tap[i])[k] if add else (<floating*>&tap[i])[k]
        column += lanes
