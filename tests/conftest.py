"""What every test shares: hypothesis without deadlines (the machine may be slow), and the two CPU back ends as a fixture."""
from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

if "PYTEST_XDIST_WORKER" in os.environ:                # before OpenMP reads it, once: threads that look for work disturb others
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import tinygradconv as tgc

settings.register_profile("here", deadline=None, max_examples=int(os.environ.get("TGC_TEST_EXAMPLES", 25)),
                          derandomize=bool(os.environ.get("CI")),
                          suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
settings.load_profile("here")

# A shell starts what runs in its background with Ctrl-C ignored, and programs that the tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """What is there now stays: a search for garbage, of which tests of memory make many, need not go through it each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(params=["reference", "cpu"])
def backend(request):
    """Run the test on the NumPy definitions, and again on the compiled kernels."""
    with tgc.settings(backend=request.param):
        yield request.param


@pytest.fixture
def rng():
    """Random numbers that are the same in every run."""
    return np.random.default_rng(0)


@pytest.fixture
def data_root():
    """The folder that holds the real data sets; the test is skipped where TGC_DATA names none."""
    root = os.environ.get("TGC_DATA", "")
    if not root or not Path(root).is_dir():
        pytest.skip("needs the real data sets: set TGC_DATA to a folder that holds mnist/, cifar-10-batches-bin/, …")
    return Path(root)
