"""Weights by name: all that does not fit in one error, nothing half loaded, and what is asked of a checkpoint's dtypes and values."""
from __future__ import annotations

import warnings

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tinygradconv.spec import Aux, BatchNorm, Conv, Dense, Flatten, GlobalAvgPool, ReLU, Scope
from tinygradconv.train.optim import SGD

SPEC = Scope(conv=Conv(4, 3), bn=BatchNorm(), relu=ReLU(), _flat=Flatten(), fc=Dense(2))
SHAPE = (5, 4, 3)


@pytest.fixture
def model():
    return SPEC.build(SHAPE, seed=1)


@pytest.fixture
def saved(model, tmp_path):
    """The file of another such model, and what is in it."""
    path = tmp_path / "w.safetensors"
    SPEC.build(SHAPE, seed=2).save_torch(path)
    return path, load_file(path)


def values(model):
    return {path: tensor.numpy().copy() for path, tensor in (*model.parameters.items(), *model.buffers.items())}


def same(one, other):
    return all(np.array_equal(one[path], other[path]) for path in one)


def test_what_is_saved_has_torchs_names_shapes_and_counters(model, saved):
    _, arrays = saved
    assert {name: array.shape for name, array in arrays.items()} == {
        "conv.weight": (4, 3, 3, 3), "conv.bias": (4,), "bn.weight": (4,), "bn.bias": (4,), "bn.running_mean": (4,), "bn.running_var": (4,),
        "bn.num_batches_tracked": (), "fc.weight": (2, 24), "fc.bias": (2,)}
    assert arrays["bn.num_batches_tracked"].dtype == np.int64


def test_saving_after_training_counts_the_batches(model, tmp_path):
    for _ in range(3):
        model(np.zeros((2, *SHAPE), np.float32), train=True)
    model.save_torch(tmp_path / "w.safetensors")
    assert int(load_file(tmp_path / "w.safetensors")["bn.num_batches_tracked"]) == 3


def test_everything_that_does_not_fit_is_in_one_error_and_nothing_is_loaded(model, saved):
    path, arrays = saved
    del arrays["conv.bias"], arrays["bn.running_var"]
    arrays.update({"fc.weight": np.zeros((7, 24), np.float32), "extra.weight": np.zeros(3, np.float32), "bn.bias": np.zeros(4, np.int32)})
    save_file(arrays, path)
    before = values(model)
    with pytest.raises(ValueError) as caught:
        model.load_torch(path)
    assert str(caught.value) == (
        f"load_torch: {path} does not fit this model, and nothing was loaded. Missing: conv.bias (4,), bn.running_var (4,). "
        "Not in the model: extra.weight (3,). Of another shape: fc.weight is (7, 24), the model's is (2, 24). "
        "Not floating: bn.bias is I32. "
        "Is it another network's? load_torch(…, strict=False) loads what fits and returns the rest")
    assert same(before, values(model))


def test_the_error_about_another_input_size_names_the_flattened_image(model, tmp_path):
    SPEC.build((7, 4, 3)).save_torch(tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"is \(2, 40\), the model's is \(2, 24\)\. fc\.weight follows a Flatten of \(3, 2, 4\): "
                                         r"build the model for the input size that the weights were trained with$"):
        model.load_torch(tmp_path / "w.safetensors")


def test_without_strict_what_fits_is_loaded_and_the_rest_returned(model, saved):
    path, arrays = saved
    del arrays["conv.bias"]
    arrays.update({"fc.weight": np.zeros((7, 24), np.float32), "extra.weight": np.zeros(3, np.float32), "bn.bias": np.zeros(4, np.int32)})
    save_file(arrays, path)
    before = values(model)
    left = model.load_torch(path, strict=False)
    assert left and (left.missing, left.extra, left.misshapen, left.refused) == (
        ("conv.bias",), ("extra.weight",), ("fc.weight",), ("bn.bias",))
    after = values(model)
    assert {name for name in before if np.array_equal(before[name], after[name])} >= {"conv.bias", "fc.weight", "bn.bias"}
    np.testing.assert_array_equal(after["conv.weight"], arrays["conv.weight"].transpose(2, 3, 1, 0))


@pytest.mark.parametrize(("heads", "file_heads", "said"), [
    (False, True, "The file has auxiliary heads: build the network with heads=True, or leave them out by load_torch(…, strict=False)"),
    (True, False, "The file has no auxiliary heads: build the network without them, or keep them as drawn by load_torch(…, strict=False)"),
])
def test_the_error_about_auxiliary_heads_says_what_to_do(tmp_path, heads, file_heads, said):
    def network(heads):
        head = {"aux1": Aux(GlobalAvgPool() >> Scope(fc=Dense(2)))} if heads else {}
        return Scope(conv=Conv(4, 3), **head, _pool=GlobalAvgPool(), fc=Dense(2)).build(SHAPE)

    network(file_heads).save_torch(tmp_path / "w.safetensors")
    with pytest.raises(ValueError) as caught:
        network(heads).load_torch(tmp_path / "w.safetensors")
    assert str(caught.value).endswith(said)
    assert network(heads).load_torch(tmp_path / "w.safetensors", strict=False)


@pytest.mark.parametrize(("arrays", "said"), [
    ({}, "The file is empty"),
    ({f"layer{i}.weight": np.zeros(1, np.float32) for i in range(100, 400)},
     "No name agrees: the model's begin with conv, bn, fc, the file's with "
     "layer100, layer101, layer102, layer103, layer104, layer105, layer106, layer107 and 292 more. Is it another network's?"),
    ({"a\n" * 400: np.zeros(1, np.float32)},
     "No name agrees: the model's begin with conv, bn, fc, the file's with '" + "a\\n" * 50 + "'…. Is it another network's?"),
])
@pytest.mark.parametrize("strict", [True, False])
def test_a_file_of_another_network_is_refused_strict_or_not(model, tmp_path, arrays, said, strict):
    save_file(arrays, tmp_path / "w.safetensors")
    with pytest.raises(ValueError) as caught:
        model.load_torch(tmp_path / "w.safetensors", strict=strict)
    assert str(caught.value).endswith(said) and len(str(caught.value)) < 1500


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_the_prefix_of_a_wrapper_is_taken_off_every_name_or_none(model, saved, prefix):
    path, arrays = saved
    save_file({prefix + name: array for name, array in arrays.items()}, path)
    assert not model.load_torch(path)
    save_file({(prefix if name != "fc.bias" else "") + name: array for name, array in arrays.items()}, path)
    with pytest.raises(ValueError, match=r"Missing: conv\.weight"):
        model.load_torch(path)


@pytest.mark.parametrize("theirs", [np.float16, np.float64])
@pytest.mark.parametrize("ours", ["float32", "float64"])
def test_floating_dtypes_become_the_models(saved, theirs, ours):
    path, arrays = saved
    save_file({name: array.astype(theirs) for name, array in arrays.items() if array.dtype.kind == "f"}, path)
    model = SPEC.build(SHAPE, dtype=ours)
    assert not model.load_torch(path)
    for name, tensor in (*model.parameters.items(), *model.buffers.items()):
        assert tensor.dtype == ours, name
    expected = arrays["conv.weight"].astype(theirs).astype(ours).transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(model.parameters["conv.weight"].numpy(), expected)


def test_values_that_are_not_finite_are_loaded_with_a_warning(model, saved):
    path, arrays = saved
    arrays = {name: array.astype(np.float64) if array.dtype.kind == "f" else array for name, array in arrays.items()}
    arrays["conv.bias"][1], arrays["bn.running_mean"][0], arrays["fc.bias"][0] = np.nan, np.inf, 1e300      # beyond float32
    save_file(arrays, path)
    with pytest.warns(UserWarning, match=r"has NaN or infinite values \(as float32\) in conv\.bias, bn\.running_mean, fc\.bias$"):
        model.load_torch(path)
    assert np.isnan(model.parameters["conv.bias"].numpy()).tolist() == [False, True, False, False]
    assert np.isinf(model.parameters["fc.bias"].numpy()).tolist() == [True, False]


def test_an_optimiser_made_before_goes_on_with_the_loaded_weights(model, saved):
    path, arrays = saved
    optimizer, version = SGD(model.parameters), model.parameters["fc.bias"].version
    kept = model.parameters["conv.weight"]
    assert not model.load_torch(path)
    assert model.parameters["conv.weight"] is kept and model.parameters["fc.bias"].version == version + 1
    optimizer.update({name: p.detach() for name, p in model.parameters.items()}, 1.0)                       # w − 1·w
    assert not model.parameters["conv.weight"].numpy().any()


def test_a_loaded_model_computes_with_the_new_weights_at_once(model, saved):
    x = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = model(x).numpy().copy()
        assert not model.load_torch(saved[0])
    np.testing.assert_array_equal(model(x).numpy(), SPEC.build(SHAPE, seed=2)(x).numpy())
    assert not np.array_equal(before, model(x).numpy())
