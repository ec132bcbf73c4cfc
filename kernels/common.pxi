# What every cpu.pyx includes: the element types, the thread count, and a window geometry as C integers.
cimport cython
from cython.parallel cimport parallel, prange
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

cdef extern from "vector.h":
    enum: TGC_BYTES          # bytes of one SIMD register
    enum: TGC_REGISTERS      # how many of them there are
    ctypedef float vector_float
    ctypedef double vector_double

ctypedef fused floating:
    float
    double

ctypedef fused vector:
    vector_float
    vector_double

cdef int THREADS = 1


def set_threads(int threads):
    """How many threads the kernels of this module use from now on; results do not depend on it."""
    global THREADS
    THREADS = threads


cdef int threads_for(Py_ssize_t work) noexcept nogil:
    """One thread below 32,768 units of work (multiply-adds or values moved): waking the others costs about 2 µs."""
    return THREADS if work >= 32768 else 1


cdef struct Window:
    Py_ssize_t N, H, W, C, O, groups, kh, kw, sy, sx, dy, dx, top, left, OH, OW


cdef Window window_of(geo):
    """A WindowGeometry or Conv2dGeometry as C integers, read once per call; O is C and groups 1 where the geometry has neither."""
    cdef Window win
    win.N, win.H, win.W, win.C = geo.N, geo.H, geo.W, geo.C
    win.kh, win.kw, win.sy, win.sx, win.dy, win.dx = geo.kh, geo.kw, geo.sy, geo.sx, geo.dy, geo.dx
    win.top, win.left, win.OH, win.OW = geo.top, geo.left, geo.OH, geo.OW
    win.O, win.groups = getattr(geo, "O", win.C), getattr(geo, "groups", 1)
    return win
