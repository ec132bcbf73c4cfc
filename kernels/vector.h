/* SIMD vectors as GCC and clang write them: one typedef per element type, as wide as the instruction set's registers.
   Arithmetic on them is +, -, *, / element by element. aligned(4/8): any element address will do; may_alias: any array. */
#pragma once
#if defined(__AVX512F__)
#define TGC_BYTES 64
#define TGC_REGISTERS 32
#elif defined(__AVX2__)
#define TGC_BYTES 32
#define TGC_REGISTERS 16
#elif defined(__aarch64__)
#define TGC_BYTES 16
#define TGC_REGISTERS 32
#else
#define TGC_BYTES 16
#define TGC_REGISTERS 16
#endif
typedef float vector_float __attribute__((vector_size(TGC_BYTES), aligned(4), may_alias));
typedef double vector_double __attribute__((vector_size(TGC_BYTES), aligned(8), may_alias));

/* The same bits as whole numbers, for shifts and masks. */
typedef int vector_int __attribute__((vector_size(TGC_BYTES), aligned(4), may_alias));
typedef long long vector_long __attribute__((vector_size(TGC_BYTES), aligned(8), may_alias));

/* Each element of v, or 0 where it is less than 0. A comparison of vectors is an integer -1 or 0 per element: a mask of its bits. NaN stays. */
#define TGC_RELU(v) ((__typeof__(v))(~((v) < 0) & (__typeof__((v) < 0))(v)))

/* a where the mask is -1, b where it is 0; a number in every element; and v held below or above a limit (NaN stays). */
#define TGC_CHOOSE(mask, a, b) ((__typeof__(a))(((mask) & (__typeof__(mask))(a)) | (~(mask) & (__typeof__(mask))(b))))
#define TGC_EACH(v, number) ((__typeof__(v)){} + (__typeof__((v)[0]))(number))
#define TGC_AT_MOST(v, limit) TGC_CHOOSE((v) > TGC_EACH(v, limit), TGC_EACH(v, limit), v)
#define TGC_AT_LEAST(v, limit) TGC_CHOOSE((v) < TGC_EACH(v, limit), TGC_EACH(v, limit), v)

/* The register tile (tile.pxi): rows x vectors of accumulators, and beside them one register per vector of weights, one for the
   broadcast element and, without fused multiply-add, one for the product. Two vectors per row halve the broadcasts; one vector
   per row is for narrow outputs (and 13 rows make the 25 taps of a 5 x 5 filter two tiles).
       16 registers (SSE, AVX2):      6 x 2 and 13 x 1
       32 registers (AVX-512, NEON): 14 x 2 and 14 x 1 */
#define TGC_WIDE_ROWS ((TGC_REGISTERS - 4) / 2)
#define TGC_NARROW_ROWS (TGC_REGISTERS >= 32 ? 14 : 13)
