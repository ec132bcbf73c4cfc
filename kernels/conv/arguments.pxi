# What a convolution's kernels are handed beside their images, as they need it: what follows the sum, and whether there is room.

cdef struct Finish:
    const void* scale               # of all channels, or NULL (epilogue.pxi)
    const void* bias
    const void* residual
    int activation


cdef Finish nothing() noexcept nogil:
    """For a sum that nothing follows."""
    cdef Finish last
    last.scale, last.bias, last.residual, last.activation = NULL, NULL, NULL, 0
    return last


cdef Finish what_follows(const floating[::1] scale, const floating[::1] bias, const floating[:, :, :, ::1] residual, int activation):
    """The addresses of what is not None."""
    cdef Finish last = nothing()
    last.activation = activation
    if scale is not None:
        last.scale = &scale[0]
    if bias is not None:
        last.bias = &bias[0]
    if residual is not None:
        last.residual = &residual[0, 0, 0, 0]
    return last


cdef bint anything(const Finish* last) noexcept nogil:
    """Whether something follows."""
    return last.activation != 0 or last.scale != NULL or last.bias != NULL or last.residual != NULL


cdef check_bytes(name, argument, unsigned char[::1] given, Py_ssize_t bytes):
    """A ValueError where the bytes given as `argument` are too few (of `workspace`: for one thread)."""
    if given.shape[0] < bytes:
        size = f"{name}_workspace(geo, itemsize)" if argument == "workspace" else f"{name.removesuffix('_pack')}_packed_bytes(w, geo)"
        raise ValueError(f"{name}: {argument} must have at least {bytes} bytes, got {given.shape[0]}. Size it with {size}")
