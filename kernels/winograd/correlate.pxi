# winograd_forward and winograd_grad_input: a thread takes a block of tiles through all three stages before it takes the next,
#
#     values[36][tile][c] = Bᵀ d B            36 products  sums[i] = values[i] · filters[i]            y = Aᵀ sums A
#
# so that values and sums stay in its second-level cache; only x, y and the filters pass through it. The products are tile.pxi's: rows are
# tiles, columns output channels, and the sum runs along c.

cdef enum:
    BLOCK_BYTES = 393216      # of values and sums of one block
    LEAST_TILES = 12          # in a block: two tiles of tile.pxi
    GROUP_COLUMNS = 64        # output channels whose sums are kept at a time


cdef struct Blocks:
    Tiles tiles
    Py_ssize_t together, group                    # tiles of a block, output channels whose sums are kept at a time
    Py_ssize_t value_pitch, sum_pitch, filter_pitch      # elements from one of the 36 matrices to the next
    Py_ssize_t packed_size, table_bytes, scratch_size    # elements of the filters, of one thread's scratch


cdef Blocks divide(Tiles tiles, Py_ssize_t itemsize) noexcept nogil:
    """How the tiles are cut into blocks: by shape only."""
    cdef Blocks blocks
    cdef Py_ssize_t fits
    blocks.tiles = tiles
    blocks.group = smaller(tiles.width, GROUP_COLUMNS)
    fits = BLOCK_BYTES // (POINTS * (tiles.depth + blocks.group) * itemsize)
    blocks.together = larger(LEAST_TILES, smaller(fits, (tiles.count + 7) // 8)) // TGC_WIDE_ROWS * TGC_WIDE_ROWS
    blocks.value_pitch = uneven(blocks.together * tiles.depth, itemsize)
    blocks.sum_pitch = uneven(blocks.together * blocks.group, itemsize)
    blocks.filter_pitch = uneven(tiles.C * tiles.width, itemsize)
    blocks.packed_size = POINTS * blocks.filter_pitch if tiles.C > 0 else 0
    blocks.table_bytes = round_up((2 * (blocks.together + TGC_NARROW_ROWS) + 1) * sizeof(Py_ssize_t), 64)
    blocks.scratch_size = POINTS * (blocks.value_pitch + blocks.sum_pitch) + round_up(larger(tiles.depth, tiles.width), 64)
    return blocks


cdef inline Py_ssize_t uneven(Py_ssize_t size, Py_ssize_t itemsize) noexcept nogil:
    """At least `size`, and an odd number of cache lines: 36 stores that far apart do not meet in the same few lines of the cache."""
    cdef Py_ssize_t line = 64 // itemsize
    return (round_up(size, line) // line | 1) * line


cdef Py_ssize_t workspace_bytes(const Blocks* blocks, Py_ssize_t itemsize, Py_ssize_t threads) noexcept nogil:
    """Two tables of tiles, and each thread's scratch: values, sums, and a line of zeros that is written too."""
    return blocks.table_bytes + threads * blocks.scratch_size * itemsize


cdef void correlate(const Blocks* blocks, const floating* x, const floating* packed, floating* y, const Finish* last,
                    unsigned char* workspace, Py_ssize_t workspace_size) noexcept nogil:
    """All blocks of tiles."""
    cdef Py_ssize_t block, i, count = blocks.together + TGC_NARROW_ROWS
    cdef Py_ssize_t* table = <Py_ssize_t*>workspace
    cdef floating* scratch = <floating*>(workspace + blocks.table_bytes)
    cdef int threads = smaller(threads_for(blocks.tiles.count * POINTS * blocks.tiles.C * blocks.tiles.O),
                               (workspace_size - blocks.table_bytes) // (blocks.scratch_size * sizeof(floating)))
    for i in range(count):
        table[i] = i * blocks.tiles.depth if i < blocks.together else 0
        table[count + i] = i * blocks.group
    table[2 * count] = 0
    for block in prange((blocks.tiles.count + blocks.together - 1) // blocks.together, schedule="dynamic", num_threads=threads):
        block_task(blocks, x, packed, y, last, table, scratch + threadid() * blocks.scratch_size, block * blocks.together)


cdef void block_task(const Blocks* blocks, const floating* x, const floating* packed, floating* y, const Finish* last,
                     const Py_ssize_t* table, floating* values, Py_ssize_t first) noexcept nogil:
    """Tiles first, … of one block: values, and then sums and results for one group of output channels after the other."""
    cdef const Tiles* tiles = &blocks.tiles
    cdef floating* sums = values + POINTS * blocks.value_pitch
    cdef floating* line = sums + POINTS * blocks.sum_pitch
    cdef Py_ssize_t count = smaller(blocks.together, tiles.count - first), rows = blocks.together + TGC_NARROW_ROWS, o = 0, columns, i
    memset(line, 0, tiles.depth * sizeof(floating))
    read_patches(tiles, x, first, count, values, blocks.value_pitch, line)
    while o < tiles.O:
        columns = smaller(blocks.group, tiles.O - o)
        for i in range(POINTS):
            product(values + i * blocks.value_pitch, table, table + 2 * rows, 1, tiles.C, 1, packed + i * blocks.filter_pitch + o * tiles.C,
                    sums + i * blocks.sum_pitch, table + rows, count, columns, False)
        write_tiles(tiles, y, last, first, count, sums, blocks.group, blocks.sum_pitch, o, columns, line)
        o += blocks.group


cdef enum:
    TERMS = 16                # input channels whose filters are transformed at a time


cdef void pack_filters(const Blocks* blocks, const floating* w, floating* packed) noexcept nogil:
    """packed[36][block of columns][c][column] = G w Gᵀ, in parallel over blocks of columns and chunks of c."""
    cdef const Tiles* tiles = &blocks.tiles
    cdef Py_ssize_t block = 2 * lanes_of(sizeof(floating)), chunks = (tiles.C + TERMS - 1) // TERMS, task
    cdef int threads = threads_for(POINTS * tiles.C * tiles.O)
    for task in prange((tiles.O + block - 1) // block * chunks, schedule="static", num_threads=threads):
        pack_block(tiles, w, packed, blocks.filter_pitch, task // chunks * block, task % chunks * TERMS)


cdef void pack_block(const Tiles* tiles, const floating* w, floating* packed, Py_ssize_t pitch, Py_ssize_t o, Py_ssize_t c) noexcept nogil:
    """At most TERMS input channels of one block of columns: nine taps gathered as lines of columns, then transformed line by line."""
    cdef floating tap[9 * TERMS * TGC_BYTES]
    cdef Py_ssize_t lanes = lanes_of(sizeof(floating)), terms = smaller(TERMS, tiles.C - c), columns = smaller(2 * lanes, tiles.O - o), i
    cdef Py_ssize_t width = round_up(columns, lanes)
    for i in range(9):
        pack(w + tiles.w0 + i * tiles.w_tap + c * tiles.w_c + o * tiles.w_o, tiles.w_c, tiles.w_o, terms, columns, tap + i * TERMS * width)
    packed += o * tiles.C + c * width
    for i in range(terms * width // lanes):
        if floating is float:
            transform_filter(<const vector_float*>tap + i, TERMS * width // lanes, <vector_float*>packed + i, pitch // lanes)
        else:
            transform_filter(<const vector_double*>tap + i, TERMS * width // lanes, <vector_double*>packed + i, pitch // lanes)
