"""Local SGD: what FedAvg and its relatives do at a party, and how they bend its gradients."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Protocol, runtime_checkable

import numpy as np

from securefl.errors import ConfigError
from securefl.federated.algorithms.base import Algorithm, LocalTask
from securefl.federated.models import Params


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """What is added to every gradient: mu (w - anchor) + shift.

    Args:
        mu: weight of the proximal term mu/2 |w - anchor|^2.
        anchor: where it pulls to; needed with mu.
        shift: by tensor, added as it is.
    """

    mu: float = 0.0
    anchor: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    shift: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def apply(self, name: str, gradient: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """The corrected gradient of one tensor."""
        if self.mu:
            gradient = gradient + self.mu * (weight - self.anchor[name])
        return gradient + self.shift[name] if name in self.shift else gradient


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """The outcome of local training: the party's parameters, and how many steps it took."""

    params: Params
    steps: int


@runtime_checkable
class TrainsItself(Protocol):
    """A model that brings its own training loop, such as one of torch with its optimizer."""

    def train(
        self,
        task: LocalTask,
        start: Params,
        *,
        epochs: int,
        batch_size: int,
        learning_rate: float,
        correction: Correction,
        frozen: AbstractSet[str],
    ) -> Trained:
        """Train from `start`."""


@dataclasses.dataclass(frozen=True, slots=True)
class LocalSGD(Algorithm):
    """E epochs of minibatch SGD on the party's own examples: what all algorithms here begin with.

    Args:
        epochs: E, passes over the local data.
        batch_size: B; the last batch of an epoch may be smaller.
        learning_rate: eta.

    Raises:
        ConfigError: an argument is out of range.
    """

    epochs: int = 5
    batch_size: int = 32
    learning_rate: float = 0.5

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"{name}: got {value}, needs at least 1", remedy=f"use {name}=1 or more")
        positive("learning_rate", self.learning_rate)

    def trained(
        self,
        task: LocalTask,
        start: Params,
        correction: Correction | None = None,
        frozen: AbstractSet[str] = frozenset(),
    ) -> Trained:
        """Train from `start`; a straggler takes only its share of the steps, at least one.

        Args:
            task: the party's.
            start: parameters to begin with, left as they are.
            correction: of the gradients.
            frozen: tensors that stay as they are.
        """
        bent = correction or Correction()
        if isinstance(task.model, TrainsItself):
            return task.model.train(
                task,
                start,
                epochs=self.epochs,
                batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                correction=bent,
                frozen=frozen,
            )
        local = {name: leaf.copy() for name, leaf in start.items()}
        left = steps = planned_steps(len(task.dataset), self.epochs, self.batch_size, task.work)
        # A diverging model is reported once, by party and tensor, by whoever collects the updates.
        with np.errstate(over="ignore", invalid="ignore"):
            while left:
                order = task.rng.permutation(len(task.dataset))
                for begin in range(0, len(task.dataset), self.batch_size):
                    if not left:
                        break
                    batch = order[begin : begin + self.batch_size]
                    _, gradient = task.model.loss_and_gradient(local, task.dataset.x[batch], task.dataset.y[batch])
                    for name, leaf in gradient.items():
                        if name not in frozen:
                            local[name] -= self.learning_rate * bent.apply(name, leaf, local[name])
                    left -= 1
        return Trained(local, steps)


def planned_steps(examples: int, epochs: int, batch_size: int, work: float) -> int:
    """Steps of all epochs, times the share of the work that gets done, rounded up."""
    # Rounded first: e of E epochs as a float is at times a little more than it is, which would be a step too many.
    return max(1, math.ceil(round(epochs * -(-examples // batch_size) * work, 9)))


def difference(trained: Params, start: Params, names: Any = None) -> Params:
    """Trained minus start in float32, by tensor."""
    with np.errstate(over="ignore", invalid="ignore"):
        return {name: (trained[name] - start[name]).astype(np.float32) for name in (start if names is None else names)}


def received_metrics(task: LocalTask, params: Params) -> dict[str, float]:
    """Loss and accuracy of the model as received, on the party's own examples."""
    with np.errstate(over="ignore", invalid="ignore"):
        return task.model.evaluate(params, task.dataset)


def positive(name: str, value: object) -> None:
    """Check a number above 0.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
        raise ConfigError(f"{name}: got {value}, needs a finite number > 0", remedy=f"use {name}=0.1")
