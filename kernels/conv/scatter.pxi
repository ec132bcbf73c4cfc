# conv2d_grad_input where pixels have few channels: LeNet's, or the three of a picture.
#
#     cells[place, ky, (kx, c)] = Σ_o  g[place, o] · w[ky, kx, c, o],         then each row of cells is added to the pixels under it
#
# As a correlation (correlate.pxi) every tap fills a vector with the C channels of one pixel: 6 of 8 lanes, or 1. But the kw·C values of
# a kernel row lie side by side in x, so the product of a place's cotangents with all of w fills its vectors but for the last of each
# kernel row (30 of 32 lanes for a 5×5 filter over 6 channels). It runs through the wide tile, multiplies by no padding, and a stride
# costs nothing. What it gives is added up in a thread's own image with the padding around it, of which the inside is then copied out.
#
# A task is one image: its places are summed in their order, whatever the number of threads.

cdef enum:
    SCATTERED_ROWS = 65536       # bytes of the rows under one row of places, which stay in the second-level cache while it is added
    SCATTERED_IMAGE = 16777216   # bytes of one image with its padding: each thread has one
    SCATTERED_TILES = 4          # tiles of places whose cells wait in the first-level cache to be added


cdef struct Scatter:
    Window win
    Py_ssize_t row, vectors, columns        # of a kernel row: its kw·C elements and vectors; elements of all rows in whole vectors
    Py_ssize_t pitch, image_size            # elements from one row of the image with its padding to the next, and of all of it
    Py_ssize_t cells_size, packed_size      # elements of the cells of a few tiles, and of the packed weights


cdef Scatter scatter_plan(const Window* win, Py_ssize_t itemsize) noexcept nogil:
    """The sizes of what it needs."""
    cdef Scatter plan
    cdef Py_ssize_t lanes = lanes_of(itemsize)
    plan.win, plan.row = win[0], win.kw * win.C
    plan.vectors = (plan.row + lanes - 1) // lanes
    plan.columns = win.kh * plan.vectors * lanes
    plan.pitch = ((win.OW - 1) * win.sx + win.kw) * win.C
    plan.image_size = round_up(((win.OH - 1) * win.sy + win.dy * (win.kh - 1) + 1) * plan.pitch + lanes, 64)
    plan.cells_size = round_up(SCATTERED_TILES * TGC_WIDE_ROWS * plan.columns, 64)
    plan.packed_size = round_up(win.O * plan.columns, 64)
    return plan


cdef bint scatters(const Window* win, Py_ssize_t itemsize) noexcept nogil:
    """Whether kernel rows want a fifth fewer vectors than their taps one by one, and what they are added to is small enough."""
    cdef Py_ssize_t lanes = lanes_of(itemsize)
    cdef Scatter plan = scatter_plan(win, itemsize)
    return (win.groups == 1 and win.dx == 1 and win.C <= 2 * lanes and plan.image_size * itemsize <= SCATTERED_IMAGE
            and (win.dy * (win.kh - 1) + 1) * plan.pitch * itemsize <= SCATTERED_ROWS
            and 5 * plan.vectors <= 4 * win.kw * ((win.C + lanes - 1) // lanes))


cdef Py_ssize_t scatter_bytes(const Scatter* plan, Py_ssize_t itemsize, Py_ssize_t threads) noexcept nogil:
    """Packed weights, and for each thread an image and the cells of a few tiles; each begins on a cache line."""
    return (plan.packed_size + threads * (plan.image_size + plan.cells_size)) * itemsize


cdef void scatter(const Scatter* plan, const floating* g, const floating* w, floating* x, unsigned char* workspace,
                  Py_ssize_t workspace_size) noexcept nogil:
    """Pack the weights, compute every image."""
    cdef Py_ssize_t n, each = plan.image_size + plan.cells_size
    cdef floating* packed = <floating*>workspace
    cdef floating* images = packed + plan.packed_size
    cdef int threads = threads_for(plan.win.N * plan.win.OH * plan.win.OW * plan.win.O * plan.columns)
    threads = smaller(threads, (workspace_size // <Py_ssize_t>sizeof(floating) - plan.packed_size) // each)
    pack_rows(plan, w, packed)
    for n in prange(plan.win.N, schedule="dynamic", num_threads=threads):
        scatter_image(plan, g + n * plan.win.OH * plan.win.OW * plan.win.O, packed, x + n * plan.win.H * plan.win.W * plan.win.C,
                      images + threadid() * each)


cdef void pack_rows(const Scatter* plan, const floating* w, floating* packed) noexcept nogil:
    """Blocks of two vectors of columns as the tile reads them: a line per output channel, zeros behind each kernel row."""
    cdef Py_ssize_t lanes = lanes_of(sizeof(floating)), spaced = plan.vectors * lanes, O = plan.win.O, column, o, first, j
    cdef floating* to
    for column in range(plan.columns):
        first = column - column % (2 * lanes)
        to, j = packed + first * O + column % (2 * lanes), column % spaced
        for o in range(O):
            to[o * smaller(2 * lanes, plan.columns - first)] = w[(column // spaced * plan.row + j) * O + o] if j < plan.row else 0


cdef void scatter_image(const Scatter* plan, const floating* g, const floating* packed, floating* x, floating* image) noexcept nogil:
    """The gradient of one image: a few tiles of places at a time, their cells and then what these add to."""
    cdef const Window* win = &plan.win
    cdef Py_ssize_t row[SCATTERED_TILES * TGC_REGISTERS]
    cdef Py_ssize_t to[SCATTERED_TILES * TGC_REGISTERS]
    cdef Py_ssize_t run = 0, most = SCATTERED_TILES * TGC_WIDE_ROWS, places = win.OH * win.OW, first = 0, some, i, iy, left, right, line
    cdef floating* cells = image + plan.image_size
    cdef floating keep[TGC_BYTES]
    for i in range(lanes_of(sizeof(floating))):
        keep[i] = 1 if i < plan.row - (plan.vectors - 1) * lanes_of(sizeof(floating)) else 0
    for i in range(most):
        row[i], to[i] = i * win.O, i * plan.columns
    memset(image, 0, plan.image_size * sizeof(floating))
    while first < places:
        some = smaller(most, places - first)
        product(g + first * win.O, row, &run, 1, win.O, 1, packed, cells, to, some, plan.columns, False)
        for i in range(first, first + some):
            line = i // win.OW * win.sy * plan.pitch + i % win.OW * win.sx * win.C
            if floating is float:
                add_cells(plan, <const vector_float*>(cells + (i - first) * plan.columns), <const vector_float*>keep, image + line)
            else:
                add_cells(plan, <const vector_double*>(cells + (i - first) * plan.columns), <const vector_double*>keep, image + line)
        first += some
    left = smaller(larger(win.left, 0), plan.pitch // win.C)
    right = smaller(win.W, plan.pitch // win.C - left)              # pixels of a row that windows see; no window sees those past them
    for iy in range(win.H):
        line = (iy + win.top) * plan.pitch + left * win.C
        some = right if iy + win.top <= (win.OH - 1) * win.sy + win.dy * (win.kh - 1) else 0
        memcpy(x + iy * win.W * win.C, image + line, some * win.C * sizeof(floating))
        memset(x + (iy * win.W + some) * win.C, 0, (win.W - some) * win.C * sizeof(floating))


cdef inline void add_cells(const Scatter* plan, const vector* cells, const vector* keep, floating* image) noexcept nogil:
    """Add the cells of one place to the pixels under its window, but nothing of the lanes behind a kernel row, where `keep` is 0: an
    infinite cotangent times a zero of the packed weights is no number."""
    cdef Py_ssize_t step = plan.win.dy * plan.pitch, last = plan.vectors - 1, j
    cdef vector* line
    cdef int ky
    for ky in range(plan.win.kh):
        line = <vector*>(image + ky * step)
        for j in range(last):
            line[j] = line[j] + cells[j]
        if vector is vector_float:
            line[last] = line[last] + gate_float(cells[last], keep[0])
        else:
            line[last] = line[last] + gate_double(cells[last], keep[0])
        cells += plan.vectors
