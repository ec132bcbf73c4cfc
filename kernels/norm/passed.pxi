# Where ReLU let values through, one bit each: bit i % 8 of byte i // 8 is that of value i. A strip of registers is whole bytes of it.

cdef extern from *:
    """
    /* TGC_POSITIVE: bit k is set where element k of a register is above 0. TGC_PASSED, the way back: the elements of g whose bit is
       set, counted from bit `first`, and 0 elsewhere, even of an infinite g. A register's elements become bits, and bits a mask, in one
       instruction each with AVX-512, and bits with AVX2 and SSE; elsewhere the bits are powers of two, which are added, or looked for. */
    #if TGC_BYTES == 64
    static const vector_int TGC_POWERS_float = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768};
    static const vector_long TGC_POWERS_double = {1, 2, 4, 8, 16, 32, 64, 128};
    #elif TGC_BYTES == 32
    static const vector_int TGC_POWERS_float = {1, 2, 4, 8, 16, 32, 64, 128};
    static const vector_long TGC_POWERS_double = {1, 2, 4, 8};
    #else
    static const vector_int TGC_POWERS_float = {1, 2, 4, 8};
    static const vector_long TGC_POWERS_double = {1, 2};
    #endif
    #if TGC_BYTES == 64 && defined(__AVX512F__)
    #define TGC_POSITIVE_float(v) ((unsigned)_mm512_cmp_ps_mask((__m512)(v), _mm512_setzero_ps(), _CMP_GT_OQ))
    #define TGC_POSITIVE_double(v) ((unsigned)_mm512_cmp_pd_mask((__m512d)(v), _mm512_setzero_pd(), _CMP_GT_OQ))
    #define TGC_PASSED_float(g, bits, first) ((vector_float)_mm512_maskz_mov_ps((__mmask16)((bits) >> (first)), (__m512)(g)))
    #define TGC_PASSED_double(g, bits, first) ((vector_double)_mm512_maskz_mov_pd((__mmask8)((bits) >> (first)), (__m512d)(g)))
    #else
    #if TGC_BYTES == 32 && defined(__AVX2__)
    #define TGC_POSITIVE_float(v) ((unsigned)_mm256_movemask_ps((__m256)((v) > 0)))
    #define TGC_POSITIVE_double(v) ((unsigned)_mm256_movemask_pd((__m256d)((v) > 0)))
    #elif TGC_BYTES == 16 && defined(__SSE2__)
    #define TGC_POSITIVE_float(v) ((unsigned)_mm_movemask_ps((__m128)((v) > 0)))
    #define TGC_POSITIVE_double(v) ((unsigned)_mm_movemask_pd((__m128d)((v) > 0)))
    #else
    #define TGC_BITS(KIND, VECTOR) \
    static inline unsigned TGC_POSITIVE_##KIND(vector_##KIND v) { \
        VECTOR powers = (VECTOR)(v > 0) & TGC_POWERS_##KIND; \
        unsigned bits = 0; \
        for (int k = 0; k < (int)(TGC_BYTES / sizeof(KIND)); k++) bits |= (unsigned)powers[k]; \
        return bits; \
    }
    TGC_BITS(float, vector_int)
    TGC_BITS(double, vector_long)
    #endif
    #define TGC_PASSED_float(g, bits, first) \
        ((vector_float)((((vector_int){} + (int)((bits) >> (first))) & TGC_POWERS_float) != 0 & (vector_int)(g)))
    #define TGC_PASSED_double(g, bits, first) \
        ((vector_double)((((vector_long){} + (long long)((bits) >> (first))) & TGC_POWERS_double) != 0 & (vector_long)(g)))
    #endif
    """
    unsigned positive_float "TGC_POSITIVE_float"(vector_float v) noexcept nogil
    unsigned positive_double "TGC_POSITIVE_double"(vector_double v) noexcept nogil
    vector_float passed_float "TGC_PASSED_float"(vector_float g, unsigned bits, Py_ssize_t first) noexcept nogil
    vector_double passed_double "TGC_PASSED_double"(vector_double g, unsigned bits, Py_ssize_t first) noexcept nogil


cdef inline Py_ssize_t lanes_of(const vector* array) noexcept nogil:
    """Elements per register."""
    return TGC_BYTES // (4 if vector is vector_float else 8)


cdef inline void rectify(vector* values, unsigned char* passed) noexcept nogil:
    """relu of a strip of registers in place; which of its values are above 0 goes to `passed`, unless that is NULL."""
    cdef Py_ssize_t k, lanes = lanes_of(values)
    cdef unsigned bits = 0
    for k in range(TGC_STRIP):
        if vector is vector_float:
            bits |= positive_float(values[k]) << (k * lanes)
            values[k] = relu_float(values[k])
        else:
            bits |= positive_double(values[k]) << (k * lanes)
            values[k] = relu_double(values[k])
    if passed != NULL:
        memcpy(passed, &bits, TGC_STRIP * lanes // 8)


cdef inline void let_through(vector* values, const unsigned char* passed) noexcept nogil:
    """Keep those of a strip of registers whose bits are set; the others become 0."""
    cdef Py_ssize_t k, lanes = lanes_of(values)
    cdef unsigned bits = 0
    memcpy(&bits, passed, TGC_STRIP * lanes // 8)
    for k in range(TGC_STRIP):
        if vector is vector_float:
            values[k] = passed_float(values[k], bits, k * lanes)
        else:
            values[k] = passed_double(values[k], bits, k * lanes)


cdef inline void store_strip(vector* to, const vector* values, bint streams) noexcept nogil:
    """A strip of registers, past the caches where it `streams`."""
    cdef Py_ssize_t k
    for k in range(TGC_STRIP):
        store(to + k, values[k], streams)


# ---- the few values that no wide row holds, one by one

cdef inline void clear_rest(unsigned char* passed, const Plan* plan) noexcept nogil:
    """No bit of the rows left over is set."""
    cdef Py_ssize_t first = (plan.M - plan.rest) * plan.C // 8
    memset(passed + first, 0, (plan.M * plan.C + 7) // 8 - first)


cdef inline bint lets_through(const unsigned char* passed, Py_ssize_t i) noexcept nogil:
    """Whether value i went through, which all do where there is no activation."""
    return passed == NULL or passed[i >> 3] >> (i & 7) & 1


cdef inline unsigned char* bits_from(const unsigned char* passed, Py_ssize_t i) noexcept nogil:
    """The byte that begins with the bit of value i; bits that are absent stay NULL."""
    return NULL if passed == NULL else <unsigned char*>passed + (i >> 3)
