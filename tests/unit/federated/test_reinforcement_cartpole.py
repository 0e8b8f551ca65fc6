"""CartPole: gymnasium's equations to the bit, its interface, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import securefl as sfl
from securefl.errors import ConfigError
from securefl.federated.reinforcement import Box, CartPole, Discrete, VectorEnvironment

REFERENCE = Path(__file__).parents[2] / "data" / "gymnasium" / "cartpole.npz"
"""What gymnasium 1.4.0's `CartPoleVectorEnv` answered, six copies, 120 steps; written by the script in `origin.txt` beside it."""
CASES = [(9.8, 0.5, 500), (3.0, 1.2, 500), (30.0, 0.2, 30)]


@pytest.mark.parametrize(("case", "facts"), list(enumerate(CASES)))
def test_it_answers_as_gymnasiums_own_did_to_the_bit(case, facts):
    gravity, length, steps = facts
    with np.load(REFERENCE) as file:
        known = {name: file[f"{name}{case}"] for name in ("observations", "actions", "rewards", "ended", "cut")}
    environment = CartPole(6, gravity=gravity, length=length, max_episode_steps=steps)
    observations, info = environment.reset(seed=7 + case)
    assert not info
    assert observations.dtype == np.float32
    np.testing.assert_array_equal(observations, known["observations"][0])
    for step, actions in enumerate(known["actions"]):
        observations, rewards, terminated, truncated, _ = environment.step(actions)
        np.testing.assert_array_equal(observations, known["observations"][step + 1])
        np.testing.assert_array_equal(rewards, known["rewards"][step])
        np.testing.assert_array_equal(terminated, known["ended"][step])
        np.testing.assert_array_equal(truncated, known["cut"][step])
    assert known["ended"].any() or known["cut"].any()  # copies were started anew on the way


def test_it_answers_as_the_gymnasium_that_is_installed():
    pytest.importorskip("gymnasium")
    from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv

    theirs, ours = CartPoleVectorEnv(5), CartPole(5)
    np.testing.assert_array_equal(theirs.reset(seed=3)[0], ours.reset(seed=3)[0])
    rng = np.random.default_rng(0)
    for _ in range(100):
        actions = rng.integers(0, 2, 5)
        for one, other in zip(theirs.step(actions)[:4], ours.step(actions)[:4], strict=True):
            np.testing.assert_array_equal(one, other)
    assert isinstance(theirs, VectorEnvironment)


def textbook(state, action, gravity, length):
    """One Euler step, written from Florian 2007 (Correct equations for the dynamics of the cart-pole system), without friction."""
    x, v, a, w = state
    force, mass = (10.0 if action else -10.0), 1.1
    inner = (-force - 0.1 * length * w**2 * math.sin(a)) / mass
    turn = (gravity * math.sin(a) + math.cos(a) * inner) / (length * (4 / 3 - 0.1 * math.cos(a) ** 2 / mass))
    drive = (force + 0.1 * length * (w**2 * math.sin(a) - turn * math.cos(a))) / mass
    return x + 0.02 * v, v + 0.02 * drive, a + 0.02 * w, w + 0.02 * turn


def test_it_follows_the_textbooks_equations_with_a_gravity_and_a_pole_for_each_copy():
    gravities, lengths = np.array([2.0, 9.8, 25.0]), np.array([2.0, 0.5, 0.3])
    environment = CartPole(3, gravity=gravities, length=lengths)
    states = environment.reset(seed=1, options={"low": -0.1, "high": 0.1})[0].astype(float)
    for action in (1, 0, 0, 1):
        observations = environment.step(np.full(3, action))[0]
        states = [textbook(s, action, g, h) for s, g, h in zip(states, gravities, lengths, strict=True)]
        np.testing.assert_allclose(observations, states, atol=1e-6)


def test_copies_start_anew_in_the_step_after_their_end_for_no_reward():
    environment = CartPole(2, max_episode_steps=3)
    environment.reset(seed=0)
    rewards, truncated = [], []
    for _ in range(5):
        observations, reward, _, cut, _ = environment.step(np.array([0, 1]))
        rewards.append(reward.tolist())
        truncated.append(cut.tolist())
    assert rewards == [[1, 1], [1, 1], [1, 1], [0, 0], [1, 1]]
    assert truncated == [[False] * 2, [False] * 2, [True] * 2, [False] * 2, [False] * 2]
    assert np.abs(observations).max() < 0.6


def test_a_reset_without_a_seed_goes_on_and_one_with_it_repeats():
    environment = CartPole(4)
    first, second = environment.reset(seed=5)[0], environment.reset()[0]
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(environment.reset(seed=5)[0], first)
    np.testing.assert_array_equal(environment.reset()[0], second)


def test_its_spaces_say_what_gymnasiums_say():
    environment = CartPole(2)
    assert isinstance(environment, VectorEnvironment)
    assert environment.single_action_space == Discrete(2)
    assert [environment.single_action_space.contains(x) for x in (0, np.int64(1), 2, -1, True, 0.0)] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
    box = environment.single_observation_space
    assert isinstance(box, Box)
    assert box.shape == (4,)
    assert box.dtype == np.float32
    np.testing.assert_allclose(box.high, [4.8, np.inf, 0.41887903, np.inf])
    assert box.contains(environment.reset(seed=0)[0][0])
    assert not box.contains(np.array([9, 0, 0, 0], np.float32))
    assert "2 copies, gravity 9.8, half length 0.5" in repr(environment)
    assert "gravity 1 to 2" in repr(CartPole(2, gravity=[1, 2]))
    environment.close()


@pytest.mark.parametrize(
    "value", [0, -9.8, math.nan, math.inf, "heavy", [1.0, 2.0, 3.0], [9.8, math.nan], [[1.0, 2.0]], None]
)
@pytest.mark.parametrize("name", ["gravity", "length"])
def test_a_gravity_or_a_pole_that_is_none_is_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=f"^{name}: got"):
        CartPole(2, **{name: value})


@pytest.mark.parametrize(
    "settings", [{"num_envs": 0}, {"num_envs": True}, {"num_envs": 2.5}, {"num_envs": 2, "max_episode_steps": 0}]
)
def test_a_number_that_is_none_is_refused(settings):
    with pytest.raises(ConfigError, match="needs at least 1"):
        CartPole(**settings)


@pytest.mark.parametrize(
    ("actions", "complaint"),
    [
        ([0, 2, 1], "got 2 for copy 1 in its step 1, needs 0 or 1"),
        ([0, 1, -1], "got -1 for copy 2"),
        ([0, 1], "needs 3 integers"),
        ([0.0, 1.0, 1.0], "dtype float64"),
        ([True, False, True], "dtype bool"),
    ],
)
def test_actions_out_of_range_are_refused_by_copy_and_step(actions, complaint):
    environment = CartPole(3)
    with pytest.raises(ConfigError, match="step before reset"):
        environment.step([0, 0, 0])
    environment.reset(seed=0)
    with pytest.raises(ConfigError, match=complaint):
        environment.step(actions)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": 0.5}, "seed"),
        ({"options": {"lower": 0.0}}, "lower"),
        ({"options": {"low": 0.1, "high": 0.0}}, "low <= high"),
        ({"options": {"low": math.nan}}, "low <= high"),
    ],
)
def test_a_reset_that_cannot_be_is_refused(settings, complaint):
    with pytest.raises(ConfigError, match=complaint):
        CartPole(2).reset(**settings)


def test_it_is_to_be_had_from_the_top():
    assert sfl.CartPole is CartPole
