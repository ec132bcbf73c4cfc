# How an operand is broadcast: value i of the result meets data[(i // inner) % period] of it.
#
#     the same shape            inner 1, period the size of the result
#     one number                period 1
#     one per channel (…, C)    inner 1, period C
#     one per row (…, 1)        inner C, period the number of rows

cdef enum:
    BLOCK = 1024                # values: three lines of doubles stay in a first-level cache of 32 KB
    AXES = 8                    # arrays with more axes are left to NumPy


ctypedef fused element:
    float
    double
    char                        # bool


cdef struct Operand:
    char* data
    Py_ssize_t inner, period, axes
    Py_ssize_t shape[AXES]
    bint whole                  # nothing is broadcast


cdef bint operand_of(object array, Operand* operand) except -1:
    """The address and shape of an array; False where it is not contiguous, or has too many axes."""
    cdef ndarray a
    cdef Py_ssize_t axis
    if not isinstance(array, ndarray):
        return False                                 # a NumPy scalar
    a = array                                        # the caller holds it, so its memory stays where it is
    if a.axes > AXES or not a.flags.c_contiguous:
        return False
    operand.data, operand.axes, operand.inner, operand.period, operand.whole = a.address, a.axes, 1, 1, True
    for axis in range(a.axes):
        operand.shape[axis] = a.lengths[axis]
        operand.period *= a.lengths[axis]
    return True


cdef bint spread_over(object array, Operand* operand, const Operand* result) except -1:
    """operand_of an array that is broadcast to `result`; False also where it is, but in a way that has no inner and period."""
    cdef Py_ssize_t axis, lead, length
    cdef int stage = 0              # from the last axis backwards: 0 repeats each value, 1 goes along values, 2 repeats all of them
    if not operand_of(array, operand):
        return False
    lead = result.axes - operand.axes
    if lead < 0:
        return False
    operand.whole = operand.period == result.period
    for axis in range(result.axes - 1, -1, -1):
        length = operand.shape[axis - lead] if axis >= lead else 1
        if result.shape[axis] == 1:
            if length != 1:
                return False
        elif length == result.shape[axis]:
            stage = max(stage, 1)
            if stage == 2:
                return False
        elif length == 1:
            if stage == 0:
                operand.inner *= result.shape[axis]
            else:
                stage = 2
        else:
            return False
    return True


cdef const element* line_of(const Operand* operand, Py_ssize_t start, Py_ssize_t count, element* line,
                            const element* before) noexcept nogil:
    """What values start … start + count − 1 of the result meet: in place where it lies so, else laid out in `line`.

    `start` is a multiple of BLOCK and `before` the line of the block before, or NULL: blocks that meet the same values share a line.
    """
    cdef const element* data = <const element*>operand.data
    cdef Py_ssize_t period = operand.period, at, done, i
    if operand.whole:
        return data + start
    if operand.inner == 1:
        at = start % period
        if at + count <= period:
            return data + at
        if before != line or BLOCK % period:
            done = min(count, period - at)
            memcpy(line, data + at, done * sizeof(element))
            i = min(count - done, at)
            memcpy(line + done, data, i * sizeof(element))
            done += i
            while done < count:                      # one period stands there: double it
                i = min(done, count - done)
                memcpy(line + done, line, i * sizeof(element))
                done += i
        return line
    if period == 1 and before == line:
        return line
    done = 0
    while done < count:
        at = start + done
        i = min(count, done + operand.inner - at % operand.inner)
        at = (at // operand.inner) % period
        while done < i:
            line[done] = data[at]
            done += 1
    return line
