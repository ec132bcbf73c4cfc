"""torchvision's own definitions of the networks, without the rest of torchvision.

The wheel's compiled operators load only with the very build of torch that it was made for, and its other imports want Pillow. The model
files take no operator from there, only a few names that register a network or describe published weights; here those are stood in.
"""
from __future__ import annotations

import contextlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

PACKAGE = "torchvision_definitions"         # not `torchvision`: whoever imports that one gets all of it, or an error


class _WeightsEnum:
    @classmethod
    def verify(cls, weights):
        return weights


def _as_it_is(*_, **__):
    return lambda function: function


STOOD_IN = {
    "transforms._presets": {"ImageClassification": SimpleNamespace},
    "utils": {"_log_api_usage_once": lambda network: None},
    "models._api": {"register_model": _as_it_is, "Weights": SimpleNamespace, "WeightsEnum": _WeightsEnum},
    "models._meta": {"_IMAGENET_CATEGORIES": []},
    "models._utils": {"_ovewrite_named_param": None, "handle_legacy_interface": _as_it_is},
}


def definitions(name: str) -> ModuleType:
    """torchvision/models/<name>.py; skips the test where torch or torchvision is not installed."""
    pytest.importorskip("torch")
    found = importlib.util.find_spec("torchvision")            # finds it, without importing it
    if found is None:
        pytest.skip("needs torchvision's definitions: pip install --no-deps torchvision==0.28.0")
    stood_in = {PACKAGE: {}, f"{PACKAGE}.transforms": {}, f"{PACKAGE}.models": {},
                **{f"{PACKAGE}.{module}": names for module, names in STOOD_IN.items()}}
    with contextlib.ExitStack() as stack:
        for path, names in stood_in.items():
            module = ModuleType(path)
            module.__path__ = []
            vars(module).update(names)
            sys.modules[path] = module
            stack.callback(sys.modules.pop, path)
        file = Path(found.origin).parent / "models" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"{PACKAGE}.models.{name}", file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module
