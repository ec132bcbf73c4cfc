"""The gate: `python -m benchmarks.gate BASE HEAD` says whether one commit made anything slower or larger than another.

Exact counters first (`counters.py`, `instructions.py`), since they know no noise; then interleaved timing of the works that changed
(`timing.py`), measured again only while one looks worse. `works.py` lists what is measured and `docs/benchmarks.md` explains the rest.
"""
