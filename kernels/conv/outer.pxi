# conv2d_grad_weight: the outer product of windows and cotangents, summed over places with the same tile (tile.pxi).
#
#     w[(ky, kx, c), o] = Σ_{places}  x[n, sy·oy + dy·ky − top, sx·ox + dx·kx − left, c] · g[n, oy, ox, o]
#
# The rows of a tile are taps (ky, kx, c), each one offset in the strip of correlate.pxi; its sum runs along the places of a row,
# sx pixels apart; the lines are the cotangents of those places, packed in blocks of output channels. Places are dealt into a
# number of chunks that depends on the shape alone; each chunk has its own partial sum, and these are added in order.

cdef enum:
    PARTIAL_BYTES = 4194304   # of all partial sums together


cdef struct Outer:
    Correlation cor
    Py_ssize_t taps, columns, blocks, chunks        # taps of a task, output channels of a task, tasks along them, chunks of places
    Py_ssize_t partial_size, table_bytes, scratch_size


cdef Outer outer_plan(const Window* win, Py_ssize_t itemsize) noexcept nogil:
    """Strips as for conv2d_forward, but always copied, the chunks they are dealt into, and the sizes of the workspace.

    A strip of deep images holds a part of the channels, whose taps are a task of their own.
    """
    cdef Outer outer
    cdef Correlation* cor = &outer.cor
    cdef Py_ssize_t size = win.kh * win.kw * (win.C // win.groups) * win.O, most, width
    outer.cor = forward_plan(win, itemsize)
    most = larger(1, smaller(16, PARTIAL_BYTES // larger(1, size * itemsize)))
    cor.in_place, cor.banded, cor.part, cor.above, cor.before = False, False, cor.depth, cor.top, cor.left
    lay_strips(cor, itemsize, larger(1, win.N // most))
    while cor.places < smaller(STRIP_PLACES, win.N * win.OH * win.OW) and cor.part >= 64 and cor.part % 2 == 0:
        cor.part = cor.part // 2
        lay_strips(cor, itemsize, larger(1, win.N // most))
    cor.cell = cor.part
    if cor.cell * itemsize % 256 == 0:
        cor.cell += 64 // itemsize        # a sum walks from pixel to pixel, which must not all fall into the same few lines of the cache
    cor.strip_size = round_up(cor.images * cor.strip_h * cor.strip_w * cor.cell, 64)
    outer.taps = cor.taps * cor.part
    outer.chunks = larger(1, smaller(most, cor.strips))
    outer.columns = TASK_COLUMNS
    outer.blocks = (cor.width + outer.columns - 1) // outer.columns
    outer.partial_size = round_up(size, 64) if outer.chunks > 1 else 0
    outer.table_bytes = round_up((2 * outer.taps + cor.images * cor.rows) * sizeof(Py_ssize_t), 64)
    width = round_up(smaller(outer.columns, cor.width), lanes_of(itemsize))
    outer.scratch_size = cor.strip_size + round_up(cor.places * width, 64)
    return outer


cdef Py_ssize_t outer_bytes(const Outer* outer, Py_ssize_t itemsize, Py_ssize_t threads) noexcept nogil:
    """Partial sums, tables of taps and of runs, and for each thread a strip and the packed cotangents of its places."""
    return outer.chunks * outer.partial_size * itemsize + outer.table_bytes + threads * outer.scratch_size * itemsize


cdef void sum_outer(const Outer* outer, const floating* x, const floating* g, floating* w, unsigned char[::1] workspace) noexcept nogil:
    """Every chunk's partial sum, then their sum in order."""
    cdef Py_ssize_t task, size = outer.cor.taps * outer.cor.depth * outer.cor.O, unit = 4096
    cdef Py_ssize_t tasks = outer.cor.groups * outer.cor.parts * outer.blocks * outer.chunks
    cdef floating* partial = <floating*>&workspace[0] if outer.chunks > 1 else w
    cdef Py_ssize_t* tap = <Py_ssize_t*>(&workspace[0] + outer.chunks * outer.partial_size * sizeof(floating))
    cdef floating* scratch = <floating*>(<char*>tap + outer.table_bytes)
    cdef int threads = smaller(threads_for(outer.cor.N * outer.cor.OH * outer.cor.OW * size),
                               (workspace.shape[0] - outer_bytes(outer, sizeof(floating), 0)) // (outer.scratch_size * sizeof(floating)))
    fill_tap_tables(outer, tap)
    for task in prange(tasks, schedule="dynamic", num_threads=threads):
        outer_task(outer, x, g, partial, tap, scratch + threadid() * outer.scratch_size, task // outer.chunks // outer.blocks,
                   task // outer.chunks % outer.blocks * outer.columns, task % outer.chunks)
    if outer.chunks > 1:
        for task in prange((size + unit - 1) // unit, schedule="static", num_threads=threads):
            add_partials(outer, partial + task * unit, w + task * unit, smaller(unit, size - task * unit))


cdef void fill_tap_tables(const Outer* outer, Py_ssize_t* tap) noexcept nogil:
    """Offsets of the taps of a window in the strip and in w, and of the rows of places in the strip."""
    cdef const Correlation* cor = &outer.cor
    cdef Py_ssize_t ky, kx, c, n, oy, i = 0, pitch = cor.strip_w * cor.cell
    cdef Py_ssize_t* to = tap + outer.taps
    cdef Py_ssize_t* run = to + outer.taps
    for ky in range(cor.win.kh):
        for kx in range(cor.win.kw):
            for c in range(cor.part):
                tap[i] = ky * cor.win.dy * pitch + kx * cor.win.dx * cor.cell + c
                to[i] = ((ky * cor.win.kw + kx) * cor.depth + c) * cor.O
                i += 1
    for n in range(cor.images):
        for oy in range(cor.rows):
            run[n * cor.rows + oy] = (n * cor.strip_h + oy * cor.sy) * pitch


cdef void outer_task(const Outer* outer, const floating* x, const floating* g, floating* partial, const Py_ssize_t* tap, floating* strip,
                     Py_ssize_t index, Py_ssize_t first, Py_ssize_t chunk) noexcept nogil:
    """One chunk of strips, for one part of the input channels and `columns` output channels of one group, into the chunk's partial sum."""
    cdef const Correlation* cor = &outer.cor
    cdef Py_ssize_t begin = chunk * cor.strips // outer.chunks, end = (chunk + 1) * cor.strips // outer.chunks
    cdef Py_ssize_t group = index // cor.parts, channel = index % cor.parts * cor.part, n, oy, images, rows, o, i
    cdef Py_ssize_t columns = smaller(outer.columns, cor.width - first), places, block = 2 * lanes_of(sizeof(floating))
    cdef floating* lines = strip + cor.strip_size
    for i in range(begin, end):
        n, oy = i // cor.strips_down * cor.images, i % cor.strips_down * cor.rows
        images, rows = smaller(cor.images, cor.N - n), larger(0, smaller(cor.rows, cor.OH - oy))
        places = images * rows * cor.OW
        fill_strip(cor, x, strip, n, images, oy, rows, group * cor.depth + channel)
        o = 0
        while o < columns:
            pack(g + (n * cor.OH + oy) * cor.OW * cor.O + group * cor.width + first + o, cor.O, 1, places,
                 smaller(block, columns - o), lines + o * places)
            o += block
        product(strip, tap, tap + 2 * outer.taps, images * rows, cor.OW, cor.sx * cor.cell, lines,
                partial + chunk * outer.partial_size + channel * cor.O + group * cor.width + first, tap + outer.taps, outer.taps, columns,
                i > begin)


cdef void add_partials(const Outer* outer, const floating* partial, floating* w, Py_ssize_t size) noexcept nogil:
    """w = the sum of the chunks' partial sums, first to last."""
    cdef Py_ssize_t chunk, i
    memcpy(w, partial, size * sizeof(floating))
    for chunk in range(1, outer.chunks):
        for i in range(size):
            w[i] = w[i] + partial[chunk * outer.partial_size + i]
