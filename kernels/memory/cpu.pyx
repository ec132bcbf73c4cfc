# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Memory for arrays, kept and handed out again: a fresh large buffer costs a page fault every 4 KB, at every step of training.

A Block is a run of bytes behind the buffer protocol; `array` wraps one as an ndarray. Sizes fall into classes a fifth to a
quarter apart (four to each power of two). A block that dies goes to the free list of its class, from which the next block of
that class is taken. Blocks start on a 64-byte line, from 4 KB on a page and from 2 MB on a huge page, which Linux is asked for.

Several threads may make and drop blocks at once, with or without Python's global lock: a lock of our own guards the lists.
What runs under it is plain C, which neither allocates Python objects nor waits, because a garbage collection in there could
drop a Block and want the same lock. So the free lists are threaded through the free blocks' own first bytes.
"""
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE

from math import prod

from numpy import dtype as numpy_dtype, empty as numpy_empty, float32, ndarray

FLOAT = numpy_dtype(float32)

cdef extern from "pythread.h":
    ctypedef void* PyThread_type_lock
    PyThread_type_lock PyThread_allocate_lock()
    int PyThread_acquire_lock(PyThread_type_lock lock, int wait) nogil
    void PyThread_release_lock(PyThread_type_lock lock) nogil

cdef extern from *:
    """
    #include <stdlib.h>
    #if defined(_WIN32)
    #include <malloc.h>
    static void* tgc_take(size_t bytes, size_t alignment) { return _aligned_malloc(bytes, alignment); }
    static void tgc_give(void* memory) { _aligned_free(memory); }
    #else
    #if defined(__linux__)
    #include <sys/mman.h>
    #endif
    static void* tgc_take(size_t bytes, size_t alignment) {
        void* memory = NULL;
        if (posix_memalign(&memory, alignment, bytes)) return NULL;
    #if defined(__linux__) && defined(MADV_HUGEPAGE)
        if (alignment >= ((size_t)2 << 20)) madvise(memory, bytes, MADV_HUGEPAGE);   /* a wish: a kernel without them says no */
    #endif
        return memory;
    }
    static void tgc_give(void* memory) { free(memory); }
    #endif
    """
    void* tgc_take(size_t bytes, size_t alignment) nogil
    void tgc_give(void* memory) nogil

cdef enum:
    SMALLEST = 6                    # the first class holds 2⁶ = 64 bytes
    CLASSES = 4 * (62 - SMALLEST)   # and the last 2⁶²
    POOLED_FROM = 1 << 16           # bytes of an array; smaller ones are quicker from malloc than from the pool

cdef PyThread_type_lock LOCK = PyThread_allocate_lock()
cdef void* FREE[CLASSES]            # the first free block of each class; a free block's first bytes hold the next one's address
cdef Py_ssize_t IN_USE = 0          # bytes asked for by the blocks alive
cdef Py_ssize_t PEAK = 0            # the most that IN_USE was
cdef Py_ssize_t CACHED = 0          # bytes of free blocks, whole classes


cdef inline int class_of(Py_ssize_t nbytes) noexcept nogil:
    """The smallest class that holds nbytes."""
    cdef int power = SMALLEST
    if nbytes <= 1 << SMALLEST:
        return 0
    while (nbytes - 1) >> (power + 1):
        power += 1
    return 4 * (power - SMALLEST) + <int>((nbytes - 1) >> (power - 2) & 3) + 1


cdef inline Py_ssize_t class_bytes(int kind) noexcept nogil:
    """What a block of this class holds: 4, 5, 6 or 7 quarters of a power of two."""
    return <Py_ssize_t>(4 + kind % 4) << (kind // 4 + SMALLEST - 2)


cdef void* take(Py_ssize_t nbytes, int kind) noexcept nogil:
    """Memory of class `kind`, from its free list or from the system, or from there once the cache is given back; NULL if none."""
    global IN_USE, PEAK, CACHED
    cdef void* memory
    cdef size_t capacity = class_bytes(kind)
    cdef size_t alignment = 64 if capacity < 4096 else 4096 if capacity < 1 << 21 else 1 << 21
    PyThread_acquire_lock(LOCK, 1)
    memory = FREE[kind]
    if memory != NULL:
        FREE[kind] = (<void**>memory)[0]
        CACHED -= capacity
    else:
        memory = tgc_take(capacity, alignment)
        if memory == NULL:
            drop_cache()
            memory = tgc_take(capacity, alignment)
    if memory != NULL:
        IN_USE += nbytes
        PEAK = max(PEAK, IN_USE)
    PyThread_release_lock(LOCK)
    return memory


cdef void drop_cache() noexcept nogil:
    """Give every free block back to the system; the caller holds LOCK."""
    global CACHED
    cdef int kind
    cdef void* memory
    for kind in range(CLASSES):
        while FREE[kind] != NULL:
            memory = FREE[kind]
            FREE[kind] = (<void**>memory)[0]
            tgc_give(memory)
    CACHED = 0


cdef class Block:
    """`nbytes` writable bytes, uninitialised, that go back to the pool when nothing refers to them any more.

    np.frombuffer(Block(12), np.float32) is an array of three over them. ValueError where nbytes is negative; MemoryError, after
    the cache was given back in vain, with the bytes asked for, in use and cached.
    """
    cdef void* memory
    cdef readonly Py_ssize_t nbytes
    cdef int kind

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
        self.kind = class_of(nbytes)
        if self.kind < CLASSES:
            self.memory = take(nbytes, self.kind)
        if self.memory == NULL:
            raise MemoryError(f"no memory for an array of {nbytes} bytes: {IN_USE} bytes are in use, and {cached} were cached and have "
                              "been given back. Use a smaller batch, or keep less for backward (remat)")
        return 0

    def __dealloc__(self):
        global IN_USE, CACHED
        if self.memory == NULL:
            return
        PyThread_acquire_lock(LOCK, 1)
        (<void**>self.memory)[0] = FREE[self.kind]
        FREE[self.kind] = self.memory
        IN_USE -= self.nbytes
        CACHED += class_bytes(self.kind)
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
    """{"in_use", "cached", "peak"} in bytes: asked for by the blocks alive, held in free blocks, and the most ever in use."""
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
    """Give all cached blocks back to the system."""
    PyThread_acquire_lock(LOCK, 1)
    drop_cache()
    PyThread_release_lock(LOCK)
