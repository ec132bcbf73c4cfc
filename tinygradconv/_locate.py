"""Find the kernels, wherever this package was imported from.

Installed, everything lies below the package. In a checkout the folder `kernels/` lies beside `tinygradconv/`, and the
compiled modules are in the copy that pip installed. So that `python`, pytest and asv work from the repository's root,
where the checkout's package hides the installed one, the two are joined here.
"""
from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

CURE = ("tinygradconv's compiled kernels were not found beside {package} nor anywhere on sys.path. "
        "From the repository's root run: pip install .   (it needs a C compiler, such as gcc or clang)")


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


def _has_modules(folder: Path) -> bool:
    return any(folder.glob("isa.*"))


def _editable() -> bool:
    """Whether an editable install's finder, which knows the build folder, answers for the compiled modules."""
    return any("editable" in type(finder).__module__ and "tinygradconv" in type(finder).__module__ for finder in sys.meta_path)
