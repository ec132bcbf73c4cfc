"""Losses: hand numbers, PyTorch in value, gradient and double backward, extreme logits, and targets that are wrong."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygradconv as tgc
from tinygradconv.gradcheck import GradcheckError, gradcheck
from tinygradconv.ops.loss import binary_cross_entropy_with_logits, cross_entropy, huber, l1, mse

from .parity import close, ours, theirs

DTYPES = (np.float32, np.float64)
REDUCTIONS = ("mean", "sum", "none")


def logits_of(lead, C, dtype):
    return np.random.default_rng(0).standard_normal((*lead, C)).astype(dtype) * 3


@given(lead=st.lists(st.integers(1, 4), max_size=3), C=st.integers(1, 6), dtype=st.sampled_from(DTYPES),
       reduction=st.sampled_from(REDUCTIONS), smoothing=st.sampled_from((0.0, 0.1, 1.0)), weighted=st.booleans(), ignored=st.booleans())
def test_cross_entropy_of_classes_is_pytorchs(backend, lead, C, dtype, reduction, smoothing, weighted, ignored):
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(1)
    logits, targets = logits_of(lead, C, dtype), np.asarray(random.integers(0, C, tuple(lead)))
    weights = random.uniform(0.5, 2, C).astype(dtype) if weighted else None
    ignore = int(targets.flat[0]) if ignored and targets.size > 1 and (targets != targets.flat[0]).any() else None

    def run(x):
        flat = torch.nn.functional.cross_entropy(x.reshape(-1, C), torch.tensor(targets).reshape(-1),
                                                 None if weights is None else torch.tensor(weights), label_smoothing=smoothing,
                                                 ignore_index=-100 if ignore is None else ignore, reduction=reduction)
        return flat.reshape(tuple(lead)) if reduction == "none" else flat
    g = random.standard_normal(tuple(lead) if reduction == "none" else ()).astype(dtype)
    options = {"weights": weights, "ignore_index": ignore, "reduction": reduction, "label_smoothing": smoothing}
    mine = ours(lambda x: cross_entropy(x, targets, **options), [logits], g)
    for got, expected in zip(mine, theirs(run, [logits], g)):
        close(got, expected)


@given(lead=st.lists(st.integers(1, 4), max_size=3), C=st.integers(1, 6), dtype=st.sampled_from(DTYPES),
       reduction=st.sampled_from(REDUCTIONS), smoothing=st.sampled_from((0.0, 0.1)), weighted=st.booleans())
def test_cross_entropy_of_probabilities_is_pytorchs(backend, lead, C, dtype, reduction, smoothing, weighted):
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(1)
    logits, targets = logits_of(lead, C, dtype), random.dirichlet(np.ones(C), tuple(lead)).astype(dtype)
    weights = random.uniform(0.5, 2, C).astype(dtype) if weighted else None

    def run(x, q):
        flat = torch.nn.functional.cross_entropy(x.reshape(-1, C), q.reshape(-1, C), None if weights is None else torch.tensor(weights),
                                                 reduction=reduction, label_smoothing=smoothing)
        return flat.reshape(tuple(lead)) if reduction == "none" else flat
    g = random.standard_normal(tuple(lead) if reduction == "none" else ()).astype(dtype)
    mine = ours(lambda x, q: cross_entropy(x, q, weights=weights, reduction=reduction, label_smoothing=smoothing), [logits, targets], g)
    for got, expected in zip(mine, theirs(run, [logits, targets], g)):
        close(got, expected, factor=4)


def test_cross_entropy_of_known_numbers(backend):
    logits = np.log([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]])
    close(cross_entropy(logits, [2, 1], reduction="none"), -np.log([0.7, 0.25]))
    close(cross_entropy(logits, [2, 1]), np.float64(-np.log([0.7, 0.25]).mean()))
    x = tgc.Tensor(logits, requires_grad=True)
    cross_entropy(x, [2, 1], reduction="sum").backward()
    close(x.grad, np.array([[0.1, 0.2, -0.3], [0.5, -0.75, 0.25]]))     # softmax minus one-hot


@pytest.mark.parametrize("dtype", DTYPES)
def test_extreme_logits_overflow_nothing(backend, dtype):
    big = dtype(1e30)
    x = tgc.Tensor(np.array([[big, 0, -big], [0, 0, 0]], dtype), requires_grad=True)
    y = cross_entropy(x, [0, 1], reduction="none")
    y.sum().backward()
    np.testing.assert_allclose(y.numpy(), [0, np.log(3)], rtol=1e-6)
    assert np.isfinite(x.grad.numpy()).all()
    t = tgc.Tensor(np.array([big, -big, 1000, -1000], dtype), requires_grad=True)
    z = binary_cross_entropy_with_logits(t, np.array([1, 0, 0, 1], dtype), reduction="none")
    z.sum().backward()
    assert z.tolist() == [0, 0, 1000, 1000] and t.grad.tolist() == [0, 0, 1, -1]


def test_a_small_loss_is_not_lost_in_a_large_logit(backend):
    y = binary_cross_entropy_with_logits(np.array([30.0], np.float32), np.array([1.0], np.float32))
    close(y * 1e13, np.float32(np.exp(-30.0) * 1e13))


def test_a_class_that_is_impossible_and_not_asked_for_costs_nothing(backend):
    x = tgc.Tensor(np.array([[0.0, -np.inf]]), requires_grad=True)
    assert cross_entropy(x, [0]).item() == 0
    assert cross_entropy(x, np.array([[1.0, 0.0]])).item() == 0
    assert cross_entropy(np.array([[0.0, -np.inf]]), [1]).item() == np.inf
    assert cross_entropy([[0.0, 1.0], [np.nan, 1.0]], [0, -1], ignore_index=-1, reduction="sum").item() == pytest.approx(np.log(1 + np.e))


def test_the_mean_of_nothing_is_nan(backend):
    assert np.isnan(cross_entropy(np.zeros((0, 3)), np.zeros(0, int)).item())
    assert np.isnan(cross_entropy(np.zeros((2, 3)), [7, 7], ignore_index=7).item())
    assert cross_entropy(np.zeros((0, 3)), np.zeros(0, int), reduction="sum").item() == 0


SIMPLE = {"mse": mse, "l1": l1, "huber": lambda p, t, **o: huber(p, t, delta=0.7, **o), "bce": binary_cross_entropy_with_logits}


def torch_loss(kind):
    F = pytest.importorskip("torch").nn.functional
    return {"mse": F.mse_loss, "l1": F.l1_loss, "huber": lambda p, t, **o: F.huber_loss(p, t, delta=0.7, **o),
            "bce": F.binary_cross_entropy_with_logits}[kind]


@given(shape=st.lists(st.integers(1, 5), max_size=3), dtype=st.sampled_from(DTYPES), reduction=st.sampled_from(REDUCTIONS),
       kind=st.sampled_from(sorted(SIMPLE)))
def test_the_others_are_pytorchs_to_second_order(backend, shape, dtype, reduction, kind):
    yours, random = torch_loss(kind), np.random.default_rng(0)
    arrays = [random.standard_normal(shape).astype(dtype), random.uniform(0, 1, shape).astype(dtype)]
    g = random.standard_normal(tuple(shape) if reduction == "none" else ()).astype(dtype)
    weights = [random.standard_normal(shape).astype(dtype) for _ in arrays]
    mine = ours(lambda p, t: SIMPLE[kind](p, t, reduction=reduction), arrays, g, weights)
    for got, expected in zip(mine, theirs(lambda p, t: yours(p, t, reduction=reduction), arrays, g, weights)):
        close(got, expected)


def test_derivatives_to_second_order(backend, rng):
    logits, targets = rng.standard_normal((3, 4)), [0, 3, 1]
    gradcheck(lambda x: cross_entropy(x, targets, weights=[1, 2, 3, 4], label_smoothing=0.2, ignore_index=3), [logits])
    gradcheck(lambda x, q: cross_entropy(x, q), [logits, rng.dirichlet(np.ones(4), 3)])
    for loss in SIMPLE.values():
        gradcheck(lambda p, t, loss=loss: loss(p, t, reduction="none"), [rng.standard_normal(5), rng.uniform(0.2, 0.8, 5)])


def test_a_loss_that_forgets_its_partition_function_is_noticed(rng):
    lame = tgc.custom_op(lambda x: x - np.log(np.exp(x).sum(-1, keepdims=True)), vjp=lambda g, x: g, name="lame")
    with pytest.raises(GradcheckError):
        gradcheck(lambda x: lame(x) ** 2, [rng.standard_normal((2, 3))], order=1)


def test_bce_curves_at_zero_as_a_logistic_does(backend):
    x = tgc.Tensor(np.zeros(1), requires_grad=True)
    d = tgc.grad(binary_cross_entropy_with_logits(x, np.ones(1)), x, create_graph=True)
    assert d.item() == -0.5 and tgc.grad(d, x).item() == 0.25


def test_bce_weights_multiply_each_loss(backend, rng):
    x, t, w = rng.standard_normal((3, 2)), rng.uniform(0, 1, (3, 2)), np.array([1.0, 3.0])
    each = binary_cross_entropy_with_logits(x, t, reduction="none").numpy()
    close(binary_cross_entropy_with_logits(x, t, weights=w), (each * w).mean())


L = np.zeros((2, 3), np.float32)


@pytest.mark.parametrize("call, kind, message", [
    (lambda: cross_entropy(L, [0, 3]), ValueError,
     "cross_entropy: targets must be classes 0 … 2, got 3 at index (1,). To leave such examples out use ignore_index=3"),
    (lambda: cross_entropy(L, [-1, 0]), ValueError,
     "cross_entropy: targets must be classes 0 … 2, got -1 at index (0,). To leave such examples out use ignore_index=-1"),
    (lambda: cross_entropy(L, np.array([0.0, 1.0])), ValueError,
     "cross_entropy: floating targets are probabilities and must have the shape (2, 3) of logits, got (2,). "
     "Class indices are integers: use targets.astype('int64')"),
    (lambda: cross_entropy(L, np.array([[0, 1, 0], [1, 0, 0]])), ValueError,
     "cross_entropy: integer targets are class indices and must have shape (2,) for logits (2, 3), got (2, 3). "
     "For one-hot targets use targets.astype('float32')"),
    (lambda: cross_entropy(L, [0, 1, 2]), ValueError,
     "cross_entropy: integer targets are class indices and must have shape (2,) for logits (2, 3), got (3,)"),
    (lambda: cross_entropy(L, np.full((2, 3), np.nan)), ValueError,
     "cross_entropy: targets must be probabilities between 0 and 1, got nan at index (0, 0)"),
    (lambda: cross_entropy(L, np.full((2, 3), 1.5)), ValueError,
     "cross_entropy: targets must be probabilities between 0 and 1, got 1.5 at index (0, 0)"),
    (lambda: cross_entropy(L, np.ones((2, 3), bool)), TypeError,
     "cross_entropy: targets must be integers (class indices) or floating (probabilities), got bool. Use targets.astype('float32')"),
    (lambda: cross_entropy(L, np.ones((2, 3)), ignore_index=1), ValueError,
     "cross_entropy: ignore_index (=1) is for class indices; these targets are probabilities. Make their rows zero instead"),
    (lambda: cross_entropy(L, [0, 1], weights=[1, 2]), ValueError, "cross_entropy: weights must have shape (3,), one per class, got (2,)"),
    (lambda: cross_entropy(L, [0, 1], reduction="max"), ValueError, "cross_entropy: reduction must be 'mean', 'sum' or 'none', got 'max'"),
    (lambda: cross_entropy(L, [0, 1], label_smoothing=2), ValueError, "cross_entropy: label_smoothing must be between 0 and 1, got 2"),
    (lambda: cross_entropy(L[:, :0], [0, 1]), ValueError,
     "cross_entropy: logits must have at least one class on the last axis, got shape (2, 0)"),
    (lambda: mse(np.zeros((4, 1)), np.zeros(4)), ValueError,
     "mse: predictions and targets must have one shape, got (4, 1) and (4,). Reshape one of them, or use broadcast_to"),
    (lambda: huber(L, L, delta=0), ValueError, "huber: delta must be positive and finite, got 0"),
    (lambda: binary_cross_entropy_with_logits(L, L, weights=np.ones((5, 2, 3))), ValueError,
     "binary_cross_entropy_with_logits: weights must broadcast to the shape (2, 3) of logits, got (5, 2, 3)"),
])
def test_a_wrong_call_is_told_what_to_do(call, kind, message):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message
