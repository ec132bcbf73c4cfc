"""What arrays.py reads when it is compiled: the fields of an ndarray, where they lie.

Their places are part of NumPy's binary interface (PyArrayObject_fields in its ndarraytypes.h, the same since NumPy 1.7), so they are
declared here, and building needs no headers of NumPy's.
"""
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
    """
    ctypedef struct tgc_flags:
        bint c_contiguous
    ctypedef class numpy.ndarray [object tgc_array, check_size ignore]:
        cdef int nd "nd"
        cdef Py_ssize_t* dimensions "dimensions"
        cdef object descr "descr"
        cdef int bits "flags"

        @property
        cdef inline object dtype(self):
            return self.descr

        @property
        cdef inline tuple shape(self):
            if self.nd == 2:
                return self.dimensions[0], self.dimensions[1]
            return tuple([self.dimensions[i] for i in range(self.nd)])

        @property
        cdef inline tgc_flags flags(self) noexcept:
            cdef tgc_flags found
            found.c_contiguous = self.bits & 1
            return found

cpdef dtype_of(value)
cpdef shape_of(value)
cpdef is_scattered(value)
