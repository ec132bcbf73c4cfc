# Copies of a few values, however they lie. NumPy looks for the quickest way through two arrays for longer than these take to copy; of many
# values its copies go as fast as memory does, so those are left to it.
cdef enum:
    FEW = 4096                  # values


cdef bint few_copied(object x, object y) except -1:
    """y = x, broadcast to y; False, and nothing is done, where there are many values or they have to be converted."""
    cdef ndarray source, target
    cdef Py_ssize_t steps[AXES]
    cdef Py_ssize_t axis, lead, size
    cdef int kind = floating_kind(y)
    if kind == OTHER or not isinstance(x, ndarray) or not isinstance(y, ndarray) or kind_of((<ndarray>x).dtype) != kind:
        return False
    source, target = x, y
    lead, size = target.axes - source.axes, size_of(target)
    if lead < 0 or target.axes > AXES or size > FEW:
        return False
    for axis in range(target.axes):
        if axis < lead or source.lengths[axis - lead] == 1:
            steps[axis] = 0                          # what is broadcast lies zero bytes apart
        elif source.lengths[axis - lead] == target.lengths[axis]:
            steps[axis] = source.steps[axis - lead]
        else:
            return False
    if size > 0:
        copied(source.address, steps, target.address, target.steps, target.lengths, target.axes, 4 if kind == SINGLE else 8)
    return True


cdef void copied(const char* x, const Py_ssize_t* x_steps, char* y, const Py_ssize_t* y_steps, const Py_ssize_t* lengths, int axes,
                 Py_ssize_t itemsize) noexcept nogil:
    """Axis after axis, the last one in a loop of its own, or at once where its values lie side by side. Steps are in bytes."""
    cdef Py_ssize_t i
    if axes == 0:
        memcpy(y, x, itemsize)
    elif axes > 1:
        for i in range(lengths[0]):
            copied(x + i * x_steps[0], x_steps + 1, y + i * y_steps[0], y_steps + 1, lengths + 1, axes - 1, itemsize)
    elif x_steps[0] == itemsize and y_steps[0] == itemsize:
        memcpy(y, x, lengths[0] * itemsize)
    elif itemsize == 4:
        for i in range(lengths[0]):
            memcpy(y + i * y_steps[0], x + i * x_steps[0], 4)
    else:
        for i in range(lengths[0]):
            memcpy(y + i * y_steps[0], x + i * x_steps[0], 8)
