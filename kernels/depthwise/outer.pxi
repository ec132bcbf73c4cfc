# depthwise_grad_weight: for every tap and channel, the products of x and g summed over places.
#
#     w[ky, kx, c] = Σ_{n,oy,ox}  x[n, sy·oy + dy·ky − top, sx·ox + dx·kx − left, c] · g[n, oy, ox, c]
#
# A few taps of a kernel row are summed in registers over a few pixels and then added to a partial sum. Rows of places are dealt into a
# number of chunks that depends on the shape alone; each has its own partial sum, and these are added in order.

cdef enum:
    CHUNKS = 16
    PIECE = 8           # pixels of one sum in registers: their lines of x and g, of all channels, are in the first-level cache or near it


cdef inline void outer_tile(const int K, const int NV, const floating* x, Py_ssize_t along, Py_ssize_t step, const floating* g,
                            Py_ssize_t C, Py_ssize_t pixels, vector* like, floating* w) noexcept nogil:
    """K taps × NV vectors of channels, both constants at the call: added to w, where taps are C apart; `like` only says which vectors."""
    cdef vector total[5][2]
    cdef vector factor[2]
    cdef Py_ssize_t p
    cdef int i, j
    for i in range(K):
        for j in range(NV):
            total[i][j] = (<vector*>(w + i * C))[j]
    for p in range(pixels):
        __builtin_prefetch(x + PIECE * step, 0)          # for the next piece: this order is none that the processor foresees
        __builtin_prefetch(g + PIECE * C, 0)
        for j in range(NV):
            factor[j] = (<const vector*>g)[j]
        for i in range(K):
            for j in range(NV):
                total[i][j] = total[i][j] + (<const vector*>(x + i * along))[j] * factor[j]
        x += step
        g += C
    for i in range(K):
        for j in range(NV):
            (<vector*>(w + i * C))[j] = total[i][j]


cdef inline void outer_taps(const int NV, const floating* x, Py_ssize_t along, Py_ssize_t step, const floating* g, Py_ssize_t C,
                            Py_ssize_t pixels, vector* like, floating* w, Py_ssize_t taps) noexcept nogil:
    """Some taps of a kernel row: five, three or one at a time."""
    cdef Py_ssize_t k = 0
    while k < taps:
        if taps - k >= 5:
            outer_tile(5, NV, x + k * along, along, step, g, C, pixels, like, w + k * C)
            k += 5
        elif taps - k >= 3:
            outer_tile(3, NV, x + k * along, along, step, g, C, pixels, like, w + k * C)
            k += 3
        else:
            outer_tile(1, NV, x + k * along, along, step, g, C, pixels, like, w + k * C)
            k += 1


cdef void outer_piece(const floating* x, Py_ssize_t along, Py_ssize_t step, const floating* g, Py_ssize_t C, Py_ssize_t pixels,
                      floating* w, Py_ssize_t taps, Py_ssize_t c, Py_ssize_t end) noexcept nogil:
    """Channels c … end − 1; those past the last whole vector one by one."""
    cdef Py_ssize_t lanes = lanes_of(sizeof(floating)), k, p, lane
    if floating is float:
        like = <vector_float*>NULL
    else:
        like = <vector_double*>NULL
    while c + 2 * lanes <= end:
        outer_taps(2, x + c, along, step, g + c, C, pixels, like, w + c, taps)
        c += 2 * lanes
    while c + lanes <= end:
        outer_taps(1, x + c, along, step, g + c, C, pixels, like, w + c, taps)
        c += lanes
    for k in range(taps):
        for p in range(pixels):
            for lane in range(c, end):
                w[k * C + lane] = w[k * C + lane] + x[k * along + p * step + lane] * g[p * C + lane]


cdef void outer_row(const Correlation* cor, const floating* x, const floating* g, floating* w, Py_ssize_t n, Py_ssize_t oy) noexcept nogil:
    """One row of places, in pieces of pixels that see the same taps."""
    cdef const Window* win = &cor.win
    cdef Band down = band_of(oy, oy + 1, win.kh, win.sy, win.dy, -win.top, win.H), along
    cdef Py_ssize_t v = 0, pixels, ky, c, C = win.C, pitch = win.W * win.C
    cdef const floating* row = x + n * win.H * pitch - win.left * C
    while v < win.OW:
        along = band_of(v, win.OW, win.kw, win.sx, win.dx, -win.left, win.W)
        while v < along.end:
            pixels = smaller(PIECE, along.end - v)
            for c from 0 <= c < C by CHANNELS:
                for ky in range(down.first, down.first + down.count):
                    outer_piece(row + (win.sy * oy + win.dy * ky - win.top) * pitch + (win.sx * v + win.dx * along.first) * C, win.dx * C,
                                win.sx * C, g + ((n * win.OH + oy) * win.OW + v) * C, C, pixels, w + (ky * win.kw + along.first) * C,
                                along.count, c, smaller(c + CHANNELS, C))
            v += pixels


cdef void outer_chunk(const Correlation* cor, const floating* x, const floating* g, floating* partial, Py_ssize_t chunk,
                      Py_ssize_t chunks) noexcept nogil:
    """The partial sum of one chunk of rows of places."""
    cdef Py_ssize_t rows = cor.win.N * cor.win.OH, size = cor.taps * cor.win.C, row
    partial += chunk * size
    memset(partial, 0, size * sizeof(floating))
    for row in range(rows * chunk // chunks, rows * (chunk + 1) // chunks):
        outer_row(cor, x, g, partial, row // cor.win.OH, row % cor.win.OH)


cdef void sum_chunks(const Correlation* cor, const floating* x, const floating* g, floating* partial, floating* w) noexcept nogil:
    """Every chunk's partial sum, then their sum in order."""
    cdef Py_ssize_t chunk, i, size = cor.taps * cor.win.C, chunks = smaller(CHUNKS, cor.win.N * cor.win.OH)
    cdef int threads = threads_for(cor.win.N * cor.win.OH * cor.win.OW * size)
    for chunk in prange(chunks, schedule="dynamic", num_threads=threads):
        outer_chunk(cor, x, g, partial, chunk, chunks)
    memcpy(w, partial, size * sizeof(floating))
    for chunk in range(1, chunks):
        for i in range(size):
            w[i] = w[i] + partial[chunk * size + i]
