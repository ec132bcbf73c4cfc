"""A step recorded as one CUDA graph: everything that it launches is put down once, and started again with one call of the driver.

A recorded launch keeps its arguments: the addresses of arrays, and numbers. So

    arrays      stay where they are. What a step makes for itself comes from a private pool that lives as long as the graph; what it is
                handed is copied to a place of its own before each replay.
    numbers     that change between replays lie in the GPU's memory. A host function that takes such a number (the rate of an
                optimiser; the step of Adam, and of random numbers) asks `device.number(rate, "float64")`, which is an array of one element:
                from a number of the host, or where the number is `Live` (backends/live.py) the place that is filled before each replay.
                Its kernels read rate[0]; captured and eager steps run the same kernels, so they give the same bits.
"""
