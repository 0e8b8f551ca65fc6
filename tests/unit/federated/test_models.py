from __future__ import annotations

import numpy as np
import pytest

from securefl.errors import ConfigError
from securefl.federated import Dataset, SoftmaxRegression


def test_the_initial_model_is_undecided(model, blobs):
    metrics = model.evaluate(model.initial(0), blobs)
    assert metrics["loss"] == pytest.approx(np.log(3))
    assert metrics["accuracy"] == pytest.approx(1 / 3)


def test_huge_logits_do_not_overflow():
    model = SoftmaxRegression(features=1, classes=2)
    params = {"weight": np.array([[1e30, -1e30]], dtype=np.float32), "bias": np.zeros(2, dtype=np.float32)}
    x, y = np.ones((1, 1), dtype=np.float32), np.array([0])
    loss, gradient = model.loss_and_gradient(params, x, y)
    assert loss == 0.0
    assert not gradient["weight"].any()
    assert np.isfinite(model.loss_and_gradient(params, x, np.array([1]))[0])


def test_gradients_have_the_dtypes_of_the_parameters(model):
    x, y = np.ones((4, 2), dtype=np.float64), np.array([0, 1, 2, 0])
    _, gradient = model.loss_and_gradient(model.initial(0), x, y)
    assert {leaf.dtype for leaf in gradient.values()} == {np.dtype(np.float32)}


def test_images_are_flattened():
    model = SoftmaxRegression(features=4, classes=2)
    images = Dataset(np.ones((3, 2, 2), dtype=np.float32), np.zeros(3, dtype=np.int64))
    assert model.predict(model.initial(0), images.x).shape == (3,)
    assert model.evaluate(model.initial(0), images)["accuracy"] == 1.0


def test_evaluation_leaves_the_penalty_out(blobs):
    params = {"weight": np.full((2, 3), 0.5, dtype=np.float32), "bias": np.zeros(3, dtype=np.float32)}
    plain, penalised = SoftmaxRegression(2, 3), SoftmaxRegression(2, 3, l2=1.0)
    assert plain.evaluate(params, blobs) == penalised.evaluate(params, blobs)
    extra = (
        penalised.loss_and_gradient(params, blobs.x, blobs.y)[0] - plain.loss_and_gradient(params, blobs.x, blobs.y)[0]
    )
    assert extra == pytest.approx(0.5 * 6 * 0.25)


@pytest.mark.parametrize("arguments", [(0, 2), (2, 1), (2, 2, -1.0), (2, 2, float("nan"))])
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(ConfigError, match="needs features >= 1"):
        SoftmaxRegression(*arguments)
