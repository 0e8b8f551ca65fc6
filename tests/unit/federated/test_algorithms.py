from __future__ import annotations

import numpy as np
import pytest

from securefl.errors import ConfigError
from securefl.federated import Averaging, FedAvg, LocalTask


def task(model, params, dataset, seed=0, **more):
    return LocalTask(model=model, params=params, dataset=dataset, rng=np.random.default_rng(seed), **more)


def test_one_full_batch_epoch_is_one_gradient_step(model, blobs):
    params = model.initial(0)
    algorithm = FedAvg(epochs=1, batch_size=len(blobs), learning_rate=0.25)
    update = algorithm.local_update(task(model, params, blobs))
    _, gradient = model.loss_and_gradient(params, blobs.x, blobs.y)
    for name, leaf in update.delta.items():
        np.testing.assert_allclose(leaf, -0.25 * gradient[name], rtol=1e-5, atol=1e-7)
        assert leaf.dtype == np.float32


def test_the_update_reports_the_model_as_received_and_leaves_it_alone(model, blobs):
    params = model.initial(0)
    update = FedAvg().local_update(task(model, params, blobs))
    assert update.examples == 90
    assert update.metrics == model.evaluate(model.initial(0), blobs)
    assert not any(leaf.any() for leaf in params.values())


def test_batches_are_set_by_the_generator(model, blobs):
    def train(seed):
        return FedAvg(batch_size=7).local_update(task(model, model.initial(0), blobs, seed)).delta

    np.testing.assert_array_equal(train(0)["weight"], train(0)["weight"])
    assert not np.array_equal(train(0)["weight"], train(1)["weight"])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"epochs": 0}, "epochs: got 0"),
        ({"batch_size": 0}, "batch_size: got 0"),
        ({"learning_rate": 0.0}, "learning_rate: got 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate: got nan"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, complaint):
    with pytest.raises(ConfigError, match=complaint):
        FedAvg(**arguments)


def test_averaging_adds_the_scaled_mean_in_the_parameters_dtype():
    params = {"w": np.array([1.0, 2.0], dtype=np.float32)}
    stepped, state = Averaging(learning_rate=0.5).step(params, {"w": np.array([2.0, -2.0])}, None)
    np.testing.assert_array_equal(stepped["w"], np.array([2.0, 1.0], dtype=np.float32))
    assert stepped["w"].dtype == np.float32
    assert state is None
    np.testing.assert_array_equal(params["w"], [1.0, 2.0])


@pytest.mark.parametrize("rate", [0.0, -1.0, float("inf")])
def test_a_server_rate_out_of_range_is_refused(rate):
    with pytest.raises(ConfigError, match="server learning_rate"):
        Averaging(learning_rate=rate)
