# The loops of warp over a block: places, the pixels that are met there, what is made of them. Included by cpu.pyx, which has the structs.
cdef extern from *:
    """
    /* Four floats, wherever they lie. */
    typedef float tgc_four __attribute__((vector_size(16), aligned(4), may_alias));

    /* Two pairs of floats, each loaded as one word. */
    static inline tgc_four tgc_two_pairs(const float *a, const float *b)
    {
        typedef double two_words __attribute__((vector_size(16)));
        double x, y;
        memcpy(&x, a, sizeof x);
        memcpy(&y, b, sizeof y);
        return (tgc_four)(two_words){x, y};
    }

    /* The left ones of four pairs, and the right ones. */
    #define TGC_LEFT_ONES(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6)
    #define TGC_RIGHT_ONES(a, b) __builtin_shufflevector(a, b, 1, 3, 5, 7)
    """
    ctypedef float four "tgc_four"
    four two_pairs "tgc_two_pairs"(const float* a, const float* b) noexcept nogil
    four left_ones "TGC_LEFT_ONES"(four a, four b) noexcept nogil
    four right_ones "TGC_RIGHT_ONES"(four a, four b) noexcept nogil


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
        sample_from(bordered, block, y, 0, count, 3, shape.across)
    else:
        sample_from(bordered, block, y, 0, count, shape.C, shape.across)


cdef void sample_pairs(const float* bordered, const Block* block, float* y, Py_ssize_t count, Py_ssize_t across) noexcept nogil:
    """sample, for one channel: two pixels side by side are fetched as one word, and four places make whole vectors of such words."""
    cdef Py_ssize_t j, fours = count // 4
    cdef four near_above, far_above, near_below, far_below, top, bottom
    cdef const int32_t* corner = &block.corner[0]
    cdef const four* right = <const four*>block.right
    cdef const four* down = <const four*>block.down
    for j in range(fours):
        near_above, far_above = two_pairs(bordered + corner[0], bordered + corner[1]), two_pairs(bordered + corner[2], bordered + corner[3])
        near_below = two_pairs(bordered + corner[0] + across, bordered + corner[1] + across)
        far_below = two_pairs(bordered + corner[2] + across, bordered + corner[3] + across)
        top, bottom = left_ones(near_above, far_above), left_ones(near_below, far_below)
        top = top + (right_ones(near_above, far_above) - top) * right[j]
        bottom = bottom + (right_ones(near_below, far_below) - bottom) * right[j]
        (<four*>y)[j] = top + (bottom - top) * down[j]
        corner += 4
    sample_from(bordered, block, y, 4 * fours, count, 1, across)


cdef inline void sample_from(const float* bordered, const Block* block, float* y, Py_ssize_t start, Py_ssize_t count, Py_ssize_t C,
                             Py_ssize_t across) noexcept nogil:
    """sample from place `start` on, for C channels: along the row to the right first, then down."""
    cdef Py_ssize_t j, c
    cdef const float* above
    cdef const float* below
    cdef float top, bottom
    for j in range(start, count):
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
