"""The test of the test that kills: a few kills here (`python -m tests.train.kills 100` are many), and snapshots that forget something."""
from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.train.killed import FORGET

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


def kills(*arguments: str) -> tuple[int, list[str]]:
    """(exit code, lines) of the program. It is one of its own, as a process that has started threads must not be forked."""
    done = subprocess.run([sys.executable, "-m", "tests.train.kills", *arguments, "--fork"], cwd=ROOT, capture_output=True, text=True,
                          timeout=250)
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout.splitlines()


@pytest.mark.slow
def test_killed_at_random_and_resumed_the_ends_are_identical():
    code, lines = kills("5", "--threads", "1,2")
    assert code == 0 and lines[-1] == "5 kills, 5 identical ends" and len(lines) == 8
    assert all(re.match(r" +\d  identical: at call +\d+ → (step \d+|the start)", line) for line in lines[1:6]), lines


@pytest.mark.slow
@pytest.mark.parametrize("what", FORGET)
def test_a_snapshot_that_forgets_something_is_noticed(what):
    code, lines = kills("1", "--seed", "3", "--forget", what)
    assert code == 1 and lines[-1] == "1 kills, 0 identical ends"
    differing = re.match(r" +1  differs in (.*): at call +\d+ → step \d+", lines[1])
    assert differing and ("early stop" if what == "early stop" else "last.safetensors") in differing[1].split(", "), lines
