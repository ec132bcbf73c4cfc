"""What arrays.py reads when it is compiled: the fields of an ndarray."""
include "kernels/ndarray.pxi"

cpdef dtype_of(value)
cpdef shape_of(value)
cpdef is_scattered(value)
cpdef as_rows(array)
cpdef address_of(value)
cpdef share_memory(view, array)
