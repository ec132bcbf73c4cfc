"""The types with which elementwise.py is compiled."""
from tinygradconv.arrays cimport dtype_of, shape_of
from tinygradconv.promotion cimport as_tensor, number, promoted
