"""Normalisation kernels: hand numbers, torch in value and gradient, accuracy far from zero; the Cython form against the definition."""
from __future__ import annotations

import importlib
import importlib.util
import shutil

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tinygradconv._compiled import isa
from tinygradconv.kernels.norm import reference

from .vector_code import disassemble, loops

MODULES = {variant: importlib.import_module(f"tinygradconv._compiled.norm_{variant}") for variant in isa.variants()}
EVERY = ["reference", *MODULES]
CHANNELS = st.sampled_from([1, 3, 6, 7, 8, 9, 16, 17, 32, 48])
DTYPES = st.sampled_from([np.float32, np.float64])


def kernel(variant, name, dtype):
    """The definition, or the Cython kernel for this instruction set and dtype."""
    if variant == "reference":
        return getattr(reference, name)
    return getattr(MODULES[variant], name)["float" if dtype == np.float32 else "double"]


def normal(shape, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def poisoned(*shapes, dtype):
    """Output arrays in which a forgotten element shows."""
    return [np.full(shape, np.nan, dtype) for shape in shapes]


def batch_norm(variant, x, g, scale, shift, epsilon=1e-5, residual=None, activation=0):
    """[y, mean, variance, dx, dscale, dshift] of one forward and one backward, and dresidual where there is a residual.

    The bits of what passed ReLU must be those of the y that is filled with them.
    """
    c = scale.shape
    y, mean, variance, dx, dscale, dshift, dresidual = poisoned(x.shape, c, c, x.shape, c, c, x.shape, dtype=x.dtype)
    dresidual = None if residual is None else dresidual
    passed = np.full((x.size + 7) // 8, 0xAA, np.uint8) if activation else None
    kernel(variant, "batch_norm_forward", x.dtype)(x, scale, shift, residual, y, mean, variance, passed, epsilon, activation)
    if activation:
        np.testing.assert_array_equal(passed, np.packbits(y > 0, bitorder="little"))
    kernel(variant, "batch_norm_backward", x.dtype)(g, x, passed, scale, mean, variance, dx, dscale, dshift, dresidual, epsilon, activation)
    return [y, mean, variance, dx, dscale, dshift] + ([] if residual is None else [dresidual])


def group_norm(variant, x, g, epsilon=1e-5):
    """[y, mean, variance, dx] of one forward and one backward."""
    groups = x.shape[0], x.shape[2]
    y, mean, variance, dx = poisoned(x.shape, groups, groups, x.shape, dtype=x.dtype)
    kernel(variant, "group_norm_forward", x.dtype)(x, y, mean, variance, epsilon)
    kernel(variant, "group_norm_backward", x.dtype)(g, x, mean, variance, dx, epsilon)
    return [y, mean, variance, dx]


def assert_all_close(got, wanted, tolerance):
    for ours, theirs in zip(got, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("variant", EVERY)
def test_two_rows_by_hand(variant):
    """Channel 0 holds 1 and 3: mean 2, variance 1. Channel 1 is constant: its values become the shift."""
    x, g = np.array([[1., 5], [3, 5]]), np.array([[1., 1], [0, 0]])
    y, mean, variance, dx, dscale, dshift = batch_norm(variant, x, g, np.array([2., 2]), np.array([10., 7]), epsilon=0.44)
    np.testing.assert_allclose(mean, [2, 5])
    np.testing.assert_allclose(variance, [1, 0], atol=1e-15)
    np.testing.assert_allclose(y, [[10 - 2 / 1.2, 7], [10 + 2 / 1.2, 7]])
    np.testing.assert_allclose(dshift, [1, 1])
    np.testing.assert_allclose(dscale, [-1 / 1.2, 0], atol=1e-15)
    # dx = scale · inv · (g − ½ − x̂ · Σ g·x̂ / 2), x̂ = ∓1/1.2: for channel 0, 2/1.2 · (±½ ∓ 1/2.88)
    np.testing.assert_allclose(dx[:, 0], [2 / 1.2 * (0.5 - 1 / 2.88), -2 / 1.2 * (0.5 - 1 / 2.88)])


@pytest.mark.parametrize("variant", EVERY)
@pytest.mark.parametrize("shape", [(5, 3), (1, 4), (300, 17), (2500, 6), (777, 64)])
def test_batch_norm_and_its_gradients_are_torchs(variant, shape):
    torch = pytest.importorskip("torch")
    x, g = normal(shape, np.float64), normal(shape, np.float64, 1)
    scale, shift = normal(shape[1], np.float64, 2), normal(shape[1], np.float64, 3)
    leaves = [torch.tensor(a, requires_grad=True) for a in (x, scale, shift)]
    mean, variance = leaves[0].mean(0), leaves[0].var(0, correction=0)
    theirs = leaves[1] * (leaves[0] - mean) / torch.sqrt(variance + 1e-5) + leaves[2]       # batch_norm itself refuses one row
    theirs.backward(torch.tensor(g))
    wanted = [theirs.detach(), mean.detach(), variance.detach(), *(leaf.grad for leaf in leaves)]
    # with one row the variance is 0 and dx is a difference of equal terms times 316
    assert_all_close(batch_norm(variant, x, g, scale, shift), [a.numpy() for a in wanted], 1e-9)


@pytest.mark.parametrize("variant", EVERY)
@pytest.mark.parametrize("shape", [(2, 12, 3, 2), (3, 1, 1, 50), (2, 7, 1, 5), (1, 40, 4, 16), (2, 9, 6, 1)])
def test_group_norm_and_its_gradient_are_torchs(variant, shape):
    torch = pytest.importorskip("torch")
    x, g = normal(shape, np.float64), normal(shape, np.float64, 1)
    N, L, G, D = shape
    leaf = torch.tensor(x.reshape(N, L, G * D).transpose(0, 2, 1), requires_grad=True)
    theirs = torch.nn.functional.group_norm(leaf, G, eps=1e-5)
    theirs.backward(torch.tensor(g.reshape(N, L, G * D).transpose(0, 2, 1)))
    y, mean, variance, dx = group_norm(variant, x, g)
    wanted = [a.detach().numpy().transpose(0, 2, 1).reshape(shape) for a in (theirs, leaf.grad)]
    assert_all_close([y, dx], wanted, 1e-11)
    assert_all_close([mean, variance], [x.mean((1, 3)), x.var((1, 3))], 1e-12)


@pytest.mark.parametrize("variant", MODULES)
@given(M=st.integers(1, 400), C=CHANNELS, dtype=DTYPES, residual=st.booleans(), activation=st.sampled_from([0, 1]))
def test_compiled_batch_norm_is_the_references(variant, M, C, dtype, residual, activation):
    x, g, scale, shift = normal((M, C), dtype), normal((M, C), dtype, 1), normal(C, dtype, 2), normal(C, dtype, 3)
    options = dict(epsilon=1e-2, residual=normal((M, C), dtype, 4) if residual else None, activation=activation)
    got, wanted = batch_norm(variant, x, g, scale, shift, **options), batch_norm("reference", x, g, scale, shift, **options)
    if activation:                  # a value within rounding of 0 may fall on either side: its whole cotangent comes or goes
        assume(np.array_equal(got[0] > 0, wanted[0] > 0))
    assert_all_close(got, wanted, 2e-4 if dtype == np.float32 else 1e-10)


@pytest.mark.parametrize("variant", EVERY)
@pytest.mark.parametrize("shape", [(5, 3), (300, 17), (777, 64)])
def test_relu_and_residual_are_torchs(variant, shape):
    torch = pytest.importorskip("torch")
    x, g, residual = (normal(shape, np.float64, seed) for seed in range(3))
    scale, shift = normal(shape[1], np.float64, 3), normal(shape[1], np.float64, 4)
    leaves = [torch.tensor(a, requires_grad=True) for a in (x, scale, shift, residual)]
    theirs = torch.relu(torch.nn.functional.batch_norm(leaves[0], None, None, *leaves[1:3], training=True) + leaves[3])
    theirs.backward(torch.tensor(g))
    got = batch_norm(variant, x, g, scale, shift, residual=residual, activation=1)
    assert_all_close([got[0], *got[3:]], [theirs.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves)], 1e-9)


@pytest.mark.parametrize("variant", EVERY)
def test_bits_that_nobody_wants_are_not_made(variant):
    x, one = normal((70, 6), np.float32), np.ones(6, np.float32)
    y, mean, variance = poisoned(x.shape, 6, 6, dtype=x.dtype)
    kernel(variant, "batch_norm_forward", x.dtype)(x, one, one, None, y, mean, variance, None, 1e-5, 1)
    np.testing.assert_array_equal(y, batch_norm(variant, x, x, one, one, activation=1)[0])


def test_the_definition_takes_y_in_place_of_its_bits():
    x, g, one = normal((70, 6), np.float32), normal((70, 6), np.float32, 1), np.ones(6, np.float32)
    y, mean, variance, *by_bits = batch_norm("reference", x, g, one, one, residual=g, activation=1)
    by_values = poisoned(x.shape, 6, 6, x.shape, dtype=x.dtype)
    reference.batch_norm_backward(g, x, y, one, mean, variance, *by_values, 1e-5, 1)
    for ours, theirs in zip(by_values, by_bits, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("variant", EVERY)
@pytest.mark.parametrize("activation", [0, 1])
@pytest.mark.parametrize("C", [3, 16, 17])
def test_affine_by_its_formula(variant, C, activation):
    x, residual, scale, shift = (normal(shape, np.float64, seed) for seed, shape in enumerate([(101, C), (101, C), C, C]))
    for beside in None, residual:
        (y,) = poisoned(x.shape, dtype=x.dtype)
        kernel(variant, "affine", x.dtype)(x, scale, shift, beside, y, activation)
        wanted = x * scale + shift + (0 if beside is None else beside)
        np.testing.assert_allclose(y, np.maximum(wanted, 0) if activation else wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("variant", EVERY)
def test_a_not_a_number_passes_relu_and_its_cotangent_does_not(variant):
    x, one, zero = normal((33, 16), np.float32), np.ones(16, np.float32), np.zeros(16, np.float32)
    residual = np.zeros_like(x)
    residual[[5, 32], 3] = np.nan
    g = np.where(np.isnan(residual), np.inf, 1).astype(np.float32)
    got = batch_norm(variant, x, g, one, zero, residual=residual, activation=1)
    y, dresidual = got[0], got[-1]
    assert np.isnan(y).sum() == 2 and np.isnan(y[[5, 32], 3]).all()
    np.testing.assert_array_equal(dresidual, np.where(y > 0, 1, 0))
    assert np.isfinite(got[3]).all()


@pytest.mark.parametrize("variant", MODULES)
@given(N=st.integers(0, 4), L=st.integers(1, 70), G=st.integers(1, 5), D=CHANNELS, dtype=DTYPES)
def test_compiled_group_norm_is_the_references(variant, N, L, G, D, dtype):
    x, g = normal((N, L, G, D), dtype), normal((N, L, G, D), dtype, 1)
    got, wanted = group_norm(variant, x, g, epsilon=1e-2), group_norm("reference", x, g, epsilon=1e-2)
    assert_all_close(got, wanted, 2e-4 if dtype == np.float32 else 1e-10)


def response(variant, x, g, size, alpha, beta, k):
    """[y, dx] of one forward and one backward of local response normalisation."""
    y, dx = poisoned(x.shape, x.shape, dtype=x.dtype)
    kernel(variant, "local_response_norm_forward", x.dtype)(x, y, size, alpha, beta, k)
    kernel(variant, "local_response_norm_backward", x.dtype)(g, x, dx, size, alpha, beta, k)
    return [y, dx]


@pytest.mark.parametrize("variant", EVERY)
def test_neighbouring_channels_by_hand(variant):
    """Two channels below and one above, k = 1, alpha = 4: base = 1 + Σ x², here 2, 6, 10, 18 and 18."""
    x = np.array([[1., 0, 2, 2, 3]])
    y, dx = response(variant, x, np.array([[0., 0, 1, 0, 0]]), 4, 4.0, 1.0, 1.0)
    np.testing.assert_allclose(y, [[1 / 2, 0, 2 / 10, 2 / 18, 3 / 18]])
    np.testing.assert_allclose(dx, [[-0.04, 0, 0.1 - 0.08, -0.08, 0]], atol=1e-15)    # − 2 x · 2/10² wherever channel 2 looks


@pytest.mark.parametrize("variant", EVERY)
@pytest.mark.parametrize("beta", [0.75, 0.5, 1.3])
@pytest.mark.parametrize(("shape", "size"), [((3, 1), 5), ((9, 3), 2), ((40, 7), 5), ((150, 16), 4), ((33, 96), 5), ((2, 1500), 3),
                                             ((5, 6), 40)])
def test_local_response_norm_and_its_gradient_are_torchs(variant, shape, size, beta):
    torch = pytest.importorskip("torch")
    x, g = normal(shape, np.float64), normal(shape, np.float64, 1)
    leaf = torch.tensor(x, requires_grad=True)
    theirs = torch.nn.functional.local_response_norm(leaf[:, :, None], size, 0.7, beta, 1.5)[:, :, 0]
    theirs.backward(torch.tensor(g))
    assert_all_close(response(variant, x, g, size, 0.7, beta, 1.5), [theirs.detach().numpy(), leaf.grad.numpy()], 1e-12)


@pytest.mark.parametrize("variant", MODULES)
@given(M=st.integers(0, 70), C=CHANNELS, size=st.integers(1, 9), dtype=DTYPES, beta=st.sampled_from([0.75, 0.6]))
def test_compiled_local_response_norm_is_the_references(variant, M, C, size, dtype, beta):
    x, g = normal((M, C), dtype), normal((M, C), dtype, 1)
    assert_all_close(response(variant, x, g, size, 0.5, beta, 2.0), response("reference", x, g, size, 0.5, beta, 2.0),
                     1e-5 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("variant", EVERY)
def test_one_rows_zeros_and_infinities_stay_in_its_windows(variant):
    """With k = 0 a window of zeros is 0 / 0; the channels and rows beside it are as they are without it."""
    x, g = normal((4, 9), np.float64), normal((4, 9), np.float64, 1)
    spoilt = x.copy()
    spoilt[1] = 0, 0, 0, 0, 0, 1, 2, 3, 4
    spoilt[2, 8], spoilt[3, 0] = np.nan, np.inf
    with np.errstate(all="ignore"):
        y, dx = response(variant, spoilt, g, 3, 1.0, 0.75, 0.0)
    plain = response(variant, x, g, 3, 1.0, 0.75, 0.0)
    for got, wanted in zip((y, dx), plain):
        np.testing.assert_array_equal(got[0], wanted[0])
    assert np.isnan(y[1]).tolist() == [True] * 4 + [False] * 5
    assert np.isfinite(dx[1, 5:]).all() and np.isfinite(dx[2, :6]).all() and np.isfinite(dx[3, 3:]).all()


@pytest.mark.parametrize("variant", EVERY)
@pytest.mark.parametrize("C", [3, 16])
def test_statistics_are_accurate_far_from_zero(variant, C):
    """Mean 10⁴, deviation 1: the naive E[x²] − E[x]² in float32 has no correct digit of the variance."""
    x = normal((20011, C), np.float64) + 1e4
    single = x.astype(np.float32)
    naive = (single ** 2).mean(0, dtype=np.float32) - single.mean(0, dtype=np.float32) ** 2
    assert np.abs(naive - 1).max() > 0.5                               # the checker would notice
    one, zero = np.ones(C, np.float32), np.zeros(C, np.float32)
    y, mean, variance = batch_norm(variant, single, np.ones_like(single), one, zero)[:3]
    exact = single.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean(0), rtol=1e-7)
    np.testing.assert_allclose(variance, exact.var(0), rtol=1e-6)
    np.testing.assert_allclose(y, (exact - exact.mean(0)) / np.sqrt(exact.var(0) + 1e-5), atol=3e-6)


@pytest.mark.parametrize("variant", MODULES)
def test_one_wild_first_row_spoils_no_statistic(variant):
    x = normal((5000, 16), np.float32)
    x[0] = 1e6
    one, zero = np.ones(16, np.float32), np.zeros(16, np.float32)
    _, mean, variance = batch_norm(variant, x, x, one, zero)[:3]
    np.testing.assert_allclose(mean, x.mean(0, dtype=np.float64), atol=1e-6 * x.std())      # the deviation is 14,000
    np.testing.assert_allclose(variance, x.var(0, dtype=np.float64), rtol=5e-5)            # 64 rows measured from the wild one


@pytest.mark.parametrize("variant", EVERY)
def test_not_a_number_stays_in_its_channel(variant):
    x, one, zero = normal((300, 16), np.float32), np.ones(16, np.float32), np.zeros(16, np.float32)
    x[17, 5] = np.nan
    for values in batch_norm(variant, x, np.ones_like(x), one, zero)[:3]:
        assert np.isnan(values[..., 5]).all() and np.isfinite(np.delete(values, 5, axis=-1)).all()


@pytest.mark.parametrize("variant", MODULES)
@pytest.mark.parametrize("C", [6, 64])
def test_thread_count_changes_no_bit(variant, C):
    x, g, scale, shift = normal((6000, C), np.float32), normal((6000, C), np.float32, 1), normal(C, np.float32, 2), normal(C, np.float32, 3)
    sample, sample_g = x.reshape(20, 300, 2, C // 2), g.reshape(20, 300, 2, C // 2)
    results = []
    try:
        for threads in 1, 2, 3:
            MODULES[variant].set_threads(threads)
            filled = batch_norm(variant, x, g, scale, shift, residual=g, activation=1) + group_norm(variant, sample, sample_g)
            filled += response(variant, x, g, 5, 0.1, 0.75, 2.0)
            results.append([a.tobytes() for a in filled])
    finally:
        MODULES[variant].set_threads(1)
    assert results[0] == results[1] == results[2]


@pytest.mark.skipif(shutil.which("objdump") is None, reason="needs objdump, from GNU binutils, to read compiled code")
@pytest.mark.parametrize(("variant", "multiply", "register", "strip"), [("v2", "mul", "xmm", 4), ("v3", "fmadd", "ymm", 4),
                                                                        ("v4", "fmadd", "zmm", 2)])
@pytest.mark.parametrize("element", ["ps", "pd"])
def test_a_strip_of_columns_is_summed_in_registers(variant, multiply, register, strip, element):
    """The loop of the moments: per register of columns one sum and one product, none of which goes through the stack."""
    spec = importlib.util.find_spec(f"tinygradconv._compiled.norm_{variant}")
    if spec is None:
        pytest.skip(f"this build has no {variant} variant")
    adds = strip if multiply == "fmadd" else 2 * strip
    alike = [loop for loop in loops(disassemble(spec.origin))
             if (loop.packed(multiply, element, register), loop.packed("add", element, register)) == (strip, adds)]
    assert any(not loop.spills for loop in alike), f"{len(alike)} loops look like it"
