# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Matrix products on the CPU: blocks of b's columns, packed, meet rows of a in the register tile (tile.pxi)."""
from tinygradconv.kernels.matmul import reference

include "common.pxi"
include "numbers.pxi"
include "tile.pxi"
include "transpose.pxi"
include "epilogue.pxi"
include "rows.pxi"
include "matmul/pack.pxi"
include "blocks.pxi"

check_layout()


def matmul(a, b, y, bint transpose_a, bint transpose_b):
    """reference.matmul. Each task packs the columns of b that it needs on its own stack, so there is nothing to wait for."""
    cdef int kind = floating_kind(y), lead = 1 if (<ndarray?>y).axes == 3 else 0       # axes before a matrix's own
    cdef Product pro
    if kind == OTHER:
        reference.matmul(a, b, y, transpose_a, transpose_b)
        return
    pro.batch, pro.M, pro.N = length_of(y, 0, 3) if lead else 1, length_of(y, lead, lead + 2), length_of(y, lead + 1, lead + 2)
    pro.K = length_of(a, lead if transpose_a else lead + 1, lead + 2)
    pro.a_row, pro.a_term = 1 if transpose_a else pro.K, pro.M if transpose_a else 1
    pro.b_term, pro.b_column = 1 if transpose_b else pro.N, pro.K if transpose_b else 1
    pro.packed, pro.activation = False, 0
    if pro.batch * pro.M * pro.N != 0:
        filled(&pro, kind, numbers_of(a, kind, pro.batch * pro.M * pro.K), numbers_of(b, kind, pro.batch * pro.K * pro.N), NULL,
               numbers_of(y, kind, pro.batch * pro.M * pro.N))


def dense(x, w, bias, y, int activation):
    """reference.dense; w (K, N), or what `dense_pack` made of it. Bias and activation are applied while a line of y is in the cache."""
    cdef int kind = floating_kind(y)
    cdef Product pro
    pro.batch, pro.M, pro.N, pro.K = 1, length_of(y, 0, 2), length_of(y, 1, 2), length_of(x, 1, 2)
    pro.a_row, pro.a_term, pro.b_term, pro.b_column = pro.K, 1, pro.N, 1
    pro.packed, pro.activation = (<ndarray?>w).axes == 1, activation
    if pro.M * pro.N == 0:
        return
    if pro.packed:
        check_packed(w, pro.K, pro.N, 4 if kind == SINGLE else 8)
    filled(&pro, kind, numbers_of(x, kind, pro.M * pro.K), (<ndarray>w).address if pro.packed else numbers_of(w, kind, pro.K * pro.N),
           NULL if bias is None else numbers_of(bias, kind, pro.N), numbers_of(y, kind, pro.M * pro.N))


cdef int filled(Product* pro, int kind, void* a, void* b, void* bias, void* y) except -1:
    """y = act(a @ b + bias), numbers of one kind; other threads of Python may run meanwhile, if it is worth letting them."""
    if pro.batch * pro.M * pro.N * pro.K < 32768:
        products_of(pro, kind, a, b, bias, y)
    else:
        with nogil:
            products_of(pro, kind, a, b, bias, y)
    return 0


cdef void products_of(Product* pro, int kind, void* a, void* b, void* bias, void* y) noexcept nogil:
    """`products` of one kind."""
    if kind == SINGLE:
        products(pro, <float*>a, <float*>b, <float*>bias, <float*>y)
    else:
        products(pro, <double*>a, <double*>b, <double*>bias, <double*>y)


cdef void products(Product* pro, const floating* a, const floating* b, const floating* bias, floating* y) noexcept nogil:
    """As planned; a sum of nothing is 0."""
    cdef Py_ssize_t i
    if pro.K > 0:
        plan(pro, sizeof(floating))
        multiply(pro, a, b, bias, y)
        return
    memset(y, 0, pro.batch * pro.M * pro.N * sizeof(floating))
    for i in range(pro.batch * pro.M):
        finish(y + i * pro.N, <floating*>NULL, bias, <floating*>NULL, pro.N, pro.activation)


def dense_pack(w, packed, int activation):
    """Blocks of two vectors of w's columns one after the other, each with its lines in order; a last one of one vector if that will do."""
    cdef int kind = floating_kind(w)
    cdef Py_ssize_t K = length_of(w, 0, 2), N = length_of(w, 1, 2)
    cdef void* numbers = numbers_of(w, kind, K * N)
    check_packed(packed, K, N, 4 if kind == SINGLE else 8)
    with nogil:
        if kind == SINGLE:
            pack_all(<float*>numbers, K, N, <float*>(<ndarray>packed).address)
        else:
            pack_all(<double*>numbers, K, N, <double*>(<ndarray>packed).address)


cdef void pack_all(const floating* w, Py_ssize_t K, Py_ssize_t N, floating* packed) noexcept nogil:
    """A task for each group of columns; without OpenMP for a few, as it would take longer."""
    cdef Py_ssize_t group = GROUP * 2 * lanes_of(sizeof(floating)), tasks = (N + group - 1) // group, task
    if threads_for(K * N) == 1:
        for task in range(tasks):
            pack_group(w + task * group, N, 1, K, smaller(group, N - task * group), packed + task * group * K)
    else:
        for task in prange(tasks, schedule="static", num_threads=threads_for(K * N)):
            pack_group(w + task * group, N, 1, K, smaller(group, N - task * group), packed + task * group * K)


cdef int check_packed(object packed, Py_ssize_t K, Py_ssize_t N, Py_ssize_t itemsize) except -1:
    """ValueError unless there are as many bytes as weights (K, N) take."""
    cdef Py_ssize_t wanted = packed_elements(K, N, itemsize) * itemsize
    if length_of(packed, 0, 1) < wanted:
        raise ValueError(f"dense: packed must have at least {wanted} bytes, got {length_of(packed, 0, 1)}. "
                         f"Size it with dense_packed_bytes(w, activation)")
    return 0


def dense_packed_bytes(w, int activation):
    """Bytes of `packed` for these weights; the layout does not depend on the activation."""
    return packed_elements(w.shape[0], w.shape[1], w.itemsize) * <Py_ssize_t>w.itemsize
