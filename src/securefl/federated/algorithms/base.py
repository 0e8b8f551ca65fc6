"""The face that every local algorithm shows to the federation."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import numpy as np

from securefl.federated.datasets import Dataset
from securefl.federated.models import Model, Params


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class LocalUpdate:
    """What one party has to offer in one round; under secure aggregation nobody else sees any of it.

    Args:
        delta: trained minus received parameters: same names and shapes, float32.
        examples: the party's number of examples, its weight in the mean.
        metrics: "loss" and "accuracy" of the model **as received**, on the party's own examples, so that their weighted
            mean is the training loss and accuracy of the shared model.
    """

    delta: Params
    examples: int
    metrics: dict[str, float]


class Algorithm(Protocol):
    """A way to train locally."""

    def local_update(self, model: Model, params: Params, dataset: Dataset, rng: np.random.Generator) -> LocalUpdate:
        """Train from `params` on one party's data, leaving `params` as they are."""
