"""The types with which autodiff.py is compiled."""
from tinygradconv.arrays cimport dtype_of, shape_of
from tinygradconv.primitive cimport Primitive as Op
from tinygradconv.tape cimport Node
from tinygradconv.tensor cimport Storage, Value, tensor_of

cdef pull_back(Node node, Op op, g, dict cotangents, list waiting, useful, bint anomaly, turns)
cdef _apply(Node node, Op op, rule, g, tuple needs, useful, bint anomaly)
cdef _checked(Op op, str name, Node parent, cotangent)
cdef bint _any_in(dict useful, tuple nodes) except -1
