"""The types with which matmul.py is compiled."""
from tinygradconv.arrays cimport dtype_of, shape_of
from tinygradconv.promotion cimport as_tensors, floating_tensors
from tinygradconv.tensor cimport Value
