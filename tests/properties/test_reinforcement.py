"""Laws of policies and of what REINFORCE makes of episodes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from securefl.federated.reinforcement import CartPole, Episodes, PerceptronPolicy, advantages, play


@st.composite
def cases(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    widths = tuple(draw(st.lists(st.integers(1, 6), max_size=2)))
    policy = PerceptronPolicy(draw(st.integers(1, 5)), draw(st.integers(2, 4)), widths)
    params = {name: rng.normal(size=leaf.shape) for name, leaf in policy.initial(0).items()}
    n = draw(st.integers(1, 9))
    return (
        policy,
        params,
        rng.normal(size=(n, policy.observations)),
        rng.integers(0, policy.actions, n),
        rng.normal(size=n),
        rng,
    )


@given(cases())
def test_the_gradient_is_that_of_finite_differences(case):
    policy, params, observations, actions, weights, rng = case
    loss, gradient = policy.loss_and_gradient(params, observations, actions, weights)
    chances = policy.acting(params)(observations)
    assert np.isclose(loss, -np.mean(weights * np.log(chances[np.arange(len(actions)), actions])))
    for name, leaf in params.items():
        direction, step = rng.normal(size=leaf.shape), 1e-6
        ends = []
        for sign in (1, -1):
            moved = {**params, name: leaf + sign * step * direction}
            ends.append(policy.loss_and_gradient(moved, observations, actions, weights)[0])
        assert np.isclose((ends[0] - ends[1]) / (2 * step), np.vdot(gradient[name], direction), rtol=1e-4, atol=1e-7)


@given(cases())
def test_the_chances_of_all_actions_add_up_to_one(case):
    policy, params, observations, *_ = case
    chances = policy.acting({name: 1e3 * leaf for name, leaf in params.items()})(observations)
    assert chances.shape == (len(observations), policy.actions)
    assert (chances >= 0).all()
    np.testing.assert_allclose(chances.sum(axis=1), 1.0)


@given(cases())
def test_the_gradient_of_equal_weights_over_all_actions_by_their_chances_is_zero(case):
    policy, params, observations, *_ = case
    chances = policy.acting(params)(observations[:1])[0]
    seen = np.repeat(observations[:1], policy.actions, axis=0)
    _, gradient = policy.loss_and_gradient(params, seen, np.arange(policy.actions), chances)
    for leaf in gradient.values():
        np.testing.assert_allclose(leaf, 0.0, atol=1e-9)


@given(st.integers(1, 6), st.integers(1, 12), st.integers(0, 2**32 - 1), st.floats(0.1, 1.0))
def test_advantages_do_not_change_when_every_reward_is_scaled(n, steps, seed, discount):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, steps + 1, n)
    lengths[0] = steps
    alive = np.arange(steps)[:, None] < lengths
    rewards = np.where(alive, rng.normal(size=(steps, n)), 0.0)

    def of(scale):
        none = np.zeros((steps, n, 1), np.float32)
        return advantages(Episodes(none, np.zeros((steps, n), np.int64), scale * rewards, alive), discount)

    np.testing.assert_allclose(of(1.0), of(8.0), atol=1e-9)


@given(st.integers(1, 5), st.integers(0, 2**31 - 1))
def test_the_same_seeds_play_the_same_episodes(copies, seed):
    policy = PerceptronPolicy(hidden=(3,))
    one, other = (
        play(
            policy,
            policy.initial(1),
            CartPole(copies, max_episode_steps=15),
            seed=seed,
            rng=np.random.default_rng(seed),
        )
        for _ in range(2)
    )
    np.testing.assert_array_equal(one.observations, other.observations)
    np.testing.assert_array_equal(one.actions, other.actions)
