# How a correlation is cut up: which pixels of the image one output pixel sees, and what one task takes on.
#
#     y[n, y0 + ystep·u, x0 + xstep·v, o] = Σ_{ky,kx,c}  x[n, sy·u − top + down + dy·ky, sx·v − left + along + dx·kx, c] · w(ky, kx, c, o)
#
# conv2d_forward is one such sum. conv2d_grad_input is sy·sx of them, its *phases*: pixels of the input whose row and column leave the
# same remainders by the stride receive from the same taps of the filter, and no stuffed zero is ever multiplied. All phases of a
# place (u, v) look at nearly the same pixels of g, so a task computes them together.

cdef extern from *:
    Py_ssize_t PY_SSIZE_T_MAX
    Py_ssize_t PY_SSIZE_T_MIN

cdef enum:
    STRIP_BYTES = 98304       # of a strip: with the packed lines of one chain, well inside a second-level cache of 256 KB
    STRIP_PLACES = 192        # a strip has at least these, if need be of a part of the channels: each packed line is fetched once for all
    TASK_BYTES = 131072       # of packed weights of one task, or else
    TASK_COLUMNS = 128        # output channels of one task


cdef struct Correlation:
    Window win
    bint adjoint                                          # conv2d_grad_input: x is g, y is the input, the filter is rotated
    Py_ssize_t N, H, W, C, depth                          # the image read: all channels, and those of one group
    Py_ssize_t sy, sx, top, left, span_h, span_w          # step and first corner of the windows; what all phases of a place see
    Py_ssize_t OH, OW, O, width, groups                   # places of the largest phase; channels written, all and of one group
    Py_ssize_t YH, YW, ystep, xstep, phases               # the image written
    Py_ssize_t w_c, w_o, w_group, taps                    # steps in the array of weights; taps of all phases
    Py_ssize_t part, parts, columns, blocks               # channels read and written at a time, and how often that is
    Py_ssize_t images, rows, strip_h, strip_w, cell       # of one strip; elements from one of its pixels to the next
    Py_ssize_t strips_down, strips                        # strips of one image (or group of images), and in all
    Py_ssize_t above, before                              # rows and columns of padding that a strip holds, or has cut off (negative)
    bint in_place, banded                                 # whether x itself is the strip; whether taps in the padding are left out
    Py_ssize_t packed_size, places, strip_size            # elements of the packed weights, places of a full strip, elements of it
    Finish last                                           # what follows the sum


cdef struct Phase:
    Py_ssize_t kh, kw, dy, dx, down, along                # its taps, and how far into the strip the first one is
    Py_ssize_t OH, OW, y0, x0                             # its places and the first one's pixel
    Py_ssize_t w0, w_ky, w_kx, before                     # where its taps lie in the array of weights; taps of the phases before it


cdef struct Taps:
    Py_ssize_t count, last, step, shift, dilation         # of one phase, along one axis


cdef struct Band:
    Py_ssize_t end, first, count                          # places up to `end` see `count` taps from `first` on


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


cdef Phase phase_of(const Correlation* cor, Py_ssize_t index) noexcept nogil:
    """Phase `index` of a correlation; conv2d_forward has one."""
    cdef const Window* win = &cor.win
    cdef Phase phase
    cdef Taps down, along
    cdef Py_ssize_t i, line = win.C // win.groups * win.O
    if not cor.adjoint:
        phase.kh, phase.kw, phase.dy, phase.dx, phase.down, phase.along = win.kh, win.kw, win.dy, win.dx, 0, 0
        phase.OH, phase.OW, phase.y0, phase.x0 = win.OH, win.OW, 0, 0
        phase.w0, phase.w_ky, phase.w_kx, phase.before = 0, win.kw * line, line, 0
        return phase
    phase.y0, phase.x0 = index // win.sx, index % win.sx
    down, along = taps_of(phase.y0, win.kh, win.sy, win.dy, win.top), taps_of(phase.x0, win.kw, win.sx, win.dx, win.left)
    phase.kh, phase.kw, phase.dy, phase.dx = down.count, along.count, down.dilation, along.dilation
    phase.down, phase.along = down.shift + cor.top, along.shift + cor.left
    phase.OH, phase.OW = (win.H - phase.y0 + win.sy - 1) // win.sy, (win.W - phase.x0 + win.sx - 1) // win.sx
    phase.w0 = (down.last * win.kw + along.last) * line
    phase.w_ky, phase.w_kx = -down.step * win.kw * line, -along.step * line
    phase.before = 0
    for i in range(phase.x0):
        phase.before += down.count * taps_of(i, win.kw, win.sx, win.dx, win.left).count
    for i in range(phase.y0):
        phase.before += win.kw * taps_of(i, win.kh, win.sy, win.dy, win.top).count
    return phase


cdef Correlation forward_plan(const Window* win, Py_ssize_t itemsize) noexcept nogil:
    """conv2d_forward as a correlation."""
    cdef Correlation cor
    cor.win, cor.adjoint, cor.phases, cor.groups = win[0], False, 1, win.groups
    cor.N, cor.H, cor.W, cor.C, cor.depth = win.N, win.H, win.W, win.C, win.C // win.groups
    cor.sy, cor.sx, cor.top, cor.left = win.sy, win.sx, win.top, win.left
    cor.span_h, cor.span_w = win.dy * (win.kh - 1) + 1, win.dx * (win.kw - 1) + 1
    cor.OH, cor.OW, cor.O, cor.width = win.OH, win.OW, win.O, win.O // win.groups
    cor.YH, cor.YW, cor.ystep, cor.xstep = win.OH, win.OW, 1, 1
    cor.w_c, cor.w_o, cor.w_group = win.O, 1, cor.width
    plan(&cor, itemsize)
    return cor


cdef Correlation adjoint_plan(const Window* win, Py_ssize_t itemsize) noexcept nogil:
    """conv2d_grad_input as a correlation of g: every phase has stride 1."""
    cdef Correlation cor
    cor.win, cor.adjoint, cor.phases, cor.groups = win[0], True, win.sy * win.sx, win.groups
    cor.N, cor.H, cor.W, cor.C, cor.depth = win.N, win.OH, win.OW, win.O, win.O // win.groups
    cor.sy, cor.sx = 1, 1
    span_of(win.kh, win.sy, win.dy, win.top, &cor.top, &cor.span_h)
    span_of(win.kw, win.sx, win.dx, win.left, &cor.left, &cor.span_w)
    cor.OH, cor.OW, cor.O, cor.width = (win.H + win.sy - 1) // win.sy, (win.W + win.sx - 1) // win.sx, win.C, win.C // win.groups
    cor.YH, cor.YW, cor.ystep, cor.xstep = win.H, win.W, win.sy, win.sx
    cor.w_c, cor.w_o, cor.w_group = 1, win.O, cor.depth
    plan(&cor, itemsize)
    return cor


cdef void span_of(Py_ssize_t kernel, Py_ssize_t stride, Py_ssize_t dilation, Py_ssize_t before, Py_ssize_t* top,
                  Py_ssize_t* span) noexcept nogil:
    """How far above place u the pixels of g begin that its phases see, and how many there are, along one axis."""
    cdef Py_ssize_t index, last, begin = PY_SSIZE_T_MAX, end = PY_SSIZE_T_MIN
    cdef Taps taps
    for index in range(stride):
        taps = taps_of(index, kernel, stride, dilation, before)
        if taps.count > 0:
            last = taps.shift + taps.dilation * (taps.count - 1)
            begin, end = smaller(begin, taps.shift), larger(end, last + 1)
    top[0], span[0] = -begin, end - begin


cdef bint unpadded(const Correlation* cor) noexcept nogil:
    """Whether no window reaches into the padding."""
    return (cor.top <= 0 and cor.left <= 0 and (cor.OH - 1) * cor.sy + cor.span_h - cor.top <= cor.H
            and (cor.OW - 1) * cor.sx + cor.span_w - cor.left <= cor.W)


cdef void plan(Correlation* cor, Py_ssize_t itemsize) noexcept nogil:
    """Fill in the rest of `cor` from its geometry, with nothing to follow the sum."""
    cdef Py_ssize_t wanted = smaller(STRIP_PLACES, cor.N * cor.OH * cor.OW), most, tile, bordered
    cor.last = nothing()
    cor.taps = cor.win.kh * cor.win.kw
    cor.packed_size = cor.groups * cor.taps * cor.depth * round_up(cor.width, lanes_of(itemsize))
    cor.columns = cor.width if cor.taps * cor.depth * cor.width * itemsize <= TASK_BYTES else TASK_COLUMNS
    cor.blocks = (cor.width + cor.columns - 1) // larger(1, cor.columns)
    most = cor.N * cor.groups * cor.blocks // 8           # so that a few small images still make enough tasks
    cor.in_place = unpadded(cor)
    cor.part, cor.banded = cor.depth, False
    lay_strips(cor, itemsize, most)
    while cor.places < wanted and cor.part >= 64 and cor.part % 2 == 0 and cor.taps * cor.part > 2 * CHAIN * cor.phases:
        cor.part = cor.part // 2
        lay_strips(cor, itemsize, most)
    if not cor.in_place and cor.strips_down == 1 and (cor.win.kw == 1 or cor.win.dx == 1):
        tile = TGC_WIDE_ROWS if cor.width > lanes_of(itemsize) else TGC_NARROW_ROWS
        bordered = work_of(cor, tile) // cor.images
        cor.banded = True
        lay_strips(cor, itemsize, most)
        if work_of(cor, tile) // cor.images >= bordered:
            cor.banded = False
            lay_strips(cor, itemsize, most)
    cor.in_place = (cor.in_place or cor.banded) and (cor.part == cor.C or (cor.win.kw == 1 and not cor.banded))
    cor.cell = cor.C if cor.in_place else cor.part
    cor.above, cor.before = cor.top, cor.left
    if cor.in_place or cor.banded:
        cor.strip_h, cor.strip_w, cor.above, cor.before = cor.H, cor.W, 0, 0
    cor.strip_size = 0 if cor.in_place else round_up(cor.images * cor.strip_h * cor.strip_w * cor.cell, 64)


cdef void lay_strips(Correlation* cor, Py_ssize_t itemsize, Py_ssize_t most) noexcept nogil:
    """Strips of `part` channels: a few rows of one image, or at most `most` whole images, alike as far as they divide."""
    cdef Py_ssize_t row_bytes, fits, groups
    cor.parts = (cor.depth + cor.part - 1) // larger(1, cor.part)
    cor.strip_w = cor.W if cor.banded else (cor.OW - 1) * cor.sx + cor.span_w
    row_bytes = larger(1, cor.strip_w * cor.part * itemsize)
    fits = larger(1, (STRIP_BYTES // row_bytes - cor.span_h) // cor.sy + 1)
    cor.strips_down = 1 if cor.banded else larger(1, (cor.OH + fits - 1) // fits)
    cor.rows = (cor.OH + cor.strips_down - 1) // cor.strips_down
    cor.strip_h = cor.H if cor.banded else (cor.rows - 1) * cor.sy + cor.span_h
    cor.images = 1
    if cor.strips_down == 1 and cor.N > 0:
        fits = STRIP_BYTES // larger(1, cor.strip_h * row_bytes)
        most = smaller(most, smaller((2048 if cor.banded else 512) // larger(1, cor.OH * cor.OW), fits))
        groups = (cor.N + larger(1, most) - 1) // larger(1, most)
        cor.images = (cor.N + groups - 1) // groups
    cor.strips = cor.strips_down * ((cor.N + cor.images - 1) // cor.images)
    cor.places = cor.images * cor.rows * cor.OW


cdef Band band_of(Py_ssize_t u, Py_ssize_t places, Py_ssize_t kernel, Py_ssize_t stride, Py_ssize_t dilation, Py_ssize_t corner,
                  Py_ssize_t size) noexcept nogil:
    """The taps k of place u whose pixel stride·u + corner + dilation·k is inside 0 … size − 1, and up to where that is so."""
    cdef Band band
    cdef Py_ssize_t first, count, begin = stride * u + corner
    band.end, band.first, band.count = u, 0, 0
    while band.end < places:
        first = smaller(kernel, larger(0, (dilation - 1 - begin) // dilation)) if begin < 0 else 0
        count = larger(0, smaller(kernel, (size - 1 - begin) // dilation + 1 if begin < size else 0) - first)
        if band.end == u:
            band.first, band.count = first, count
        elif first != band.first or count != band.count:
            break
        band.end += 1
        begin += stride
    return band


cdef Band rows_of(const Correlation* cor, const Phase* phase, Py_ssize_t u) noexcept nogil:
    """The band of rows of places from u on: all of them where the taps in the padding are not left out."""
    cdef Band band
    if cor.banded:
        return band_of(u, phase.OH, phase.kh, cor.sy, phase.dy, phase.down - cor.top, cor.H)
    band.end, band.first, band.count = smaller(cor.rows, phase.OH), 0, phase.kh
    return band


cdef Band columns_of(const Correlation* cor, const Phase* phase, Py_ssize_t v) noexcept nogil:
    """The band of columns of places from v on."""
    cdef Band band
    if cor.banded:
        return band_of(v, phase.OW, phase.kw, cor.sx, phase.dx, phase.along - cor.left, cor.W)
    band.end, band.first, band.count = phase.OW, 0, phase.kw
    return band


cdef Py_ssize_t work_of(const Correlation* cor, Py_ssize_t tile) noexcept nogil:
    """What one strip costs: for every tile its terms, and about 8 more to begin and to store."""
    cdef Py_ssize_t index, u, v, work = 0
    cdef Phase phase
    cdef Band down, along
    for index in range(cor.phases):
        phase = phase_of(cor, index)
        u = 0
        while u < phase.OH:
            down = rows_of(cor, &phase, u)
            v = 0
            while v < phase.OW:
                along = columns_of(cor, &phase, v)
                work += ((cor.images * (down.end - u) * (along.end - v) + tile - 1) // tile * (down.count * along.count * cor.depth + 8))
                v = along.end
            u = down.end
    return 1024 * work
