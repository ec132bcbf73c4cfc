"""The types with which autodiff.py is compiled."""
cimport cython

from tinygradconv.arrays cimport dtype_of, shape_of
from tinygradconv.primitive cimport Primitive as Op
from tinygradconv.tape cimport Node
from tinygradconv.tensor cimport Storage, Value, tensor_of

cdef pull_back(Node node, Op op, g, dict cotangents, list waiting, useful, bint anomaly, turns)
cdef _apply(Node node, Op op, rule, g, tuple needs, useful, bint anomaly)
cdef _checked(Op op, str name, Node parent, cotangent)
cdef tuple _wanted(Node node, useful)
cdef bint _any_in(dict useful, tuple nodes) except -1


@cython.locals(oldest=cython.longlong, node=Node, parent=Node)
cpdef dict ancestors_between(roots, targets)
