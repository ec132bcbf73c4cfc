# Correlation of an image with packed weights, as plan.pxi cuts it up: what conv2d_forward is, and conv2d_grad_input.
#
# A task computes a strip: a few rows of places (of one image, or whole small images), one group, some of the output channels. It
# first copies the rows of x that it needs into a small buffer with the padding written out as zeros, which stays in the second-level
# cache. There every window lies at the same offsets from its corner, so the tile (tile.pxi) needs one offset per place, no
# branches, and the kw·C values of a kernel row are one contiguous run. Where no window reaches into the padding, x itself is the strip.
# So it is where images are small against their padding: their places are sorted into *areas* that see the same taps, and
# what lies in the padding is not multiplied at all.

cdef struct Area:
    Py_ssize_t begin, each, ky, kh, kx, kw      # first place in the table, places of one image; the taps that they see


cdef struct Tables:
    Py_ssize_t* place       # of each place of a full strip: where its window begins in the strip
    Py_ssize_t* to          # and where its result lies in y
    Py_ssize_t* run         # where the contiguous runs of a window begin
    Area* area
    Py_ssize_t areas


cdef Py_ssize_t most_areas(const Correlation* cor) noexcept nogil:
    """Areas of one phase, at most."""
    return smaller(cor.OH, 2 * cor.win.kh + 1) * smaller(cor.OW, 2 * cor.win.kw + 1) if cor.banded else 1


cdef Py_ssize_t tables_bytes(const Correlation* cor) noexcept nogil:
    """The tables of all phases."""
    cdef Py_ssize_t numbers = 2 * cor.places + cor.taps
    return round_up(cor.phases * (numbers * sizeof(Py_ssize_t) + most_areas(cor) * sizeof(Area) + sizeof(Tables)), 64)


cdef Py_ssize_t workspace_bytes(const Correlation* cor, Py_ssize_t itemsize, Py_ssize_t threads) noexcept nogil:
    """The tables, and one strip per thread; each begins on a cache line."""
    return tables_bytes(cor) + threads * cor.strip_size * itemsize


cdef void correlate(const Correlation* cor, const floating* x, const floating* packed, floating* y, unsigned char* workspace,
                    Py_ssize_t workspace_size) noexcept nogil:
    """Lay out the tables, compute every strip."""
    cdef Py_ssize_t task, tasks = cor.groups * cor.blocks * cor.strips
    cdef Tables* tables = <Tables*>workspace
    cdef floating* strips = <floating*>(workspace + tables_bytes(cor))
    cdef int threads = threads_for(cor.N * cor.OH * cor.OW * cor.width * cor.taps * cor.C)
    if cor.strip_size > 0:
        threads = smaller(threads, (workspace_size - tables_bytes(cor)) // (cor.strip_size * <Py_ssize_t>sizeof(floating)))
    fill_tables(cor, tables)
    for task in prange(tasks, schedule="dynamic", num_threads=threads):
        strip_task(cor, x, packed, y, tables, strips + threadid() * cor.strip_size, task // cor.strips // cor.blocks,
                   task // cor.strips % cor.blocks * cor.columns, task % cor.strips)


cdef void fill_tables(const Correlation* cor, Tables* tables) noexcept nogil:
    """The tables of every phase, one after the other behind their heads."""
    cdef char* free_bytes = <char*>(tables + cor.phases)
    cdef Py_ssize_t index
    cdef Phase phase
    for index in range(cor.phases):
        phase = phase_of(cor, index)
        tables[index].area = <Area*>free_bytes
        tables[index].place = <Py_ssize_t*>(tables[index].area + most_areas(cor))
        tables[index].to = tables[index].place + cor.places
        tables[index].run = tables[index].to + cor.places
        free_bytes = <char*>(tables[index].run + cor.taps)
        fill_places(cor, &phase, tables + index)
        fill_runs(cor, &phase, tables[index].run)


cdef void fill_places(const Correlation* cor, const Phase* phase, Tables* table) noexcept nogil:
    """The areas of one phase, and their places: image by image, row by row."""
    cdef Py_ssize_t u = 0, v, n, oy, ox, i = 0, iy, ix
    cdef Band down, along
    cdef Area* area = table.area
    while u < smaller(cor.rows, phase.OH):
        down, v = rows_of(cor, phase, u), 0
        while v < phase.OW:
            along = columns_of(cor, phase, v)
            area.begin, area.each = i, (down.end - u) * (along.end - v)
            area.ky, area.kh, area.kx, area.kw = down.first, down.count, along.first, along.count
            area += 1
            for n in range(cor.images):
                for oy in range(u, down.end):
                    for ox in range(v, along.end):
                        iy, ix = oy * cor.sy + phase.down + cor.above - cor.top, ox * cor.sx + phase.along + cor.before - cor.left
                        table.place[i] = ((n * cor.strip_h + iy) * cor.strip_w + ix) * cor.cell
                        table.to[i] = ((n * cor.YH + oy * cor.ystep + phase.y0) * cor.YW + ox * cor.xstep + phase.x0) * cor.O
                        i += 1
            v = along.end
        u = down.end
    table.areas = area - table.area


cdef bint runs_are_rows(const Phase* phase) noexcept nogil:
    """Whether a kernel row sees pixels side by side: then it is one run, otherwise every tap is."""
    return phase.kw <= 1 or phase.dx == 1


cdef void fill_runs(const Correlation* cor, const Phase* phase, Py_ssize_t* run) noexcept nogil:
    """Where the runs of a window begin, from its first tap on."""
    cdef Py_ssize_t ky, kx, runs = 1 if runs_are_rows(phase) else phase.kw
    for ky in range(phase.kh):
        for kx in range(runs):
            run[ky * runs + kx] = (ky * phase.dy * cor.strip_w + kx * phase.dx) * cor.cell


cdef void strip_task(const Correlation* cor, const floating* x, const floating* packed, floating* y, const Tables* tables,
                     floating* strip, Py_ssize_t group, Py_ssize_t first, Py_ssize_t index) noexcept nogil:
    """One strip: output channels first, … of one group at rows·OW places of one image, or at all places of a few images."""
    cdef Py_ssize_t n = index // cor.strips_down * cor.images, u = index % cor.strips_down * cor.rows, part, p
    cdef Py_ssize_t images = smaller(cor.images, cor.N - n), rows = smaller(cor.rows, cor.OH - u), channel = group * cor.width + first
    cdef Py_ssize_t lines = cor.taps * cor.depth, columns = smaller(cor.columns, cor.width - first), at
    cdef const floating* source = strip
    packed += group * lines * round_up(cor.width, lanes_of(sizeof(floating))) + first * lines
    at = (n * cor.YH + u * cor.ystep) * cor.YW * cor.O + channel
    for part in range(cor.parts):
        if cor.in_place:
            source = x + (n * cor.H + u * cor.sy) * cor.W * cor.C + group * cor.depth + part * cor.part
        else:
            fill_strip(cor, x, strip, n, images, u, rows, group * cor.depth + part * cor.part)
        for p in range(cor.phases):
            phase_task(cor, p, source, packed, y, tables + p, images, u, rows, at, channel, columns, part)


cdef void phase_task(const Correlation* cor, Py_ssize_t index, const floating* strip, const floating* packed, floating* y,
                     const Tables* table, Py_ssize_t images, Py_ssize_t u, Py_ssize_t rows, Py_ssize_t at, Py_ssize_t channel,
                     Py_ssize_t columns, Py_ssize_t part) noexcept nogil:
    """Add one part of the channels to the places of one phase, from y[at] on, area by area; finish them after the last part."""
    cdef Phase phase = phase_of(cor, index)
    cdef Py_ssize_t a, i, lines, places, runs, length, line, spacing = cor.part * (phase.kw if runs_are_rows(&phase) else 1)
    cdef Area area
    rows = smaller(rows, phase.OH - u)
    for a in range(table.areas):
        area = table.area[a]
        places = images * area.each if cor.strips_down == 1 else rows * phase.OW
        runs, length = area.kh, area.kw * cor.part
        if not runs_are_rows(&phase):
            runs, length = area.kh * area.kw, cor.part
        if runs * length > 0:
            line = (phase.before * cor.parts + part * phase.kh * phase.kw) * cor.part + area.ky * spacing + area.kx * cor.part
            windows(strip + area.kx * cor.cell, table.place + area.begin, table.run + area.ky, runs, length, 1, packed,
                    cor.taps * cor.depth, line, spacing, y + at, table.to + area.begin, places, columns, part > 0)
        elif part == 0:
            for i in range(places):
                memset(y + at + table.to[area.begin + i], 0, columns * sizeof(floating))
        if part == cor.parts - 1 and anything(&cor.last):
            i = 0
            while i < places:
                lines = neighbours(table.to + area.begin + i, places - i, columns) if columns == cor.O else 1
                finish_channels(cor, y, at + table.to[area.begin + i], channel, columns, lines)
                i += lines


cdef Py_ssize_t neighbours(const Py_ssize_t* to, Py_ssize_t places, Py_ssize_t columns) noexcept nogil:
    """How many places, from the first on, have their `columns` channels one after another in memory."""
    cdef Py_ssize_t count = 1
    while count < places and to[count] == to[count - 1] + columns:
        count += 1
    return count


cdef inline void finish_channels(const Correlation* cor, floating* y, Py_ssize_t at, Py_ssize_t channel, Py_ssize_t columns,
                                 Py_ssize_t lines) noexcept nogil:
    """Finish `columns` channels, from `channel` on, of `lines` neighbouring places of y, which begin at y[at]."""
    cdef const floating* scale = <const floating*>cor.last.scale
    cdef const floating* bias = <const floating*>cor.last.bias
    cdef const floating* residual = <const floating*>cor.last.residual
    if scale != NULL:
        scale += channel
    if bias != NULL:
        bias += channel
    if residual != NULL:
        residual += at
    finish_lines(y + at, scale, bias, residual, columns, lines, cor.last.activation)


cdef void fill_strip(const Correlation* cor, const floating* x, floating* strip, Py_ssize_t n, Py_ssize_t images, Py_ssize_t u,
                     Py_ssize_t rows, Py_ssize_t channel) noexcept nogil:
    """Copy the rows under the windows of rows of places u, …, u + rows − 1: `part` channels of each pixel, zeros outside the image."""
    cdef Py_ssize_t height = cor.strip_h if cor.banded else (rows - 1) * cor.sy + cor.span_h, image, r, iy, ix
    cdef Py_ssize_t left = smaller(larger(cor.before, 0), cor.strip_w), skip = larger(-cor.before, 0), cell = cor.cell
    cdef Py_ssize_t inside = larger(0, smaller(cor.W - skip, cor.strip_w - left))
    cdef floating* to
    cdef const floating* row
    for image in range(images):
        for r in range(height):
            iy = u * cor.sy - cor.above + r
            to = strip + (image * cor.strip_h + r) * cor.strip_w * cell
            if iy < 0 or iy >= cor.H:
                memset(to, 0, cor.strip_w * cell * sizeof(floating))
                continue
            row = x + (((n + image) * cor.H + iy) * cor.W + skip) * cor.C + channel
            memset(to, 0, left * cell * sizeof(floating))
            if cell == cor.C:
                memcpy(to + left * cell, row, inside * cor.C * sizeof(floating))
            else:
                for ix in range(inside):
                    memcpy(to + (left + ix) * cell, row + ix * cor.C, cor.part * sizeof(floating))
            memset(to + (left + inside) * cell, 0, (cor.strip_w - left - inside) * cell * sizeof(floating))
