# The second way of correlate.pxi, for many channels: the transformed filters are larger than a second-level cache, those of 512 × 512
# channels (38 MB) larger than a third-level one, so that reading them costs as much as multiplying, if each block of tiles does it.
#
# Here all threads together transform the patches of a round of tiles. A task then takes some output channels through all 36 products and
# the transform of their sums, which its second-level cache holds: filters are read once in a round, the values (from the third-level
# cache) once per task. Where the filters are not packed, a task transforms those of a few input channels at a time and multiplies at once,
# so that they never are in memory at all.

cdef enum:
    LARGE_BYTES = 6291456     # of filters, from which on rounds are faster
    ROUND_VALUES = 8388608    # bytes of the values of a round
    TASK_COLUMNS = 32         # output channels of a task (at least a block of columns)
    TASK_SUMS = 294912        # bytes of a task's sums
    ONCE_TILES = 112          # most tiles for which filters are transformed on the way
    ONCE_SUMS = 294912        # bytes of a task's sums then,
    ONCE_TERMS = 64           # input channels whose filters are transformed at a time
    PATCH_TASK = 4            # tiles whose patches one task transforms


cdef void divide_rounds(Blocks* blocks, bint packs, Py_ssize_t itemsize) noexcept nogil:
    """Rounds, tasks and their scratch."""
    cdef Py_ssize_t count = blocks.tiles.count, most
    if blocks.tiles.depth * itemsize % 256 == 0:
        blocks.tiles.depth += 64 // itemsize       # six rows are read side by side: they must not fall into the same lines of the cache
    blocks.terms = ONCE_TERMS if packs and count <= ONCE_TILES else 0
    most = ROUND_VALUES // (POINTS * blocks.tiles.depth * itemsize)
    blocks.round = evenly(count, count if blocks.terms else most)
    blocks.group = smaller(blocks.tiles.width, larger(TASK_COLUMNS, 2 * lanes_of(itemsize)))
    most = (ONCE_SUMS if blocks.terms else TASK_SUMS) // (POINTS * blocks.group * itemsize)
    if blocks.terms and blocks.round > most:       # a task has all tiles, so that filters are transformed once
        blocks.group = 2 * lanes_of(itemsize)
        most = blocks.round
    blocks.together = evenly(blocks.round, most)
    blocks.value_pitch = uneven(blocks.round * blocks.tiles.depth, itemsize)
    blocks.sum_pitch = uneven(blocks.together * blocks.group, itemsize)
    blocks.shared_size = POINTS * blocks.value_pitch + round_up(blocks.tiles.depth, 64)
    blocks.scratch_size = POINTS * (blocks.sum_pitch + chunk_pitch(blocks, itemsize)) + round_up(blocks.tiles.width, 64)


cdef inline Py_ssize_t evenly(Py_ssize_t count, Py_ssize_t most) noexcept nogil:
    """The size of equal parts of `count` tiles, at most about `most` each, in whole tiles of tile.pxi."""
    cdef Py_ssize_t parts = larger(1, (count + larger(most, 1) - 1) // larger(most, 1))
    return larger(1, round_up((count + parts - 1) // parts, TGC_WIDE_ROWS))


cdef inline Py_ssize_t chunk_pitch(const Blocks* blocks, Py_ssize_t itemsize) noexcept nogil:
    """Elements from one of the 36 matrices of filters to the next, where a task transforms them."""
    return uneven(blocks.terms * blocks.group, itemsize) if blocks.terms else 0


cdef void correlate_rounds(const Blocks* blocks, const floating* x, const floating* packed, const floating* w, floating* y,
                           const Finish* last, const Py_ssize_t* table, floating* values, floating* scratch, int threads) noexcept nogil:
    """All rounds: patches, then tasks; those of the same output channels follow each other and find the filters in the cache."""
    cdef const Tiles* tiles = &blocks.tiles
    cdef floating* zeros = values + POINTS * blocks.value_pitch
    cdef Py_ssize_t first = 0, have, task, parts
    memset(zeros, 0, tiles.depth * sizeof(floating))
    while first < tiles.count:
        have = smaller(blocks.round, tiles.count - first)
        parts = (have + blocks.together - 1) // blocks.together
        for task in prange((have + PATCH_TASK - 1) // PATCH_TASK, schedule="dynamic", num_threads=threads):
            read_patches(tiles, x, first + task * PATCH_TASK, smaller(PATCH_TASK, have - task * PATCH_TASK),
                         values + task * PATCH_TASK * tiles.depth, blocks.value_pitch, zeros)
        for task in prange((tiles.O + blocks.group - 1) // blocks.group * parts, schedule="dynamic", num_threads=threads):
            round_task(blocks, values, packed, w, y, last, table, scratch + threadid() * blocks.scratch_size, first, have,
                       task // parts * blocks.group, task % parts * blocks.together)
        first += have


cdef void round_task(const Blocks* blocks, const floating* values, const floating* packed, const floating* w, floating* y,
                     const Finish* last, const Py_ssize_t* table, floating* sums, Py_ssize_t first, Py_ssize_t have, Py_ssize_t o,
                     Py_ssize_t begin) noexcept nogil:
    """Sums and results of some tiles, from `begin` of the round on, for the output channels from o on."""
    cdef const Tiles* tiles = &blocks.tiles
    cdef Py_ssize_t pitch = chunk_pitch(blocks, sizeof(floating)), count = smaller(blocks.together, have - begin)
    cdef Py_ssize_t columns = smaller(blocks.group, tiles.O - o), rows = blocks.together + TGC_NARROW_ROWS, c = 0, terms, i
    cdef floating* filters = sums + POINTS * blocks.sum_pitch
    values += begin * tiles.depth
    if blocks.terms == 0:
        for i in range(POINTS):
            product(values + i * blocks.value_pitch, table, table + 2 * rows, 1, tiles.C, 1, packed + i * blocks.filter_pitch + o * tiles.C,
                    sums + i * blocks.sum_pitch, table + rows, count, columns, False)
    while blocks.terms and c < tiles.C:
        terms = smaller(blocks.terms, tiles.C - c)
        pack_chunk(tiles, w, filters, pitch, o, columns, c, terms)
        for i in range(POINTS):
            product(values + i * blocks.value_pitch + c, table, table + 2 * rows, 1, terms, 1, filters + i * pitch,
                    sums + i * blocks.sum_pitch, table + rows, count, columns, c > 0)
        c += terms
    write_tiles(tiles, y, last, first + begin, count, sums, blocks.group, blocks.sum_pitch, o, columns, filters + POINTS * pitch)
