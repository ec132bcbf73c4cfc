# The loops of warp over a block: places, the pixels that are met there, what is made of them. Included by cpu.pyx, which has the structs.

cdef void find_places(const Walk* walk, int first, int count, int32_t* corner, float* down_share, float* right_share,
                      const Shape* shape) noexcept nogil:
    """Corners and shares of `count` pixels from `first` on; and of some beyond them, so that there are whole vectors only."""
    # A copy, because a float that is stored in the block might, for all the compiler knows, be one of the walk's.
    cdef Walk on = walk[0]
    cdef int j
    cdef float row, column
    cdef int32_t down, right, lowest = <int32_t>shape.H, last = <int32_t>shape.W, across = <int32_t>(shape.W + 2)
    for j in range((count + VECTOR - 1) // VECTOR * VECTOR):
        row = on.row + on.down * <float>(first + j)
        column = on.column + on.right * <float>(first + j)
        row = row if row > on.top else on.top                  # not max(): NaN has to become a place inside
        column = column if column > on.left else on.left
        row = row if row < on.bottom else on.bottom
        column = column if column < on.rightmost else on.rightmost
        down, right = <int32_t>row, <int32_t>column
        down = down if down < lowest else lowest
        right = right if right < last else last
        corner[j] = down * across + right
        down_share[j] = row - <float>down
        right_share[j] = column - <float>right


cdef void sample(const float* bordered, const Block* block, float* y, Py_ssize_t count, const Shape* shape) noexcept nogil:
    """y[j] = what lies at place j of the block."""
    if shape.C == 1:
        sample_pairs(bordered, block, y, count, shape.across)
    elif shape.C == 3:
        sample_channels(bordered, block, y, count, 3, shape.across)
    else:
        sample_channels(bordered, block, y, count, shape.C, shape.across)


cdef void sample_pairs(const float* bordered, const Block* block, float* y, Py_ssize_t count, Py_ssize_t across) noexcept nogil:
    """sample, for one channel: two pixels side by side are fetched as one word; what is reckoned with them then is vector code."""
    cdef float above[2 * BLOCK]
    cdef float below[2 * BLOCK]
    cdef Py_ssize_t j
    cdef const float* corner
    cdef float top, bottom
    for j in range(count):
        corner = bordered + block.corner[j]
        memcpy(above + 2 * j, corner, 2 * sizeof(float))
        memcpy(below + 2 * j, corner + across, 2 * sizeof(float))
    for j in range(count):
        top = above[2 * j] + (above[2 * j + 1] - above[2 * j]) * block.right[j]
        bottom = below[2 * j] + (below[2 * j + 1] - below[2 * j]) * block.right[j]
        y[j] = top + (bottom - top) * block.down[j]


cdef inline void sample_channels(const float* bordered, const Block* block, float* y, Py_ssize_t count, Py_ssize_t C,
                                 Py_ssize_t across) noexcept nogil:
    """sample, for C channels: along the row to the right first, then down."""
    cdef Py_ssize_t j, c
    cdef const float* above
    cdef const float* below
    cdef float top, bottom
    for j in range(count):
        above = bordered + block.corner[j] * C
        below = above + across
        for c in range(C):
            top = above[c] + (above[C + c] - above[c]) * block.right[j]
            bottom = below[c] + (below[C + c] - below[c]) * block.right[j]
            y[j * C + c] = top + (bottom - top) * block.down[j]


cdef void normalize(float* y, const float* mean, const float* deviation, Py_ssize_t count) noexcept nogil:
    """y = (y − mean) / deviation."""
    cdef Py_ssize_t k
    for k in range(count):
        y[k] = (y[k] - mean[k]) / deviation[k]


cdef void round_values(const float* x, value* y, Py_ssize_t count) noexcept nogil:
    """y = ⌊x + ½⌋, x held between 0 and 255."""
    cdef Py_ssize_t k
    cdef float held
    for k in range(count):
        held = x[k] if x[k] > 0 else 0
        held = held if held < 255 else 255
        y[k] = <value><int32_t>(held + <float>0.5)
