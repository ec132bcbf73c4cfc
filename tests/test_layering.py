"""Imports go only downward, there is no cycle, and only the back ends know the kernels."""
from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "tinygradconv"

# From the ground up. A module may import from its own layer (no cycles) and from those before it.
LAYERS = [
    {"settings", "geometry", "arrays", "structure", "_locate"},
    {"kernels", "_compiled"},
    {"backends"},
    {"tensor", "promotion", "anomaly", "tape", "primitive", "ready", "autodiff", "custom", "remat", "gradcheck", "capture"},
    {"ops"},
    {"interop", "parallel"},                   # parallel: what ranks do together with arrays and gradients; it knows no model and no data
    {"spec"},
    {"train", "data", "models"},
    {"cli", "explain", "experiments", "__init__", "__main__"},
]
MAY_IMPORT_KERNELS = {"backends", "settings", "__init__"}


def layer(name: str) -> int:
    return next(i for i, names in enumerate(LAYERS) if name in names)


def modules():
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield path, parts


def imports(path: Path, parts: tuple[str, ...]):
    """(module parts below tinygradconv, line, whether at import time) of every import of ours in a file."""
    tree = ast.parse(path.read_text())
    top = set(map(id, ast.walk(ast.Module([n for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom, ast.Try))], []))))
    for_types = {id(inner) for node in tree.body if isinstance(node, ast.If) for inner in ast.walk(node)}          # if TYPE_CHECKING:
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "tinygradconv":
                    yield tuple(alias.name.split(".")[1:]), node.lineno, id(node) in top
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = parts[:len(parts) - node.level] if parts[-1] != "__init__" else parts[:-1][:len(parts) - node.level]
                yield from (((*base, *(node.module or "").split(".")) if node.module else (*base, alias.name), node.lineno, id(node) in top)
                            for alias in node.names)
            elif node.module and node.module.split(".")[0] == "tinygradconv":
                below = tuple(node.module.split(".")[1:])
                yield from ((below or (alias.name,), node.lineno, id(node) in top) for alias in node.names)


def upward(path, parts):
    for target, line, _ in imports(path, parts):
        target = tuple(t for t in target if t)
        if target and any(target[0] in names for names in LAYERS) and layer(target[0]) > layer(parts[0]):
            yield f"{path.relative_to(ROOT.parent)}:{line} imports {'.'.join(target)}"


def test_every_file_has_a_layer():
    known = set().union(*LAYERS)
    assert {parts[0] for _, parts in modules()} <= known


def test_imports_go_only_downward():
    found = [f for path, parts in modules() if parts[0] != "__init__" for f in upward(path, parts)]
    assert not found, "\n".join(found)


def test_an_upward_import_would_be_found(tmp_path):
    file = ROOT / "settings.py"
    planted = tmp_path / "settings.py"
    planted.write_text(file.read_text() + "\nfrom tinygradconv.ops import conv\nfrom tinygradconv import spec\n")
    assert [target[0] for target, _, _ in imports(planted, ("settings",))] == ["ops", "spec"]


def test_only_the_back_ends_import_kernels():
    found = [f"{path.name}:{line}" for path, parts in modules() if parts[0] not in MAY_IMPORT_KERNELS
             for target, line, _ in imports(path, parts) if target[:1] in (("kernels",), ("_compiled",))]
    assert not found, found


def test_kernels_import_nothing_of_ours():
    for path in (ROOT.parent / "kernels").rglob("*.py"):
        assert "tinygradconv" not in [n.module.split(".")[0] for n in ast.walk(ast.parse(path.read_text()))
                                      if isinstance(n, ast.ImportFrom) and n.module], path


# The packages of the CUDA back end, and the only files that may import them; only intrinsics.py and its parts, which the compiler imports
# when it compiles, may do so where they are imported themselves.
INTRINSICS = {"kernels/cuda/intrinsics.py", "kernels/cuda/assembly.py", "kernels/cuda/warpgroup.py"}
CUDA_PACKAGES = {
    "numba": {"tinygradconv/backends/cuda/compiler.py", *INTRINSICS},
    "llvmlite": INTRINSICS,
    "cuda.core": {"tinygradconv/backends/cuda/compiler.py"},
    "cuda.bindings": {"tinygradconv/backends/cuda/driver.py"},
    "cuda.pathfinder": {"tinygradconv/backends/cuda/toolchain.py"},
}


def cuda_imports(path: Path):
    """(package, whether at import time) of every import of CUDA_PACKAGES in a file."""
    tree = ast.parse(path.read_text())
    inside = {id(node) for outer in ast.walk(tree) if isinstance(outer, (ast.FunctionDef, ast.Lambda)) for node in ast.walk(outer)}
    for node in ast.walk(tree):
        named = []
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            named = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for package in CUDA_PACKAGES:
            if any(f"{name}.".startswith(f"{package}.") for name in named):
                yield package, id(node) not in inside


def test_the_packages_of_cuda_are_imported_in_few_places_and_late():
    root, found = ROOT.parent, {}
    for path in [*ROOT.rglob("*.py"), *(root / "kernels").rglob("*.py")]:
        name = path.relative_to(root).as_posix()
        for package, early in cuda_imports(path):
            found.setdefault(package, set()).add(name)
            assert not early or name in INTRINSICS, f"{name} imports {package} when it is imported"
    assert found == CUDA_PACKAGES


def test_an_early_import_of_cuda_would_be_found(tmp_path):
    planted = tmp_path / "planted.py"
    planted.write_text("from numba import cuda\ndef late():\n    from cuda import bindings\n    import cuda.core.utils\n")
    assert list(cuda_imports(planted)) == [("numba", True), ("cuda.bindings", False), ("cuda.core", False)]


def test_there_is_no_cycle_of_imports():
    graph: dict[str, set[str]] = {}
    names = {".".join(parts) for _, parts in modules()} | {".".join(parts[:-1]) for _, parts in modules() if parts[-1] == "__init__"}
    for path, parts in modules():
        if parts == ("__init__",):
            continue
        own = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        for target, _, top in imports(path, parts):
            name = ".".join(t for t in target if t)
            if top and name in names and name != own and not own.startswith(name + "."):
                graph.setdefault(own, set()).add(name)
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " → ".join((*trail, name))
        if name not in done:
            for other in graph.get(name, ()):
                visit(other, (*trail, name))
            done.add(name)
    for name in list(graph):
        visit(name, ())
