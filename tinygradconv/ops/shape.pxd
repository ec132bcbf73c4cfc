"""The C functions that shape.py calls, and its own."""
from tinygradconv.arrays cimport broadcast
from tinygradconv.promotion cimport as_tensor

cpdef tuple as_axes(str name, axis, ndim)
