"""Laws of attacks within a bound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import securefl as sfl
from securefl.federated.adversarial import ascend, strongest

MODELS = (sfl.Perceptron(6, 3, (5,)), sfl.Perceptron(6, 3, (4, 7)), sfl.SoftmaxRegression(6, 3))
seeds = st.integers(0, 2**32 - 1)
dtypes = st.sampled_from([np.float32, np.float64])
models = st.sampled_from(MODELS)


def drawn(model, seed, dtype, low=0.0, high=1.0, n=7):
    rng = np.random.default_rng(seed)
    params = {name: rng.standard_normal(leaf.shape).astype(dtype) for name, leaf in model.initial(0).items()}
    x = np.clip(rng.uniform(low, high, (n, 2, 3)).astype(dtype), low, high)
    x[0], x[1] = low, high  # on the edge
    return params, x.astype(dtype), rng.integers(0, 3, n), rng


@given(model=models, seed=seeds)
def test_input_gradients_are_those_of_finite_differences(model, seed):
    params, x, y, _ = drawn(model, seed, np.float64)
    losses, slope = model.input_gradient(params, x, y)
    assert slope.shape == x.shape
    assert losses.mean() == pytest.approx(model.evaluate(params, sfl.Dataset(x, y))["loss"])
    step = 1e-6
    for place in np.ndindex(x.shape[1:]):
        moved = np.zeros_like(x)
        moved[(slice(None), *place)] = step
        ahead, _ = model.input_gradient(params, x + moved, y)
        behind, _ = model.input_gradient(params, x - moved, y)
        straight = np.abs(ahead - 2 * losses + behind) < 1e-9  # no corner of a ReLU between the two
        np.testing.assert_allclose(
            slope[(slice(None), *place)][straight], ((ahead - behind) / (2 * step))[straight], atol=1e-6
        )


@given(
    model=models,
    seed=seeds,
    dtype=dtypes,
    epsilon=st.floats(1e-6, 0.9),
    step=st.none() | st.floats(1e-6, 10.0),
    steps=st.integers(1, 5),
    random_start=st.booleans(),
    low=st.floats(-3.0, 3.0),
    width=st.floats(1.0, 5.0),
)
def test_a_moved_input_stays_within_epsilon_and_in_range_and_in_its_dtype(
    model, seed, dtype, epsilon, step, steps, random_start, low, width
):
    low = float(np.float32(low))
    high = float(np.float32(low + width))
    params, x, y, rng = drawn(model, seed, dtype, low, high)
    ball = sfl.LInfinity(epsilon, step=step, steps=steps, low=low, high=high, random_start=random_start)
    for attack in (ascend, strongest):
        moved = attack(lambda x, y: model.input_gradient(params, x, y), x, y, ball, rng=rng)
        assert moved.dtype == dtype
        assert moved.shape == x.shape
        assert np.abs(moved.astype(np.float64) - x.astype(np.float64)).max() <= epsilon
        assert moved.min() >= low
        assert moved.max() <= high


@given(model=models, seed=seeds, epsilon=st.floats(1e-3, 0.5), restarts=st.integers(1, 3))
def test_the_strongest_of_several_runs_never_lowers_the_loss(model, seed, epsilon, restarts):
    params, x, y, rng = drawn(model, seed, np.float64)

    def gradient(x, y):
        return model.input_gradient(params, x, y)

    moved = strongest(gradient, x, y, sfl.LInfinity(epsilon), restarts=restarts, rng=rng)
    assert (gradient(moved, y)[0] >= gradient(x, y)[0]).all()


@given(seed=seeds)
def test_on_a_linear_model_of_two_classes_one_step_is_the_worst_there_is(seed):
    """The loss is monotone in each input there: the corner that the sign of the gradient names is the maximum."""
    model = sfl.SoftmaxRegression(6, 2)
    rng = np.random.default_rng(seed)
    params = {name: rng.standard_normal(leaf.shape) for name, leaf in model.initial(0).items()}
    x, y = rng.uniform(0.3, 0.7, (5, 6)), rng.integers(0, 2, 5)
    ball = sfl.LInfinity(0.2, steps=1, step=0.4)
    moved = ascend(lambda x, y: model.input_gradient(params, x, y), x, y, ball, rng)
    away = params["weight"][:, 1 - y].T - params["weight"][:, y].T
    np.testing.assert_allclose(moved, x + 0.2 * np.sign(away))


@given(model=models, seed=seeds)
def test_as_epsilon_vanishes_robust_accuracy_is_the_clean_one(model, seed):
    params, x, y, _ = drawn(model, seed, np.float64)
    data = sfl.Dataset(x, y)
    clean = model.evaluate(params, data)["accuracy"]
    assert sfl.RobustAccuracy(sfl.LInfinity(1e-12))(model, params, data)["robust_accuracy"] == clean


@given(model=models, seed=seeds, small=st.floats(0.01, 0.2), restarts=st.integers(1, 3))
def test_robust_accuracy_is_never_above_clean_accuracy_and_no_restart_raises_it(model, seed, small, restarts):
    params, x, y, _ = drawn(model, seed, np.float64)
    data = sfl.Dataset(x, y)
    found = [
        sfl.RobustAccuracy(sfl.LInfinity(small), restarts=count)(model, params, data)["robust_accuracy"]
        for count in (restarts, restarts + 1)
    ]
    assert model.evaluate(params, data)["accuracy"] >= found[0] >= found[1]
