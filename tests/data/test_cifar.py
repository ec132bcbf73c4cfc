"""CIFAR-10 and CIFAR-100 in every official form, small ones made here and the real files; spoilt files are named with what is wrong."""
from __future__ import annotations

import dataclasses
import pickle
import warnings

import numpy as np
import pytest

from tinygradconv import data
from tinygradconv.data import cifar

from . import archives
from .archives import TEST, TRAIN

KINDS = {"cifar-10": "CIFAR_10", "cifar-100": "CIFAR_100"}


@pytest.fixture(params=KINDS)
def kind(request, monkeypatch):
    """A small set under its own name."""
    made = archives.small(getattr(cifar, KINDS[request.param]))
    monkeypatch.setattr(cifar, KINDS[request.param], made)
    return made


@pytest.fixture(params=["binary", "python"])
def form(request, kind):
    """One of its two forms."""
    return getattr(kind, request.param)


def check(found, kind, form):
    """The pixels and labels, by the description on the authors' page: image, channel, row, column."""
    assert found.name == kind.name and found.train.images.dtype == np.uint8
    assert found.train.images.shape == (TRAIN * len(form.train), 32, 32, 3)
    assert found.test.images.shape == (TEST, 32, 32, 3) and len(found.classes) == kind.labels[-1][1]
    for split, at, file, count in ((found.train, i * TRAIN, i, TRAIN) for i in range(len(form.train))):
        planes = archives.planes_of(count, file)
        for n, row, column, channel in ((0, 0, 0, 0), (1, 0, 1, 0), (2, 31, 30, 2), (3, 7, 0, 1)):
            assert split.images[at + n, row, column, channel] == planes[n, channel * 1024 + row * 32 + column]
        assert split.labels[at:at + count].tolist() == archives.labels_of(kind, count, file)[-1]
    assert found.test.labels.tolist() == archives.labels_of(kind, TEST, len(form.train))[-1]
    assert (found.test.images.transpose(0, 3, 1, 2).reshape(TEST, -1) == archives.planes_of(TEST, len(form.train))).all()


@pytest.mark.parametrize("inside", [False, True], ids=["in the root", "in its own folder"])
def test_the_folder_is_read(tmp_path, kind, form, inside):
    archives.unpack(tmp_path / kind.name if inside else tmp_path, form, archives.files(kind, form))
    check(data.get(kind.name, tmp_path), kind, form)


@pytest.mark.parametrize("inside", [False, True], ids=["in the root", "in its own folder"])
def test_the_archive_is_read_and_nothing_is_written(tmp_path, kind, form, inside):
    path = (tmp_path / kind.name if inside else tmp_path) / form.archive
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(archives.archive(kind, form))
    check(data.get(kind.name, tmp_path), kind, form)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_the_pickles_of_python_3_are_read_too(tmp_path, kind, protocol):
    write = lambda planes, labels: archives.python3(planes, labels, protocol)
    archives.unpack(tmp_path, kind.python, archives.files(kind, kind.python, write))
    check(data.get(kind.name, tmp_path), kind, kind.python)


def test_the_pickles_made_here_are_what_python_itself_reads():
    planes, labels = archives.planes_of(3, 0), {"labels": [3, 1, 9]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                           # numpy.core is numpy._core now
        theirs = pickle.loads(archives.python2(planes, labels), encoding="bytes")
    assert (theirs[b"data"] == planes).all() and theirs[b"labels"] == [3, 1, 9] and theirs[b"filenames"] == [b"a.png"] * 3


def test_a_folder_is_preferred_to_an_archive_and_binary_to_python(tmp_path, kind):
    for form in (kind.binary, kind.python):
        (tmp_path / form.archive).write_bytes(b"not looked at")
        archives.unpack(tmp_path, form, archives.files(kind, form))
    check(data.get(kind.name, tmp_path), kind, kind.binary)


def test_a_missing_file_is_named(tmp_path, kind, form):
    made = archives.files(kind, form)
    del made[form.test]
    archives.unpack(tmp_path, form, made)
    with pytest.raises(FileNotFoundError, match=f"{form.folder} lacks {form.test}. Unpack {form.archive} there again, or delete"):
        data.get(kind.name, tmp_path)
    (tmp_path / form.folder).rename(tmp_path / "elsewhere")
    (tmp_path / form.archive).write_bytes(archives.archive(kind, form, made))
    with pytest.raises(ValueError, match=rf"{form.archive}: the archive lacks {form.folder}/{form.test}\. Delete the file and"):
        data.get(kind.name, tmp_path)


@pytest.mark.parametrize(("change", "said"), [
    (lambda file: file[:-1], r"is truncated: expected 3 records of \d+ bytes, \d+ in all, got \d+\. Delete the file and fetch it again"),
    (lambda file: b"", r"is truncated: .* got 0\."),
    (lambda file: file + b"\0", r"is too long: expected 3 records of \d+ bytes, \d+ in all, got more"),
    (lambda file: file[1:] + b"\0", r"labels must be 0 to \d+, got \d+ at position [012]\."),
    (lambda file: b"\xc8\xc8" + file[2:], r"labels must be 0 to \d+, got 200 at position 0\."),
])
@pytest.mark.parametrize("packed", [False, True])
def test_a_spoilt_binary_file_is_named(tmp_path, kind, change, said, packed):
    made = archives.files(kind, kind.binary)
    made[kind.binary.test] = change(made[kind.binary.test])
    if packed:
        (tmp_path / kind.binary.archive).write_bytes(archives.archive(kind, kind.binary, made))
    else:
        archives.unpack(tmp_path, kind.binary, made)
    with pytest.raises(ValueError, match=kind.binary.test.replace(".", r"\.") + ":? .*" * (not packed) + r".*" + said):
        data.get(kind.name, tmp_path)


@pytest.mark.parametrize(("change", "said"), [
    ({"data": None}, r"'data' must be an array of bytes of shape \(3, 3072\), got NoneType"),
    ({"data": np.zeros((3, 3071), np.uint8)}, r"'data' must be .*, got shape \(3, 3071\)"),
    ({"data": np.zeros((3, 32, 32, 3), np.uint8)}, r"'data' must be .*, got shape \(3, 32, 32, 3\)"),
    ({"data": np.zeros((3, 3072), np.float32)}, r"arrays must be unsigned bytes \(u1\), got 'f4'"),
    ({"labels": [1, 2]}, r"'labels' must be a list of 3 integers, got a list of 2"),
    ({"labels": [1, 2, 10]}, r"labels must be 0 to 9, got 10 at position 2"),
    ({"labels": [1, -2, 10]}, r"labels must be 0 to 9, got -2 at position 1"),
    ({"labels": [1, 2, 2**70]}, r"labels must be 0 to 9, got 1180591620717411303424 at position 2"),
    ({"labels": [1, True, 2]}, r"'labels' must be a list of 3 integers"),
    ({"labels": ["1", "2", "3"]}, r"'labels' must be a list of 3 integers"),
    ({"labels": np.array([1, 2, 3], np.uint8)}, r"'labels' must be a list of 3 integers, got ndarray"),
    ({"labels": [1.0, 2.0, 3.0]}, r"it has the instruction BINFLOAT, which no table of images needs"),
])
def test_a_pickle_of_something_else_is_named(tmp_path, monkeypatch, change, said):
    kind = archives.small(cifar.CIFAR_10)
    monkeypatch.setattr(cifar, "CIFAR_10", kind)
    made = archives.files(kind, kind.python)
    made["test_batch"] = pickle.dumps({"data": archives.planes_of(3, 0), "labels": [1, 2, 3]} | change, protocol=3)
    archives.unpack(tmp_path, kind.python, made)
    with pytest.raises(ValueError, match="test_batch.*" + said):
        data.get("cifar-10", tmp_path)


# Known answers.
def test_names_of_the_classes():
    assert len(set(cifar.FINE)) == 100 and list(cifar.FINE) == sorted(cifar.FINE)
    assert [cifar.FINE[i] for i in (0, 1, 19, 49, 99)] == ["apple", "aquarium_fish", "cattle", "mountain", "worm"]
    assert cifar.OBJECTS == ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@pytest.mark.parametrize(("kind", "mean", "deviation"), [
    (cifar.CIFAR_10, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    (cifar.CIFAR_100, (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762))])
def test_the_numbers_of_normalisation_are_those_that_everybody_prints(kind, mean, deviation):
    np.testing.assert_allclose(np.array(kind.mean) / 255, mean, atol=6e-5)
    np.testing.assert_allclose(np.array(kind.deviation) / 255, deviation, atol=6e-5)


@pytest.mark.data
@pytest.mark.parametrize("name", KINDS)
def test_the_real_files(data_root, name):
    kind = getattr(cifar, KINDS[name])
    if not any((base / place).exists() for base in (data_root, data_root / name) for form in (kind.binary, kind.python)
               for place in (form.folder, form.archive)):
        pytest.skip(f"{name} is not under TGC_DATA")
    found = data.get(name, data_root)
    assert found.train.images.shape == (50000, 32, 32, 3) and found.test.images.shape == (10000, 32, 32, 3)
    classes = len(found.classes)
    assert np.bincount(found.train.labels).tolist() == [50000 // classes] * classes
    assert np.bincount(found.test.labels).tolist() == [10000 // classes] * classes
    if name == "cifar-10":
        assert found.train.labels[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3] and found.test.labels[:5].tolist() == [3, 8, 8, 0, 6]
        assert found.train.images[0, 0, :2].tolist() == [[59, 62, 63], [43, 46, 45]]
    for channel in range(3):
        values = np.bincount(found.train.images[..., channel].ravel(), minlength=256) / (50000 * 1024)
        mean = values @ np.arange(256)
        assert mean == pytest.approx(found.mean[channel], abs=1e-4)
        assert np.sqrt(values @ (np.arange(256) - mean) ** 2) == pytest.approx(found.deviation[channel], abs=1e-4)


def test_both_forms_of_a_set_have_one_checksum(tmp_path, monkeypatch):
    """One small set, written in both forms: the same images, labels and checksum."""
    kind = dataclasses.replace(archives.small(cifar.CIFAR_10))
    monkeypatch.setattr(cifar, "CIFAR_10", kind)
    sums = []
    for form in (kind.binary, kind.python):
        (tmp_path / form.folder).mkdir()
        archives.unpack(tmp_path / form.folder, form, archives.files(kind, form))
        sums.append(data.get("cifar-10", tmp_path / form.folder).checksum())
    assert sums[0] == sums[1]
