# Which tap of its window a maximum took: registers of them, beside those of values, and how they lie in memory.

cdef extern from *:
    """
    /* Taps travel in registers of the values' own kind, as integers as wide as they are, so that one mask selects both. In memory they
       are one byte each, or four where a window has more than 255 cells.
       !(value <= best) is true of a NaN as well; best is itself a NaN only where best != best, and then it stays. */
    #define TGC_TAP_TYPES(KIND, INTEGER) \
    typedef INTEGER KIND##_integers __attribute__((vector_size(TGC_BYTES))); \
    typedef int KIND##_words __attribute__((vector_size(TGC_BYTES / sizeof(INTEGER) * 4))); \
    typedef unsigned short KIND##_shorts __attribute__((vector_size(TGC_BYTES / sizeof(INTEGER) * 2))); \
    typedef unsigned char KIND##_bytes __attribute__((vector_size(TGC_BYTES / sizeof(INTEGER))));
    TGC_TAP_TYPES(vector_float, int)
    TGC_TAP_TYPES(vector_double, long long)
    #define TGC_TAPS(KIND) \
    static inline __attribute__((always_inline)) void KIND##_take(KIND value, KIND tap, KIND* best, KIND* taken) { \
        KIND##_integers takes = (KIND##_integers)(~(value <= *best) & (*best == *best)); \
        *best = (KIND)((takes & (KIND##_integers)value) | (~takes & (KIND##_integers)*best)); \
        *taken = (KIND)((takes & (KIND##_integers)tap) | (~takes & (KIND##_integers)*taken)); \
    } \
    static inline __attribute__((always_inline)) KIND KIND##_every(long tap) { \
        KIND##_integers zero = {0}; \
        return (KIND)(zero + (__typeof__(zero[0]))tap); \
    } \
    static inline __attribute__((always_inline)) KIND KIND##_next(KIND tap) { \
        return (KIND)((KIND##_integers)tap + 1); \
    } \
    static inline __attribute__((always_inline)) KIND KIND##_only(KIND value, KIND taken, KIND tap) { \
        return (KIND)(((KIND##_integers)taken == (KIND##_integers)tap) & (KIND##_integers)value); \
    } \
    static inline __attribute__((always_inline)) void KIND##_pack(KIND taken, unsigned char* to, int wide) { \
        KIND##_words words = __builtin_convertvector((KIND##_integers)taken, KIND##_words); \
        KIND##_bytes bytes = KIND##_NARROWED(words); \
        if (wide) memcpy(to, &words, sizeof words); else memcpy(to, &bytes, sizeof bytes); \
    } \
    static inline __attribute__((always_inline)) KIND KIND##_unpack(const unsigned char* from, int wide) { \
        KIND##_words words; \
        KIND##_bytes bytes; \
        if (!wide) { memcpy(&bytes, from, sizeof bytes); return (KIND)KIND##_WIDENED(bytes); } \
        memcpy(&words, from, sizeof words); \
        return (KIND)__builtin_convertvector(words, KIND##_integers); \
    }
    /* Bytes become integers in one instruction, which GCC (12) does not find: it goes element by element, or by way of shorts. Back
       it clears the upper halves first, for packing saturates, though a tap never needs that. */
    #if TGC_BYTES == 64 && defined(__AVX512F__)
    #include <immintrin.h>
    #define vector_float_WIDENED(bytes) _mm512_cvtepu8_epi32((__m128i)(bytes))
    #define vector_double_WIDENED(bytes) _mm512_cvtepu8_epi64(_mm_cvtsi64_si128((long long)(bytes)))
    #elif TGC_BYTES == 32 && defined(__AVX2__)
    #include <immintrin.h>
    #define vector_float_WIDENED(bytes) _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)(bytes)))
    #define vector_double_WIDENED(bytes) _mm256_cvtepu8_epi64(_mm_cvtsi32_si128((int)(bytes)))
    #else
    #define vector_float_WIDENED(bytes) \
        __builtin_convertvector(__builtin_convertvector(bytes, vector_float_shorts), vector_float_integers)
    #define vector_double_WIDENED(bytes) \
        __builtin_convertvector(__builtin_convertvector(bytes, vector_double_shorts), vector_double_integers)
    #endif
    #if TGC_BYTES == 32 && defined(__AVX2__)
    #define vector_float_NARROWED(words) tgc_narrowed((__m256i)(words))
    static inline __attribute__((always_inline)) vector_float_bytes tgc_narrowed(__m256i words) {
        __m128i shorts = _mm_packus_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
        return (vector_float_bytes)_mm_cvtsi128_si64(_mm_packus_epi16(shorts, shorts));
    }
    #else
    #define vector_float_NARROWED(words) \
        __builtin_convertvector(__builtin_convertvector(words, vector_float_shorts), vector_float_bytes)
    #endif
    #define vector_double_NARROWED(words) \
        __builtin_convertvector(__builtin_convertvector(words, vector_double_shorts), vector_double_bytes)
    TGC_TAPS(vector_float)
    TGC_TAPS(vector_double)
    """
    void vector_float_take(vector_float value, vector_float tap, vector_float* best, vector_float* taken) noexcept nogil
    void vector_double_take(vector_double value, vector_double tap, vector_double* best, vector_double* taken) noexcept nogil
    vector_float vector_float_every(long tap) noexcept nogil
    vector_double vector_double_every(long tap) noexcept nogil
    vector_float vector_float_next(vector_float tap) noexcept nogil
    vector_double vector_double_next(vector_double tap) noexcept nogil
    vector_float vector_float_only(vector_float value, vector_float taken, vector_float tap) noexcept nogil
    vector_double vector_double_only(vector_double value, vector_double taken, vector_double tap) noexcept nogil
    void vector_float_pack(vector_float taken, unsigned char* to, bint wide) noexcept nogil
    void vector_double_pack(vector_double taken, unsigned char* to, bint wide) noexcept nogil
    vector_float vector_float_unpack(const unsigned char* source, bint wide) noexcept nogil
    vector_double vector_double_unpack(const unsigned char* source, bint wide) noexcept nogil


cdef inline void take(vector value, vector tap, vector* best, vector* taken) noexcept nogil:
    """Lane by lane: where value beats best, best and taken become value and tap."""
    if vector is vector_float:
        vector_float_take(value, tap, best, taken)
    else:
        vector_double_take(value, tap, best, taken)


cdef inline vector every_lane(const vector* like, Py_ssize_t tap) noexcept nogil:
    """One tap in every lane."""
    if vector is vector_float:
        return vector_float_every(tap)
    else:
        return vector_double_every(tap)


cdef inline void write_taps(unsigned char* where, Py_ssize_t element, vector taken, Py_ssize_t end, bint wide,
                            const bint partial) noexcept nogil:
    """Store a register of taps as `write` stores one of values."""
    cdef unsigned char edge[TGC_BYTES]
    cdef Py_ssize_t width = 4 if wide else 1
    cdef bint past = partial and element + lanes_of(&taken) > end
    cdef unsigned char* to = where + element * width
    if past:
        to = &edge[0]
    if vector is vector_float:
        vector_float_pack(taken, to, wide)
    else:
        vector_double_pack(taken, to, wide)
    if past:
        memcpy(where + element * width, edge, (end - element) * width)


cdef inline vector read_taps(const unsigned char* where, Py_ssize_t element, Py_ssize_t end, bint wide, const bint partial,
                             const vector* like) noexcept nogil:
    """Load a register of taps as `read` loads one of values."""
    cdef unsigned char edge[TGC_BYTES]
    cdef Py_ssize_t width = 4 if wide else 1
    cdef const unsigned char* source = where + element * width
    if partial and element + lanes_of(like) > end:
        memset(edge, 0, TGC_BYTES)
        memcpy(edge, source, (end - element) * width)
        source = &edge[0]
    if vector is vector_float:
        return vector_float_unpack(source, wide)
    else:
        return vector_double_unpack(source, wide)


cdef inline vector next_tap(vector tap) noexcept nogil:
    """The tap after this one, in every lane."""
    if vector is vector_float:
        return vector_float_next(tap)
    else:
        return vector_double_next(tap)


cdef inline vector only(vector value, vector taken, vector tap) noexcept nogil:
    """value where the tap taken is this one, elsewhere 0, whatever the value."""
    if vector is vector_float:
        return vector_float_only(value, taken, tap)
    else:
        return vector_double_only(value, taken, tap)
