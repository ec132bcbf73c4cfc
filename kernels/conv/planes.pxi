# conv2d_forward where few channels are read and few written: the first layer of LeNet, whose six outputs fill no vector of eight.
#
# Here vectors run along x. A strip of the image is laid out in a thread's own buffer as *planes*, one per input channel, rows with the
# padding around them one after another, `pitch` elements each. Every tap of the filter is then one offset:
#
#     sum[o, p] = Σ_t  w[t, o] · strip[p + offset[t]],            p = pitch · oy + ox
#
# so neighbouring places are neighbouring elements, and a vector of them is one load, wherever it begins. A tile is a few outputs ×
# vectors of places: per tap it loads its vectors of the strip once, and broadcasts one weight per output. Places run through the ends
# of rows: what stands between OW and the pitch is computed and dropped, for LeNet 4 of 32 where channels would waste 2 of 8 lanes.
# The tile is stored once in whole vectors, and squares of outputs × places are transposed in registers on their way to y.
#
# A task is a strip: a few rows of one image. Each sum has its terms in the order of w, whatever the number of threads.

include "transpose.pxi"

cdef enum:
    PLANES_TERMS = 128            # of a sum, at most: it stays in registers from its first term to its last
    LEAST_TAPS = 6                # of a filter over more than one channel
    PLANES_BYTES = 16384          # of the sums of a strip, which wait in the first-level cache until they are transposed
    STRIP_OF_PLANES = 16384       # bytes of a strip, at most
    FEW = 3                       # a tile is FEW outputs × 3 vectors of places, or
    SEVERAL = 6                   # SEVERAL × 2: enough sums to hide how long a multiply-add takes, in 16 registers with what they need


cdef struct Planes:
    Window win
    Py_ssize_t height, vectors, blocks          # outputs and vectors of a tile, tiles side by side for all outputs
    Py_ssize_t taps, pitch                      # terms of a sum; elements from one row of a plane to the next
    Py_ssize_t rows, strips_down                # rows of y of a strip, strips of an image
    Py_ssize_t line, strip_size, sums_size      # elements from one output's sums to the next's, of a strip, and of all sums
    Py_ssize_t packed_size


cdef Planes planes_plan(const Window* win, Py_ssize_t itemsize) noexcept nogil:
    """The tile, the strips and the sizes of what they need."""
    cdef Planes plan
    cdef Py_ssize_t lanes = lanes_of(itemsize), channels = round_up(win.O, lanes), span_h = win.dy * (win.kh - 1) + 1, fits
    plan.win = win[0]
    plan.height, plan.vectors = (FEW, 3) if win.O <= FEW else (SEVERAL, 2)
    plan.blocks = (win.O + plan.height - 1) // plan.height
    plan.taps = win.kh * win.kw * win.C
    plan.pitch = larger(1, win.OW + win.dx * (win.kw - 1))
    fits = larger(1, smaller(PLANES_BYTES // (larger(1, channels) * plan.pitch * itemsize),
                             STRIP_OF_PLANES // (larger(1, win.C) * plan.pitch * itemsize) - span_h + 1))
    plan.strips_down = (win.OH + fits - 1) // fits
    plan.rows = (win.OH + plan.strips_down - 1) // larger(1, plan.strips_down)
    plan.line = round_up(plan.rows * plan.pitch, plan.vectors * lanes)
    # The last vectors of places read past the last plane: by what its line is longer than its rows, and a row's padding.
    plan.strip_size = round_up((win.C * (plan.rows + span_h - 1) + 1) * plan.pitch + plan.vectors * lanes, 64)
    plan.sums_size = round_up(larger(channels, plan.blocks * plan.height) * plan.line, 64)
    plan.packed_size = plan.blocks * plan.height * plan.taps
    return plan


cdef bint in_planes(const Window* win, Py_ssize_t itemsize) noexcept nogil:
    """Whether more of the tile's lanes are of use than if its vectors held output channels, and a sum is short.

    A stride would have to pick every other element of a row. Taking the channels of a pixel apart goes element by element, which a
    filter of one tap is not worth.
    """
    cdef Py_ssize_t lanes = lanes_of(itemsize)
    cdef Planes plan = planes_plan(win, itemsize)
    return (win.groups == 1 and win.sy == 1 and win.sx == 1 and win.top >= 0 and win.left >= 0 and plan.taps <= PLANES_TERMS
            and (win.C == 1 or win.kh * win.kw >= LEAST_TAPS)
            and win.OW * round_up(win.O, lanes) > plan.pitch * plan.blocks * plan.height)


cdef Py_ssize_t planes_bytes(const Planes* plan, Py_ssize_t itemsize, Py_ssize_t threads) noexcept nogil:
    """The offsets of the taps, and for each thread a strip and its sums; each begins on a cache line."""
    return round_up(plan.taps * sizeof(Py_ssize_t), 64) + threads * (plan.strip_size + plan.sums_size) * itemsize


cdef void pack_planes(const Planes* plan, const floating* w, floating* packed) noexcept nogil:
    """The weights of one tile's outputs after the other: a line of them per tap, in the order of w, zeros for outputs past the last."""
    cdef Py_ssize_t block, tap, i, o
    for block in range(plan.blocks):
        for tap in range(plan.taps):
            for i in range(plan.height):
                o = block * plan.height + i
                packed[(block * plan.taps + tap) * plan.height + i] = w[tap * plan.win.O + o] if o < plan.win.O else 0


cdef void convolve_planes(const Planes* plan, const Finish* last, const floating* x, const floating* packed, floating* y,
                          unsigned char* workspace, Py_ssize_t workspace_size) noexcept nogil:
    """Lay out the offsets, compute every strip."""
    cdef const Window* win = &plan.win
    cdef Py_ssize_t* offset = <Py_ssize_t*>workspace
    cdef Py_ssize_t table = round_up(plan.taps * sizeof(Py_ssize_t), 64), each = plan.strip_size + plan.sums_size, ky, kx, c, task
    cdef floating* strips = <floating*>(workspace + table)
    cdef int threads = threads_for(win.N * win.OH * win.OW * win.O * plan.taps)
    threads = smaller(threads, (workspace_size - table) // (each * <Py_ssize_t>sizeof(floating)))
    for ky in range(win.kh):
        for kx in range(win.kw):
            for c in range(win.C):
                offset[(ky * win.kw + kx) * win.C + c] = (c * (plan.rows + win.dy * (win.kh - 1)) + ky * win.dy) * plan.pitch + kx * win.dx
    for task in prange(win.N * plan.strips_down, schedule="dynamic", num_threads=threads):
        planes_task(plan, last, x, packed, y, offset, strips + threadid() * each, task // plan.strips_down,
                    task % plan.strips_down * plan.rows)


cdef void planes_task(const Planes* plan, const Finish* last, const floating* x, const floating* packed, floating* y,
                      const Py_ssize_t* offset, floating* strip, Py_ssize_t n, Py_ssize_t u) noexcept nogil:
    """Rows u, … of image n: its planes, their sums, what follows these, and all of it transposed."""
    cdef const Window* win = &plan.win
    cdef Py_ssize_t rows = smaller(plan.rows, win.OH - u), block, at = (n * win.OH + u) * win.OW * win.O
    cdef bint late = last.residual != NULL or last.activation > 1
    cdef int activation = 0 if late else last.activation
    cdef floating* sums = strip + plan.strip_size
    if rows <= 0:
        return
    fill_planes(plan, x + n * win.H * win.W * win.C, strip, u)
    for block in range(plan.blocks):
        planes_sums(plan, strip, offset, packed + block * plan.height * plan.taps, sums + block * plan.height * plan.line,
                    (rows - 1) * plan.pitch + win.OW)
    scale, bias, residual = <const floating*>last.scale, <const floating*>last.bias, <const floating*>last.residual
    if floating is float:
        if anything(last):
            finish_planes(plan, scale, bias, activation, <vector_float*>sums, rows)
        channels_last(plan, sums, rows, y + at, <vector_float*>(y + at))
    else:
        if anything(last):
            finish_planes(plan, scale, bias, activation, <vector_double*>sums, rows)
        channels_last(plan, sums, rows, y + at, <vector_double*>(y + at))
    if late:                                             # a residual lies as y does; and no place that is dropped costs a tanh
        finish(y + at, <const floating*>NULL, <const floating*>NULL, residual + at if residual != NULL else residual, rows * win.OW * win.O,
               last.activation)


cdef void fill_planes(const Planes* plan, const floating* x, floating* strip, Py_ssize_t u) noexcept nogil:
    """Copy the rows of one image under the windows of rows u, … of y, channel by channel, zeros outside the image."""
    cdef const Window* win = &plan.win
    cdef Py_ssize_t height = plan.rows + win.dy * (win.kh - 1), left = smaller(win.left, plan.pitch), c, r, ix, iy
    cdef Py_ssize_t inside = smaller(win.W, plan.pitch - left)
    cdef const floating* row
    cdef floating* to = strip
    for c in range(win.C):
        for r in range(height):
            iy = u + r - win.top
            if iy < 0 or iy >= win.H:
                memset(to, 0, plan.pitch * sizeof(floating))
            else:
                row = x + iy * win.W * win.C + c
                memset(to, 0, left * sizeof(floating))
                if win.C == 1:
                    memcpy(to + left, row, inside * sizeof(floating))
                else:
                    for ix in range(inside):
                        to[left + ix] = row[ix * win.C]
                memset(to + left + inside, 0, (plan.pitch - left - inside) * sizeof(floating))
            to += plan.pitch
    memset(to, 0, (strip + plan.strip_size - to) * sizeof(floating))


cdef void planes_sums(const Planes* plan, const floating* strip, const Py_ssize_t* offset, const floating* w, floating* sums,
                      Py_ssize_t places) noexcept nogil:
    """The sums of one tile's outputs at all places of a strip, tile by tile; the weights stay in the first-level cache."""
    cdef Py_ssize_t p = 0, step = plan.vectors * lanes_of(sizeof(floating))
    while p < places:
        if floating is float:
            if plan.height == FEW:
                planes_tile(FEW, 3, strip + p, offset, plan.taps, w, <vector_float*>(sums + p), plan.line)
            else:
                planes_tile(SEVERAL, 2, strip + p, offset, plan.taps, w, <vector_float*>(sums + p), plan.line)
        else:
            if plan.height == FEW:
                planes_tile(FEW, 3, strip + p, offset, plan.taps, w, <vector_double*>(sums + p), plan.line)
            else:
                planes_tile(SEVERAL, 2, strip + p, offset, plan.taps, w, <vector_double*>(sums + p), plan.line)
        p += step


cdef inline void planes_tile(const int height, const int NV, const floating* strip, const Py_ssize_t* offset, Py_ssize_t taps,
                             const floating* w, vector* sums, Py_ssize_t line) noexcept nogil:
    """One tile of `height` outputs × NV vectors of places, both constants at the call: the loops over i and j unroll, and `total` is
    registers."""
    cdef vector total[SEVERAL][3]
    cdef vector cells[3]
    cdef const vector* cell
    cdef Py_ssize_t t
    cdef int i, j
    for i in range(height):
        for j in range(NV):
            total[i][j] = each(total[i][j], 0)
    for t in range(taps):
        cell = <const vector*>(strip + offset[t])
        for j in range(NV):
            cells[j] = cell[j]
        for i in range(height):
            for j in range(NV):
                total[i][j] = total[i][j] + w[i] * cells[j]
        w += height
    for i in range(height):
        for j in range(NV):
            (<vector*>(<floating*>sums + i * line))[j] = total[i][j]


cdef inline void finish_planes(const Planes* plan, const floating* scale, const floating* bias, int activation, vector* sums,
                               Py_ssize_t rows) noexcept nogil:
    """sums = act(sums · scale + bias), output by output, each with its own two numbers: vectors are full, however few outputs there are."""
    cdef Py_ssize_t count = (rows * plan.pitch * <Py_ssize_t>sizeof(floating) + TGC_BYTES - 1) // TGC_BYTES, o, j
    cdef vector* line
    cdef vector factor, summand
    for o in range(plan.win.O):
        line = <vector*>(<floating*>sums + o * plan.line)
        factor = each(line[0], scale[o] if scale != NULL else 1)
        summand = each(line[0], bias[o] if bias != NULL else 0)
        for j in range(count):
            line[j] = activated(line[j] * factor + summand, activation)


cdef inline void channels_last(const Planes* plan, const floating* sums, Py_ssize_t rows, floating* y, vector* squares) noexcept nogil:
    """y[oy, ox, o] = sums[o, pitch · oy + ox] (`squares` is y too), a square of outputs × places at a time, the last outputs first.

    A square writes whole vectors of outputs: past the last output they fall upon the next place, or places past the end of a row upon the
    next row, both of which are written afterwards. Only at the very end of the strip elements go one by one.
    """
    cdef Py_ssize_t lanes = TGC_BYTES // sizeof(floating), O = plan.win.O, OW = plan.win.OW, end = rows * OW * O, oy, ox, o, place, p
    for oy in range(rows):
        ox = 0
        while ox < OW:
            place, o = (oy * OW + ox) * O, round_up(O, lanes) - lanes
            if place + (lanes - 1) * O + o + lanes <= end:
                while o >= 0:
                    transpose_square(TGC_BYTES // sizeof(floating), sums + o * plan.line + oy * plan.pitch + ox, plan.line,
                                     <vector*>(<floating*>squares + place + o), O)
                    o -= lanes
            else:
                for p in range(smaller(lanes, OW - ox)):
                    for o in range(O):
                        y[place + p * O + o] = sums[o * plan.line + oy * plan.pitch + ox + p]
            ox += lanes
