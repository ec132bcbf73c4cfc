"""The benchmarks run: each one once, at the first of its parameters, so that they cannot rot; and none is missing."""
from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

import tinygradconv as tgc
from tinygradconv import ops

discovery = pytest.importorskip("asv_runner.discovery", reason="needs asv: pip install '.[test]'")
update_sys_path = pytest.importorskip("asv_runner._aux").update_sys_path
ROOT = Path(__file__).resolve().parent.parent
SUITE = ROOT / "benchmarks"
NAME = re.compile(r"^(time|timeraw|mem|peakmem|track)_")


def discovered(folder: Path) -> list:
    """The benchmarks that asv itself finds in a folder."""
    before = list(sys.meta_path)
    update_sys_path(str(folder))
    try:
        return list(discovery.disc_benchmarks(str(folder)))
    finally:
        sys.meta_path[:] = before


def run_once(benchmark):
    """Prepare and run a benchmark at the first of its parameters; returns what a `track_` counts."""
    if benchmark._params:
        benchmark.set_param_idx(0)
    assert not benchmark.do_setup(), f"{benchmark.name} skips its smallest parameters"
    result = benchmark.func(*benchmark._current_params)
    benchmark.do_teardown()
    if benchmark.type == "track":
        assert isinstance(result, (int, float)) and result >= 0, f"{benchmark.name} returned {result!r}, not a number"
        assert benchmark.unit != "unit", f"{benchmark.name} has no unit"
    elif "timeraw" in benchmark.name:
        subprocess.run([sys.executable, "-c", f"{result[1]}\n{result[0]}"], check=True, cwd=ROOT)
    return result


SUITE_BENCHMARKS = discovered(SUITE)


@pytest.mark.parametrize("benchmark", SUITE_BENCHMARKS, ids=lambda b: b.name)
def test_benchmark_runs(benchmark):
    run_once(benchmark)


def test_asv_finds_every_one_that_is_written():
    written = {f"{path.stem}.{node.name}" if parent is None else f"{path.stem}.{parent}.{node.name}"
               for path in SUITE.glob("*.py") for parent, node in functions(ast.parse(path.read_text())) if NAME.match(node.name)}
    assert {name for name in written if not name.startswith("common.")} <= {b.name for b in SUITE_BENCHMARKS}
    assert len(SUITE_BENCHMARKS) == len({b.name for b in SUITE_BENCHMARKS}) >= 40


def functions(tree: ast.Module):
    """(class or None, function) of a module."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield None, node
        elif isinstance(node, ast.ClassDef):
            yield from ((node.name, method) for method in node.body if isinstance(method, ast.FunctionDef))


@pytest.mark.parametrize(("body", "problem"), [("tgc.no_such_op(1)", "no_such_op"), ("return None", "not a number"),
                                               ("return 7", "has no unit")])
def test_a_broken_benchmark_is_noticed(tmp_path, body, problem):
    folder = tmp_path / "planted_benchmarks"
    folder.mkdir()
    (folder / "__init__.py").write_text(f"import tinygradconv as tgc\n\n\ndef track_planted():\n    {body}\n")
    (planted,) = discovered(folder)
    del sys.modules[folder.name]
    with pytest.raises((AttributeError, AssertionError), match=problem):
        run_once(planted)


def test_a_benchmark_that_cannot_be_imported_is_noticed(tmp_path):
    folder = tmp_path / "unimportable_benchmarks"
    folder.mkdir()
    (folder / "__init__.py").write_text("import no_such_module\n")
    with pytest.raises(ModuleNotFoundError):
        discovered(folder)


def families() -> dict[str, set[str]]:
    """Op files, and what each offers to users; files of helpers offer nothing."""
    modules = [importlib.import_module(f"{ops.__name__}.{m.name}") for m in pkgutil.iter_modules(ops.__path__)]
    offered = {m.__name__.rsplit(".", 1)[1]: offers(m) for m in modules}
    return {name: names for name, names in offered.items() if names}


def offers(module: types.ModuleType) -> set[str]:
    """The names of a file's own functions and ops that are public as tgc.<name>; the random numbers are public where they stand."""
    source = Path(module.__file__).with_name(module.__name__.rpartition(".")[2] + ".py")        # a compiled module lies beside its source
    own = getattr(module, "__all__", None) or [node.name for _, node in functions(ast.parse(source.read_text()))]
    home = module if module is ops.random else tgc
    return {name for name in own if not name.startswith("_") and name in vars(module) and getattr(home, name, None) is vars(module)[name]}


def used() -> set[str]:
    """Every <name> for which some benchmark says tgc.<name>, or imports it from an op file."""
    names = set()
    for path in SUITE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "tgc":
                names.add(node.attr)
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tinygradconv.ops."):
                names |= {alias.name for alias in node.names}
    return names


def missing(family: dict[str, set[str]]) -> list[str]:
    measured = used()
    return [f"ops/{name}.py has no benchmark: use one of {{{', '.join(sorted(names))}}} in benchmarks/{name}.py"
            for name, names in family.items() if not names & measured]


def test_every_op_family_has_a_benchmark():
    assert {"conv", "pool", "norm", "matmul", "elementwise", "loss", "random"} <= set(families())
    assert not missing(families())


def test_a_family_without_a_benchmark_is_noticed():
    assert missing({"conv": {"conv2d"}, "wavelet": {"haar", "daubechies"}}) == [
        "ops/wavelet.py has no benchmark: use one of {daubechies, haar} in benchmarks/wavelet.py"]


def test_no_module_hides_one_of_pythons_own():
    """asv starts Python in this folder: benchmarks/random.py would be everyone's `import random`."""
    assert not {path.stem for path in SUITE.glob("*.py")} & set(sys.stdlib_module_names)


def test_parameters_are_named():
    for benchmark in SUITE_BENCHMARKS:
        assert len(benchmark.param_names) == len(benchmark._params), benchmark.name
        assert not any(re.fullmatch(r"param\d+", name) for name in benchmark.param_names), benchmark.name


def test_what_runs_on_a_gpu_is_waited_for(monkeypatch):
    from benchmarks import common
    waited = []
    monkeypatch.setattr(common, "DEVICES", ["cpu", "cuda"])
    monkeypatch.setattr(common, "finish", waited.append)

    class Planted(common.Benchmark):
        param_names = ["layer", "device"]

        def prepare(self, layer, device):
            """Nothing."""

        def time_body(self, layer, device):
            return waited.append(layer)

    Planted().setup("a", "cuda")
    Planted().time_body("b", "cpu")
    assert waited == ["a", "cuda", "b", "cpu"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinygradconv.backends.cuda.toolchain.obstacles", lambda: ["no driver"])
        assert common.devices() == ["cpu"]
        patch.setattr("tinygradconv.backends.cuda.toolchain.obstacles", list)
        assert common.devices() == ["cpu", "cuda"]


def test_the_configuration_measures_the_installed_package():
    text = "\n".join(line for line in (SUITE / "asv.conf.json").read_text().splitlines() if not line.lstrip().startswith("//"))
    configuration = json.loads(text)
    assert (SUITE / configuration["repo"]).resolve() == ROOT and (SUITE / configuration["benchmark_dir"]).resolve() == SUITE
    assert all((SUITE / configuration[name]).resolve().is_relative_to(ROOT / ".asv") for name in ("env_dir", "results_dir", "html_dir"))
    assert "{wheel_file}" in configuration["install_command"][0] and "wheel" in configuration["build_command"][0]
