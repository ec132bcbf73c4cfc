"""The types with which cpu.py is compiled."""
from tinygradconv.arrays cimport dtype_of, is_scattered, shape_of
from tinygradconv.settings cimport current, get as setting

cdef class _Module:
    cdef public object compiled, threads

cdef class _Call:
    cdef public object function, workspace, pack, packed_bytes, dtype, backend
    cdef public _Module module
    cdef public Py_ssize_t workspace_at, packs_at, unpacked
    cdef public tuple inputs
    cdef public dict sizes

cdef _scratch(_Call call, sizing, first, last, tuple key)
cdef tuple _with_packed(_Call call, str kernel, tuple arguments, dict kept)
