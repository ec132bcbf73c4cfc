"""The types with which tape.py is compiled: a node is a C struct."""
from tinygradconv.anomaly cimport users_frame
from tinygradconv.tensor cimport Storage, Value, tensor_of

cpdef recording()

cdef class Node:
    cdef public object op, shape, dtype, hooks, grad, code
    cdef public dict kept, options
    cdef public tuple parents
    cdef public long long sequence
    cdef public int instruction
    cpdef value(self, str name)
