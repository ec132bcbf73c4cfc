"""Folders of images: sizes, orientation, colours, transparency; damaged files are all named; odd folders are answered."""
from __future__ import annotations

import io
import struct
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygradconv import data
from tinygradconv.data.folder import image_folder
from tinygradconv.data.images import read_image
from tinygradconv.train.sessions import begin, reopen

Image = pytest.importorskip("PIL.Image")
MARKED = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3) * 3            # every pixel is another


def png(path, pixels, mode=None, **options):
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, "PNG", **options)
    return path


@pytest.fixture
def folder(tmp_path):
    """train/ with two classes of two images, val/ with one image of each."""
    for part, count in (("train", 2), ("val", 1)):
        for label, name in enumerate(("cat", "dog")):
            (tmp_path / "pets" / part / name).mkdir(parents=True)
            for i in range(count):
                png(tmp_path / "pets" / part / name / f"{i}.png", np.full((9, 7, 3), 100 * label + 10 * i, np.uint8))
    return tmp_path / "pets"


def test_a_folder_is_a_data_set(folder):
    (folder / "train" / "cat" / "notes.txt").write_text("not an image")
    (folder / "train" / "cat" / ".hidden.png").write_text("not looked at")
    (folder / "train" / ".git").mkdir()
    found = image_folder(folder, 5)
    assert found.name == "pets" and found.classes == ("cat", "dog") and found.train.images.dtype == np.uint8
    assert found.train.images.shape == (4, 5, 5, 3) and found.test.images.shape == (2, 5, 5, 3)
    assert found.train.labels.tolist() == [0, 0, 1, 1] and found.test.labels.tolist() == [0, 1]
    assert found.train.images[:, 2, 2, 1].tolist() == [0, 10, 100, 110]
    assert found.mean == (55.0,) * 3 and found.deviation == pytest.approx([np.std([0, 10, 100, 110])] * 3)


def test_it_is_found_by_name_in_the_root_or_by_its_path_at_a_size(folder, monkeypatch):
    assert data.get("pets@5", folder.parent).input_shape == (5, 5, 3) and data.get("pets@4x5", folder.parent).input_shape == (4, 5, 3)
    assert data.get(f"{folder}@6", folder.parent / "elsewhere").input_shape == (6, 6, 3)
    assert data.get("pets", folder.parent).input_shape == (224, 224, 3)
    monkeypatch.chdir(folder.parent)
    elsewhere = folder.parent / "elsewhere"
    assert data.name_of("pets@5", folder.parent) == "pets@5" and data.name_of("./pets@5", elsewhere) == f"{folder}@5x5"
    assert data.get(data.name_of("pets@5", elsewhere), elsewhere).input_shape == (5, 5, 3)


def test_a_run_is_begun_for_as_many_classes_as_there_are_folders(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder.parent)
    session = begin("lenet5", data="./pets@28", data_dir=str(tmp_path / "elsewhere"), out=str(tmp_path / "run"))
    assert session.model((28, 28, 3))(np.zeros((1, 28, 28, 3), np.float32)).shape == (1, 2)
    monkeypatch.chdir(tmp_path / "run")
    assert len(reopen(tmp_path / "run").data().train) == 4                     # its path is remembered, not where it was seen from


def test_test_may_stand_for_val_and_lack_classes(folder):
    (folder / "val").rename(folder / "test")
    (folder / "test" / "dog" / "0.png").unlink()
    (folder / "test" / "dog").rmdir()
    assert image_folder(folder, 4).test.labels.tolist() == [0]


def test_folders_that_are_no_data_set_are_answered(folder):
    with pytest.raises(FileNotFoundError, match=r"train must hold train/ and val/ \(or test/\), each with one folder of images"):
        image_folder(folder / "train")
    (folder / "val" / "eel").mkdir()
    with pytest.raises(FileNotFoundError, match=r"val: there are no images in eel\. Images end in \.jpg, "):
        image_folder(folder)
    png(folder / "val" / "eel" / "1.png", MARKED)
    with pytest.raises(ValueError, match=r"val has folders that .*train lacks: eel\. A class must have images to learn from"):
        image_folder(folder)
    for size in (0, -1, (4, 0), 2.5, "4"):
        with pytest.raises((ValueError, TypeError), match="image_folder: size"):
            image_folder(folder, size)
    with pytest.raises(ValueError, match="image_folder: short_side must be at least 8, got 7"):
        image_folder(folder, 8, short_side=7)


def test_all_damaged_files_are_named(folder):
    whole = (folder / "train" / "cat" / "0.png").read_bytes()
    (folder / "train" / "cat" / "0.png").write_bytes(whole[:len(whole) // 2])
    (folder / "train" / "dog" / "x.jpg").write_bytes(b"not an image")
    (folder / "val" / "dog" / "0.png").write_bytes(b"")
    with pytest.raises(ValueError) as caught:
        image_folder(folder, 4)
    first, *files = str(caught.value).split("\n")
    assert first == "3 of 7 images cannot be read. Delete or replace:" and len(files) == 3
    for said, name in zip(files, ("train/cat/0.png", "train/dog/x.jpg", "val/dog/0.png")):
        assert name in said.replace("\\", "/")
    assert "it is no JPEG file" in files[1]


def test_without_pillow_it_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"pets: to read images, pip install 'tinygradconv\[data\]' \(pillow\)"):
        image_folder(folder)


# One image.
@pytest.mark.parametrize(("orientation", "upright"), list(enumerate([
    lambda x: x, lambda x: x[:, ::-1], lambda x: x[::-1, ::-1], lambda x: x[::-1], lambda x: x.transpose(1, 0, 2),
    lambda x: np.rot90(x, -1), lambda x: x[::-1, ::-1].transpose(1, 0, 2), lambda x: np.rot90(x, 1)], start=1)))
def test_images_are_turned_as_their_camera_was(tmp_path, orientation, upright):
    exif = Image.Exif()
    exif[0x0112] = orientation
    expected = upright(MARKED)
    got = read_image(png(tmp_path / "a.png", MARKED, exif=exif), *expected.shape[:2])
    assert (got == expected).all()


def test_grey_palette_and_sixteen_bits_become_rgb(tmp_path):
    grey = MARKED[..., 0]
    read = lambda path: read_image(path, 4, 6).tolist()
    assert read(png(tmp_path / "a.png", grey)) == np.repeat(grey[..., None], 3, 2).tolist()
    sixteen = png(tmp_path / "b.png", grey.astype(np.uint16) * 256 + 77)
    assert read(sixteen) == np.repeat(grey[..., None], 3, 2).tolist()
    palette = Image.fromarray(MARKED).quantize(256)
    palette.save(tmp_path / "c.png")
    assert np.abs(np.array(read(tmp_path / "c.png")) - MARKED).max() <= 8
    png(tmp_path / "d.png", np.where(grey > 100, 255, 0).astype(np.uint8), "1")
    assert read(tmp_path / "d.png") == np.repeat(np.where(grey > 100, 255, 0)[..., None], 3, 2).tolist()
    Image.new("CMYK", (6, 4), (0, 255, 255, 0)).save(tmp_path / "e.jpg")
    assert np.abs(np.array(read(tmp_path / "e.jpg")) - [255, 0, 0]).max() <= 3


def test_transparent_images_lie_on_white(tmp_path):
    alpha = np.dstack([MARKED, np.full((4, 6), 255, np.uint8)])
    alpha[0, 0, 3], alpha[0, 1] = 0, (100, 0, 200, 51)
    expected = MARKED.copy()
    expected[0, 0], expected[0, 1] = 255, np.round(0.2 * np.array([100, 0, 200]) + 0.8 * 255)
    assert (read_image(png(tmp_path / "a.png", alpha), 4, 6) == expected).all()
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    palette.save(tmp_path / "b.png", transparency=0)
    assert read_image(tmp_path / "b.png", 1, 2).tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_the_middle_is_cut_out(tmp_path):
    path = png(tmp_path / "a.png", MARKED)
    assert (read_image(path, 4, 4) == MARKED[:, 1:5]).all() and (read_image(path, 2, 3, short_side=4)[..., 0] >= 0).all()
    assert (read_image(path, 2, 4, short_side=4) == MARKED[1:3, 1:5]).all()
    flat = png(tmp_path / "b.png", np.repeat(np.repeat(MARKED, 8, 0), 8, 1))
    assert (read_image(flat, 32, 48) == np.repeat(np.repeat(MARKED, 8, 0), 8, 1)).all()


def test_shrinking_averages_over_all_pixels(tmp_path):
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = 200
    got = read_image(png(tmp_path / "a.png", stripes), 4, 4)
    assert np.abs(got.astype(int) - 100).max() <= 6                              # looking at single pixels would give 0 or 200


@given(shape=st.tuples(st.integers(1, 40), st.integers(1, 40)), size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
       value=st.integers(0, 255))
def test_every_size_is_reached_from_every_other(tmp_path_factory, shape, size, value):
    path = png(tmp_path_factory.mktemp("sizes") / "a.png", np.full((*shape, 3), value, np.uint8))
    got = read_image(path, *size)
    assert got.shape == (*size, 3) and (got == value).all()


def test_a_header_that_claims_a_huge_image_is_refused_before_it_is_decoded(tmp_path):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    for width, height, said in ((9000, 9000, "9000×9000 pixels are more than 80000000"), (2**31 - 1, 2**31 - 1, "pixels")):
        header = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        (tmp_path / "bomb.png").write_bytes(header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b""))
        with pytest.raises(ValueError, match=rf"bomb\.png: .*{said}"):
            read_image(tmp_path / "bomb.png", 8, 8)


def test_formats_whose_decoders_start_programs_are_not_known(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    with pytest.raises(ValueError, match=r"a\.png: it is no PNG file, nor any of BMP, GIF, JPEG, PNG, PPM, WEBP"):
        read_image(tmp_path / "a.png", 8, 8)
    floats = io.BytesIO()
    Image.fromarray(np.zeros((3, 3), np.float32)).save(floats, "TIFF")
    (tmp_path / "a.png").write_bytes(floats.getvalue())
    with pytest.raises(ValueError, match="it is no PNG file"):
        read_image(tmp_path / "a.png", 8, 8)


@pytest.mark.data
def test_real_photographs(data_root):
    if not (data_root / "imagenette").is_dir():
        pytest.skip("imagenette is not under TGC_DATA")
    found = data.get("imagenette@32", data_root)
    assert len(found.classes) == 10 and found.classes[0] == "n01440764" and found.input_shape == (32, 32, 3)
    # ImageNet's own means are 124, 116 and 104.
    np.testing.assert_allclose(found.mean, [124, 116, 104], atol=10)
