"""A picture file becomes an image like those of a data set: channels, numbers, background; and files that are none."""
from __future__ import annotations

import sys

import numpy as np
import pytest

from tinygradconv import data
from tinygradconv.data.picture import Style, kept, pictures_in, read_picture

Image = pytest.importorskip("PIL.Image")
GREY, BYTES = Style((4, 6, 1), dark=True), np.arange(24, dtype=np.uint8).reshape(4, 6) * 4        # dark: at most 92


def png(path, pixels, mode=None, **options):
    (Image.fromarray(pixels) if mode is None else Image.fromarray(pixels).convert(mode)).save(path, **options)
    return path


def test_a_grey_picture_of_the_right_size_keeps_its_bytes(tmp_path):
    found = read_picture(png(tmp_path / "a.png", BYTES), GREY)
    assert found.image.dtype == np.uint8 and (found.image[..., 0] == BYTES).all() and not found.inverted and not found.blank


def test_colours_become_grey_as_pillow_makes_them(tmp_path, rng):
    pixels = rng.integers(0, 256, (4, 6, 3)).astype(np.uint8)
    found = read_picture(png(tmp_path / "a.png", pixels), GREY, "no").image[..., 0]
    assert np.abs(found.astype(int) - np.asarray(Image.fromarray(pixels).convert("L"), int)).max() <= 1
    assert (read_picture(tmp_path / "a.png", Style((4, 6, 3))).image == pixels).all()


def test_other_numbers_for_black_and_white(tmp_path):
    found = read_picture(png(tmp_path / "a.png", BYTES), Style((4, 6, 1), black=-1.0, white=16.0)).image
    assert found.dtype == np.float32 and found[..., 0] == pytest.approx(-1 + 17 * (BYTES / 255))


def test_black_on_white_is_inverted_where_the_data_set_is_white_on_black(tmp_path):
    ink, paper = png(tmp_path / "ink.png", BYTES), png(tmp_path / "paper.png", 255 - BYTES)
    assert (read_picture(paper, GREY).image[..., 0] == BYTES).all() and read_picture(paper, GREY).inverted
    for style in (Style((4, 6, 1)), Style((4, 6, 3))):                              # not light on dark: photographs, colours
        assert not read_picture(paper, style).inverted
    assert not read_picture(paper, GREY, "no").inverted and (read_picture(paper, GREY, "no").image[..., 0] == 255 - BYTES).all()
    assert read_picture(ink, GREY, "yes").inverted and (read_picture(ink, GREY, "yes").image[..., 0] == 255 - BYTES).all()
    with pytest.raises(ValueError, match="invert must be 'auto', 'yes', 'no', got 'maybe'"):
        read_picture(ink, GREY, "maybe")


def test_what_lies_in_the_middle_does_not_say_what_the_paper_is(tmp_path):
    pixels = np.zeros((28, 28), np.uint8)
    pixels[3:25, 3:25] = 255
    style = Style((28, 28, 1), dark=True)
    assert not read_picture(png(tmp_path / "a.png", pixels), style).inverted
    assert read_picture(png(tmp_path / "b.png", 255 - pixels), style).inverted


@pytest.mark.parametrize("kind", ["alpha", "palette", "16 bits", "turned"])
def test_unusual_files_are_read_as_what_they_show(tmp_path, kind):
    path = tmp_path / "a.png"
    if kind == "alpha":                                                            # black ink on nothing: on paper, so inverted
        pixels = np.zeros((4, 6, 4), np.uint8)
        pixels[..., 3] = BYTES
        png(path, pixels)
    elif kind == "palette":
        png(path, BYTES, "P")
    elif kind == "16 bits":
        png(path, BYTES.astype(np.uint16) * 256 + 77)
    else:
        exif = Image.Exif()
        exif[0x0112] = 6                                                           # the camera was turned: the top is on the left
        png(path, np.rot90(BYTES).copy(), exif=exif)
    found = read_picture(path, GREY)
    assert (found.image[..., 0] == BYTES).all() and found.inverted == (kind == "alpha")


def test_a_picture_of_one_colour_is_told(tmp_path):
    assert read_picture(png(tmp_path / "a.png", np.full((9, 9), 200, np.uint8)), GREY).blank


@pytest.mark.parametrize(("name", "content", "said"), [
    ("nowhere.png", None, "nowhere.png: there is no such file"), ("a.png", b"hello", "a.png: it is no PNG file, nor any of BMP"),
    ("a.svg", b"<svg/>", "a.svg: it is no image file, nor any of BMP"), ("a.jpg", b"", "a.jpg: it is no JPEG file"),
    ("cut.png", "cut", "cut.png: "), ("a.npy", b"\x93NUMPY\x01", "a.npy: it is no image file")])
def test_what_is_no_picture_is_named(tmp_path, name, content, said):
    path = tmp_path / name
    if content == "cut":
        png(path, np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8))
        content = path.read_bytes()[:900]
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        read_picture(path, GREY)
    assert said in str(caught.value) and str(tmp_path) in str(caught.value)


def test_without_pillow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"a.png: to read images, pip install 'tinygradconv\[data\]'"):
        read_picture(tmp_path / "a.png", GREY)


def test_a_folder_is_its_images_in_order(tmp_path):
    for name in ("b.JPG", "a.png", ".hidden.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "c.png").mkdir()
    assert [path.name for path in pictures_in(tmp_path)] == ["a.png", "b.JPG"]
    assert pictures_in(tmp_path / "a.png") == [tmp_path / "a.png"] and pictures_in(tmp_path / "no") == [tmp_path / "no"]
    with pytest.raises(FileNotFoundError, match="c.png: there are no images in this folder. Images end in .jpg"):
        pictures_in(tmp_path / "c.png")


def test_a_network_of_other_channels_reads_no_pictures():
    with pytest.raises(ValueError, match=r"a picture becomes an image \(H, W, 1\) or \(H, W, 3\), and the network's input is \(8, 8, 4\)"):
        Style((8, 8, 4))


def test_what_is_kept_of_a_data_set(rng):
    assert kept(data.get("digits")) == {"classes": list("0123456789"), "mean": [4.88618], "deviation": [5.18144],
                                        "black_white": [0.0, 16.0]}
    x = rng.integers(0, 256, (6, 2, 2, 3)).astype(np.uint8)
    found = kept(data.from_arrays((x, np.arange(6) % 2), (x, np.arange(6) % 2), classes=["cat", "dog"]))
    assert found["classes"] == ["cat", "dog"] and found["black_white"] == [0, 255] and found["mean"] == pytest.approx(x.mean((0, 1, 2)))
