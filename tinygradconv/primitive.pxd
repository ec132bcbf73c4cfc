"""The types with which primitive.py is compiled: an op is a C struct, but for attributes that are asked for rarely."""
from tinygradconv.arrays cimport dtype_of, shape_of, share_memory
from tinygradconv.promotion cimport as_tensors, promoted
from tinygradconv.settings cimport get as setting
from tinygradconv.tape cimport Node, recording
from tinygradconv.tensor cimport Storage, Value, tensor_of

cdef class Primitive:
    cdef public object forward, name, elementwise, promote, view, differentiable, byproducts, inputs, optional, packs, joint
    cdef public dict rules, _needs, _plans
    cdef dict __dict__
    cdef tuple _call(self, tuple inputs, dict options)

cdef Node _record(Primitive op, tensors, tuple plan, Value y, tuple extra, dict options)
