"""The C functions that reduce.py calls, and its own."""
from tinygradconv.arrays cimport dtype_of, shape_of
from tinygradconv.ops.shape cimport as_axes
from tinygradconv.promotion cimport as_tensor, number

cpdef tuple kept(tuple shape, tuple axes)
cpdef tuple dropped(tuple shape, tuple axes)
cdef _count(tuple shape, tuple axes)
cpdef reduced(be, x, op, tuple axes, keepdims, dtype)
