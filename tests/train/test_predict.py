"""Predictions: the probabilities are the softmax of a plain forward pass, and a run's folder is enough for them."""
from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import softmax

from tinygradconv import data
from tinygradconv.data import Loader
from tinygradconv.data.picture import Style
from tinygradconv.spec import Dense, Flatten
from tinygradconv.tensor import Tensor
from tinygradconv.train import predict as module
from tinygradconv.train.evaluate import evaluate
from tinygradconv.train.predict import Predictor, predict
from tinygradconv.train.sessions import begin, reopen
from tinygradconv.train.training import Training

SPEC = Flatten() >> Dense(3)


def test_a_linear_network_by_hand(rng):
    model = SPEC.build((2, 3, 1), seed=1)
    images = rng.uniform(0, 16, (5, 2, 3, 1)).astype(np.float32)
    weight, bias = (model.parameters[path].numpy().astype(np.float64) for path in ("1.weight", "1.bias"))
    expected = softmax(((images.reshape(5, 6) - 4.0) / 2.5) @ weight + bias, axis=1)
    found = predict(model, images, mean=[4.0], deviation=[2.5])
    assert found.dtype == np.float32 and found == pytest.approx(expected, abs=1e-6)
    assert predict(model, images[0], mean=[4.0], deviation=[2.5]) == pytest.approx(expected[:1], abs=1e-6)
    assert predict(model, images[:0], mean=[4.0], deviation=[2.5]).shape == (0, 3)


def test_batches_do_not_change_what_is_said(rng, monkeypatch):
    model, images = SPEC.build((2, 3, 1), seed=1), rng.integers(0, 256, (9, 2, 3, 1)).astype(np.uint8)
    whole = predict(model, images, mean=[1.0], deviation=[2.0])
    monkeypatch.setattr(module, "BATCH", 4)
    assert (predict(model, images, mean=[1.0], deviation=[2.0]) == whole).all()


@pytest.mark.parametrize(("images", "said"), [
    (np.zeros((2, 2, 3)), "float64"), (np.zeros((1, 2, 3, 3), np.uint8), "it has 1 means, but images have 3 channels"),
    (np.zeros((6,), np.uint8), "(6,)"), (np.zeros((1, 4, 4, 1), np.uint8), "")])
def test_arrays_that_do_not_fit_are_answered(images, said):
    with pytest.raises((ValueError, TypeError)) as caught:
        predict(SPEC.build((2, 3, 1), seed=1), images, mean=[1.0], deviation=[2.0])
    assert said in str(caught.value)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A run that has not taken a step: its folder and the weights that it began with, as 'last' and as 'best'."""
    folder = tmp_path_factory.mktemp("predict") / "run"
    session = begin("lenet5", epochs=1, out=str(folder))
    training = Training(session.model((28, 28, 1)), session.data(), session.recipe(), 0)
    session.run.save(training.state())
    session.run.close()
    return folder


def test_a_run_says_of_the_test_images_what_eval_counts(run_folder):
    predictor, digits = Predictor.open(run_folder), data.get("digits")
    found = predictor(digits.test.images)
    session = reopen(run_folder)
    correct, total = evaluate(session.model((28, 28, 1)), Loader.testing(digits).batches())         # the weights that the seed draws
    assert (found.argmax(1) == digits.test.labels).sum() == correct and len(found) == total
    batch, _ = next(iter(Loader.testing(digits).batches()))
    scores = session.model((28, 28, 1))(Tensor.of(batch), train=False).numpy()
    assert found[:len(batch)] == pytest.approx(softmax(scores.astype(np.float64), axis=1), abs=1e-6)


def test_the_data_set_need_not_be_there(run_folder, monkeypatch):
    monkeypatch.setattr(data, "get", None)
    predictor = Predictor.open(run_folder)
    assert predictor.classes == tuple("0123456789") and predictor.style == Style((28, 28, 1), 0, 16, dark=True)


def test_a_test_image_as_a_file_is_that_image(run_folder, tmp_path):
    Image = pytest.importorskip("PIL.Image")
    predictor, digits = Predictor.open(run_folder), data.get("digits")
    image = digits.test.images[3]
    Image.fromarray(np.round(image[..., 0] * 255 / 16).astype(np.uint8)).save(tmp_path / "digit.png")
    picture = predictor.read(tmp_path / "digit.png")
    assert not picture.inverted and picture.image == pytest.approx(image, abs=16 / 255 / 2 + 1e-6)
    assert predictor(picture.image) == pytest.approx(predictor(image), abs=1e-3)


def test_the_most_probable_classes_come_first_and_ties_in_their_order(run_folder):
    predictor = Predictor.open(run_folder)
    probabilities = np.array([0, .25, 0, .5, .25, 0, 0, 0, 0, 0], np.float32)
    assert predictor.ranked(probabilities, 3) == [("3", .5), ("1", .25), ("4", .25)] and len(predictor.ranked(probabilities, 99)) == 10


def test_a_config_that_does_not_say_what_the_images_were_is_named():
    config = {"input": [2, 3, 1], "classes": ["a", "b", "c"], "mean": [1.0]}
    with pytest.raises(ValueError, match="here/config.json lacks deviation, black_white, which say what images the network learned from"):
        Predictor(SPEC.build((2, 3, 1)), config, "here/config.json")


def test_the_config_of_a_run_holds_it_exactly(run_folder):
    config, digits = json.loads((run_folder / "config.json").read_text()), data.get("digits")
    assert tuple(config["mean"]) == digits.mean and tuple(config["deviation"]) == digits.deviation and config["input"] == [28, 28, 1]
