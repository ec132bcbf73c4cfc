# An ndarray's fields, where they lie: to look one up by its name takes longer than to add sixty-four numbers.
#
# Their places are part of NumPy's binary interface (PyArrayObject_fields in its ndarraytypes.h, the same since NumPy 1.7), so they are
# declared here, and building needs no headers of NumPy's. Whoever includes this file checks on import that NumPy agrees.
cdef extern from *:
    """
    typedef struct {
        PyObject_HEAD
        char *data;
        int nd;
        Py_ssize_t *dimensions, *strides;
        PyObject *base, *descr;
        int flags;
    } tgc_array;
    typedef struct { int c_contiguous; } tgc_flags;
    typedef struct { size_t data; } tgc_ctypes;
    """
    ctypedef struct tgc_flags:
        bint c_contiguous
    ctypedef struct tgc_ctypes:
        size_t data
    ctypedef class numpy.ndarray [object tgc_array, check_size ignore]:
        cdef char* address "data"
        cdef int axes "nd"
        cdef Py_ssize_t* lengths "dimensions"
        cdef Py_ssize_t* steps "strides"
        cdef object descr
        cdef int bits "flags"

        @property
        cdef inline object dtype(self):
            return self.descr

        @property
        cdef inline tuple shape(self):
            if self.axes == 2:
                return self.lengths[0], self.lengths[1]
            return tuple([self.lengths[i] for i in range(self.axes)])

        @property
        cdef inline tgc_flags flags(self) noexcept:
            cdef tgc_flags found
            found.c_contiguous = self.bits & 1
            return found

        @property
        cdef inline tgc_ctypes ctypes(self) noexcept:
            cdef tgc_ctypes found
            found.data = <size_t>self.address
            return found
