"""The C functions that softmax.py calls."""
from tinygradconv.arrays cimport as_rows
