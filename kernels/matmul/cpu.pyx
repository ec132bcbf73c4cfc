# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Matrix products on the CPU: blocks of b's columns, packed, meet rows of a in the register tile (tile.pxi)."""
include "common.pxi"
include "tile.pxi"
include "transpose.pxi"
include "epilogue.pxi"
include "rows.pxi"
include "matmul/pack.pxi"
include "blocks.pxi"


def matmul(const floating[:, :, ::1] a, const floating[:, :, ::1] b, floating[:, :, ::1] y, bint transpose_a, bint transpose_b):
    """reference.matmul. Each task packs the columns of b that it needs on its own stack, so there is nothing to wait for."""
    cdef Product pro
    pro.batch, pro.M, pro.N, pro.K = y.shape[0], y.shape[1], y.shape[2], a.shape[1] if transpose_a else a.shape[2]
    pro.a_row, pro.a_term = 1 if transpose_a else pro.K, pro.M if transpose_a else 1
    pro.b_term, pro.b_column = 1 if transpose_b else pro.N, pro.K if transpose_b else 1
    pro.packed, pro.activation = False, 0
    if pro.batch * pro.M * pro.N == 0:
        return
    if pro.K == 0:
        memset(&y[0, 0, 0], 0, pro.batch * pro.M * pro.N * sizeof(floating))
        return
    plan(&pro, sizeof(floating))
    with nogil:
        multiply(&pro, &a[0, 0, 0], &b[0, 0, 0], <floating*>NULL, &y[0, 0, 0])


def dense(const floating[:, ::1] x, unsigned char[::1] packed, const floating[::1] bias, floating[:, ::1] y, int activation):
    """reference.dense, with w as `dense_pack` lays it out. Bias and activation are applied while a line of y is in the cache."""
    cdef Product pro
    cdef const floating* first_bias = NULL if bias is None else &bias[0]
    cdef Py_ssize_t i
    pro.batch, pro.M, pro.N, pro.K = 1, y.shape[0], y.shape[1], x.shape[1]
    pro.a_row, pro.a_term = pro.K, 1
    pro.packed, pro.activation = True, activation
    if pro.M * pro.N == 0:
        return
    if pro.K == 0:
        memset(&y[0, 0], 0, pro.M * pro.N * sizeof(floating))
        for i in range(pro.M):
            finish(&y[i, 0], <floating*>NULL, first_bias, <floating*>NULL, pro.N, activation)
        return
    if packed.shape[0] < packed_elements(pro.K, pro.N, sizeof(floating)) * <Py_ssize_t>sizeof(floating):
        raise ValueError(f"dense: packed must have at least {packed_elements(pro.K, pro.N, sizeof(floating)) * sizeof(floating)} bytes, "
                         f"got {packed.shape[0]}. Size it with dense_packed_bytes(w, activation)")
    plan(&pro, sizeof(floating))
    with nogil:
        multiply(&pro, &x[0, 0], <floating*>&packed[0], first_bias, &y[0, 0])


def dense_pack(const floating[:, ::1] w, unsigned char[::1] packed, int activation):
    """Blocks of two vectors of w's columns one after the other, each with its lines in order; a last one of one vector if that will do."""
    cdef Py_ssize_t K = w.shape[0], N = w.shape[1], group = GROUP * 2 * lanes_of(sizeof(floating)), task
    cdef floating* to
    if K * N == 0:
        return
    to = <floating*>&packed[0]
    for task in prange((N + group - 1) // group, nogil=True, schedule="static", num_threads=threads_for(K * N)):
        pack_group(&w[0, task * group], N, 1, K, smaller(group, N - task * group), to + task * group * K)


def dense_packed_bytes(w, int activation):
    """Bytes of `packed` for these weights; the layout does not depend on the activation."""
    return packed_elements(w.shape[0], w.shape[1], w.itemsize) * <Py_ssize_t>w.itemsize
