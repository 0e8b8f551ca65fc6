"""REINFORCE with a baseline, as what a party does in a round."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from securefl.errors import ConfigError
from securefl.federated.algorithms.base import Algorithm, LocalTask, LocalUpdate
from securefl.federated.algorithms.local_sgd import difference, positive
from securefl.federated.reinforcement.environment import VectorEnvironment, finite_number, weight_of
from securefl.federated.reinforcement.policy import Policy
from securefl.federated.reinforcement.rollout import Episodes, play


@dataclasses.dataclass(frozen=True, slots=True)
class Reinforce(Algorithm):
    """E times: one episode in each copy of the party's environment, then a step along the policy gradient; the difference travels.

    Every step's weight is its return to go, less the mean of the batch's at the same time step (the baseline), over the deviation of
    all. The metric is "return": the mean of the first batch, which is played with the policy as received.

    Args:
        epochs: E, batches of episodes, and steps, in a round.
        learning_rate: eta.
        discount: gamma, in (0, 1].
        decay: what the learning rate is multiplied with from round to round, in (0, 1]: in round t it is eta * decay^(t-1), a function
            of the round's number alone, so that a training that was resumed goes on with the right one.

    Raises:
        ConfigError: an argument is out of range.

    Source: Williams 1992, Simple statistical gradient-following algorithms for connectionist reinforcement learning (Machine Learning
        8), section 6; Sutton and Barto 2018, section 13.4.
    """

    epochs: int = 2
    learning_rate: float = 0.1
    discount: float = 0.99
    decay: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.epochs, bool) or not isinstance(self.epochs, int) or self.epochs < 1:
            raise ConfigError(f"epochs: got {self.epochs}, needs at least 1", remedy="use epochs=2")
        positive("learning_rate", self.learning_rate)
        for name, value, usual in (("discount", self.discount, 0.99), ("decay", self.decay, 1.0)):
            if not finite_number(value) or not 0 < value <= 1:
                raise ConfigError(f"{name}: got {value}, needs a number in (0, 1]", remedy=f"use {name}={usual}")

    def learns_from_environments(self) -> bool:
        """It does."""
        return True

    def local_update(self, task: LocalTask) -> LocalUpdate:
        """Play and step; a straggler plays only its share of the batches, at least one.

        Raises:
            NonFiniteError: the environment gave a NaN or an infinity; names party, round and step.
            ConfigError: the party has no environment, one that answers in another shape, or a return beyond the policy's range.
        """
        policy, environment = _parts(task)
        local = {name: leaf.copy() for name, leaf in task.params.items()}
        received, rate = 0.0, self.learning_rate * self.decay ** (task.round - 1)
        for number in range(max(1, math.ceil(round(self.epochs * task.work, 9)))):
            episodes = play(
                policy,
                local,
                environment,
                seed=int(task.rng.integers(2**31)),
                rng=task.rng,
                where=f"party {task.party!r}, round {task.round}",
            )
            if not number:
                received = _in_range(float(episodes.returns.mean()), policy.returns, task)
            weights = advantages(episodes, self.discount)
            done = episodes.alive
            _, gradient = policy.loss_and_gradient(
                local, episodes.observations[done], episodes.actions[done], weights[done]
            )
            for name, leaf in gradient.items():
                local[name] -= rate * leaf
        return LocalUpdate(difference(local, task.params), weight_of(environment), {"return": received})


def advantages(episodes: Episodes, discount: float) -> npt.NDArray[np.float64]:
    """Return what each step brought more than the batch's mean at that time, over the deviation of all, (T, n); 0 after an end."""
    alive = episodes.alive
    to_go = episodes.returns_to_go(discount)
    baseline = np.sum(to_go, axis=1, where=alive) / alive.sum(axis=1)
    found: npt.NDArray[np.float64] = np.where(alive, to_go - baseline[:, None], 0.0)
    deviation = found[alive].std()
    # All episodes alike: nothing to learn from, and nothing to divide by.
    return found / deviation if deviation > 1e-12 else np.zeros_like(found)


def _in_range(value: float, returns: tuple[float, float], task: LocalTask) -> float:
    # A sum over parties saturates beyond the declared range, and would be wrong without a word.
    rounding = 1e-6 * (returns[1] - returns[0])
    if returns[0] - rounding <= value <= returns[1] + rounding:
        return value
    raise ConfigError(
        f"party {task.party!r}, round {task.round}: got a mean return of {value:g}, the policy declares {returns[0]:g} to {returns[1]:g}",
        remedy="declare the least and the largest return there can be, as in PerceptronPolicy(returns=(-500.0, 0.0))",
    )


def _parts(task: LocalTask) -> tuple[Policy, VectorEnvironment]:
    """The task's policy and environment."""
    policy: object = task.model
    environment: object = task.dataset
    if not isinstance(policy, Policy) or not isinstance(environment, VectorEnvironment):
        raise ConfigError(
            f"Reinforce: got a {type(policy).__name__} and a {type(environment).__name__}, needs a policy and an environment",
            remedy="use PerceptronPolicy and CartPole",
        )
    return policy, environment
