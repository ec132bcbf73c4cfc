# A correlation of an image with packed weights: what conv2d_forward is, and what each sub-pixel phase of conv2d_grad_input is.
#
#     y[n, y0 + ystep·oy, x0 + xstep·ox, o] = Σ_{ky,kx,c}  x[n, sy·oy + dy·ky − top, sx·ox + dx·kx − left, c] · w(ky, kx, c, o)
#
# A task computes a strip: a few rows of places (of one image, or whole small images), one group, some of the output channels.
# It first copies the rows of x that it needs into a small buffer with the padding written out as zeros, which stays in the
# second-level cache. There every window lies at the same offsets from its corner, so the tile (tile.pxi) needs one offset per place, no
# branches, and the kw·C values of a kernel row are one contiguous run.

cdef enum:
    STRIP_BYTES = 98304       # of the zero-bordered copy: with the packed lines, well inside a second-level cache of 256 KB
    TASK_COLUMNS = 128        # output channels of one task, so that a few small images still make enough tasks


cdef struct Correlation:
    Py_ssize_t N, H, W, C, depth                          # the image read: all channels, and those of one group
    Py_ssize_t kh, kw, sy, sx, dy, dx, top, left          # its windows; top and left may be negative
    Py_ssize_t OH, OW, O, width, groups                   # places; channels written, all and of one group
    Py_ssize_t YH, YW, y0, x0, ystep, xstep               # the image written, and which of its pixels
    Py_ssize_t w0, w_ky, w_kx, w_c, w_o, w_group          # where w(ky, kx, c, o) of a group lies in the array of weights
    Py_ssize_t images, rows, strip_h, strip_w, cell       # of one strip; elements from one pixel of it to the next
    Py_ssize_t strips_down, strips                        # strips of one image (or group of images), and in all
    Py_ssize_t runs, length                               # contiguous runs of a window in the strip
    Py_ssize_t packed_size, places, strip_size            # elements of the packed weights, places of a full strip, elements of it
    const void* scale                                     # what follows the sum (epilogue.pxi): of all channels, or NULL
    const void* bias
    const void* residual
    int activation


cdef void plan(Correlation* cor, Py_ssize_t itemsize) noexcept nogil:
    """Fill in the rest of `cor` from its geometry, with nothing to follow the sum."""
    cdef Py_ssize_t span = cor.dy * (cor.kh - 1) + 1, row_bytes, fits, images
    cor.strip_w = (cor.OW - 1) * cor.sx + cor.dx * (cor.kw - 1) + 1
    row_bytes = larger(1, cor.strip_w * cor.depth * itemsize)
    fits = larger(1, (STRIP_BYTES // row_bytes - span) // cor.sy + 1)
    cor.strips_down = larger(1, (cor.OH + fits - 1) // fits)
    cor.rows = (cor.OH + cor.strips_down - 1) // cor.strips_down
    cor.strip_h = (cor.rows - 1) * cor.sy + span
    images = smaller(cor.N // 4, smaller(256 // larger(1, cor.OH * cor.OW), STRIP_BYTES // larger(1, cor.strip_h * row_bytes)))
    divide(cor, cor.depth, images)
    cor.runs, cor.length = cor.kh, cor.kw * cor.depth
    if cor.dx > 1 and cor.kw > 1:
        cor.runs, cor.length = cor.kh * cor.kw, cor.depth
    cor.scale, cor.bias, cor.residual, cor.activation = NULL, NULL, NULL, 0
    cor.packed_size = cor.groups * cor.kh * cor.kw * cor.depth * round_up(cor.width, lanes_of(itemsize))


cdef void divide(Correlation* cor, Py_ssize_t cell, Py_ssize_t images) noexcept nogil:
    """Pixels of a strip `cell` elements apart, and up to `images` whole images in one strip if an image is not more than that."""
    cor.cell = cell
    cor.images = larger(1, images) if cor.strips_down == 1 else 1
    cor.strips = cor.strips_down * ((cor.N + cor.images - 1) // cor.images)
    cor.places = cor.images * cor.rows * cor.OW
    cor.strip_size = round_up(cor.images * cor.strip_h * cor.strip_w * cor.cell, 64)


cdef Correlation forward_plan(const Window* win, Py_ssize_t itemsize) noexcept nogil:
    """conv2d_forward as a correlation."""
    cdef Correlation cor
    cor.N, cor.H, cor.W, cor.C, cor.depth = win.N, win.H, win.W, win.C, win.C // win.groups
    cor.kh, cor.kw, cor.sy, cor.sx, cor.dy, cor.dx, cor.top, cor.left = win.kh, win.kw, win.sy, win.sx, win.dy, win.dx, win.top, win.left
    cor.OH, cor.OW, cor.O, cor.width, cor.groups = win.OH, win.OW, win.O, win.O // win.groups, win.groups
    cor.YH, cor.YW, cor.y0, cor.x0, cor.ystep, cor.xstep = win.OH, win.OW, 0, 0, 1, 1
    cor.w0, cor.w_ky, cor.w_kx, cor.w_c, cor.w_o, cor.w_group = 0, win.kw * cor.depth * win.O, cor.depth * win.O, win.O, 1, cor.width
    plan(&cor, itemsize)
    return cor


cdef struct Taps:
    Py_ssize_t count, last, step, shift, dilation     # of one phase, along one axis


cdef Taps taps_of(Py_ssize_t phase, Py_ssize_t kernel, Py_ssize_t stride, Py_ssize_t dilation, Py_ssize_t before) noexcept nogil:
    """Which taps of the filter reach the pixels phase, phase + stride, … and from where.

    Pixel i = stride·u + phase receives w[k] · g[o] where stride·o + dilation·k − before = i, which is
    o = u + (phase + before − dilation·k) / stride for every k that divides. They come `step` taps apart; counted down from the
    last, o rises by `dilation` (of g) from u + `shift`.
    """
    cdef Taps taps
    cdef Py_ssize_t k
    taps.count, taps.last, taps.step, taps.shift, taps.dilation = 0, 0, 1, 0, 1
    for k in range(kernel):
        if (phase + before - dilation * k) % stride == 0:
            if taps.count == 1:
                taps.step = k - taps.last
                taps.dilation = dilation * taps.step // stride
            taps.count += 1
            taps.last = k
    taps.shift = (phase + before - dilation * taps.last) // stride
    return taps


cdef Correlation phase_plan(const Window* win, Py_ssize_t phase_y, Py_ssize_t phase_x, Py_ssize_t itemsize) noexcept nogil:
    """The pixels (phase_y + sy·u, phase_x + sx·v) of conv2d_grad_input: g with some taps of the rotated filter, stride 1."""
    cdef Taps down = taps_of(phase_y, win.kh, win.sy, win.dy, win.top), along = taps_of(phase_x, win.kw, win.sx, win.dx, win.left)
    cdef Py_ssize_t depth = win.C // win.groups
    cdef Correlation cor
    cor.N, cor.H, cor.W, cor.C, cor.depth = win.N, win.OH, win.OW, win.O, win.O // win.groups
    cor.kh, cor.kw, cor.sy, cor.sx, cor.dy, cor.dx = down.count, along.count, 1, 1, down.dilation, along.dilation
    cor.top, cor.left = -down.shift, -along.shift
    cor.OH, cor.OW = (win.H - phase_y + win.sy - 1) // win.sy, (win.W - phase_x + win.sx - 1) // win.sx
    cor.O, cor.width, cor.groups = win.C, depth, win.groups
    cor.YH, cor.YW, cor.y0, cor.x0, cor.ystep, cor.xstep = win.H, win.W, phase_y, phase_x, win.sy, win.sx
    cor.w0 = (down.last * win.kw + along.last) * depth * win.O
    cor.w_ky, cor.w_kx = -down.step * win.kw * depth * win.O, -along.step * depth * win.O
    cor.w_c, cor.w_o, cor.w_group = 1, win.O, cor.depth
    plan(&cor, itemsize)
    return cor


cdef Py_ssize_t workspace_bytes(const Correlation* cor, Py_ssize_t itemsize, Py_ssize_t threads) noexcept nogil:
    """Two tables of places and one of runs, and one strip per thread; each begins on a cache line."""
    return tables_bytes(cor) + threads * cor.strip_size * itemsize


cdef Py_ssize_t tables_bytes(const Correlation* cor) noexcept nogil:
    return round_up((2 * (cor.places + TGC_NARROW_ROWS) + cor.runs) * sizeof(Py_ssize_t), 64)


cdef void correlate(const Correlation* cor, const floating* x, const floating* packed, floating* y, unsigned char* workspace,
                    Py_ssize_t workspace_size) noexcept nogil:
    """Lay out the tables, compute every strip."""
    cdef Py_ssize_t task, columns = (cor.width + TASK_COLUMNS - 1) // TASK_COLUMNS, tasks = cor.groups * columns * cor.strips
    cdef Py_ssize_t* place = <Py_ssize_t*>workspace
    cdef floating* strips = <floating*>(workspace + tables_bytes(cor))
    cdef int threads = smaller(threads_for(cor.N * cor.OH * cor.OW * cor.width * cor.kh * cor.kw * cor.C),
                               (workspace_size - tables_bytes(cor)) // (cor.strip_size * sizeof(floating)))
    fill_tables(cor, place)
    for task in prange(tasks, schedule="dynamic", num_threads=threads):
        strip_task(cor, x, packed, y, place, strips + threadid() * cor.strip_size, task // cor.strips // columns,
                   task // cor.strips % columns * TASK_COLUMNS, task % cor.strips)


cdef void pack_weights(const Correlation* cor, const floating* w, floating* packed) noexcept nogil:
    """The weights of all groups in blocks of output channels."""
    cdef Py_ssize_t task, columns = (cor.width + TASK_COLUMNS - 1) // TASK_COLUMNS
    cdef int threads = threads_for(cor.packed_size)
    for task in prange(cor.groups * columns, schedule="static", num_threads=threads):
        pack_task(cor, w, packed, task // columns, task % columns * TASK_COLUMNS)


cdef void fill_tables(const Correlation* cor, Py_ssize_t* place) noexcept nogil:
    """Offsets of each place of a full strip, in the strip and in y, and those of the runs of a window."""
    cdef Py_ssize_t n, oy, ox, r, count = cor.places + TGC_NARROW_ROWS, i = 0, pitch = cor.strip_w * cor.cell
    cdef Py_ssize_t* to = place + count
    cdef Py_ssize_t* run = to + count
    for n in range(cor.images):
        for oy in range(cor.rows):
            for ox in range(cor.OW):
                place[i] = (n * cor.strip_h + oy * cor.sy) * pitch + ox * cor.sx * cor.cell
                to[i] = ((n * cor.YH + oy * cor.ystep) * cor.YW + ox * cor.xstep) * cor.O
                i += 1
    for i in range(cor.places, count):
        place[i] = 0
    for r in range(cor.runs):
        run[r] = r * cor.dy * pitch
        if cor.runs > cor.kh:
            run[r] = r // cor.kw * cor.dy * pitch + r % cor.kw * cor.dx * cor.cell


cdef void pack_task(const Correlation* cor, const floating* w, floating* packed, Py_ssize_t group, Py_ssize_t first) noexcept nogil:
    """Pack TASK_COLUMNS output channels of one group, block by block, terms in the order (ky, kx, c)."""
    cdef Py_ssize_t lanes = lanes_of(sizeof(floating)), terms = cor.kh * cor.kw * cor.depth, o = first, ky, kx, columns
    cdef floating* to
    cdef const floating* tap
    packed += group * terms * round_up(cor.width, lanes)
    while o < smaller(first + TASK_COLUMNS, cor.width):
        columns = smaller(2 * lanes, cor.width - o)
        to = packed + o * terms
        for ky in range(cor.kh):
            for kx in range(cor.kw):
                tap = w + cor.w0 + ky * cor.w_ky + kx * cor.w_kx + group * cor.w_group + o * cor.w_o
                pack(tap, cor.w_c, cor.w_o, cor.depth, columns, to)
                to += cor.depth * round_up(columns, lanes)
        o += 2 * lanes


cdef void strip_task(const Correlation* cor, const floating* x, const floating* packed, floating* y, const Py_ssize_t* place,
                     floating* strip, Py_ssize_t group, Py_ssize_t first, Py_ssize_t index) noexcept nogil:
    """One strip: output channels first, … of one group at rows·OW places of one image, or at all places of a few images."""
    cdef Py_ssize_t n = index // cor.strips_down * cor.images, oy = index % cor.strips_down * cor.rows
    cdef Py_ssize_t images = smaller(cor.images, cor.N - n), rows = smaller(cor.rows, cor.OH - oy), count = cor.places + TGC_NARROW_ROWS
    cdef Py_ssize_t terms = cor.runs * cor.length, columns = smaller(TASK_COLUMNS, cor.width - first), channel = group * cor.width + first
    cdef Py_ssize_t corner = ((n * cor.YH + cor.y0 + oy * cor.ystep) * cor.YW + cor.x0) * cor.O + channel, i
    if rows <= 0:
        return
    fill_strip(cor, x, strip, n, images, oy, rows, group)
    product(strip, place, place + 2 * count, cor.runs, cor.length, 1,
            packed + group * terms * round_up(cor.width, lanes_of(sizeof(floating))) + first * terms,
            y + corner, place + count, images * rows * cor.OW, columns, False)
    if follows(cor):
        for i in range(images * rows * cor.OW):
            finish_channels(cor, y, corner + place[count + i], channel, columns)


cdef inline bint follows(const Correlation* cor) noexcept nogil:
    """Whether anything is to be done to the sums."""
    return cor.activation or cor.scale != NULL or cor.bias != NULL or cor.residual != NULL


cdef inline void finish_channels(const Correlation* cor, floating* y, Py_ssize_t at, Py_ssize_t channel, Py_ssize_t columns) noexcept nogil:
    """Finish `columns` channels, from `channel` on, of one place of y, which begin at y[at]."""
    cdef const floating* scale = <const floating*>cor.scale
    cdef const floating* bias = <const floating*>cor.bias
    cdef const floating* residual = <const floating*>cor.residual
    if scale != NULL:
        scale += channel
    if bias != NULL:
        bias += channel
    if residual != NULL:
        residual += at
    finish(y + at, scale, bias, residual, columns, cor.activation)


cdef void fill_strip(const Correlation* cor, const floating* x, floating* strip, Py_ssize_t n, Py_ssize_t images, Py_ssize_t oy,
                     Py_ssize_t rows, Py_ssize_t group) noexcept nogil:
    """Copy the rows under the windows of rows oy, …, oy + rows − 1, with zeros where they reach outside the image."""
    cdef Py_ssize_t height = (rows - 1) * cor.sy + cor.dy * (cor.kh - 1) + 1, image, r, iy, ix
    cdef Py_ssize_t before = smaller(larger(cor.left, 0), cor.strip_w), skip = larger(-cor.left, 0)
    cdef Py_ssize_t inside = larger(0, smaller(cor.W - skip, cor.strip_w - before))
    cdef floating* to
    cdef const floating* row
    for image in range(images):
        for r in range(height):
            iy = oy * cor.sy - cor.top + r
            to = strip + (image * cor.strip_h + r) * cor.strip_w * cor.cell
            if iy < 0 or iy >= cor.H:
                memset(to, 0, cor.strip_w * cor.cell * sizeof(floating))
                continue
            row = x + (((n + image) * cor.H + iy) * cor.W + skip) * cor.C + group * cor.depth
            memset(to, 0, before * cor.cell * sizeof(floating))
            if cor.cell == cor.C:
                memcpy(to + before * cor.cell, row, inside * cor.C * sizeof(floating))
            else:
                for ix in range(inside):
                    memcpy(to + (before + ix) * cor.cell, row + ix * cor.C, cor.depth * sizeof(floating))
            memset(to + (before + inside) * cor.cell, 0, (cor.strip_w - before - inside) * cor.cell * sizeof(floating))
