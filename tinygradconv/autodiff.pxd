"""The types with which autodiff.py is compiled."""
from tinygradconv.tape cimport Node
from tinygradconv.tensor cimport Storage, Value, tensor_of

cdef _apply(Node node, rule, g, needs, useful, anomaly)
cdef _checked(op, str name, Node parent, cotangent)
