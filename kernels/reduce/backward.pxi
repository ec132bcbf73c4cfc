# The ways back through an extreme and a product, over the middle axis of x (A, R, B): a task is a strip of columns of one a. What stays
# within a strip stays in the first-level cache; along the rows it goes through memory once or twice.

def extreme_backward(g, x, y, dx, axes):
    """reference.extreme_backward. One task per strip of columns."""
    if not passed_back(True, g, x, y, dx, axes):
        reference.extreme_backward(g, x, y, dx, axes)


def prod_backward(g, x, dx, axes):
    """reference.prod_backward. One task per strip of columns."""
    if not passed_back(False, g, x, None, dx, axes):
        reference.prod_backward(g, x, dx, axes)


cdef struct Back:
    Py_ssize_t A, R, B, strips
    void* g
    void* x
    void* y
    void* dx


cdef bint passed_back(bint extreme, object g, object x, object y, object dx, tuple axes) except -1:
    """dx from g, x and (of an extreme) y; False, and nothing is done, where they do not lie as needed."""
    cdef Back form
    cdef Py_ssize_t task, size
    cdef int kind = floating_kind(dx)
    if (kind == OTHER or not contiguous(g, kind) or not contiguous(x, kind) or not contiguous(dx, kind)
            or not (y is None or contiguous(y, kind)) or not middle(x, axes, &form.A, &form.R, &form.B)):
        return False
    size = form.A * form.R * form.B
    if size == 0:
        return True
    form.strips = (form.B + LINE - 1) // LINE
    form.g, form.x, form.dx = numbers_of(g, kind, form.A * form.B), numbers_of(x, kind, size), numbers_of(dx, kind, size)
    form.y = NULL if y is None else numbers_of(y, kind, form.A * form.B)
    if threads_for(size) == 1:
        for task in range(form.A * form.strips):
            back_task(extreme, &form, task, kind == SINGLE)
    else:
        for task in prange(form.A * form.strips, nogil=True, schedule="static", num_threads=threads_for(size)):
            back_task(extreme, &form, task, kind == SINGLE)
    return True


cdef void back_task(bint extreme, const Back* form, Py_ssize_t task, bint single) noexcept nogil:
    """One strip of columns of one a."""
    if single:
        if extreme:
            extreme_strip(form, <const float*>form.g, <const float*>form.x, <const float*>form.y, <float*>form.dx, task)
        else:
            product_strip(form, <const float*>form.g, <const float*>form.x, <float*>form.dx, task)
    elif extreme:
        extreme_strip(form, <const double*>form.g, <const double*>form.x, <const double*>form.y, <double*>form.dx, task)
    else:
        product_strip(form, <const double*>form.g, <const double*>form.x, <double*>form.dx, task)


cdef void extreme_strip(const Back* form, const floating* g, const floating* x, const floating* y, floating* dx,
                        Py_ssize_t task) noexcept nogil:
    """dx = g where the extreme is met first, 0 elsewhere. What is left of g is 0 once it has been given away."""
    cdef floating left[LINE]
    cdef Py_ssize_t a = task // form.strips, first = task % form.strips * LINE, columns = min(<Py_ssize_t>LINE, form.B - first), r, j
    cdef bint met
    g += a * form.B + first
    y += a * form.B + first
    x += a * form.R * form.B + first
    dx += a * form.R * form.B + first
    if form.B == 1:                                # along memory: look for the one place
        memset(dx, 0, form.R * sizeof(floating))
        for r in range(form.R):
            if x[r] == y[0] or (x[r] != x[r] and y[0] != y[0]):
                dx[r] = g[0]
                return
        return
    for j in range(columns):
        left[j] = g[j]
    for r in range(form.R):
        for j in range(columns):
            met = (x[j] == y[j]) | ((x[j] != x[j]) & (y[j] != y[j]))
            dx[j] = left[j] if met else 0
            left[j] = 0 if met else left[j]
        x += form.B
        dx += form.B


cdef void product_strip(const Back* form, const floating* g, const floating* x, floating* dx, Py_ssize_t task) noexcept nogil:
    """dx = g times the product of the values before, on the way down; times that of the values after, on the way up. No division."""
    cdef double running[LINE]
    cdef Py_ssize_t a = task // form.strips, first = task % form.strips * LINE, columns = min(<Py_ssize_t>LINE, form.B - first), r, j
    g += a * form.B + first
    x += a * form.R * form.B + first
    dx += a * form.R * form.B + first
    for j in range(columns):
        running[j] = g[j]
    for r in range(form.R):
        for j in range(columns):
            dx[r * form.B + j] = <floating>running[j]
            running[j] *= x[r * form.B + j]
    for j in range(columns):
        running[j] = 1
    for r in range(form.R - 1, -1, -1):
        for j in range(columns):
            dx[r * form.B + j] = <floating>(dx[r * form.B + j] * running[j])
            running[j] *= x[r * form.B + j]
