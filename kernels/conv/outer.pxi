# conv2d_grad_weight: the outer product of windows and cotangents, summed over places with the same tile (tile.pxi).
#
#     w[(ky, kx, c), o] = Σ_{places}  x[n, sy·oy + dy·ky − top, sx·ox + dx·kx − left, c] · g[n, oy, ox, o]
#
# The rows of a tile are taps (ky, kx, c), each one offset in the strip of correlate.pxi; its sum runs along places; the lines are the
# cotangents of those places, packed in blocks of output channels. Places are dealt into a number of chunks that depends on the shape
# alone; each chunk has its own partial sum, and these are added in order.
#
# Where there are few output channels, the tile reads the strip itself, a row of places at a time, sx pixels apart. Each of these
# reads is a cache line of its own, of which a tile uses a part, and lines of x soon crowd those of g out of the first-level cache.
# With more output channels it pays to *gather* what a few tiles read first, in the order in which they read it. A 1 x 1 filter with a
# stride then needs no strip: only the pixels that it sees are moved, and its sums can be long.

cdef enum:
    PARTIAL_BYTES = 4194304   # of all partial sums together
    GATHERED_COLUMNS = 64     # output channels from which on gathering pays: for a 1 x 1 filter with a stride, from x in place, or
    GATHERED_DEPTH = 128      # with so many input channels, where a strip holds at most a quarter of them
    GATHERED_TILES = 11       # tiles gathered together: 64 channels on AVX2 in at most 66 KB, read once for every block of columns


cdef struct Outer:
    Correlation cor
    Py_ssize_t taps, columns, blocks, chunks        # taps of a task, output channels of a task, tasks along them, chunks of places
    bint gathered                                   # whether what the tiles read is gathered first
    Py_ssize_t partial_size, table_bytes, cells_size, scratch_size


cdef Outer outer_plan(const Window* win, Py_ssize_t itemsize) noexcept nogil:
    """Strips as for conv2d_forward, but copied (or gathered in place), the chunks they are dealt into, and the sizes of the workspace.

    A strip of deep images holds a part of the channels, whose taps are a task of their own.
    """
    cdef Outer outer
    cdef Correlation* cor = &outer.cor
    cdef Py_ssize_t size = win.kh * win.kw * (win.C // win.groups) * win.O, most, width, run, places
    cdef Py_ssize_t least = 32 if win.C // win.groups >= GATHERED_DEPTH else 64
    cdef bint in_place
    outer.cor = forward_plan(win, itemsize)
    in_place = cor.taps == 1 and cor.sy * cor.sx > 1 and unpadded(cor)
    most = larger(1, smaller(16, PARTIAL_BYTES // larger(1, size * itemsize)))
    cor.in_place, cor.banded, cor.part, cor.above, cor.before = False, False, cor.depth, cor.top, cor.left
    lay_strips(cor, itemsize, larger(1, win.N // most))
    while cor.places < smaller(STRIP_PLACES, win.N * win.OH * win.OW) and cor.part >= least and cor.part % 2 == 0:
        cor.part = cor.part // 2
        lay_strips(cor, itemsize, larger(1, win.N // most))
    run = cor.part * (win.kw if win.dx == 1 else 1)
    outer.gathered = (cor.width >= GATHERED_COLUMNS and (in_place or 4 * cor.part <= cor.depth)
                      and (run % TGC_WIDE_ROWS == 0 or run >= 2 * TGC_WIDE_ROWS))
    cor.cell = cor.part
    if outer.gathered and in_place:
        read_in_place(cor, larger(1, win.N // most))
    elif not outer.gathered and cor.cell * itemsize % 256 == 0:
        cor.cell += 64 // itemsize        # a sum walks from pixel to pixel, which must not all fall into the same few lines of the cache
    cor.strip_size = 0 if cor.in_place else round_up(cor.images * cor.strip_h * cor.strip_w * cor.cell, 64)
    outer.taps = cor.taps * cor.part
    outer.chunks = larger(1, smaller(most, cor.strips))
    outer.columns = TASK_COLUMNS
    outer.blocks = (cor.width + outer.columns - 1) // outer.columns
    outer.partial_size = round_up(size, 64) if outer.chunks > 1 else 0
    outer.table_bytes = round_up((2 * outer.taps + cor.places) * sizeof(Py_ssize_t), 64)
    outer.cells_size = round_up(GATHERED_TILES * TGC_WIDE_ROWS * smaller(CHAIN, cor.places), 64) if outer.gathered else 0
    width = round_up(smaller(outer.columns, cor.width), lanes_of(itemsize))
    places = smaller(CHAIN, cor.places) if outer.gathered else cor.places
    outer.scratch_size = cor.strip_size + outer.cells_size + round_up(places * width, 64)
    return outer


cdef void read_in_place(Correlation* cor, Py_ssize_t most) noexcept nogil:
    """x itself is the strip: all channels of about two chains of places, a few rows of one image or at most `most` whole images."""
    cdef Py_ssize_t fits = larger(1, 2 * CHAIN // larger(1, cor.OW)), groups
    cor.in_place, cor.part, cor.parts, cor.cell, cor.strip_h, cor.strip_w = True, cor.depth, 1, cor.C, cor.H, cor.W
    cor.strips_down = (cor.OH + fits - 1) // fits
    cor.rows = (cor.OH + cor.strips_down - 1) // cor.strips_down
    groups = larger(1, smaller(most, fits // larger(1, cor.OH)))
    groups = (cor.N + groups - 1) // groups
    cor.images = (cor.N + groups - 1) // larger(1, groups) if cor.strips_down == 1 else 1
    cor.strips = cor.strips_down * ((cor.N + cor.images - 1) // cor.images)
    cor.places = cor.images * cor.rows * cor.OW


cdef Py_ssize_t outer_bytes(const Outer* outer, Py_ssize_t itemsize, Py_ssize_t threads) noexcept nogil:
    """Partial sums, tables of taps and of places, and for each thread a strip, what is gathered of it and packed cotangents."""
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
    """Offsets of the taps of a window in the strip and in w, and of places in the strip: all of them, or the first of each row."""
    cdef const Correlation* cor = &outer.cor
    cdef Py_ssize_t ky, kx, c, n, oy, ox, i = 0, pitch = cor.strip_w * cor.cell, wide = cor.OW if outer.gathered else 1
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
            for ox in range(wide):
                run[(n * cor.rows + oy) * wide + ox] = (n * cor.strip_h + oy * cor.sy) * pitch + ox * cor.sx * cor.cell


cdef void outer_task(const Outer* outer, const floating* x, const floating* g, floating* partial, const Py_ssize_t* tap, floating* strip,
                     Py_ssize_t index, Py_ssize_t first, Py_ssize_t chunk) noexcept nogil:
    """One chunk of strips, for one part of the input channels and `columns` output channels of one group, into the chunk's partial sum."""
    cdef const Correlation* cor = &outer.cor
    cdef Py_ssize_t begin = chunk * cor.strips // outer.chunks, end = (chunk + 1) * cor.strips // outer.chunks
    cdef Py_ssize_t group = index // cor.parts, channel = index % cor.parts * cor.part, n, oy, images, rows, o, i
    cdef Py_ssize_t columns = smaller(outer.columns, cor.width - first), places
    cdef const floating* source = strip
    cdef const floating* lines
    partial += chunk * outer.partial_size + channel * cor.O + group * cor.width + first
    for i in range(begin, end):
        n, oy = i // cor.strips_down * cor.images, i % cor.strips_down * cor.rows
        images, rows = smaller(cor.images, cor.N - n), larger(0, smaller(cor.rows, cor.OH - oy))
        places = images * rows * cor.OW
        lines = g + (n * cor.OH + oy) * cor.OW * cor.O + group * cor.width + first
        if cor.in_place:
            source = x + ((n * cor.H + oy * cor.sy - cor.top) * cor.W - cor.left) * cor.C + group * cor.depth
        else:
            fill_strip(cor, x, strip, n, images, oy, rows, group * cor.depth + channel)
        if outer.gathered:
            add_gathered(outer, source, lines, partial, tap, strip + cor.strip_size, places, columns, i > begin)
        else:
            pack_lines(lines, cor.O, places, columns, strip + cor.strip_size)
            product(source, tap, tap + 2 * outer.taps, images * rows, cor.OW, cor.sx * cor.cell, strip + cor.strip_size, partial,
                    tap + outer.taps, outer.taps, columns, i > begin)


cdef void pack_lines(const floating* g, Py_ssize_t stride, Py_ssize_t places, Py_ssize_t columns, floating* lines) noexcept nogil:
    """The cotangents of a few places in blocks of output channels, the places of each block one after the other."""
    cdef Py_ssize_t o = 0, block = 2 * lanes_of(sizeof(floating))
    while o < columns:
        pack(g + o, stride, 1, places, smaller(block, columns - o), lines + o * places)
        o += block


cdef void add_gathered(const Outer* outer, const floating* strip, const floating* g, floating* w, const Py_ssize_t* tap, floating* cells,
                       Py_ssize_t places, Py_ssize_t columns, bint add) noexcept nogil:
    """w (+)= the outer product of one strip, in pieces of at most CHAIN places: their cotangents packed, then a few tiles of taps gathered
    and multiplied by all of them."""
    cdef Py_ssize_t row[GATHERED_TILES * TGC_REGISTERS]
    cdef Py_ssize_t run = 0, start = 0, group = GATHERED_TILES * TGC_WIDE_ROWS, block = 2 * lanes_of(sizeof(floating))
    cdef Py_ssize_t pieces = (places + CHAIN - 1) // CHAIN, piece = (places + pieces - 1) // larger(1, pieces), some, i, o
    cdef floating* lines = cells + outer.cells_size
    while start < places:
        some = smaller(piece, places - start)
        for i in range(group):
            row[i] = i // TGC_WIDE_ROWS * some * TGC_WIDE_ROWS + i % TGC_WIDE_ROWS
        pack_lines(g + start * outer.cor.O, outer.cor.O, some, columns, lines)
        i = 0
        while i < outer.taps:
            gather(strip, tap + i, smaller(group, outer.taps - i), tap + 2 * outer.taps + start, some, cells)
            o = 0
            while o < columns:
                panel(cells, row, &run, 1, some, TGC_WIDE_ROWS, lines + o * some, 0, w + o, tap + outer.taps + i,
                      smaller(group, outer.taps - i), smaller(block, columns - o), add)
                o += block
            i += group
        start += some
        add = True


cdef void gather(const floating* strip, const Py_ssize_t* tap, Py_ssize_t taps, const Py_ssize_t* place, Py_ssize_t places,
                 floating* cells) noexcept nogil:
    """cells = for one tile of taps after the other, at one place after the other, the tile's elements of the window side by side.

    Taps of one pixel, or of a kernel row, lie side by side in the strip too, so most tiles are moved by vectors. Sixteen places at a
    time: what the next tile wants of them is in the first-level cache.
    """
    cdef Py_ssize_t begin = 0, end, t, p, i, rows
    cdef floating* to
    while begin < places:
        end, t = smaller(begin + 16, places), 0
        while t < taps:
            rows, to = smaller(taps - t, TGC_WIDE_ROWS), cells + t * places
            if rows == TGC_WIDE_ROWS and tap[t + TGC_WIDE_ROWS - 1] - tap[t] == TGC_WIDE_ROWS - 1:
                for p in range(begin, end):
                    memcpy(to + p * TGC_WIDE_ROWS, strip + place[p] + tap[t], TGC_WIDE_ROWS * sizeof(floating))
            else:
                for p in range(begin, end):
                    for i in range(rows):
                        to[p * TGC_WIDE_ROWS + i] = strip[place[p] + tap[t + i]]
            t += TGC_WIDE_ROWS
        begin = end


cdef void add_partials(const Outer* outer, const floating* partial, floating* w, Py_ssize_t size) noexcept nogil:
    """w = the sum of the chunks' partial sums, first to last."""
    cdef Py_ssize_t chunk, i
    memcpy(w, partial, size * sizeof(floating))
    for chunk in range(1, outer.chunks):
        for i in range(size):
            w[i] = w[i] + partial[chunk * outer.partial_size + i]
