# The weights in the order in which the tile (tile.pxi) reads them: blocks of two vectors of output channels, a line per term; in each
# block phase by phase, part by part of the channels, then ky, kx, c: as the windows lie in a strip.

cdef void pack_weights(const Correlation* cor, const floating* w, floating* packed) noexcept nogil:
    """The weights of all groups, a task per tap and part of the channels: it reads w along its rows and writes to all blocks."""
    cdef Py_ssize_t task
    cdef int threads = threads_for(cor.packed_size)
    for task in prange(cor.groups * cor.taps * cor.parts, schedule="static", num_threads=threads):
        pack_task(cor, w, packed, task // cor.parts // cor.taps, task // cor.parts % cor.taps, task % cor.parts)


cdef void pack_task(const Correlation* cor, const floating* w, floating* packed, Py_ssize_t group, Py_ssize_t tap,
                    Py_ssize_t part) noexcept nogil:
    """One tap and part of the channels of one group: 64 terms of every block, then the next 64."""
    cdef Py_ssize_t block = 2 * lanes_of(sizeof(floating)), lines = cor.taps * cor.depth, index = 0, o, columns, c, line
    cdef Phase phase = phase_of(cor, 0)
    while tap >= phase.before + phase.kh * phase.kw:
        index += 1
        phase = phase_of(cor, index)
    tap -= phase.before
    packed += group * lines * round_up(cor.width, lanes_of(sizeof(floating)))
    line = ((phase.before * cor.parts + part * phase.kh * phase.kw) + tap) * cor.part
    w += phase.w0 + tap // phase.kw * phase.w_ky + tap % phase.kw * phase.w_kx + group * cor.w_group + part * cor.part * cor.w_c
    c = 0
    while c < cor.part:
        o = 0
        while o < cor.width:
            columns = smaller(block, cor.width - o)
            pack(w + c * cor.w_c + o * cor.w_o, cor.w_c, cor.w_o, smaller(64, cor.part - c), columns,
                 packed + o * lines + (line + c) * round_up(columns, lanes_of(sizeof(floating))))
            o += block
        c += 64
