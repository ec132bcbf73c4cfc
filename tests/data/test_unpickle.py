"""The reader of pickles against Python's own for what it allows, and against programs that are attacks for all else."""
from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygradconv.data.unpickle import read_pickle

TEXTS = st.text(max_size=5) | st.binary(max_size=5)
VALUES = st.recursive(TEXTS | st.integers(-2**80, 2**80) | st.booleans() | st.none(), lambda inner: st.lists(inner, max_size=4),
                      max_leaves=8)


@given(table=st.dictionaries(st.text(max_size=9), VALUES, max_size=5), protocol=st.sampled_from([2, 3, 4]))
def test_tables_are_read_as_python_reads_them(table, protocol):
    assert read_pickle(pickle.dumps(table, protocol=protocol), 1000) == table


@given(x=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0)), fortran=st.booleans(),
       protocol=st.sampled_from([2, 3, 4]))
def test_arrays_of_bytes_are_read_as_numpy_reads_them(x, fortran, protocol):
    x = np.asfortranarray(x) if fortran else x
    got = read_pickle(pickle.dumps({"x": x, "again": x}, protocol=protocol), 1000)
    assert got["x"].shape == x.shape and got["x"].dtype == np.uint8 and (got["x"] == x).all() and got["again"] is got["x"]


class Runs:
    """Its pickle calls a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize(("function", "name"), [
    (os.system, "posix.system"), (eval, "eval"), (print, "print"), (getattr, "getattr"), (open, "open"), (np.load, "load"),
    (bytearray, "bytearray")])
def test_a_pickle_with_code_is_refused_and_nothing_runs(tmp_path, protocol, function, name):
    ran = tmp_path / "ran"
    attack = pickle.dumps({"data": Runs(function, f"touch {ran}")}, protocol=protocol)
    with pytest.raises(ValueError, match=rf"it names '[\w.]*{name}', which could be any code; nothing of it was run"):
        read_pickle(attack, 1000)
    assert not ran.exists()


ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n"


@pytest.mark.parametrize(("program", "said"), [
    (b"", "exhausted"),
    (b"\x80\x02.", "must hold one dict"),
    (b"\x80\x02].", "must hold one dict"),
    (b"\x80\x02}}.", "must hold one dict"),
    (b"\x80\x02}.more", "ends at byte 4 of 8"),
    (b"\x80\x02}", "exhausted"),
    (b"\x80\x02}h\x05.", "never put there"),
    (b"\x80\x02e.", "never put there"),
    (b"\x80\x02q\x00.", "never put there"),
    (b"\x80\x02R.", "takes more from the stack"),
    (b"\x80\x02}K\x01a.", "appends to a dict"),
    (b"\x80\x02}K\x01K\x02s.", "other than by texts"),
    (b"\x80\x02}(K\x01u.", "other than by texts"),
    (b"\x80\x02}K\x01b.", "gives a state to a dict"),
    (b"\x80\x02U\x06system)R.", "calls a bytes in a way that no array needs"),
    (b"\x80\x02" + ARRAY + b"K\x01R.", "arguments that are no tuple"),
    (b"\x80\x02cnumpy\nndarray\n)R.", "calls ndarray in a way"),
    (b"\x80\x02cnumpy\nndarray\n)\x81.", "the instruction NEWOBJ"),
    (b"\x80\x02(cnumpy\nndarray\no.", "the instruction OBJ"),
    (b"(i__main__\nx\n.", "the instruction INST"),
    (b"\x80\x02Pperson\n.", "the instruction PERSID"),
    (b"\x80\x02\x82\x01.", "the instruction EXT1"),
    (b"\x80\x02I1\n.", "the instruction INT"),
    (b"\x80\x02}r\xff\xff\xff\xff.", None),                                      # a memo as long as it says would fill the memory
    (b"\x80\x02" + ARRAY + b")R}b.", "state must have five parts"),
    (b"\x80\x02" + ARRAY + b")R(K\x01K\x05\x85cnumpy\ndtype\nU\x02O8\x85R\x89U\x00tb.", r"unsigned bytes \(u1\), got 'O8'"),
    (b"\x80\x02" + ARRAY + b")R(K\x01K\x05\x85cnumpy\ndtype\nU\x02u1\x85R\x89U\x01xtb.", r"an array of shape \(5,\) needs 5 bytes, got 1"),
    (b"\x80\x02" + ARRAY + b")R(K\x01J\xff\xff\xff\xff\x85cnumpy\ndtype\nU\x02u1\x85R\x89U\x01xtb.", "shape must be"),
    (b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.", "bytes"),                             # claims 2**63 bytes
    (b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f.", "bytes"),
    (b"\x80\x05\x96" + b"\xff" * 7 + b"\x7f.", "bytes"),
    (b"\xff.", "opcode"),
])
def test_programs_that_are_no_table_are_refused(program, said):
    if said is None:
        assert read_pickle(program, 1000) == {}
    else:
        with pytest.raises(ValueError, match=said):
            read_pickle(program, 1000)


def test_long_programs_and_texts_that_multiply_are_refused():
    with pytest.raises(ValueError, match="more than 1000 instructions"):
        read_pickle(b"\x80\x02" + b"]" * 10_000_000 + b".", 1000)
    text = b"X\x40\x42\x0f\x00" + b"a" * 1_000_000                   # made into bytes again and again
    call = b"c_codecs\nencode\nh\x01X\x06\x00\x00\x00latin1\x86R"
    with pytest.raises(ValueError, match="makes more bytes than it has"):
        read_pickle(b"\x80\x02](" + text + b"q\x01" + call * 100 + b"e.", 10_000)
