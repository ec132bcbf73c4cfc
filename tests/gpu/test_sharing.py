"""Arrays on the GPU shared with PyTorch and CuPy: no copy, and each library sees what the other had been asked to compute."""
from __future__ import annotations

import numpy as np
import pytest

import tinygradconv as tgc

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("synchronized")]
SIZE = 1 << 22                             # enough work that a stream which does not wait would be seen to read too early


@pytest.fixture
def torch():
    """PyTorch with a GPU."""
    module = pytest.importorskip("torch")
    if not module.cuda.is_available():
        pytest.skip("PyTorch sees no GPU")
    return module


def late():
    """SIZE numbers that the GPU is still computing: 2¹⁰."""
    x = tgc.Tensor(np.ones(SIZE, np.float32)).to("cuda")
    for _ in range(10):
        x = x + x
    return x


def test_torch_reads_ours_by_dlpack(torch):
    x = late()
    theirs = torch.from_dlpack(x)
    assert theirs.data_ptr() == x.data.pointer and (theirs == 1024).all().item()


def test_torch_reads_ours_by_the_array_interface(torch):
    x = late()
    theirs = torch.as_tensor(x, device="cuda")
    assert theirs.data_ptr() == x.data.pointer
    torch.cuda.synchronize()
    x.numpy()
    assert (theirs == 1024).all().item()


@pytest.mark.parametrize("stream", [False, True], ids=["default stream", "stream of its own"])
def test_ours_reads_torchs(torch, stream):
    with torch.cuda.stream(torch.cuda.Stream() if stream else torch.cuda.current_stream()):
        theirs = torch.ones(SIZE, device="cuda")
        for _ in range(10):
            theirs = theirs + theirs
        ours = tgc.from_dlpack(theirs)
    assert ours.data.pointer == theirs.data_ptr() and (ours == 1024).all().item()
    turned = tgc.from_dlpack(theirs.reshape(2, -1).T)
    assert turned.shape == (SIZE // 2, 2) and (turned == 1024).all().item()


def test_memory_that_torch_has_taken_is_not_handed_out_again(torch):
    x = late()
    theirs, pointer = torch.from_dlpack(x), x.data.pointer
    del x
    others = [tgc.zeros_like(late()) for _ in range(4)]
    assert all(other.data.pointer != pointer for other in others) and (theirs == 1024).all().item()
    for _ in range(10):
        theirs = theirs * 1                 # the last work on our memory is torch's, on its stream
    assert (late() == 1024).all().item() and (theirs == 1024).all().item()


def test_cupy_reads_ours_and_ours_cupys():
    cupy = pytest.importorskip("cupy")
    x = late()
    for theirs in (cupy.from_dlpack(x), cupy.asarray(x)):
        assert theirs.data.ptr == x.data.pointer and bool((theirs == 1024).all())
    theirs = cupy.full(SIZE, 3, cupy.float32)
    ours = tgc.from_dlpack(theirs)
    assert ours.data.pointer == theirs.data.ptr and (ours == 3).all().item()
