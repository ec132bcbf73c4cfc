"""The types with which tensor.py is compiled: what an op takes and gives is a C struct."""
from tinygradconv.arrays cimport address_of, shape_of

cdef class Storage:
    cdef public Py_ssize_t version
    cdef public object _packed, _packed_at

cdef class Value:
    cdef public object data, node
    cdef public Storage _storage
    cdef Storage stored(self)

cpdef tensor_of(data, node=*, Storage storage=*)
