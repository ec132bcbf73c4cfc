"""The settings table: environment variables, blocks, errors."""
from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

import tinygradconv as tgc
from tinygradconv.settings import SETTINGS, get


def run(code, **environment):
    return subprocess.run([sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def test_a_block_changes_a_setting_and_puts_it_back():
    before = get("threads")
    with tgc.settings(threads=before + 1):
        assert get("threads") == before + 1
        with tgc.settings(backend="reference"):
            assert (get("threads"), get("backend")) == (before + 1, "reference")
    assert get("threads") == before


def test_other_threads_keep_theirs():
    seen = []
    with tgc.settings(anomaly=True):
        worker = threading.Thread(target=lambda: seen.append(get("anomaly")))
        worker.start()
        worker.join()
    assert seen == [False]


@pytest.mark.parametrize("changes, message", [
    (dict(thread=1), "settings\\(\\) has no 'thread'; there are: threads, backend"),
    (dict(threads=0), "threads=0: must be at least 1"),
    (dict(backend="gpu"), "backend='gpu': must be one of 'cpu', 'reference'"),
    (dict(exact="perhaps"), "exact='perhaps': must be 1 or 0"),
    (dict(precision="fp16"), "precision='fp16': must be one of 'fp32', 'tf32', 'bf16'"),
])
def test_wrong_settings_say_what_there_is(changes, message):
    with pytest.raises(ValueError, match=message):
        with tgc.settings(**changes):
            pass


def test_environment_variables_are_read_at_import():
    code = "from tinygradconv.settings import get; import tinygradconv; print(get('threads'), get('backend'))"
    assert run(code, TGC_THREADS="3", TGC_BACKEND="reference").stdout.split() == ["3", "reference"]
    assert run(code, OMP_NUM_THREADS="5", TGC_THREADS="").returncode != 0          # an empty number is a mistake, and says so
    wrong = run(code, TGC_THREADS="many")
    assert "TGC_THREADS='many'" in wrong.stderr


def test_convolutions_are_neither_exact_nor_tuned_unless_asked():
    code = "from tinygradconv.settings import get; import tinygradconv; print(get('exact'), get('tune'))"
    assert run(code, TGC_EXACT="0", TGC_TUNE="").stdout.split() == ["False", "False"]
    assert run(code, TGC_EXACT="1", TGC_TUNE="true").stdout.split() == ["True", "True"]
    assert not SETTINGS["exact"].default() and not SETTINGS["tune"].default()


def test_the_gpu_computes_exactly_and_without_waiting_unless_asked():
    names = ("precision", "launch_blocking", "poison")
    code = f"from tinygradconv.settings import get; print(*map(get, {names}))"
    assert [SETTINGS[name].default() for name in names] == ["fp32", False, False]
    asked = dict(TGC_PRECISION="bf16", TGC_LAUNCH_BLOCKING="1", TGC_POISON="yes")
    assert run(code, **asked).stdout.split() == ["bf16", "True", "True"]
    with tgc.settings(precision="tf32"):
        assert get("precision") == "tf32"


@pytest.mark.parametrize("text, threads", [("7", 7), ("3,2", 3), ("9999", 1024), ("0", None), ("-2", None), ("²", None), ("many", None)])
def test_omp_num_threads_is_respected_where_it_is_a_number(text, threads):
    environment = {k: v for k, v in os.environ.items() if k not in ("TGC_THREADS", "OMP_NUM_THREADS")}
    code = "import os; from tinygradconv.settings import get; print(get('threads'), len(os.sched_getaffinity(0)))"
    environment["OMP_NUM_THREADS"] = text
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    got, cpus = map(int, done.stdout.split())
    assert got == (threads or cpus)


def test_every_setting_says_when_it_is_read_and_what_it_does():
    for name, setting in SETTINGS.items():
        assert setting.variable == "TGC_" + name.upper() and setting.does and setting.read
