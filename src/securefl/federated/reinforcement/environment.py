"""What an environment must offer: the part of gymnasium's `VectorEnv` that training needs, so that its own can be dropped in."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from securefl.federated.datasets import Dataset


@runtime_checkable
class VectorEnvironment(Protocol):
    """Some copies of one environment, stepped together; `gymnasium.vector.VectorEnv` is one.

    Observations are vectors of floats, actions are numbers from 0. However ended copies start again (gymnasium's NEXT_STEP or
    SAME_STEP), only the first episode of each copy after `reset` counts; copies that must not be stepped after their end (DISABLED) are
    refused.

    Attributes:
        num_envs: n, copies; as many episodes make a batch, and so many is a party's weight.
        single_observation_space: with `shape`, (d,).
        single_action_space: with `n`, the number of actions.

    Source: Towers et al. 2024, Gymnasium (arXiv:2407.17032), section 3.
    """

    num_envs: int
    single_observation_space: Any
    single_action_space: Any

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[Any], dict[str, Any]]:
        """Start all copies anew; return observations, (n, d), and whatever else there is to say."""

    def step(
        self, actions: npt.NDArray[Any], /
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], dict[str, Any]]:
        """Do one action in each copy; return observations (n, d), and rewards, terminated, truncated (n,), and what else there is."""


PartyData: TypeAlias = Dataset | VectorEnvironment
"""What a party may learn from: its own labelled examples, or its own environment."""


def weight_of(data: PartyData) -> int:
    """Return a party's weight in the mean: its examples, or the episodes of a batch of its environment."""
    return int(data.num_envs) if isinstance(data, VectorEnvironment) else len(data)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Box:
    """Vectors within bounds: a light stand-in for `gymnasium.spaces.Box`.

    Args:
        low: float32, (d,).
        high: float32, (d,).
    """

    low: npt.NDArray[np.float32]
    high: npt.NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, ...]:
        """(d,)."""
        return self.low.shape

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """float32."""
        return self.low.dtype

    def contains(self, x: object) -> bool:
        """Whether `x` is such a vector."""
        return (
            isinstance(x, np.ndarray)
            and x.shape == self.shape
            and bool(np.all(x >= self.low))
            and bool(np.all(x <= self.high))
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Discrete:
    """The numbers 0..n-1: a light stand-in for `gymnasium.spaces.Discrete`."""

    n: int

    def contains(self, x: object) -> bool:
        """Whether `x` is one of them."""
        return not isinstance(x, bool) and isinstance(x, int | np.integer) and 0 <= int(x) < self.n


def sizes(environment: VectorEnvironment) -> tuple[int, int] | None:
    """Return d and the number of actions; None where it has no vectors to see, or no actions numbered from 0."""
    shape = getattr(environment.single_observation_space, "shape", None)
    actions = getattr(environment.single_action_space, "n", None)
    first = getattr(environment.single_action_space, "start", 0)  # gymnasium's Discrete may count from elsewhere
    if not isinstance(shape, tuple) or len(shape) != 1 or isinstance(actions, bool) or first != 0:
        return None
    return (int(shape[0]), int(actions)) if isinstance(actions, int | np.integer) and actions >= 2 else None


def named(environment: VectorEnvironment) -> str:
    """Return a short name for errors."""
    return type(environment).__name__


def finite_number(value: object) -> bool:
    """Whether this is a finite number, and no truth value."""
    return (
        not isinstance(value, bool)
        and isinstance(value, int | float | np.integer | np.floating)
        and math.isfinite(value)
    )
