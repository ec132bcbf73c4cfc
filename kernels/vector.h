/* SIMD vectors as GCC and clang write them: one typedef per element type, as wide as the instruction set's registers.
   Arithmetic on them is +, -, *, / element by element. aligned(4/8): any element address will do; may_alias: any array. */
#pragma once

/* What the kernels know of a processor, one row per instruction set:

                  bytes of a   registers   rows of a tile      rows of a tile
                  register                 two vectors wide    one vector wide
      AVX-512         64          32             14                  14
      AVX2            32          16              6                  13
      NEON            16          32             14                  14
      SSE             16          16              6                  13

   The register tile (tile.pxi) is rows x vectors of accumulators. Beside them it needs a register per vector of weights, one for the
   broadcast element and, without fused multiply-add, one for the product: 2 * 6 + 4 = 16, 2 * 14 + 4 = 32, 13 + 3 = 16. Two vectors
   per row halve the broadcasts. One vector per row is for narrow outputs: 13 rows make the 25 taps of a 5 x 5 filter two tiles, and more
   than 14 would want more addresses than there are registers for them.

   -DTGC_BYTES=64 -DTGC_REGISTERS=32 compiles the code of AVX-512 for any processor, slowly, as a test of its logic. */
#ifndef TGC_BYTES
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
#endif
#define TGC_WIDE_ROWS (TGC_REGISTERS == 32 ? 14 : 6)
#define TGC_NARROW_ROWS (TGC_REGISTERS == 32 ? 14 : 13)

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
