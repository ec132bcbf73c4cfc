"""The types with which primitive.py is compiled."""
from tinygradconv.promotion cimport promoted
from tinygradconv.settings cimport get as setting
from tinygradconv.tape cimport Node, recording
from tinygradconv.tensor cimport Storage, Value, tensor_of

cdef Node _record(op, tensors, tuple plan, Value y, tuple extra, dict options)
