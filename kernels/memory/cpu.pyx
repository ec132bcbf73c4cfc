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

from math import prod

from numpy import dtype as numpy_dtype, empty as numpy_empty, float32, ndarray

FLOAT = numpy_dtype(float32)

cdef enum:
    POOLED_FROM = 1 << 16           # bytes of an array; smaller ones are quicker from malloc than from the pool

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
    return numpy_empty(shape, kind) if nbytes < POOLED_FROM else pooled(shape, kind, nbytes)


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
