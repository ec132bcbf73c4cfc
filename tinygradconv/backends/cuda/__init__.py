"""The CUDA back end: arrays on an NVIDIA GPU, kernels written in Python and compiled by Numba, launched by the driver directly.

`toolchain` says what is installed, `compiler` makes machine code and a report of what it needs (no GPU is asked for), `cache` keeps it on
disk; `driver` is the one module that talks to the GPU, `allocator` its memory, `transfer` the way there and back, `launch` starts kernels.
Nothing here imports Numba or the CUDA packages before they are needed.
"""
