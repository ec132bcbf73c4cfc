# cython: language_level=3
"""Which instruction sets this processor and its operating system run: asked of the compiler's own run-time support."""

cdef extern from *:
    """
    /* TGC_BASE_ONLY: as on a machine that has one variant, to test what was compiled for another. */
    #if defined(__x86_64__) && !defined(TGC_BASE_ONLY) && (defined(__GNUC__) || defined(__clang__))
    static int tgc_runs_v3(void) {
        __builtin_cpu_init();
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    }
    static int tgc_runs_v4(void) {
        return tgc_runs_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
            && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    }
    static const char* tgc_base(void) { return "v2"; }
    #else
    static int tgc_runs_v3(void) { return 0; }
    static int tgc_runs_v4(void) { return 0; }
    static const char* tgc_base(void) { return "base"; }
    #endif
    """
    int tgc_runs_v3()
    int tgc_runs_v4()
    const char* tgc_base()


def variants():
    """The kernel variants that run here, best first: for example ['v3', 'v2']."""
    return (["v4"] if tgc_runs_v4() else []) + (["v3"] if tgc_runs_v3() else []) + [tgc_base().decode()]
