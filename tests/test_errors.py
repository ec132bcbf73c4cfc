"""Mistakes, and what is said about them: where, what was expected, what came, what to do.

`errors.txt` beside this file is the table: what a user writes, and the error to the letter ("…" stands for anything). Here it is
run, and after it come the mistakes that need files, signals or processes.
"""
from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv import cli, data, models, spec
from tinygradconv.data.idx import read_idx
from tinygradconv.interop import safetensors
from tinygradconv.train.optim import SGD
from tinygradconv.train.recipe import Recipe
from tinygradconv.train.recipes import ANY
from tinygradconv.train.schedule import cosine
from tinygradconv.train.sessions import begin
from tinygradconv.train.snapshot import Run
from tinygradconv.train.training import Training

ROOT = Path(__file__).resolve().parent.parent
TABLE = Path(__file__).with_name("errors.txt")


def rows(text: str) -> list[tuple[str, str, str]]:
    """(what is written, the kind of error, the message) of each entry; a message goes on in lines that are indented further."""
    found = []
    for block in re.split(r"\n(?=\S)", text):
        code, *said = block.strip("\n").split("\n")
        if code and not code.startswith("#"):
            kind, _, message = " ".join(line.strip() for line in said).partition(": ")
            found.append((code, kind, message))
    return found


def names() -> dict[str, object]:
    """What the table's code may use, made anew for each row."""
    p = tgc.Tensor([1.0, 2.0, 3.0], requires_grad=True)

    def setting(**changes):
        with tgc.settings(**changes):
            pass

    def backward_twice():
        y = (p * p).sum()
        y.backward()
        y.backward()

    def changed_in_place():
        y = (p * p).sum()
        SGD({"p": p}).update({"p": p}, 0.1)
        y.backward()

    public = {name: getattr(tgc, name) for name in tgc.__all__}
    return {**{name: getattr(spec, name) for name in spec.__all__}, **public, "np": np, "tgc": tgc, "data": data, "models": models,
            "SGD": SGD, "p": p, "v": tgc.arange(6.0), "m": tgc.arange(6.0).reshape(2, 3), "x": tgc.zeros((2, 8, 8, 3)),
            "w": tgc.zeros((3, 3, 3, 4)), "setting": setting, "backward_twice": backward_twice, "changed_in_place": changed_in_place,
            "digits": data.get("digits"), "begin": begin, "Recipe": Recipe, "cosine": cosine, "model": models.lenet5.build((28, 28, 1))}


def error_of(code: str) -> tuple[str, str]:
    """(kind, message) of the error that this code ends in."""
    try:
        eval(code, names())
    except Exception as problem:
        return type(problem).__name__, re.sub(r"\(\S+:\d+\)", "(file:line)", str(problem))
    return "", "no error"


def agrees(expected: str, got: str) -> bool:
    """Whether a message is the expected one, to the letter but for what "…" stands for at its end."""
    return got.startswith(expected[:-1]) if expected.endswith("…") else got == expected


@pytest.mark.parametrize(("code", "kind", "message"), [pytest.param(*row, id=row[0]) for row in rows(TABLE.read_text("utf-8"))])
def test_a_mistake_is_answered_to_the_letter(code, kind, message):
    got_kind, got = error_of(code)
    assert got_kind == kind and agrees(message, got), f"{got_kind}: {got}"


def test_the_table_would_notice_another_kind_and_another_word():
    code, kind, message = next(row for row in rows(TABLE.read_text("utf-8")) if row[0] == "conv2d(x, w, stride=0)")
    got_kind, got = error_of(code)
    assert (got_kind, got) == (kind, message) and kind == "ValueError" and not agrees(message.replace("0", "1"), got)
    assert error_of("v + v") == ("", "no error") and len(rows(TABLE.read_text("utf-8"))) > 200


@pytest.mark.parametrize("mistake", [lambda big: tgc.grad((big, big), big), lambda big: tgc.grad(big, {"x": big}),
                                     lambda big: tgc.reshape(big, "8" * 10_000)])
def test_a_large_value_in_the_wrong_place_does_not_fill_the_screen(mistake):
    with pytest.raises((TypeError, ValueError)) as problem:
        mistake(tgc.Tensor(np.ones((64, 64, 64)), requires_grad=True))
    assert len(str(problem.value)) < 600 and "of type" in str(problem.value)


# What has no error: sizes and arrays that look odd and are sound.

@pytest.mark.parametrize("odd", [
    lambda a: a[::-1, :, ::-1], lambda a: np.asfortranarray(a), lambda a: a.astype(">f4"), lambda a: np.repeat(a, 2, 2)[:, :, ::2],
    lambda a: np.broadcast_to(a[:1], a.shape), lambda a: a.tolist(), lambda a: a.view(np.memmap), lambda a: a.astype(np.int8)])
def test_views_byte_orders_and_lists_are_read_right(odd, rng):
    x, w = rng.integers(-9, 9, (2, 6, 6, 3)).astype(np.float32), rng.integers(-9, 9, (3, 3, 3, 2)).astype(np.float32)
    given = odd(x)
    if isinstance(given, np.ndarray):
        given.flags.writeable = False
    plain = np.array(given, np.float32)
    cuts = np.lib.stride_tricks.sliding_window_view(plain, (3, 3), (1, 2))
    assert (tgc.conv2d(given, w).numpy() == np.einsum("nyxcij,ijco->nyxo", cuts, w)).all()
    assert (tgc.max_pool2d(given, 2).numpy() == plain.reshape(2, 3, 2, 3, 2, 3).max((2, 4))).all()


def test_numpy_integers_are_sizes():
    x, two = tgc.zeros((1, 8, 8, 1)), np.int64(2)
    assert tgc.max_pool2d(x, two, stride=np.uint8(2)).shape == tgc.avg_pool2d(x, (two, two)).shape == (1, 4, 4, 1)
    assert tgc.conv2d(x, tgc.zeros((3, 3, 1, 4)), stride=np.array([2, 2]), padding=np.int32(1)).shape == (1, 4, 4, 4)
    assert tgc.zeros((two, np.uint8(3))).sum(axis=np.int8(1)).reshape(two, 1).shape == (2, 1)


def test_plain_numbers_of_two_kinds_are_promoted():
    assert tgc.add(1, 0.5).item() == 1.5 and tgc.multiply(True, 3).item() == 3 and tgc.maximum(2, np.float64(0.5)).item() == 2.0


def test_a_stride_beyond_the_image_is_a_stride_of_one_window():
    x = tgc.Tensor(np.arange(6, dtype=np.float32).reshape(1, 2, 3, 1), requires_grad=True)
    y = tgc.conv2d(x, np.full((1, 1, 1, 1), 2.0), stride=2**31 - 1)
    y.sum().backward()
    assert y.numpy().tolist() == [[[[0.0]]]] and x.grad.numpy().reshape(-1).tolist() == [2, 0, 0, 0, 0, 0]


def test_batches_of_nothing_pass_through_and_give_gradients_of_nothing():
    w = tgc.Tensor(np.ones((3, 3, 3, 4), np.float32), requires_grad=True)
    y = tgc.relu(tgc.conv2d(np.zeros((0, 8, 8, 3), np.float32), w))
    tgc.max_pool2d(y, 2).sum().backward()
    assert y.shape == (0, 6, 6, 4) and (w.grad.numpy() == 0).all()


# Files.

def spoilt(folder: Path, change) -> Path:
    path = folder / "train-labels-idx1-ubyte.gz"
    path.write_bytes(change(gzip.compress(b"\0\0\x08\x01\0\0\0\x04\1\2\3\4", mtime=0)))
    return path


@pytest.mark.parametrize(("change", "said"), [
    (lambda whole: whole[:-6], "is truncated: the compressed data end too early. Delete the file and fetch it again"),
    (lambda whole: b"\0" + whole[1:], "is not a sound gzip file ("),
    (lambda whole: whole[:-8] + bytes(8), "is not a sound gzip file ("),
    (lambda whole: gzip.compress(b"\0\0\x08\x01\0\0\0\x05\1\2\3\4"), "is truncated: the header claims 5 bytes of values, the file has 4"),
    (lambda whole: gzip.compress(b"\0\0\x08\x01\0\0\0\x03\1\2\3\4"), "has bytes after its last value: the header claims 3 items, 3 bytes"),
    (lambda whole: gzip.compress(b"\0\0\x08\x01\xff\xff\xff\xff\1"), ": the header claims 4294967295 items, 4294967295 bytes"),
])
def test_a_damaged_idx_file_is_named(tmp_path, change, said):
    path = spoilt(tmp_path, change)
    with pytest.raises(ValueError, match=re.escape(str(path)) + " ?" + re.escape(said)):
        read_idx(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_idx(tmp_path / "nowhere.gz")
    with pytest.raises(OSError, match="nowhere"):
        safetensors.load(tmp_path / "nowhere.safetensors")


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A run that has not taken a step: its folder and the weights that it began with."""
    folder = tmp_path_factory.mktemp("errors") / "run"
    session = begin("lenet5", epochs=1, out=str(folder))
    training = Training(session.model((28, 28, 1)), session.data(), ANY["sgd"], 0)
    session.run.save(training.state())
    session.run.close()
    return folder


def damage(name: str, change, *gone: str):
    """Changes a file of a run, and takes others away."""
    def spoil(folder: Path) -> None:
        (folder / name).write_bytes(change((folder / name).read_bytes()))
        for other in gone:
            (folder / other).unlink()
    return spoil


def another_model(folder: Path) -> None:
    (folder / "last.safetensors").write_bytes(safetensors.to_bytes({"0.weight": np.zeros((3, 3, 1, 4), np.float32)}))


CHECKPOINTS = {
    "truncated weights": (damage("last.safetensors", lambda whole: whole[:-9]), "eval", "last.safetensors is not a sound safetensors"),
    "one bit": (damage("last.safetensors", lambda whole: whole[:-1] + bytes([whole[-1] ^ 1])), "eval", "last.safetensors is damaged: its "),
    "a pickle": (damage("last.safetensors", lambda whole: b"\x80\x04\x95"), "eval", "last.safetensors is not a sound safetensors file"),
    "empty weights": (damage("last.safetensors", lambda whole: b""), "eval", "last.safetensors is not a sound safetensors file"),
    "another model's": (another_model, "eval", "the weights: "),
    "no weights": (lambda folder: (folder / "last.safetensors").unlink(), "eval", "last.safetensors does not exist: the run has saved no"),
    "a damaged config": (damage("config.json", lambda whole: whole[:40], "state.safetensors"), "eval", "config.json is damaged: "),
    "an emptied config": (damage("config.json", lambda whole: b"{}", "state.safetensors"), "eval", "reads runs of format 2, got None"),
    "a changed config": (damage("config.json", lambda whole: whole.replace(b'"seed": 0', b'"seed": 1'), "state.safetensors"), "eval",
                         "config.json is damaged: its values are not those that the run was begun with (the checksum differs)"),
    "a cut state": (damage("state.safetensors", lambda whole: whole[:500]), "resume", "No sound snapshot is left in"),
    "not a run": (shutil.rmtree, "eval", "is not the folder of a run: it has no config.json"),
}


@pytest.mark.parametrize("how", CHECKPOINTS)
def test_a_damaged_checkpoint_is_one_line_and_exit_code_1(run_folder, tmp_path, capsys, how):
    change, command, said = CHECKPOINTS[how]
    folder = tmp_path / "run"
    shutil.copytree(run_folder, folder)
    change(folder)
    assert cli.main(["eval", str(folder)] if command == "eval" else ["train", "--resume", str(folder)]) == 1
    text = capsys.readouterr()
    assert not text.out and said in text.err and text.err.count("\n") == 1 and text.err.startswith("tinygradconv: "), text.err


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_a_folder_without_permission_is_named(tmp_path):
    tmp_path.chmod(0o500)
    user = os.geteuid()
    if user == 0:                                  # root may write everywhere, so it steps down for a moment
        os.seteuid(65534)
    try:
        with pytest.raises(OSError, match=r"cannot make the folder .*run: Permission denied"):
            Run.create(tmp_path / "run", {})
    finally:
        os.seteuid(user)


def test_a_folder_below_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot make the folder .*file/run: Not a directory\. Name another one by --out"):
        Run.create(tmp_path / "file" / "run", {})


# The command line, and what a user presses.

def program(code: str, **variables: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_failure_has_no_traceback_and_wrong_usage_exits_with_2():
    for arguments, code in ((["train", "lenet"], 1), (["train", "lenet5", "--epochs", "0"], 2)):
        process = program(f"from tinygradconv import cli; raise SystemExit(cli.main({arguments}))")
        out, said = process.communicate(timeout=60)
        assert process.returncode == code and not out and "Traceback" not in said and said.splitlines()[-1].startswith("tinygradconv")


@pytest.mark.parametrize(("variable", "value", "said"), [
    ("TGC_THREADS", "many", "TGC_THREADS='many': must be an integer from 1 to 1024"),
    ("TGC_THREADS", "100000", "TGC_THREADS='100000': must be at most 1024"),
    ("TGC_BACKEND", "cuda", "TGC_BACKEND='cuda': must be one of 'cpu', 'reference'"),
    ("TGC_PRECISION", "fp16", "TGC_PRECISION='fp16': must be one of 'fp32', 'tf32', 'bf16'"),
    ("TGC_ISA", "avx", "TGC_ISA='avx': must be one of"), ("TGC_ANOMALY", "maybe", "TGC_ANOMALY='maybe': must be 1 or 0")])
def test_a_bad_environment_variable_is_named_at_import(variable, value, said):
    process = program("import tinygradconv", **{variable: value})
    assert said in process.communicate(timeout=60)[1].splitlines()[-1] and process.returncode == 1


def test_an_interrupted_kernel_leaves_everything_usable():
    code = ("import os, signal, threading, numpy as np, tinygradconv as tgc\n"
            "x, w = np.ones((8, 64, 64, 32), np.float32), tgc.Tensor(np.ones((3, 3, 32, 32), np.float32), requires_grad=True)\n"
            "expected, caught = tgc.conv2d(x, w).numpy().copy(), 0\n"
            "for wait in (0.01, 0.03, 0.05):\n"
            "    threading.Timer(wait, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
            "    try:\n"
            "        while True: tgc.conv2d(x, w).sum().backward()\n"
            "    except KeyboardInterrupt: caught += 1\n"
            "    assert (tgc.conv2d(x, w).numpy() == expected).all() and w.shape == (3, 3, 32, 32)\n"
            "with tgc.no_grad(): pass\n"
            "assert tgc.conv2d(x, w).requires_grad\n"
            "print('caught', caught)\n")
    process = program(code)
    assert process.communicate(timeout=100) == ("caught 3\n", "")


def test_threads_at_work_at_once_get_the_right_numbers_and_their_own_errors():
    x, w = np.ones((2, 32, 32, 8), np.float32), np.ones((3, 3, 8, 8), np.float32)
    seen, ends = [], time.monotonic() + 0.5

    def work(stride: int) -> None:
        while time.monotonic() < ends:
            if stride:
                p = tgc.Tensor(w, requires_grad=True)
                y = tgc.conv2d(x, p, stride=stride)
                y.sum().backward()
                seen.append((y.numpy() == 72).all() and (p.grad.numpy() == y.size / 8).all())
            else:
                with pytest.raises(ValueError, match="stride must be at least 1, got 0"):
                    tgc.conv2d(x, w, stride=stride)
    threads = [threading.Thread(target=work, args=(stride,)) for stride in (0, 1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) >= 3 and all(seen)


def test_without_a_compiler_the_build_says_so(tmp_path):
    pytest.importorskip("mesonbuild")
    done = subprocess.run([sys.executable, "-m", "mesonbuild.mesonmain", "setup", str(tmp_path / "build"), str(ROOT)], capture_output=True,
                          text=True, timeout=100, env={**os.environ, "CC": str(tmp_path / "no-compiler")})
    assert done.returncode != 0 and "ERROR: Unknown compiler(s): " in done.stdout + done.stderr
