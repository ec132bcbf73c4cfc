"""The C functions that shape.py calls, and its own."""
from tinygradconv.arrays cimport dtype_of, shape_of
from tinygradconv.promotion cimport as_tensor, number

cpdef tuple as_axes(str name, axis, ndim)
