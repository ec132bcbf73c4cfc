"""One commit, built once: its tree, compiled by Meson for one instruction set into a folder of its own, kept under the commit's name."""
from __future__ import annotations

import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VARIANT = "v3" if platform.machine().lower() in ("x86_64", "amd64") else "base"      # callgrind knows no AVX-512


class GateError(Exception):
    """The gate could not measure: a revision that is not there, a build that fails, a process that dies."""


@dataclass(frozen=True)
class Commit:
    """A built commit: `name` is its hash, `site` the folder to import tinygradconv from."""

    name: str
    site: Path

    def environment(self, threads: int = 1) -> dict[str, str]:
        """The variables under which its processes run: its package before the checkout's, one instruction set, no hash randomness."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("TGC_", "PYTHON", "OMP_", "GOMP_"))}
        return kept | {"PYTHONPATH": os.pathsep.join((str(self.site), str(ROOT))), "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1",
                       "TGC_ISA": VARIANT, "TGC_THREADS": str(threads), "OMP_NUM_THREADS": str(threads),
                       "OPENBLAS_NUM_THREADS": str(threads)}

    def python(self, module: str) -> list[str]:
        """The command that runs a module of the checkout's benchmarks on this commit's package; -P keeps the checkout's package out."""
        return [sys.executable, "-P", "-m", module]

    def compiled(self) -> dict[str, bytes]:
        """{name: contents} of the compiled modules."""
        return {path.name.partition(".")[0]: path.read_bytes() for path in (self.site / "tinygradconv" / "_compiled").iterdir()}


def git(repository: Path, *arguments: str) -> bytes:
    """What git answers; GateError where it fails."""
    done = subprocess.run(["git", "-C", str(repository), *arguments], capture_output=True)
    if done.returncode:
        raise GateError(f"git {' '.join(arguments)}: {done.stderr.decode().strip()}")
    return done.stdout


def cache_folder() -> Path:
    """Where built commits stay: under XDG_CACHE_HOME, by default ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinygradconv" / "gate"


def built(revision: str, repository: Path, cache: Path) -> Commit:
    """The commit that `revision` names, built now or before; GateError where there is none or its build fails.

    A folder is named after the commit only when its build is complete, so that one that was broken off is begun anew.
    """
    name = git(repository, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").decode().strip()
    folder = cache / f"{name}-{VARIANT}-{sys.implementation.cache_tag}"
    if not folder.exists():
        begun = folder.with_name(f"{folder.name}.{os.getpid()}")
        shutil.rmtree(begun, ignore_errors=True)
        try:
            _build(git(repository, "archive", name), begun, folder)
            begun.rename(folder)
        finally:
            shutil.rmtree(begun, ignore_errors=True)
        _forget_old(cache)
    os.utime(folder)
    return Commit(name, folder / "site")


def _build(archive: bytes, begun: Path, folder: Path) -> None:
    """Unpack, configure, compile, install; only `site` is kept. Meson is told the final place, since it writes none of it into a module."""
    source, build = begun / "source", begun / "build"
    with tarfile.open(fileobj=io.BytesIO(archive)) as tree:
        tree.extractall(source, filter="data")
    site = str(folder / "site")
    options = [f"--prefix={site}", f"-Dpython.purelibdir={site}", f"-Dpython.platlibdir={site}"]
    if "'variants'" in (source / "meson.options").read_text():
        options.append(f"-Dvariants={VARIANT}")
    _run(["meson", "setup", str(build), str(source), *options])
    _run(["meson", "compile", "-C", str(build)])
    _run(["meson", "install", "-C", str(build), "--quiet", "--destdir", str(begun / "installed")])
    (begun / "installed" / site.lstrip(os.sep)).rename(begun / "site")
    for waste in (source, build, begun / "installed"):
        shutil.rmtree(waste)


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except FileNotFoundError:
        raise GateError(f"{command[0]} was not found. Install it: pip install meson ninja Cython") from None
    if done.returncode:
        raise GateError(f"{' '.join(command)} failed:\n" + "\n".join(done.stdout.splitlines()[-30:]))


def _forget_old(cache: Path, keep: int = 20) -> None:
    """Keep the commits used last."""
    for folder in sorted(cache.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)[keep:]:
        shutil.rmtree(folder, ignore_errors=True)
