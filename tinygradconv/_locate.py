"""Find the kernels, wherever this package was imported from.

Installed, everything lies below the package. In a checkout the folder `kernels/` lies beside `tinygradconv/`, and the
compiled modules are in the copy that pip installed. So that `python`, pytest and asv work from the repository's root,
where the checkout's package hides the installed one, the two are joined here.

The engine's own modules are compiled too, as they stand (ENGINE). The compiled ones are installed beside the sources that they were
made from, and Python prefers them; a checkout uses them while its sources are the same to the byte, and else runs its own.
"""
from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

CURE = ("tinygradconv's compiled kernels were not found beside {package} nor anywhere on sys.path. "
        "From the repository's root run: pip install .   (it needs a C compiler, such as gcc or clang)")

# As in meson.build.
ENGINE = ("settings", "arrays", "tensor", "anomaly", "promotion", "tape", "primitive", "autodiff", "backends/cpu", "ops/elementwise",
          "ops/join", "ops/loss", "ops/matmul", "ops/operators", "ops/power", "ops/reduce", "ops/shape", "ops/softmax", "ops/spelling")


def locate(package: Path, package_path: list[str]) -> None:
    """Make `tinygradconv.kernels` and `tinygradconv._compiled` importable; ImportError with the cure where nothing is built."""
    if not (package / "kernels").is_dir() and "tinygradconv.kernels" not in sys.modules:
        _adopt("tinygradconv.kernels", package.parent / "kernels")
    if _has_modules(package / "_compiled") or _editable():
        return
    for entry in sys.path:
        installed = Path(entry or ".") / "tinygradconv"
        if _has_modules(installed / "_compiled"):
            package_path.append(str(installed.resolve()))
            if _same_engine(package, installed):
                sys.meta_path.insert(0, _CompiledEngine(installed.resolve()))
            return
    raise ImportError(CURE.format(package=package))


def _adopt(name: str, folder: Path) -> None:
    """Import the package in `folder` under `name`."""
    spec = importlib.util.spec_from_file_location(name, folder / "__init__.py", submodule_search_locations=[str(folder)])
    if not (folder / "__init__.py").is_file() or spec is None or spec.loader is None:
        raise ImportError(f"{name} was expected in {folder}, which has no __init__.py: the checkout is incomplete")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def _same_engine(package: Path, installed: Path) -> bool:
    """Whether the installed engine was compiled from exactly this package's sources."""
    if not all(_compiled(installed, name) for name in ENGINE):
        return False
    types = {str(path.relative_to(folder)) for folder in (package, installed) for path in folder.rglob("*.pxd")}
    sources = [f"{name}.py" for name in ENGINE] + sorted(types)
    return all((folder / name).is_file() for folder in (package, installed) for name in sources) and \
        all((package / name).read_bytes() == (installed / name).read_bytes() for name in sources)


def _compiled(folder: Path, name: str) -> Path | None:
    """The compiled module `name` of the package in `folder`."""
    files = (folder / (name + suffix) for suffix in importlib.machinery.EXTENSION_SUFFIXES)
    return next((file for file in files if file.is_file()), None)


class _CompiledEngine:
    """Finds the engine's modules in the folder of the installed package (an entry of sys.meta_path)."""

    def __init__(self, folder: Path) -> None:
        self.files = {"tinygradconv." + name.replace("/", "."): _compiled(folder, name) for name in ENGINE}

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> importlib.machinery.ModuleSpec | None:
        """Where the module is, if it is one of the engine's."""
        return importlib.util.spec_from_file_location(name, self.files[name]) if name in self.files else None


def _has_modules(folder: Path) -> bool:
    return any(folder.glob("isa.*"))


def _editable() -> bool:
    """Whether an editable install's finder, which knows the build folder, answers for the compiled modules."""
    return any("editable" in type(finder).__module__ and "tinygradconv" in type(finder).__module__ for finder in sys.meta_path)
