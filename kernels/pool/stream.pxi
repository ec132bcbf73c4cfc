# Registers side by side, stored past the caches.

cdef inline void put(vector* array, Py_ssize_t element, const vector* values, Py_ssize_t end, bint streams, const int registers,
                     const bint partial) noexcept nogil:
    """`write` some registers side by side, past the caches where it `streams`."""
    cdef Py_ssize_t j, lanes = lanes_of(values)
    if streams and not partial:
        for j in range(registers):
            TGC_STREAM(<void*>at(<const vector*>array, element + j * lanes), <vector_float>values[j])
    else:
        for j in range(registers):
            write(array, element + j * lanes, values[j], end, partial)
