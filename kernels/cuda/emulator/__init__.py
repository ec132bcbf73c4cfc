"""A GPU in plain Python: runs a CUDA kernel's own function, thread by thread, and names what is wrong with it.

    from tinygradconv.kernels.cuda.emulator import Watch, emulate
    emulate(kernel, grid, *arguments)                               # NumPy arrays for pointers; they are filled
    emulate(kernel, grid, *arguments, watch=Watch(thread=5))        # and print what thread 5 of block 0 does, line by line

Every CUDA thread is a greenlet that runs until it has to wait for others: at a barrier, or where a warp works as one. What a GPU would do
now and then, the emulator makes an error every time: see faults.py. docs/emulator.md is the guide. It needs the package greenlet.

    launch.py        emulate() and a device that host functions take
    threads.py       threads, warps, blocks: who runs, who waits for whom
    words.py         what `cuda` and `ptx` mean in an emulated kernel
    meaning.py       how a kernel's function is given that meaning, and `math`
    memory.py        pointers, shared and local arrays: bounds, alignment
    order.py         which accesses are ordered by a barrier, and which race
    copies.py        cp.async: copies that land as late as they may
    tensor_cores.py  ldmatrix, mma: the fragments of PTX ISA 9.7.14.5
    warpgroups.py    wgmma: products that four warps start and wait for later
    watch.py         one thread, step by step
"""
from .faults import InvalidAddress, KernelFault, LostCopy, Race, Stuck, Uninitialised
from .launch import EmulatedDevice, emulate
from .watch import Watch

__all__ = ["EmulatedDevice", "InvalidAddress", "KernelFault", "LostCopy", "Race", "Stuck", "Uninitialised", "Watch", "emulate"]
