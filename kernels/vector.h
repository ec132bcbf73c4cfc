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
