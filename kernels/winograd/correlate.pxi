# winograd_forward and winograd_grad_input: 36 products between two transforms,
#
#     values[36][tile][c] = Bᵀ d B            sums[i] = values[i] · filters[i]            y = Aᵀ sums A
#
# The products are tile.pxi's: rows are tiles, columns output channels, and the sum runs along c. Few channels: the filters stay in the
# cache, and a thread takes a block of tiles through all three stages before it takes the next, so that values and sums stay in its
# second-level cache and only x and y go through memory. Many channels (rounds.pxi): the filters are what is large, and are read once.

cdef enum:
    BLOCK_BYTES = 393216      # of values and sums of one block
    LEAST_TILES = 14          # in a block: one tile of tile.pxi with 32 registers, two with 16
    GROUP_COLUMNS = 64        # output channels whose sums are kept at a time


cdef struct Blocks:
    Tiles tiles
    Py_ssize_t round                              # tiles of a round, or 0 where blocks are independent
    Py_ssize_t together, group                    # tiles of a block or task, output channels whose sums are kept at a time
    Py_ssize_t terms                              # input channels whose filters are transformed on the way, or 0 where they are packed
    Py_ssize_t value_pitch, sum_pitch, filter_pitch      # elements from one of the 36 matrices to the next
    Py_ssize_t packed_size, table_bytes, shared_size, scratch_size    # elements of the filters, of all threads', of one thread's scratch


cdef Blocks divide(Tiles tiles, bint packs, Py_ssize_t itemsize) noexcept nogil:
    """How the tiles are cut into blocks: by shape only. `packs`: the filters are transformed in each call."""
    cdef Blocks blocks
    cdef Py_ssize_t fits
    blocks.tiles = tiles
    blocks.filter_pitch = uneven(tiles.C * tiles.width, itemsize)
    blocks.packed_size = POINTS * blocks.filter_pitch if tiles.C > 0 else 0
    if blocks.packed_size * itemsize >= LARGE_BYTES:
        divide_rounds(&blocks, packs, itemsize)
    else:
        blocks.round, blocks.terms = 0, 0
        blocks.group = smaller(tiles.width, GROUP_COLUMNS)
        fits = BLOCK_BYTES // (POINTS * (tiles.depth + blocks.group) * itemsize)
        blocks.together = larger(LEAST_TILES, smaller(fits, (tiles.count + 7) // 8)) // TGC_WIDE_ROWS * TGC_WIDE_ROWS
        blocks.value_pitch = uneven(blocks.together * tiles.depth, itemsize)
        blocks.sum_pitch = uneven(blocks.together * blocks.group, itemsize)
        blocks.shared_size = 0
        blocks.scratch_size = POINTS * (blocks.value_pitch + blocks.sum_pitch) + round_up(larger(tiles.depth, tiles.width), 64)
    blocks.table_bytes = round_up((2 * (blocks.together + TGC_NARROW_ROWS) + 1) * sizeof(Py_ssize_t), 64)
    return blocks


cdef inline Py_ssize_t uneven(Py_ssize_t size, Py_ssize_t itemsize) noexcept nogil:
    """At least `size`, and an odd number of cache lines: 36 stores that far apart do not meet in the same few lines of the cache."""
    cdef Py_ssize_t line = 64 // itemsize
    return (round_up(size, line) // line | 1) * line


cdef Py_ssize_t workspace_bytes(const Blocks* blocks, Py_ssize_t itemsize, Py_ssize_t threads) noexcept nogil:
    """Two tables of tiles, what the threads share, and each thread's scratch."""
    return blocks.table_bytes + (blocks.shared_size + threads * blocks.scratch_size) * itemsize


cdef void correlate(const Blocks* blocks, const floating* x, const floating* packed, const floating* w, floating* y, const Finish* last,
                    unsigned char* workspace, Py_ssize_t workspace_size) noexcept nogil:
    """All blocks of tiles, or all rounds; w where the filters are transformed on the way."""
    cdef Py_ssize_t block, i, count = blocks.together + TGC_NARROW_ROWS
    cdef Py_ssize_t* table = <Py_ssize_t*>workspace
    cdef floating* shared = <floating*>(workspace + blocks.table_bytes)
    cdef floating* scratch = shared + blocks.shared_size
    cdef int threads = smaller(threads_for(blocks.tiles.count * POINTS * blocks.tiles.C * blocks.tiles.O),
                               (workspace_size - workspace_bytes(blocks, sizeof(floating), 0)) // (blocks.scratch_size * sizeof(floating)))
    for i in range(count):
        table[i] = i * blocks.tiles.depth if i < blocks.together else 0
        table[count + i] = i * blocks.group
    table[2 * count] = 0
    if blocks.round > 0:
        correlate_rounds(blocks, x, packed, w, y, last, table, shared, scratch, threads)
        return
    for block in prange((blocks.tiles.count + blocks.together - 1) // blocks.together, schedule="dynamic", num_threads=threads):
        block_task(blocks, x, packed, y, last, table, scratch + threadid() * blocks.scratch_size, block * blocks.together)


cdef void block_task(const Blocks* blocks, const floating* x, const floating* packed, floating* y, const Finish* last,
                     const Py_ssize_t* table, floating* values, Py_ssize_t first) noexcept nogil:
    """Tiles first, … of one block: values, and then sums and results for one group of output channels after the other."""
    cdef const Tiles* tiles = &blocks.tiles
    cdef floating* sums = values + POINTS * blocks.value_pitch
    cdef floating* line = sums + POINTS * blocks.sum_pitch             # zeros, and afterwards for what is not written
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
