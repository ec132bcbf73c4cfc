"""The types with which promotion.py is compiled."""
from tinygradconv.arrays cimport dtype_of
from tinygradconv.tensor cimport Value, tensor_of

cpdef as_tensor(str op, str name, value)
cpdef as_tensors(str op, names, values, optional=*)
cpdef floating_tensors(str op, names, values)
cpdef promoted(str op, values)
cpdef number(value, dtype)
cdef _number(str op, value, dtype)
