"""Downloads from a web server on this machine: checked, resumed, taken from mirrors, and what is said when they fail."""
from __future__ import annotations

import contextlib
import hashlib
import http.server
import sys
import threading

import pytest

from tinygradconv import data
from tinygradconv.data import mnist
from tinygradconv.data.fetch import Remote, fetch

from .test_sets import write

NOBODY = "http://127.0.0.1:9/"
WORDS = bytes(i * i % 251 for i in range(3_000_000))           # more than one piece


class Server(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, with ranges, and ends the first `cuts` answers after half of what they promise."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        """The file, or the part of it that is asked for."""
        shop = self.server.shop
        path = shop["folder"] / self.path.strip("/")
        shop["asked"].append(self.headers.get("Range"))
        if not path.is_file():
            return self.send_error(404)
        whole = path.read_bytes()
        start = int(self.headers["Range"][6:-1]) if self.headers.get("Range") and shop["ranges"] else 0
        if start >= len(whole):
            return self.send_error(416)
        body = whole[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if shop["cuts"]:
            shop["cuts"] -= 1
            self.close_connection = True
            body = body[:len(body) // 2]
        with contextlib.suppress(ConnectionError):                 # who has heard enough may leave
            self.wfile.write(body)


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A running server: its address, the folder that it serves, the ranges that it was asked for, and how it misbehaves."""
    pytest.importorskip("pooch")
    monkeypatch.setenv("NO_PROXY", "*")
    folder = tmp_path / "served"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        running.shop = {"folder": folder, "asked": [], "ranges": True, "cuts": 0, "address": f"http://127.0.0.1:{running.server_port}/"}
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running.shop
        running.shutdown()
        thread.join()


def remote(*addresses, content=WORDS, size=None):
    return Remote("toy", addresses, {"a.gz": (len(content) if size is None else size, hashlib.md5(content).hexdigest())})


def test_missing_files_without_pooch_say_what_to_install_and_where_to_put_them(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    said = r"train-images-idx3-ubyte\.gz.* are not in .*mnist.*tinygradconv\[data\].*put the files from https://.*TGC_DATA"
    with pytest.raises(FileNotFoundError, match=said):
        data.get("mnist", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"cifar-100-binary\.tar\.gz is not in .*cifar-100\. To download .*https://www\.cs\.toronto"):
        data.get("cifar-100", tmp_path)


def test_missing_files_are_downloaded_and_checked(tmp_path, shop, monkeypatch):
    write(shop["folder"], 4, [7, 2, 1, 0], "train")
    write(shop["folder"], 2, [9, 4], "t10k")
    sums = {name: ((file := (shop["folder"] / name).read_bytes()) and len(file), hashlib.md5(file).hexdigest()) for name in mnist.NAMES}
    monkeypatch.setattr(mnist, "MNIST", Remote("mnist", (shop["address"],), sums))
    assert data.get("mnist", tmp_path / "root").test.labels.tolist() == [9, 4]
    assert len(fetch(tmp_path / "root", Remote("mnist", (NOBODY,), sums))) == 4            # nobody is asked again
    assert sorted(path.name for path in (tmp_path / "root" / "mnist").iterdir()) == sorted(mnist.NAMES)


def test_a_download_that_is_cut_off_goes_on_by_itself(tmp_path, shop):
    (shop["folder"] / "a.gz").write_bytes(WORDS)
    shop["cuts"] = 2
    path, = fetch(tmp_path, remote(shop["address"]))
    assert path.read_bytes() == WORDS
    first, second, third = shop["asked"]
    assert first is None and 0 < int(second[6:-1]) < int(third[6:-1]) < len(WORDS)


def test_a_download_goes_on_after_a_kill_and_at_a_mirror(tmp_path, shop):
    (shop["folder"] / "a.gz").write_bytes(WORDS)
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "a.gz.part").write_bytes(WORDS[:1000])
    assert fetch(tmp_path, remote(NOBODY, shop["address"]))[0].read_bytes() == WORDS
    assert shop["asked"] == ["bytes=1000-"]


def test_a_beginning_of_something_else_is_thrown_away(tmp_path, shop):
    (shop["folder"] / "a.gz").write_bytes(WORDS)
    (tmp_path / "toy").mkdir()
    for part in (b"x" * 1000, b"x" * len(WORDS), b"x" * (len(WORDS) + 1)):
        (tmp_path / "toy" / "a.gz.part").write_bytes(part)
        path, = fetch(tmp_path, remote(shop["address"]))
        assert path.read_bytes() == WORDS
        path.unlink()


def test_a_server_without_ranges_sends_all_of_it(tmp_path, shop):
    (shop["folder"] / "a.gz").write_bytes(WORDS)
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "a.gz.part").write_bytes(WORDS[:1000])
    shop["ranges"] = False
    assert fetch(tmp_path, remote(shop["address"]))[0].read_bytes() == WORDS


def test_a_download_with_a_wrong_checksum_is_refused_and_not_kept(tmp_path, shop):
    (shop["folder"] / "a.gz").write_bytes(WORDS[::-1])
    with pytest.raises(ValueError, match=r"toy: the download of http://.*a\.gz is damaged .*Try again, or put the files"):
        fetch(tmp_path, remote(shop["address"]))
    assert list((tmp_path / "toy").iterdir()) == []


def test_a_server_that_sends_more_than_the_file_is_not_listened_to(tmp_path, shop):
    (shop["folder"] / "a.gz").write_bytes(WORDS)
    with pytest.raises(ValueError, match=r"damaged \(expected 1000 bytes, and more came\)"):
        fetch(tmp_path, remote(shop["address"], size=1000))
    assert list((tmp_path / "toy").iterdir()) == []


def test_two_processes_do_not_write_into_each_other(tmp_path, shop):
    fcntl = pytest.importorskip("fcntl")
    (shop["folder"] / "a.gz").write_bytes(WORDS)
    (tmp_path / "toy").mkdir()
    with open(tmp_path / "toy" / "a.gz.part", "ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        other.write(WORDS[:1000])
        other.flush()
        with pytest.raises(FileNotFoundError, match="another process is downloading to .*a.gz.part; wait for it"):
            fetch(tmp_path, remote(shop["address"]))


def test_a_download_that_fails_says_what_to_do_instead(tmp_path, shop):
    with pytest.raises(FileNotFoundError, match=r"toy: a\.gz is not in .*toy, and downloading http://.*a\.gz failed .*404.*TGC_DATA"):
        fetch(tmp_path, remote(shop["address"]))
    with pytest.raises(FileNotFoundError) as caught:
        fetch(tmp_path, remote(NOBODY, NOBODY + "mirror/"))
    assert "refused" in str(caught.value) and "Max retries" not in str(caught.value) and str(caught.value).count("failed") == 2
    (tmp_path / "toy" / "a.gz.part").write_bytes(WORDS[:1000])
    with pytest.raises(FileNotFoundError, match=r"Try again \(it goes on after the 1000 of 3000000 bytes that have come\), or put"):
        fetch(tmp_path, remote(NOBODY))
