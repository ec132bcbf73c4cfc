# Depthwise sums along the rows of an image: lanes are channels, which lie side by side in x, in w and in y alike.
#
#     y[to + p·pixel, c] = Σ_{ky,kx}  x[p·step + ky·down + kx·along, c] · w[ky·w_ky + kx·w_kx, c]         p < pixels
#
# Next to nothing is computed per value moved, so nothing is copied: the taps of a place that reach into the padding are left out
# (bands of places, ../conv/plan.pxi). A tile of pixels loads each line of w once for all of them; it passes over some channels before
# the next tile begins, so that what the windows share is still in the first-level cache.

cdef enum:
    PIXELS = 4          # of a tile, two vectors of channels each: 8 sums that do not wait for one another
    CHANNELS = 128      # at a time: with the taps of a filter and the pixels of a tile, well inside the first-level cache


cdef struct Line:
    Py_ssize_t kh, kw, step, down, along, w_ky, w_kx, pixel, C


cdef inline void tap_tile(const int P, const int NV, const Line* line, const floating* x, const floating* w, vector* like,
                          floating* y) noexcept nogil:
    """P pixels × NV vectors of channels, both constants at the call; `like` only says which vectors."""
    cdef vector total[PIXELS][2]
    cdef vector factor[2]
    cdef Py_ssize_t lanes = TGC_BYTES // sizeof(floating), ky, kx
    cdef const floating* cell
    cdef const floating* tap
    cdef int i, j
    memset(total, 0, sizeof(total))
    for i in range(P):                      # the next tile's pixels, in the last row of the windows: those above are in the cache already
        __builtin_prefetch(x + (line.kh - 1) * line.down + line.kw * line.along + (i + P) * line.step, 0)
        __builtin_prefetch(y + (i + P) * line.pixel, 1)
    for ky in range(line.kh):
        cell, tap = x + ky * line.down, w + ky * line.w_ky
        for kx in range(line.kw):
            for j in range(NV):
                factor[j] = (<const vector*>tap)[j]
            for i in range(P):
                for j in range(NV):
                    total[i][j] = total[i][j] + (<const vector*>(cell + i * line.step))[j] * factor[j]
            cell += line.along
            tap += line.w_kx
    for i in range(P):
        for j in range(NV):
            (<vector*>(y + i * line.pixel))[j] = total[i][j]


cdef void tap_pixel(const Line* line, const floating* x, const floating* w, floating* y) noexcept nogil:
    """One pixel of fewer channels than a vector has."""
    cdef Py_ssize_t ky, kx, c
    cdef floating total
    for c in range(line.C):
        total = 0
        for ky in range(line.kh):
            for kx in range(line.kw):
                total = total + x[ky * line.down + kx * line.along + c] * w[ky * line.w_ky + kx * line.w_kx + c]
        y[c] = total


cdef inline void some_channels(const int P, const Line* line, const floating* x, const floating* w, floating* y, Py_ssize_t c,
                               Py_ssize_t end) noexcept nogil:
    """P pixels, channels c … end − 1; a last vector that has too few begins earlier and computes some of them again."""
    cdef Py_ssize_t lanes = lanes_of(sizeof(floating))
    if floating is float:
        like = <vector_float*>NULL
    else:
        like = <vector_double*>NULL
    while c + 2 * lanes <= end:
        tap_tile(P, 2, line, x + c, w + c, like, y + c)
        c += 2 * lanes
    if c + lanes <= end:
        tap_tile(P, 1, line, x + c, w + c, like, y + c)
        c += lanes
    if c < end:
        c = end - lanes
        tap_tile(P, 1, line, x + c, w + c, like, y + c)


cdef void tap_line(const Line* line, const floating* x, const floating* w, floating* y, Py_ssize_t pixels) noexcept nogil:
    """All pixels of a line that see the same taps."""
    cdef Py_ssize_t p = 0, c, end
    if line.C < lanes_of(sizeof(floating)):
        for p in range(pixels):
            tap_pixel(line, x + p * line.step, w, y + p * line.pixel)
        return
    for c from 0 <= c < line.C by CHANNELS:
        p, end = 0, smaller(c + CHANNELS, line.C)
        while p + PIXELS <= pixels:
            some_channels(PIXELS, line, x + p * line.step, w, y + p * line.pixel, c, end)
            p += PIXELS
        if p + 2 <= pixels:
            some_channels(2, line, x + p * line.step, w, y + p * line.pixel, c, end)
            p += 2
        if p < pixels:
            some_channels(1, line, x + p * line.step, w, y + p * line.pixel, c, end)


cdef void tap_rows(const Correlation* cor, const floating* x, const floating* w, floating* y, Py_ssize_t n, Py_ssize_t u) noexcept nogil:
    """Row u of the places of image n, phase by phase, band by band; what follows the sum is applied while the row is in the cache."""
    cdef Py_ssize_t index, v, ox, C = cor.O
    cdef Phase phase
    cdef Band down, along
    cdef Line line
    cdef floating* row
    cdef const floating* corner
    for index in range(cor.phases):
        phase = phase_of(cor, index)
        if u >= phase.OH:
            continue
        down = band_of(u, u + 1, phase.kh, cor.sy, phase.dy, phase.down - cor.top, cor.H)
        row = y + ((n * cor.YH + u * cor.ystep + phase.y0) * cor.YW + phase.x0) * C
        line.kh, line.step, line.down, line.along = down.count, cor.sx * C, phase.dy * cor.W * C, phase.dx * C
        line.w_ky, line.w_kx, line.pixel, line.C = phase.w_ky, phase.w_kx, cor.xstep * C, C
        corner = x + ((n * cor.H + cor.sy * u + phase.down - cor.top + phase.dy * down.first) * cor.W + phase.along - cor.left) * C
        v = 0
        while v < phase.OW:
            along = band_of(v, phase.OW, phase.kw, cor.sx, phase.dx, phase.along - cor.left, cor.W)
            line.kw = along.count
            tap_line(&line, corner + (cor.sx * v + phase.dx * along.first) * C,
                     w + phase.w0 + down.first * phase.w_ky + along.first * phase.w_kx, row + v * line.pixel, along.end - v)
            v = along.end
    if anything(&cor.last):
        for ox in range(cor.YW):
            finish_pixel(cor, y, ((n * cor.YH + u) * cor.YW + ox) * C)


cdef inline void finish_pixel(const Correlation* cor, floating* y, Py_ssize_t at) noexcept nogil:
    """Finish the pixel that begins at y[at]; only depthwise_forward asks for it."""
    cdef const floating* residual = <const floating*>cor.last.residual
    if residual != NULL:
        residual += at
    finish(y + at, <const floating*>cor.last.scale, <const floating*>cor.last.bias, residual, cor.O, cor.last.activation)


cdef void correlate_rows(const Correlation* cor, const floating* x, const floating* w, floating* y) noexcept nogil:
    """Every row of places is a task."""
    cdef Py_ssize_t task
    cdef int threads = threads_for(cor.N * cor.OH * cor.OW * cor.O * cor.taps)
    for task in prange(cor.N * cor.OH, schedule="static", num_threads=threads):
        tap_rows(cor, x, w, y, task // cor.OH, task % cor.OH)
