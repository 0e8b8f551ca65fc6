"""Federated averaging: some epochs of local SGD."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from securefl.errors import ConfigError
from securefl.federated.algorithms.base import LocalUpdate
from securefl.federated.datasets import Dataset
from securefl.federated.models import Model, Params


@dataclasses.dataclass(frozen=True, slots=True)
class FedAvg:
    """E epochs of minibatch SGD on the party's own examples.

    Args:
        epochs: E, passes over the local data.
        batch_size: B; the last batch of an epoch may be smaller.
        learning_rate: eta.

    Raises:
        ConfigError: an argument is out of range.

    Source: McMahan et al. 2017 (arXiv:1602.05629), algorithm 1, ClientUpdate.
    """

    epochs: int = 5
    batch_size: int = 32
    learning_rate: float = 0.5

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if (value := getattr(self, name)) < 1:
                raise ConfigError(f"{name}: got {value}, needs at least 1", remedy=f"use {name}=1 or more")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ConfigError(
                f"learning_rate: got {self.learning_rate}, needs a finite number > 0", remedy="use learning_rate=0.1"
            )

    def local_update(self, model: Model, params: Params, dataset: Dataset, rng: np.random.Generator) -> LocalUpdate:
        """Train from `params` on one party's data; `rng` orders the batches.

        Returns:
            The change of the parameters, and the metrics of `params` as received.
        """
        local = {name: leaf.copy() for name, leaf in params.items()}
        # A diverging model is reported once, by party and tensor, by whoever collects the updates.
        with np.errstate(over="ignore", invalid="ignore"):
            metrics = model.evaluate(params, dataset)
            for _ in range(self.epochs):
                order = rng.permutation(len(dataset))
                for start in range(0, len(dataset), self.batch_size):
                    batch = order[start : start + self.batch_size]
                    _, gradient = model.loss_and_gradient(local, dataset.x[batch], dataset.y[batch])
                    for name, leaf in gradient.items():
                        local[name] -= self.learning_rate * leaf
            delta = {name: (local[name] - start).astype(np.float32) for name, start in params.items()}
        return LocalUpdate(delta=delta, examples=len(dataset), metrics=metrics)
