"""Every rung of the ladder computes the same convolution; the first one is compared with numbers worked by hand, and with torch."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygradconv.explain import ladder

RUNGS = [ladder.seven_loops, ladder.row_times_matrix, ladder.shifted_images, ladder.columns_times_filters]


@pytest.mark.parametrize("rung", RUNGS)
def test_by_hand(rung):
    x = np.array([[3, 0, 1, 2], [1, 5, 8, 9], [2, 7, 2, 5]], float)[None, :, :, None]
    w = np.array([[1, 0, -1]] * 3, float)[:, :, None, None]
    assert rung(x, w)[0, :, :, 0].tolist() == [[-5, -4]]
    assert rung(x, w, 1)[0, 0, :, 0].tolist() == [-5, -5, -6, 9]            # the row above the image is zeros


@pytest.mark.parametrize("rung", RUNGS)
@given(N=st.integers(0, 2), H=st.integers(1, 5), W=st.integers(1, 5), C=st.integers(1, 3), O=st.integers(1, 3), kh=st.integers(1, 3),
       kw=st.integers(1, 3), padding=st.integers(0, 2))
def test_agrees_with_torch(rung, N, H, W, C, O, kh, kw, padding):
    torch = pytest.importorskip("torch")
    if H + 2 * padding < kh or W + 2 * padding < kw:
        return
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((N, H, W, C)), rng.standard_normal((kh, kw, C, O))
    theirs = torch.nn.functional.conv2d(torch.tensor(x).permute(0, 3, 1, 2), torch.tensor(w).permute(3, 2, 0, 1), padding=padding)
    np.testing.assert_allclose(rung(x, w, padding), theirs.permute(0, 2, 3, 1).numpy(), rtol=1e-12, atol=1e-12)
