"""The asv suite: one module per idea, under the stem that the idea has everywhere else (`conv.py` measures `ops/conv.py`).

asv imports every module here in order to find the benchmarks, with the package of whichever commit it measures: so no module does any
work on import, needs an optional package, or looks up an op (hence `lambda x: tgc.relu(x)`, which an older commit may lack).
"""
