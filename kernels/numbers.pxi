# Where an array's numbers begin, read from its C structure: to ask through the buffer protocol, as a typed argument of a kernel does, takes
# half a microsecond for each array, as long as the arithmetic of a thousand numbers.
include "ndarray.pxi"
include "dtype.pxi"


cdef inline object dtype_of(object array):
    """array.dtype."""
    return (<ndarray>array).dtype if isinstance(array, ndarray) else array.dtype


cdef inline int floating_kind(object array) except -1:
    """kind_of the numbers of an array."""
    return kind_of(dtype_of(array))


cdef inline Py_ssize_t size_of(ndarray array) noexcept:
    """How many numbers an array has."""
    cdef Py_ssize_t axis, size = 1
    for axis in range(array.axes):
        size *= array.lengths[axis]
    return size


cdef inline Py_ssize_t length_of(object array, int axis, int axes) except -1:
    """The length of one axis of an array that has this many."""
    if not isinstance(array, ndarray) or (<ndarray>array).axes != axes:
        raise ValueError(f"expected an array of {axes} axes, got {getattr(array, 'shape', type(array).__name__)}")
    return (<ndarray>array).lengths[axis]


cdef inline bint contiguous(object array, int kind) except -1:
    """Whether this is an array whose numbers are of this kind and lie one after the other in row-major order."""
    return isinstance(array, ndarray) and (<ndarray>array).flags.c_contiguous and kind_of((<ndarray>array).dtype) == kind


cdef void* numbers_of(object array, int kind, Py_ssize_t size) except? NULL:
    """Where the numbers of a contiguous array begin; ValueError unless there are `size` of them, of this kind."""
    if kind == OTHER or not contiguous(array, kind) or size_of(array) != size:
        raise ValueError(f"expected a contiguous array of {size} numbers of type {FLOAT if kind == SINGLE else DOUBLE}, got "
                         f"{getattr(array, 'dtype', type(array).__name__)} {getattr(array, 'shape', '')}")
    return (<ndarray>array).address                 # the caller holds the array, so its memory stays where it is


cdef check_layout():
    """ImportError where an array does not lie as ndarray.pxi says."""
    array = np.zeros((2, 3), np.float32)
    if (contiguous(array.T, SINGLE) or not contiguous(array, SINGLE) or size_of(array) != 6
            or <size_t>numbers_of(array, SINGLE, 6) != array.__array_interface__["data"][0] or dtype_of(array) is not FLOAT):
        raise ImportError(f"NumPy {np.__version__} lays out its arrays in a way that tinygradconv's kernels cannot read. "
                          f"Install a NumPy that they know: pip install 'numpy>=2,<3'")
