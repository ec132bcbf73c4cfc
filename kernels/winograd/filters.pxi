# The transformed filters, 36 matrices G w Gᵀ in blocks of output channels, each block a line of them per input channel: as tile.pxi reads.

cdef enum:
    TERMS = 16                # input channels whose nine taps are gathered at a time


cdef void pack_filters(const Tiles* tiles, const floating* w, floating* packed, Py_ssize_t pitch) noexcept nogil:
    """packed[36][block of columns][c][column], in parallel over blocks of columns and chunks of c."""
    cdef Py_ssize_t lanes = lanes_of(sizeof(floating)), chunks = (tiles.C + TERMS - 1) // TERMS, task, o, c
    cdef int threads = threads_for(POINTS * tiles.C * tiles.O)
    for task in prange((tiles.O + 2 * lanes - 1) // (2 * lanes) * chunks, schedule="static", num_threads=threads):
        o, c = task // chunks * 2 * lanes, task % chunks * TERMS
        pack_terms(tiles, w, packed + o * tiles.C + c * smaller(2 * lanes, round_up(tiles.O - o, lanes)), pitch, o, c,
                   smaller(TERMS, tiles.C - c))


cdef void pack_chunk(const Tiles* tiles, const floating* w, floating* packed, Py_ssize_t pitch, Py_ssize_t o, Py_ssize_t columns,
                     Py_ssize_t c, Py_ssize_t terms) noexcept nogil:
    """packed[36][block of columns][term][column] for some columns, from o on, and input channels, from c on."""
    cdef Py_ssize_t lanes = lanes_of(sizeof(floating)), j = 0, k, width
    while j < columns:
        width, k = smaller(2 * lanes, round_up(columns - j, lanes)), 0
        while k < terms:
            pack_terms(tiles, w, packed + j * terms + k * width, pitch, o + j, c + k, smaller(TERMS, terms - k))
            k += TERMS
        j += 2 * lanes


cdef void pack_terms(const Tiles* tiles, const floating* w, floating* packed, Py_ssize_t pitch, Py_ssize_t o, Py_ssize_t c,
                     Py_ssize_t terms) noexcept nogil:
    """At most TERMS input channels of one block of columns: nine taps gathered as lines of columns, then transformed line by line."""
    cdef floating tap[9 * TERMS * TGC_BYTES]
    cdef Py_ssize_t lanes = lanes_of(sizeof(floating)), columns = smaller(2 * lanes, tiles.O - o), i
    cdef Py_ssize_t width = round_up(columns, lanes)
    for i in range(9):
        pack(w + tiles.w0 + i * tiles.w_tap + c * tiles.w_c + o * tiles.w_o, tiles.w_c, tiles.w_o, terms, columns, tap + i * TERMS * width)
    for i in range(terms * width // lanes):
        if floating is float:
            transform_filter(<const vector_float*>tap + i, TERMS * width // lanes, <vector_float*>packed + i, pitch // lanes)
        else:
            transform_filter(<const vector_double*>tap + i, TERMS * width // lanes, <vector_double*>packed + i, pitch // lanes)
