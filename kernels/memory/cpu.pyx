# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Memory for arrays, kept and handed out again: a fresh large buffer costs a page fault every 4 KB, at every step of training.

A Block is a run of bytes behind the buffer protocol; `array` wraps one as an ndarray. Blocks are whole pages cut from arenas, large
stretches of addresses to which Linux gives memory when they are first written (in huge pages, which it is asked for). A block that dies
becomes a free extent and grows together with the free ones beside it; the next block is cut from the smallest extent that holds it.
So the memory of one layer's activations serves another's, whatever their sizes: the training step of ResNet-18 holds 2 % more than
it has in use at its peak, where blocks kept by size classes held 90 % more. Extents never used are `clean` and taken last.

Several threads may make and drop blocks at once, with or without Python's global lock: a lock of our own guards the extents.
What runs under it is plain C, which neither allocates Python objects nor waits, because a garbage collection in there could
drop a Block and want the same lock.
"""
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE

from cpython.pycapsule cimport PyCapsule_GetPointer

from math import prod

from numpy import broadcast_to, dtype as numpy_dtype, empty as numpy_empty, float32, zeros
from numpy._core._multiarray_umath import _ARRAY_API

include "ndarray.pxi"

FLOAT = numpy_dtype(float32)

cdef enum:
    POOLED_FROM = 1 << 16           # bytes of an array; smaller ones are quicker from malloc than from the pool
    MOST_AXES = 32                  # of an array that is made here; NumPy makes those of more

# NumPy's own function that makes an array, from its table of C functions, where it has had this place since NumPy 1.7: it takes half as
# long as np.empty, which first has to find out what it was given.
cdef extern from *:
    """
    typedef PyObject* (*tgc_make)(PyTypeObject*, PyObject*, int, const Py_ssize_t*, const Py_ssize_t*, void*, int, PyObject*);
    static PyObject* tgc_new_array(void** table, PyObject* descr, int axes, const Py_ssize_t* lengths) {
        Py_INCREF(descr);                                       /* one reference is taken */
        return ((tgc_make)table[94])((PyTypeObject*)table[2], descr, axes, lengths, NULL, NULL, 0, NULL);
    }
    static PyObject* tgc_view(void** table, PyObject* array, int axes, const Py_ssize_t* lengths, const Py_ssize_t* steps) {
        tgc_array* x = (tgc_array*)array;
        Py_INCREF(x->descr);
        PyObject* view = ((tgc_make)table[94])((PyTypeObject*)table[2], x->descr, axes, lengths, steps, x->data, 0, NULL);
        if (view) {                                             /* with no flag it is read-only; its base is whose memory it is */
            Py_INCREF(array);
            ((tgc_array*)view)->base = array;
        }
        return view;
    }
    """
    object tgc_new_array(void** table, object descr, int axes, const Py_ssize_t* lengths)
    object tgc_view(void** table, object array, int axes, const Py_ssize_t* lengths, const Py_ssize_t* steps)

cdef void** TABLE = <void**>PyCapsule_GetPointer(_ARRAY_API, NULL)

cdef extern from "pythread.h":
    ctypedef void* PyThread_type_lock
    PyThread_type_lock PyThread_allocate_lock()
    int PyThread_acquire_lock(PyThread_type_lock lock, int wait) nogil
    void PyThread_release_lock(PyThread_type_lock lock) nogil

include "extents.pxi"


cdef class Block:
    """`nbytes` writable bytes, uninitialised, that go back to the pool when nothing refers to them any more.

    np.frombuffer(Block(12), np.float32) is an array of three over them. ValueError where nbytes is negative; MemoryError, after
    the cache was given back in vain, with the bytes asked for, in use and cached.
    """
    cdef void* memory
    cdef readonly Py_ssize_t nbytes

    def __init__(self, Py_ssize_t nbytes):
        if nbytes < 0:
            raise ValueError(f"Block: nbytes must be at least 0, got {nbytes}")
        if self.memory != NULL:
            raise ValueError("Block: made once, a block keeps its memory; make another")
        self.fill(nbytes)

    cdef int fill(self, Py_ssize_t nbytes) except -1:
        """Take memory for nbytes; MemoryError where there is none."""
        cdef Py_ssize_t cached = CACHED
        self.nbytes = nbytes
        if nbytes <= <Py_ssize_t>1 << 61:
            self.memory = take(nbytes)
        if self.memory == NULL:
            raise MemoryError(f"no memory for an array of {nbytes} bytes: {IN_USE} bytes are in use, and {cached} were cached and have "
                              "been given back. Use a smaller batch, or keep less for backward (remat)")
        return 0

    def __dealloc__(self):
        global CACHED
        if self.memory == NULL:
            return
        PyThread_acquire_lock(LOCK, 1)
        put(<char*>self.memory, pages(self.nbytes), False)
        count(self.nbytes, -1)
        CACHED += pages(self.nbytes)
        PyThread_release_lock(LOCK)

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        if self.memory == NULL:
            raise BufferError("Block: no memory; make it with Block(nbytes)")
        PyBuffer_FillInfo(buffer, self, self.memory, self.nbytes, 0, flags)

    def __len__(self):
        return self.nbytes


def array(tuple shape, dtype):
    """An uninitialised C-contiguous ndarray of this shape and dtype over a Block of its own.

    `dtype` is anything that np.dtype takes except one that holds Python objects, a ValueError. A negative axis is a ValueError, a
    size that no address can reach a MemoryError.
    """
    kind = dtype_of(dtype)
    return pooled(shape, kind, bytes_of(shape, kind))


def empty(tuple shape, dtype):
    """`array` where it takes 64 KB or more, and NumPy's own array where it is smaller, which malloc has at hand."""
    kind = dtype_of(dtype)
    cdef Py_ssize_t nbytes = bytes_of(shape, kind)
    cdef Py_ssize_t lengths[MOST_AXES]
    cdef int axes = PyTuple_GET_SIZE(shape), i
    if nbytes >= POOLED_FROM:
        return pooled(shape, kind, nbytes)
    if axes > MOST_AXES or kind.hasobject:
        return numpy_empty(shape, kind)
    for i in range(axes):
        lengths[i] = <object>PyTuple_GET_ITEM(shape, i)
    return tgc_new_array(TABLE, kind, axes, lengths)


def like(array):
    """`empty` with the shape and dtype of an ndarray."""
    cdef ndarray x = array
    cdef Py_ssize_t nbytes = 4 if x.dtype is FLOAT else x.dtype.itemsize
    cdef int i
    for i in range(x.axes):
        nbytes *= x.lengths[i]
    if nbytes >= POOLED_FROM or x.dtype is not FLOAT and x.dtype.hasobject:
        return empty(x.shape, x.dtype)
    return tgc_new_array(TABLE, x.dtype, x.axes, x.lengths)


def repeated(array, tuple shape, tuple axes):
    """A read-only view of an array under `shape`, repeated along `axes`, which the array has with length 1 or not at all.

    ValueError where the array's values are not as many as the other axes hold.
    """
    cdef Py_ssize_t lengths[MOST_AXES]
    cdef Py_ssize_t steps[MOST_AXES]
    cdef Py_ssize_t size = 1, step
    cdef ndarray x
    cdef int i, axis
    if type(array) is ndarray and len(shape) <= MOST_AXES and (<ndarray>array).flags.c_contiguous:
        x = array
        for i in range(x.axes):
            size *= x.lengths[i]
        for i in range(len(shape)):
            lengths[i], steps[i] = shape[i], 1
        for axis in axes:
            if not 0 <= axis < len(shape):
                raise ValueError(f"repeated: there is no axis {axis} in {shape}")
            steps[axis] = 0                                     # what is repeated lies zero bytes apart
        step = 4 if x.dtype is FLOAT else x.dtype.itemsize
        for i in range(len(shape) - 1, -1, -1):
            if steps[i] != 0:
                steps[i] = step
                step *= lengths[i]
                size = size // lengths[i] if lengths[i] and size % lengths[i] == 0 else 0
        if size == 1:
            return tgc_view(TABLE, x, len(shape), lengths, steps)
    return broadcast_to(array.reshape(tuple([1 if i in axes else shape[i] for i in range(len(shape))])), shape, subok=True)


cdef inline object dtype_of(object dtype):
    return dtype if dtype is FLOAT or isinstance(dtype, numpy_dtype) else numpy_dtype(dtype)


cdef Py_ssize_t bytes_of(tuple shape, object kind) except -1:
    """What an array takes; see array for the errors."""
    cdef Py_ssize_t nbytes = 4 if kind is FLOAT else kind.itemsize, axis
    cdef int i
    try:
        for i in range(PyTuple_GET_SIZE(shape)):
            axis = <object>PyTuple_GET_ITEM(shape, i)
            if axis < 0:
                raise ValueError(f"array: every axis must be at least 0, got shape {shape}")
            if axis and nbytes > (<Py_ssize_t>1 << 61) // axis:
                raise OverflowError
            nbytes *= axis
    except OverflowError:
        raise MemoryError(f"no memory for an array of shape {shape} and dtype {kind}, {prod(shape) * kind.itemsize:,} bytes") from None
    return nbytes


cdef object pooled(tuple shape, object kind, Py_ssize_t nbytes):
    """An ndarray over a Block of its own."""
    if kind is not FLOAT and kind.hasobject:
        raise ValueError(f"array: dtype {kind} holds Python objects, which a pool of plain bytes cannot keep")
    cdef Block block = Block.__new__(Block)
    block.fill(nbytes)
    return ndarray(shape, kind, block)


cdef check_numpy():
    """ImportError where NumPy's table or its arrays are not what they are known to be; nothing is made before the arrays agree."""
    cdef ndarray known = zeros((2, 3), float32)
    cdef bint agrees = known.axes == 2 and known.lengths[0] == 2 and known.lengths[1] == 3 and known.dtype is FLOAT
    made = like(known) if agrees else None
    view = repeated(known, (2, 5, 3), (1,)) if agrees else None
    if (type(made) is not ndarray or made.shape != (2, 3) or made.dtype is not FLOAT or made.strides != (12, 4) or not made.flags.owndata
            or view.shape != (2, 5, 3) or view.strides != (12, 0, 4) or view.base is not known or view.flags.writeable):
        raise ImportError("NumPy makes its arrays in a way that tinygradconv does not know. Install one that it knows: "
                          "pip install 'numpy>=2,<3'")


check_numpy()


def statistics():
    """{"in_use", "cached", "peak"} in bytes: asked for by the blocks alive, held for blocks to come, and the most ever in use."""
    PyThread_acquire_lock(LOCK, 1)
    cdef Py_ssize_t in_use = IN_USE, cached = CACHED, peak = PEAK
    PyThread_release_lock(LOCK)
    return {"in_use": in_use, "cached": cached, "peak": peak}


def reset_peak():
    """Count the peak from what is in use now."""
    global PEAK
    PyThread_acquire_lock(LOCK, 1)
    PEAK = IN_USE
    PyThread_release_lock(LOCK)


def release():
    """Give the memory of all that is free back to the system."""
    PyThread_acquire_lock(LOCK, 1)
    drop_cache()
    PyThread_release_lock(LOCK)
