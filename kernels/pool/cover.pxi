# Which windows cover a cell: what an adjoint asks that gathers, so that no two tasks write one cell.

cdef struct Cover:
    # For each cell i along one axis, entries first[i] … first[i + 1] − 1 name the taps and windows that meet there, taps ascending.
    Py_ssize_t* first
    Py_ssize_t* tap
    Py_ssize_t* place


cdef Py_ssize_t* cover_axis(Cover* cover, Py_ssize_t size, Py_ssize_t taps, Py_ssize_t places, Py_ssize_t stride, Py_ssize_t dilation,
                            Py_ssize_t before) except NULL:
    """Fill `cover` for an axis of `size` cells, so that no cell has to divide; returns its memory, to be freed."""
    cdef Py_ssize_t i, k, first, ahead, entries = 0
    cdef Py_ssize_t* memory = <Py_ssize_t*>malloc((size + 1 + 2 * taps * places) * sizeof(Py_ssize_t))
    if memory == NULL:
        raise MemoryError(f"pooling: no memory for the table of {places} windows of {taps} over {size} cells")
    cover.first, cover.tap, cover.place = memory, memory + size + 1, memory + size + 1 + taps * places
    for i in range(size):
        cover.first[i] = entries
        # Window o starts at stride·o − before and its tap k lies dilation·k further: o is in range for these k alone.
        first = first_tap((places - 1) * stride - i - before, dilation)
        for k in range(first, min(taps, (i + before) // dilation + 1)):
            ahead = i + before - dilation * k
            if ahead % stride == 0:
                cover.tap[entries] = k
                cover.place[entries] = ahead // stride
                entries += 1
    cover.first[size] = entries
    return memory
