"""No op is left out on the GPU; and the cases themselves are right, which needs no GPU to be seen."""
from __future__ import annotations

import importlib
import pkgutil
import sys

import numpy as np
import pytest

import tests.cuda.emulated as emulated
from tinygradconv import backends, ops
from tinygradconv.primitive import Primitive

from .cases import CASES, Case
from .derived import derived, error, errors

# Ops of several processes, which tests/parallel runs; and the move itself, without which no case gets anywhere.
ELSEWHERE = {"ops.sync_batch_norm._backward", "ops.sync_batch_norm._all_reduce_sum", "ops.device._move"}


def primitives() -> dict[str, Primitive]:
    """Every op of the engine, by where it stands."""
    for module in pkgutil.iter_modules(ops.__path__):
        importlib.import_module(f"{ops.__name__}.{module.name}")
    found: dict[int, tuple[str, Primitive]] = {}
    for module in sorted(name for name in sys.modules if name.startswith("tinygradconv.ops.")):
        for name, value in vars(sys.modules[module]).items():
            if isinstance(value, Primitive):
                found.setdefault(id(value), (f"{module.removeprefix('tinygradconv.')}.{name}", value))
    return dict(found.values())


def missing(cases: dict[str, Case], monkeypatch) -> list[str]:
    """The ops that none of these cases calls, neither forward nor backward."""
    called: set[str] = set()

    def noted(name, forward):
        def call(*arrays, **options):
            called.add(name)
            return forward(*arrays, **options)
        return call
    everything = primitives()
    for name, op in everything.items():
        monkeypatch.setattr(op, "forward", noted(name, op.forward))
    for case in cases.values():
        derived(case, "cpu", np.float64)
    monkeypatch.undo()
    return sorted(set(everything) - called - ELSEWHERE)


def test_every_op_has_a_case(monkeypatch):
    assert len(primitives()) >= 110
    assert not missing(CASES, monkeypatch)


def test_an_op_without_a_case_is_found(monkeypatch):
    left = {name: CASES[name] for name in ("add", "softmax")}
    found = missing(left, monkeypatch)
    assert {"ops.pool.window_sum", "ops.pool._max_pool2d"} <= set(found)
    assert not {"ops.elementwise.add", "ops.softmax._softmax"} & set(found)


@pytest.mark.parametrize("name", CASES)
def test_a_case_is_the_same_on_a_gpu_whose_kernels_are_definitions(name, monkeypatch):
    case = CASES[name]
    expected = derived(case, "cpu", np.float64)
    monkeypatch.setitem(backends._made, "cuda", emulated.DefinedBackend())
    assert max(errors(derived(case, "cuda", np.float64), expected)) <= 1e-11


def test_an_error_is_seen():
    x = np.array([3.0, 4.0])
    assert error([x], [x]) == 0 and error([x + [0, 0.5]], [x]) == pytest.approx(0.1) and error([x[:1]], [x]) == np.inf
    assert error([x, x], [x, x + 5]) == pytest.approx((50 / 170) ** 0.5) and error([np.array([np.nan, 1])], [x]) == np.inf
    assert error([0 * x], [0 * x]) == 0 and error([x], [0 * x]) == np.inf
    assert error([np.array([1, 2])], [np.array([1, 2])]) == 0 and error([np.array([1, 3])], [np.array([1, 2])]) == np.inf
