# The weighted sum over a window, and its adjoint.

def window_sum(const floating[:, :, :, ::1] x, const floating[:, ::1] weights, const floating[:, ::1] scale,
               floating[:, :, :, ::1] y, geo):
    """reference.window_sum. One task per output row."""
    cdef Window win = window_of(geo)
    cdef Arrays arrays
    cdef Py_ssize_t row, size = y.shape[0] * y.shape[1] * y.shape[2] * y.shape[3]
    if size == 0:
        return
    arrays.x, arrays.y = <void*>&x[0, 0, 0, 0], &y[0, 0, 0, 0]
    arrays.where, arrays.wide, arrays.streams = NULL, 0, 0
    arrays.weights, arrays.scale = <void*>&weights[0, 0], <void*>&scale[0, 0]
    for row in prange(win.N * win.OH, nogil=True, schedule="static", num_threads=threads_for(size * win.kh * win.kw)):
        if floating is float:
            window_row(SUM, &arrays, <const vector_float*>NULL, row, &win)
        else:
            window_row(SUM, &arrays, <const vector_double*>NULL, row, &win)


def window_spread(const floating[:, :, :, ::1] g, const floating[:, ::1] weights, const floating[:, ::1] scale,
                  floating[:, :, :, ::1] x, geo):
    """reference.window_spread. Tasks as in pool_scatter."""
    cdef Window win = window_of(geo)
    cdef Arrays arrays
    cdef Py_ssize_t row, size = x.shape[0] * x.shape[1] * x.shape[2] * x.shape[3]
    if size == 0:
        return
    arrays.x, arrays.y = &x[0, 0, 0, 0], <void*>&g[0, 0, 0, 0]
    arrays.where, arrays.wide = NULL, 0
    arrays.weights, arrays.scale = <void*>&weights[0, 0], <void*>&scale[0, 0]
    arrays.streams = may_stream(arrays.x, size, win.C, sizeof(floating))
    if not tiled(&win):
        if floating is float:
            gather_cells(&arrays, <const vector_float*>NULL, &win, threads_for(size))
        else:
            gather_cells(&arrays, <const vector_double*>NULL, &win, threads_for(size))
        return
    with nogil, parallel(num_threads=threads_for(size)):
        for row in prange(win.N * win.OH, schedule="static"):
            if floating is float:
                window_row(TILE_WEIGHTS, &arrays, <const vector_float*>NULL, row, &win)
            else:
                window_row(TILE_WEIGHTS, &arrays, <const vector_double*>NULL, row, &win)
        fence()
