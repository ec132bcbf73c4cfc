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
    """(exit code, lines) of the program, on three batches an epoch. It is one of its own, as a process with threads must not be forked."""
    done = subprocess.run([sys.executable, "-m", "tests.train.kills", *arguments, "--images", "384", "--fork"], cwd=ROOT,
                          capture_output=True, text=True, timeout=250)
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout.splitlines()


@pytest.mark.slow
def test_killed_at_random_and_resumed_the_ends_are_identical():
    """With kills of this seed in both epochs, and of runs that go on."""
    code, lines = kills("4", "--seed", "1", "--threads", "1,2")
    assert code == 0 and lines[-1] == "4 kills, 4 identical ends" and len(lines) == 7
    assert all(re.match(r" +\d  identical: at call +\d+ → (step \d+|the start)", line) for line in lines[1:5]), lines


@pytest.mark.slow
def test_a_snapshot_that_forgets_something_is_noticed():
    """Each by one kill; those of this seed come within an epoch, where everything is needed to go on."""
    code, lines = kills(str(len(FORGET)), "--seed", "1", "--forget", *FORGET)
    assert code == 1 and lines[-1] == f"{len(FORGET)} kills, 0 identical ends"
    for what, line in zip(FORGET, lines[1:]):
        differing = re.match(r" +\d  differs in (.*?): at call +\d+ → ", line)
        assert differing and ("early stop" if what == "early stop" else "last.safetensors") in differing[1].split(", "), (what, line)
