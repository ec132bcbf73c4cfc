# Stores that go past the caches.

cdef extern from *:
    """
    /* A store through the caches first reads the line that it overwrites. A streaming store of aligned registers does not, but then the
       line is not in a cache for whoever wants it next. Each thread's fence orders these
       stores before what follows. */
    #if defined(__SSE2__)
    #include <immintrin.h>
    #endif
    #if TGC_BYTES == 64 && defined(__AVX512F__)
    #define TGC_STREAM(to, value) _mm512_stream_ps((float*)(to), (__m512)(value))
    #elif TGC_BYTES == 32 && defined(__AVX2__)
    #define TGC_STREAM(to, value) _mm256_stream_ps((float*)(to), (__m256)(value))
    #elif TGC_BYTES == 16 && defined(__SSE2__)
    #define TGC_STREAM(to, value) _mm_stream_ps((float*)(to), (__m128)(value))
    #endif
    #ifdef TGC_STREAM
    #define TGC_FENCE() _mm_sfence()
    enum { TGC_STREAMS = 1 };
    #else
    #define TGC_STREAM(to, value) do { __typeof__(value) once = (value); memcpy((to), &once, TGC_BYTES); } while (0)
    #define TGC_FENCE() ((void)0)
    enum { TGC_STREAMS = 0 };
    #endif
    """
    enum: TGC_STREAMS
    void TGC_STREAM(void* to, vector_float value) noexcept nogil
    void fence "TGC_FENCE"() noexcept nogil

cdef enum:
    STREAM_FROM = 1 << 22          # bytes of an array: several times what a core has of the caches below the shared one


cdef bint may_stream(const void* array, Py_ssize_t size, Py_ssize_t C, Py_ssize_t itemsize) noexcept nogil:
    """Whether an array is so large that little of it would stay in a cache, and all its registers are aligned."""
    return TGC_STREAMS and size * itemsize >= STREAM_FROM and C * itemsize % TGC_BYTES == 0 and <size_t>array % TGC_BYTES == 0


cdef inline void store(vector* to, vector value, bint streams) noexcept nogil:
    """One register, past the caches where it `streams`."""
    if streams:
        TGC_STREAM(<void*>to, <vector_float>value)
    else:
        to[0] = value
