"""Server optimizers: against steps by hand, against a slow reference, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.errors import ConfigError, NonFiniteError
from securefl.federated.optimizers import (
    Averaging,
    FedAdagrad,
    FedAdam,
    FedAvgM,
    FedYogi,
    check_state,
)

ALL = [FedAvgM(), FedAdagrad(), FedAdam(), FedYogi()]
PARAMS = {"enc/w": np.array([[1.0, -2.0]], dtype=np.float32), "b": np.array(0.5)}


def steps(optimizer, means, start=0.0):
    """The value of one parameter after each mean update."""
    params = {"w": np.array([start])}
    state, values = optimizer.initial(params), []
    for mean in means:
        params, state = optimizer.step(params, {"w": np.array([mean])}, state)
        values.append(float(params["w"][0]))
    return values, state


# By hand.


def test_momentum_adds_a_decaying_sum():
    values, state = steps(FedAvgM(lr=0.5, momentum=0.5), [2.0, 0.0, -1.0])
    # m: 2, 1, -0.5; steps of 0.5 m
    assert values == [1.0, 1.5, 1.25]
    assert state["m/w"].tolist() == [-0.5]


def test_momentum_zero_is_averaging():
    means = [0.3, -0.7, 2.0]
    values, _ = steps(FedAvgM(lr=0.25, momentum=0.0), means)
    assert values == pytest.approx(0.25 * np.cumsum(means))


def test_adagrad_by_hand():
    values, state = steps(FedAdagrad(lr=1.0, beta_1=0.0, tau=1.0), [math.sqrt(3.0), math.sqrt(5.0)])
    # v: 1 (tau²), 4, 9; steps sqrt(3) / (2 + 1), sqrt(5) / (3 + 1)
    assert values == pytest.approx([math.sqrt(3) / 3, math.sqrt(3) / 3 + math.sqrt(5) / 4])
    assert state["v/w"][0] == pytest.approx(9.0)


def test_adam_by_hand_has_no_bias_correction():
    values, state = steps(FedAdam(lr=0.1, beta_1=0.9, beta_2=0.99, tau=0.5), [2.0])
    m, v = 0.2, 0.99 * 0.25 + 0.01 * 4
    assert state["m/w"][0] == pytest.approx(m)
    assert state["v/w"][0] == pytest.approx(v)
    assert values[0] == pytest.approx(0.1 * m / (math.sqrt(v) + 0.5))


def test_yogi_moves_v_up_and_down_by_the_same_rule():
    _, up = steps(FedYogi(tau=1.0, beta_2=0.9), [2.0])
    assert up["v/w"][0] == pytest.approx(1.0 + 0.1 * 4)  # v < Delta²
    _, down = steps(FedYogi(tau=1.0, beta_2=0.9), [0.5])
    assert down["v/w"][0] == pytest.approx(1.0 - 0.1 * 0.25)
    _, equal = steps(FedYogi(tau=1.0, beta_2=0.9), [1.0])
    assert equal["v/w"][0] == 1.0


# Against a reference, scalar by scalar in Python's floats.


def reference(kind, means, *, lr, beta_1, beta_2, tau):
    """Reddi et al. 2021, algorithm 2, for one parameter."""
    x, m, v, path = 0.0, 0.0, tau * tau, []
    for delta in means:
        m = beta_1 * m + (1.0 - beta_1) * delta
        if kind is FedAdagrad:
            v = v + delta * delta
        elif kind is FedYogi:
            sign = (v > delta * delta) - (v < delta * delta)
            v = v - (1.0 - beta_2) * delta * delta * sign
        else:
            v = beta_2 * v + (1.0 - beta_2) * delta * delta
        x = x + lr * m / (math.sqrt(v) + tau)
        path.append(x)
    return path


rates = st.floats(1e-3, 10)
decays = st.floats(0, 0.999)
updates = st.lists(st.floats(-100, 100), min_size=1, max_size=12)


@given(means=updates, lr=rates, beta_1=decays, beta_2=decays, tau=st.floats(1e-4, 1))
@pytest.mark.parametrize("kind", [FedAdagrad, FedAdam, FedYogi])
def test_adaptive_optimizers_follow_the_paper(kind, means, lr, beta_1, beta_2, tau):
    own = {"lr": lr, "beta_1": beta_1, "tau": tau} | ({} if kind is FedAdagrad else {"beta_2": beta_2})
    values, state = steps(kind(**own), means)
    assert values == pytest.approx(reference(kind, means, lr=lr, beta_1=beta_1, beta_2=beta_2, tau=tau), abs=1e-9)
    assert state["v/w"][0] >= 0


@given(means=updates, lr=rates, momentum=decays)
def test_momentum_is_the_weighted_sum_of_all_past_updates(means, lr, momentum):
    values, _ = steps(FedAvgM(lr=lr, momentum=momentum), means)
    direct = [lr * math.fsum(momentum ** (t - i) * means[i] for i in range(t + 1)) for t in range(len(means))]
    assert values == pytest.approx(np.cumsum(direct).tolist(), rel=1e-9, abs=1e-7)


@pytest.mark.parametrize("optimizer", ALL, ids=lambda o: type(o).__name__)
@given(seed=st.integers(0, 2**32), rounds=st.integers(1, 4))
def test_each_tensor_steps_as_if_it_were_alone(optimizer, seed, rounds):
    rng = np.random.default_rng(seed)
    both = {"a": rng.normal(size=(2, 3)), "b": rng.normal(size=4)}
    alone = {"b": both["b"]}
    state, own = optimizer.initial(both), optimizer.initial(alone)
    for _ in range(rounds):
        mean = {name: rng.normal(size=leaf.shape) for name, leaf in both.items()}
        both, state = optimizer.step(both, mean, state)
        alone, own = optimizer.step(alone, {"b": mean["b"]}, own)
    np.testing.assert_array_equal(both["b"], alone["b"])


# What holds for all.


@pytest.mark.parametrize("optimizer", ALL, ids=lambda o: type(o).__name__)
def test_a_step_is_a_pure_function_in_the_parameters_dtypes(optimizer):
    before = {name: leaf.copy() for name, leaf in PARAMS.items()}
    state = optimizer.initial(PARAMS)
    kept = {name: array.copy() for name, array in state.items()}
    mean = {"enc/w": np.array([[0.1, 0.2]]), "b": np.array(-1.0)}
    first, after = optimizer.step(PARAMS, mean, state)
    again, _ = optimizer.step(PARAMS, mean, state)
    np.testing.assert_equal(first, again)
    np.testing.assert_equal(PARAMS, before)
    np.testing.assert_equal(state, kept)
    assert {name: leaf.dtype for name, leaf in first.items()} == {"enc/w": np.float32, "b": np.float64}
    assert all(not np.array_equal(after[name], state[name]) for name in state)


@pytest.mark.parametrize("optimizer", ALL, ids=lambda o: type(o).__name__)
def test_training_goes_on_from_a_stored_state_as_if_never_stopped(optimizer, tmp_path):
    mean = {"enc/w": np.array([[0.1, 0.2]]), "b": np.array(-1.0)}
    params, state = optimizer.step(PARAMS, mean, optimizer.initial(PARAMS))
    np.savez(tmp_path / "state.npz", **state)
    with np.load(tmp_path / "state.npz") as file:
        loaded = dict(file)
    check_state(optimizer, params, loaded)
    np.testing.assert_equal(optimizer.step(params, mean, loaded), optimizer.step(params, mean, state))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda s: {k: v for k, v in s.items() if k != "m/b"}, "'m/b' is missing"),
        (lambda s: s | {"m/head": np.zeros(3)}, "'m/head' is unknown"),
        (lambda s: s | {"m/enc/w": np.zeros((2, 1))}, r"'m/enc/w' is float64 \(2, 1\), needs float64 \(1, 2\)"),
        (lambda s: s | {"m/b": np.zeros((), np.float32)}, "'m/b' is float32"),
        (lambda s: s | {"m/b": 0.0}, "'m/b' is float, needs"),
        (lambda s: None, "got NoneType, needs a dict"),
    ],
)
@pytest.mark.parametrize("optimizer", ALL, ids=lambda o: type(o).__name__)
def test_a_state_of_another_model_is_refused_by_name(optimizer, change, complaint):
    state = change(optimizer.initial(PARAMS))
    with pytest.raises(ConfigError, match=complaint):
        check_state(optimizer, PARAMS, state)
    with pytest.raises(ConfigError, match=complaint):
        optimizer.step(PARAMS, PARAMS, state)


def test_a_state_of_another_optimizer_is_refused():
    with pytest.raises(ConfigError, match=r"FedAdam: 'v/b' is missing"):
        check_state(FedAdam(), PARAMS, FedAvgM().initial(PARAMS))
    with pytest.raises(ConfigError, match=r"Averaging: got dict, needs NoneType"):
        check_state(Averaging(), PARAMS, FedAdam().initial(PARAMS))
    check_state(Averaging(), PARAMS, None)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_a_damaged_second_moment_is_refused(value):
    state = FedAdam().initial(PARAMS)
    state["v/b"] = np.array(value)
    with pytest.raises(NonFiniteError, match="'v/b'"):
        check_state(FedAdam(), PARAMS, state)


@pytest.mark.parametrize("optimizer", ALL, ids=lambda o: type(o).__name__)
def test_a_mean_that_does_not_fit_or_is_not_finite_is_refused(optimizer):
    state = optimizer.initial(PARAMS)
    with pytest.raises(ConfigError, match="not those of the model: b"):
        optimizer.step(PARAMS, {"enc/w": PARAMS["enc/w"]}, state)
    with pytest.raises(ConfigError, match=r"'b' has shape \(1,\), needs \(\)"):
        optimizer.step(PARAMS, PARAMS | {"b": np.zeros(1)}, state)
    with pytest.raises(NonFiniteError, match="1 of 1 values of 'b'"):
        optimizer.step(PARAMS, PARAMS | {"b": np.array(np.nan)}, state)


@pytest.mark.parametrize(
    ("kind", "argument", "value"),
    [
        (FedAvgM, "lr", 0.0),
        (FedAvgM, "momentum", 1.0),
        (FedAdagrad, "tau", 0.0),
        (FedAdam, "beta_1", -0.1),
        (FedAdam, "beta_2", 1.0),
        (FedAdam, "lr", math.inf),
        (FedYogi, "beta_2", math.nan),
        (FedYogi, "lr", "fast"),
        (FedYogi, "lr", True),
    ],
)
def test_arguments_out_of_range_are_refused_by_name(kind, argument, value):
    with pytest.raises(ConfigError, match=rf"server {argument}: got .*Remedy"):
        kind(**{argument: value})
