"""Environments that reuse their arrays, or start ended copies at once: the same episodes as any other."""

from __future__ import annotations

import numpy as np
import pytest

from securefl.federated.reinforcement import CartPole, PerceptronPolicy, play

POLICY = PerceptronPolicy(hidden=(8,))


class Reusing(CartPole):
    """Writes each answer into the same arrays, and into the actions, as gymnasium does with copy=False."""

    def reset(self, **more):
        self.seen, info = super().reset(**more)
        self.gained = np.ones(self.num_envs)
        return self.seen, info

    def step(self, actions):
        self.seen[:], self.gained[:], *rest = super().step(actions)
        actions[:] = -7
        return self.seen, self.gained, *rest


class SameStep(CartPole):
    """Starts an ended copy anew in the step that ends it: what it returns then is of the next episode."""

    metadata = {"autoreset_mode": "SameStep"}  # noqa: RUF012

    def step(self, actions):
        seen, rewards, terminated, truncated, info = super().step(actions)
        ended = terminated | truncated
        self._state[:, ended] = 0.01
        self._steps[ended], self._ended[:] = 0, False
        return self._observed(self._state), rewards, terminated, truncated, {"final_obs": seen, **info}


@pytest.mark.parametrize("kind", [Reusing, SameStep])
def test_environments_that_write_into_their_answers_or_start_anew_at_once_play_the_same_episodes(kind):
    one, other = (
        play(POLICY, POLICY.initial(0), made(6, max_episode_steps=40), seed=3, rng=np.random.default_rng(0))
        for made in (CartPole, kind)
    )
    np.testing.assert_array_equal(one.alive, other.alive)
    np.testing.assert_array_equal(one.rewards, other.rewards)
    alive = one.alive
    assert not alive.all()
    np.testing.assert_array_equal(one.observations[alive], other.observations[alive])
    np.testing.assert_array_equal(one.actions[alive], other.actions[alive])
