# Which of the two floating types an array has, for kernels that take arrays of any type and leave the others to their definitions.
import numpy as np

cdef object FLOAT = np.dtype(np.float32)
cdef object DOUBLE = np.dtype(np.float64)

cdef enum:
    OTHER, SINGLE, TWICE


cdef inline int kind_of(object dtype) except -1:
    """SINGLE for float32, TWICE for float64, else OTHER. An array that was unpickled or deep-copied has a dtype object of its own."""
    if dtype is FLOAT:
        return SINGLE
    if dtype is DOUBLE:
        return TWICE
    return SINGLE if dtype == FLOAT else TWICE if dtype == DOUBLE else OTHER
