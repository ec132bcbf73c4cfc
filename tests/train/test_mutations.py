"""Damaged files of a run: a few hundred here; `python -m tests.train.mutations 10000` are many."""
from __future__ import annotations

import re

import pytest

from tests.train import mutations
from tinygradconv.interop import safetensors


def test_mutated_files_of_a_run_are_refused_or_read_as_they_were(capsys):
    assert mutations.main(["300"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    found = re.fullmatch(r"300 mutated files: (\d+) refused, (\d+) read as they were, \d+ read with .* of a liar, no wrong load", last)
    assert found and int(found[1]) > 250 and int(found[2]) >= 15, last


@pytest.mark.parametrize("name", ["state.safetensors", "last.safetensors"])
def test_a_checksum_that_is_not_checked_would_be_noticed(monkeypatch, name):
    monkeypatch.setattr(safetensors, "_is_checksum", lambda claimed, data: True)
    monkeypatch.setattr(mutations, "SHARES", {name: 1.0})
    with pytest.raises(AssertionError, match="a wrong load of"):
        mutations.main(["300"])


def test_every_single_bit_of_a_file_is_watched(rng):
    sound = safetensors.to_bytes({"b": rng.normal(size=(3, 1)), "a": rng.integers(0, 9, 5)}, {"epoch": 1})
    for at in range(8 * len(sound)):
        data = bytearray(sound)
        data[at // 8] ^= 1 << at % 8
        with pytest.raises(ValueError, match="x is"):
            safetensors.from_bytes(bytes(data), "x", ours=True)
    for data in (sound + b"\0", sound + b" ", sound[:-1], b"", sound + sound):
        with pytest.raises(ValueError, match="x is"):
            safetensors.from_bytes(data, "x", ours=True)
