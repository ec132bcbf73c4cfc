"""Checkpoints of torch: what is read, what is refused, and that nothing in a file is executed."""
from __future__ import annotations

import argparse
import json
import os
import struct
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from tinygradconv.interop.torch import FLOATING, read, write


def test_what_is_written_as_safetensors_reads_back_without_torch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)                    # import torch: ImportError
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b.c": np.array(3.5), "n": np.array(7, np.int64)}
    write(tmp_path / "w.safetensors", arrays)
    entries = read(tmp_path / "w.safetensors")
    assert {name: (entry.shape, entry.dtype) for name, entry in entries.items()} == {
        "a": ((2, 3), "float32"), "b.c": ((), "float64"), "n": ((), "I64")}
    for name in ("a", "b.c"):
        np.testing.assert_array_equal(entries[name].values(), arrays[name])


@pytest.mark.parametrize("suffix", [".pth", ".PT"])
def test_what_is_written_as_pth_torch_loads(tmp_path, suffix):
    torch = pytest.importorskip("torch")
    backwards = np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::-1].T
    backwards.flags.writeable = False
    write(tmp_path / f"w{suffix}", {"w": backwards, "n": np.array(7, np.int64)})
    got = torch.load(tmp_path / f"w{suffix}", weights_only=True)
    assert got["n"].dtype == torch.int64 and got["n"].shape == () and int(got["n"]) == 7
    np.testing.assert_array_equal(got["w"].numpy(), backwards)


def test_a_file_that_was_there_stands_where_the_new_one_cannot_be_written(tmp_path):
    path = tmp_path / "w.safetensors"
    write(path, {"a": np.ones(3, np.float32)})
    (tmp_path / "w.safetensors.new").mkdir()                            # in the way of what is written beside
    with pytest.raises(OSError, match=r"cannot write .*w\.safetensors.*What was saved before is still there"):
        write(path, {"a": np.zeros(3, np.float32)})
    assert read(path)["a"].values().tolist() == [1, 1, 1]


@pytest.mark.parametrize("dtype", FLOATING)
@pytest.mark.parametrize("kind", ["zip", "before torch 1.6", "safetensors"])
def test_every_floating_dtype_is_read(tmp_path, dtype, kind):
    torch = pytest.importorskip("torch")
    values = torch.tensor([[0.0, -1.5, 3.1415926], [1e-3, 65504.0, -0.1]]).to(getattr(torch, dtype)).requires_grad_()
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pth")
    if kind == "safetensors":
        from safetensors.torch import save_file as save
        save({"before": torch.ones(5, dtype=torch.uint8), "w": values.detach()}, path)
    else:
        torch.save({"w": torch.nn.Parameter(values)}, path, _use_new_zipfile_serialization=kind == "zip")
    entry = read(path)["w"]
    assert entry.dtype == dtype and entry.shape == (2, 3)
    np.testing.assert_array_equal(entry.values(), values.detach().double().numpy())


def test_the_wrappings_of_training_scripts_are_taken_off(tmp_path):
    torch = pytest.importorskip("torch")
    weights = {"w": torch.ones(2)}
    for number, held in enumerate([weights, {"state_dict": weights, "epoch": 3, "arch": "resnet18"},
                                   {"model": weights, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}}]):
        torch.save(held, tmp_path / f"{number}.pth")
        assert list(read(tmp_path / f"{number}.pth")) == ["w"]


def test_what_is_no_plain_tensor_has_a_dtype_that_is_not_floating(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"text": "x", "whole": torch.ones(2, dtype=torch.int8), "sparse": torch.eye(3).to_sparse(),
                "strided": torch.ones(2, 3).T}, tmp_path / "w.pth")
    dtypes = {name: entry.dtype for name, entry in read(tmp_path / "w.pth").items()}
    assert dtypes == {"text": "str", "whole": "int8", "sparse": "sparse_coo float32 on cpu", "strided": "float32"}


class Calls:
    """What a hostile pickle does when it is loaded: it calls a function."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(("function", "name"), [(open, r"_?io\.open"), (eval, "eval"), (os.mkdir, r"posix\.mkdir"),
                                              (argparse.Namespace, "argparse.Namespace")])
def test_a_pickle_that_calls_functions_is_refused_and_none_is_called(tmp_path, function, name, zipped):
    torch = pytest.importorskip("torch")
    harm = tmp_path / "harm"
    arguments = {open: (str(harm), "w"), eval: (f"open({str(harm)!r}, 'w')",), os.mkdir: (str(harm),)}.get(function, ())
    torch.save({"state_dict": {"w": torch.ones(2)}, "x": Calls(function, *arguments)}, tmp_path / "w.pth",
               _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=rf"load_torch: .*w\.pth calls for {name}, which is code and not weights: nothing was loaded\. "
                                         r"Save the weights alone where it was made: torch\.save\(model\.state_dict\(\), …\)$"):
        read(tmp_path / "w.pth")
    assert not harm.exists()


@pytest.mark.parametrize(("data", "said"), [
    (b"", "EOFError"), (b"<html>404</html>", "Unsupported operand 60"),
    (b"version https://git-lfs.github.com/spec/v1", "Unsupported operand 118"),
    (b"PK\x03\x04" + b"x" * 30, "PytorchStreamReader failed reading zip archive: [^.]*")])
def test_what_is_no_checkpoint_is_said_to_be_none(tmp_path, data, said):
    pytest.importorskip("torch")
    (tmp_path / "w.pth").write_bytes(data)
    with pytest.raises(ValueError, match=rf"torch cannot read .*w\.pth \({said}\): it is damaged, cut short, or no checkpoint$"):
        read(tmp_path / "w.pth")


@given(cut=st.floats(0, 0.999), zipped=st.booleans())
def test_a_pth_file_that_is_cut_short_is_an_error_that_names_it(tmp_path, cut, zipped):
    torch = pytest.importorskip("torch")
    whole, part = tmp_path / "whole.pth", tmp_path / "part.pth"
    torch.save({"w": torch.ones(300), "v": torch.ones(7)}, whole, _use_new_zipfile_serialization=zipped)
    data = whole.read_bytes()
    part.write_bytes(data[:int(cut * len(data))])
    with pytest.raises(ValueError, match=r"load_torch: .*part\.pth ") as caught:
        read(part)
    assert "weights_only" not in str(caught.value)                 # torch's advice to switch it off


def header(about: dict, data: bytes = b"") -> bytes:
    text = json.dumps(about).encode()
    return struct.pack("<Q", len(text)) + text + data


F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize("data", [
    b"", b"\0" * 7, struct.pack("<Q", 2 ** 62), b"<html>404</html>", b"version https://git-lfs.github.com/spec/v1\n",
    header({"w": F32}, b"\0" * 7), header({"w": F32}, b"\0" * 9), header({"w": {**F32, "shape": [2 ** 62]}}, b"\0" * 8),
    header({"w": {**F32, "data_offsets": [8, 0]}}, b"\0" * 8), header({"w": F32, "v": F32}, b"\0" * 8),
    header({"w": {**F32, "dtype": "F31"}}, b"\0" * 8), header([1, 2]), b"\x02" + b"\0" * 7 + b"{}"[:1],
], ids=range(13))
def test_a_safetensors_file_that_is_damaged_is_an_error_that_names_it(tmp_path, data):
    (tmp_path / "w.safetensors").write_bytes(data)
    with pytest.raises(ValueError, match=r"w\.safetensors is not a sound safetensors file"):
        read(tmp_path / "w.safetensors")


@pytest.mark.parametrize("held", [[1, 2], 3.5, {1: 2}], ids=["list", "float", "numbers"])
def test_a_pth_file_without_names_is_refused(tmp_path, held):
    torch = pytest.importorskip("torch")
    torch.save(held, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"holds no weights by name but a (list|float|dict whose keys are not names)"):
        read(tmp_path / "w.pth")


def test_where_torch_is_absent_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "w.pth").write_bytes(b"")
    with pytest.raises(ModuleNotFoundError, match=r"load_torch: .*w\.pth is in torch's own format, .*safetensors\.torch"):
        read(tmp_path / "w.pth")
    with pytest.raises(ModuleNotFoundError, match=r"save_torch: .*pip install torch, or save as \.safetensors"):
        write(tmp_path / "w.pth", {})


def test_another_ending_and_a_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"load_torch: .*w\.npz must end in \.safetensors, \.pth or \.pt"):
        read(tmp_path / "w.npz")
    with pytest.raises(ValueError, match=r"save_torch: .*w\.npz must end in \.safetensors, \.pth or \.pt"):
        write(tmp_path / "w.npz", {})
    with pytest.raises(FileNotFoundError, match=r"w\.safetensors"):
        read(tmp_path / "w.safetensors")


def test_a_file_of_our_own_is_told_from_one_of_torchs(tmp_path):
    from tinygradconv.interop.safetensors import to_bytes
    (tmp_path / "best.safetensors").write_bytes(to_bytes({"w": np.ones(3, np.float32)}))
    with pytest.raises(ValueError, match=r"was saved by tinygradconv itself and lies channels last\. Load it by"):
        read(tmp_path / "best.safetensors")
    save_file({"w": np.ones(3, np.float32)}, tmp_path / "other.safetensors", {"format": "pt"})
    assert list(read(tmp_path / "other.safetensors")) == ["w"]
