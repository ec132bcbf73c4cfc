"""Archives that are attacks or damaged: one ValueError each, nothing written, little memory."""
from __future__ import annotations

import gzip
import io
import os
import tarfile
import tracemalloc

import pytest

from tinygradconv import data
from tinygradconv.data import cifar
from tinygradconv.data.archive import members

from . import archives

SOUND = archives.packed([("set/a", b"first"), ("set/other", b"passed over"), ("./set//b", b"second")])


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.fixture
def read(tmp_path):
    """Read set/a and set/b of an archive with these bytes, and look that nothing else has appeared."""
    def reader(content: bytes, most: int = 2_000_000):
        path = tmp_path / "set.tar.gz"
        path.write_bytes(content)
        try:
            return dict(members(path, ("set/a", "set/b"), most))
        finally:
            assert os.listdir(tmp_path) == ["set.tar.gz"]
    return reader


def test_wanted_members_come_and_others_are_passed_over(read):
    assert read(SOUND) == {"set/a": b"first", "set/b": b"second"}


@pytest.mark.parametrize(("content", "said"), [
    (b"", r"is not a sound tar archive|is truncated"),
    (b"no gzip", r"is not a sound gzip file \(Not a gzipped file"),
    (gzip.compress(b"no tar" * 1000), r"is not a sound tar archive"),
    (SOUND[:-9], r"is truncated: the compressed data end too early\. Delete the file and fetch it again"),
    (SOUND[:-8] + bytes(8), r"is not a sound gzip file \(CRC check failed"),
    (archives.packed([("set/a", b"1")]), r": the archive lacks set/b\. Delete"),
    (archives.packed([("set/a", b"1"), ("set/a", b"2"), ("set/b", b"2")]), r": set/a is in it twice"),
    (archives.packed([("/etc/passwd", b"x")]), r"'/etc/passwd' lies outside the archive's own folder"),
    (archives.packed([("set/../../a", b"x")]), r"'set/\.\./\.\./a' lies outside"),
    (archives.packed([("..\\a", b"x")]), r"lies outside"),
    (archives.packed([(special("set/a", tarfile.SYMTYPE, "/etc/passwd"), b"")]), r"'set/a' is a link or a special file"),
    (archives.packed([("set/b", b"2"), (special("set/a", tarfile.LNKTYPE, "set/b"), b"")]), r"'set/a' is a link or a special file"),
    (archives.packed([(special("set/a", tarfile.FIFOTYPE), b"")]), r"'set/a' is a link or a special file"),
    (archives.packed([(special("set/a", tarfile.CHRTYPE), b"")]), r"'set/a' is a link or a special file"),
    (archives.packed([(special("set/a", tarfile.GNUTYPE_SPARSE), b"")]), r"'set/a' is a link or a special file"),
    (archives.packed([(f"set/{i}", b"") for i in range(1001)]), r"has more than 1000 members"),
    (archives.packed([("set/a", bytes(2_000_000)), ("set/b", b"2")]), r"unpacks to more than the 2000000 bytes"),
], ids=lambda value: "archive" if isinstance(value, bytes) else None)        # its time stamp is in an archive
def test_spoilt_and_hostile_archives_are_named(read, content, said):
    with pytest.raises(ValueError, match=r"set\.tar\.gz:? .*" + said if not said.startswith(":") else r"set\.tar\.gz" + said):
        read(content)


def test_a_claimed_size_is_not_believed(read):
    huge = tarfile.TarInfo("set/a")
    huge.size = 1 << 40
    with pytest.raises(ValueError, match="set.tar.gz is not a sound tar archive"):
        read(gzip.compress(huge.tobuf(tarfile.GNU_FORMAT) + b"a few bytes".ljust(512, b"\0")))
    negative = bytearray(tarfile.TarInfo("set/a").tobuf(tarfile.GNU_FORMAT))
    negative[124:136] = b"\xff" * 12                                              # base 256: −1, over which loops have run for ever
    negative[148:156] = b"%06o\0 " % (sum(negative[:148]) + 8 * 32 + sum(negative[156:]))
    with pytest.raises(ValueError, match=r"set\.tar\.gz"):
        read(gzip.compress(bytes(negative) * 3 + bytes(1024)))


def test_a_bomb_takes_no_more_memory_than_the_set_would(read):
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb", compresslevel=1) as file:
        header = tarfile.TarInfo("set/a")
        header.size = 1 << 30
        file.write(header.tobuf())
        for _ in range(200):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    with pytest.raises(ValueError, match="unpacks to more than the 3000000 bytes"):
        read(bomb.getvalue(), 3_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30_000_000


def test_what_a_pickle_in_an_archive_names_is_not_run(tmp_path, monkeypatch):
    kind = archives.small(cifar.CIFAR_100)
    monkeypatch.setattr(cifar, "CIFAR_100", kind)
    made = archives.files(kind, kind.python)
    made["test"] = b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR."
    (tmp_path / kind.python.archive).write_bytes(archives.archive(kind, kind.python, made))
    with pytest.raises(ValueError, match=r"cifar-100-python\.tar\.gz: cifar-100-python/test is not a .*: it names 'os.system'"):
        data.get("cifar-100", tmp_path)
    assert os.listdir(tmp_path) == ["cifar-100-python.tar.gz"]
