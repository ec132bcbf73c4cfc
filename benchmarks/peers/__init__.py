"""Ours and PyTorch side by side: `python -m benchmarks.peers cpu` measures both in one process and prints one table of ratios.

    __main__.py      the command
    protocol.py      how two things are timed fairly: alternate, settle, one untimed call, one timed
    work.py          a work, what measuring it gives, and the row that is printed and written
    works/           what is measured: training steps, inference, convolutions, products, norms, pools, dispatch
    memory.py        peak memory, each side in a process of its own
    scaling.py       cost against batch, depth and image size
    peak.py          what the machine can do: its multiply-adds and copied bytes in a second
    bars.py          what must hold, and what we are after
    table.py         the table and its last lines
    torch_models.py  the same networks as plain torch.nn modules
    torch_side.py    PyTorch in its best form: contiguous, channels_last, compiled; and our weights in its order
    gpu.py           on a GPU: `python -m benchmarks.peers gpu`, with gpu_time.py and gpu_works.py
    learning/        whole trainings side by side: the time to an accuracy, the accuracy after a time
    others.py        JAX, tinygrad, HIPS/autograd and NumPy, for readers who ask

asv imports every module here with the rest of the suite: so none does any work on import, nor needs PyTorch.
"""
