"""The asv suite: one module per idea, under the stem that the idea has everywhere else (`conv.py` measures `ops/conv.py`).

asv imports every module here in order to find the benchmarks, so none does any work, or needs an optional package, on import.
"""
