"""The types with which promotion.py is compiled."""
from tinygradconv.arrays cimport dtype_of
from tinygradconv.tensor cimport Value, tensor_of

cpdef as_tensors(str op, names, values, optional=*)
cpdef promoted(str op, values)
