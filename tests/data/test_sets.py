"""Data sets: the shipped digits, MNIST's files in a folder, and the names by which they are found."""
from __future__ import annotations

import gzip
import hashlib
import importlib.resources
import struct

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv import data
from tinygradconv.data import DataSet, Split
from tinygradconv.data.resize import bilinear


# The digits.
def test_the_digits_are_scikit_learns_split_after_1437():
    digits = data.get("digits")
    assert digits.input_shape == (28, 28, 1) and len(digits.train) == 1437 and len(digits.test) == 360
    assert digits.train.images.dtype == np.float32 and digits.classes == tuple("0123456789")
    assert digits.train.labels[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    with np.load(importlib.resources.files("tinygradconv.data") / "digits.npz", allow_pickle=False) as file:
        images, labels = file["images"], file["labels"]
    assert images.shape == (1797, 8, 8) and images.min() == 0 and images.max() == 16
    assert images[0, 0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]           # the first row that scikit-learn's own pages print
    assert hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest() == \
        "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
    sklearn = pytest.importorskip("sklearn.datasets")
    theirs = sklearn.load_digits()
    np.testing.assert_array_equal(images, theirs.images)
    np.testing.assert_array_equal(labels, theirs.target)


def test_the_digits_come_with_licence_and_citation():
    text = (importlib.resources.files("tinygradconv.data") / "digits.LICENCE.txt").read_text()
    for words in ("CC BY 4.0", "Alpaydin", "Kaynak", "10.24432/C50P49", "BSD 3-Clause"):
        assert words in text


def test_the_numbers_of_normalisation_are_those_of_the_training_images():
    digits = data.get("digits")
    assert digits.train.images.mean(dtype=np.float64) == pytest.approx(digits.mean[0], abs=1e-5)
    assert digits.train.images.std(dtype=np.float64) == pytest.approx(digits.deviation[0], abs=1e-5)


def test_bilinear_enlargement_by_hand():
    # Two pixels 0 and 4 become four at −¼, ¼, ¾, 5/4 of the old axis: the border goes on, between them a straight line.
    assert bilinear(np.array([0, 4], np.uint8).reshape(1, 1, 2, 1), 1, 4).ravel().tolist() == [0, 1, 3, 4]
    assert bilinear(np.full((1, 1, 1, 1), 7, np.uint8), 3, 2).ravel().tolist() == [7] * 6


@pytest.mark.parametrize("size", [(28, 28), (8, 8), (5, 13), (3, 1)])
def test_bilinear_enlargement_is_torchs_with_pixel_centres_at_halves(rng, size):
    torch = pytest.importorskip("torch")
    x = rng.integers(0, 17, (4, 8, 6, 3)).astype(np.uint8)
    theirs = torch.nn.functional.interpolate(torch.tensor(x, dtype=torch.float64).permute(0, 3, 1, 2), size=size, mode="bilinear",
                                             align_corners=False)
    np.testing.assert_allclose(bilinear(x, *size), theirs.permute(0, 2, 3, 1).numpy(), rtol=1e-6, atol=1e-6)


# Splits and sets.
def test_a_split_refuses_what_is_no_set_of_images():
    images, labels = np.zeros((2, 4, 4, 1), np.uint8), np.array([0, 1])
    for bad, said in (((images[0], labels), "shape"), ((images.astype(np.float64), labels), "float64"),
                      ((images, labels * 1.0), "labels must be integers"),
                      ((images, labels[:1]), "1 labels and 2 images"), ((images[:0], labels[:0]), "at least one")):
        with pytest.raises(ValueError, match=said):
            Split(*bad)
    with pytest.raises(ValueError, match="read-only"):
        Split(images, labels).images[0] = 1


def test_a_set_refuses_labels_without_a_class_and_splits_that_differ():
    split = Split(np.zeros((2, 4, 4, 1), np.uint8), np.array([0, 3]))
    with pytest.raises(ValueError, match=r"toy: training labels must be 0 to 2, got 3"):
        DataSet("toy", split, split, tuple("abc"), (0.0,), (1.0,))
    with pytest.raises(ValueError, match=r"toy: mean and deviation must have one number per channel \(1\)"):
        DataSet("toy", split, split, tuple("abcd"), (0.0,), (0.0,))
    with pytest.raises(ValueError, match=r"toy: training images are \(4, 4, 1\) but test images \(4, 5, 1\)"):
        DataSet("toy", split, Split(np.zeros((1, 4, 5, 1), np.uint8), np.array([0])), tuple("abcd"), (0.0,), (1.0,))


def test_the_checksum_notices_one_changed_label():
    images = np.arange(32, dtype=np.uint8).reshape(2, 4, 4, 1)
    test = Split(images, np.array([0, 0]))
    one, other = (DataSet("toy", Split(images, np.array(y)), test, tuple("ab"), (0.0,), (1.0,)) for y in ([0, 1], [0, 0]))
    assert one.checksum() != other.checksum()


# Names and folders.
def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="there is no data set 'minst', nor a folder .*: digits, mnist, fashion-mnist, cifar-10, .*"):
        data.get("minst")


def test_a_name_may_be_written_as_others_write_it(tmp_path):
    assert [data.name_of(name, tmp_path) for name in ("CIFAR10", "cifar_100", "Fashion MNIST", "digits")] == \
        ["cifar-10", "cifar-100", "fashion-mnist", "digits"]
    for name in ("", "@64", "a\0b", None, "nowhere@64"):
        with pytest.raises(ValueError, match="there is no data set"):
            data.get(name, tmp_path)


def test_the_root_folder_is_asked_for_then_set_then_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with tgc.settings(data=""):
        assert data.root_folder() == tmp_path / "cache" / "tinygradconv"
    with tgc.settings(data=str(tmp_path / "set")):
        assert data.root_folder() == tmp_path / "set"
        assert data.root_folder(tmp_path / "asked") == tmp_path / "asked"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    with tgc.settings(data=""):
        assert data.root_folder() == tmp_path / ".cache" / "tinygradconv"
    with pytest.raises(ValueError, match="empty name"):
        data.root_folder("")


# MNIST's files.
def write(folder, images: int, labels: list[int], prefix: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    values = bytes(i % 256 for i in range(images * 784))
    files = {"images-idx3": b"\0\0\x08\x03" + struct.pack(">3I", images, 28, 28) + values,
             "labels-idx1": b"\0\0\x08\x01" + struct.pack(">I", len(labels)) + bytes(labels)}
    for kind, content in files.items():
        (folder / f"{prefix}-{kind}-ubyte.gz").write_bytes(gzip.compress(content, mtime=0))


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_mnist_is_read_from_its_folder(tmp_path, name):
    write(tmp_path / name, 4, [7, 2, 1, 0], "train")
    write(tmp_path / name, 2, [9, 4], "t10k")
    found = data.get(name, tmp_path)
    assert found.name == name and found.train.images.shape == (4, 28, 28, 1) and found.train.images.dtype == np.uint8
    assert found.train.labels.tolist() == [7, 2, 1, 0] and found.test.labels.tolist() == [9, 4] and len(found.classes) == 10
    assert found.train.images[1, 0, 2, 0] == (784 + 2) % 256


def test_mnist_with_labels_that_do_not_fit_names_the_files(tmp_path):
    write(tmp_path / "mnist", 4, [7, 2, 1], "train")
    write(tmp_path / "mnist", 2, [9, 4], "t10k")
    with pytest.raises(ValueError, match=r"train-labels-idx1-ubyte\.gz has 3 labels but .*train-images-idx3-ubyte\.gz has 4 images"):
        data.get("mnist", tmp_path)
    write(tmp_path / "mnist", 4, [7, 2, 10, 1], "train")
    with pytest.raises(ValueError, match=r"train-labels-idx1-ubyte\.gz: labels must be 0 to 9, got 10 at position 2"):
        data.get("mnist", tmp_path)


@pytest.mark.data
@pytest.mark.parametrize(("name", "first"), [("mnist", [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]), ("fashion-mnist", [9, 0, 0, 3, 0, 2, 7, 2, 5, 5])])
def test_the_real_files(data_root, name, first):
    found = data.get(name, data_root)
    assert found.train.images.shape == (60000, 28, 28, 1) and found.test.images.shape == (10000, 28, 28, 1)
    assert found.train.labels[:10].tolist() == first
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009] if name == "mnist" else [1000] * 10
    assert np.bincount(found.test.labels).tolist() == counts
    assert found.train.images.mean(dtype=np.float64) == pytest.approx(found.mean[0], abs=1e-4)
    assert found.train.images.std(dtype=np.float64) == pytest.approx(found.deviation[0], abs=1e-4)
