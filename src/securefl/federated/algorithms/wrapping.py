"""An algorithm around another: whatever it does not do itself is the inner one's, so that nothing is forgotten on the way."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from securefl.federated.algorithms.base import Algorithm, LocalTask, LocalUpdate
from securefl.federated.datasets import Dataset
from securefl.federated.models import Model, Params


@dataclasses.dataclass(frozen=True, slots=True)
class Wrapping(Algorithm):
    """The inner algorithm, unchanged; what derives from it changes one thing.

    Args:
        inner: what trains.
    """

    inner: Algorithm

    @property
    def weighted(self) -> bool:  # type: ignore[override]
        """As the inner algorithm."""
        return self.inner.weighted

    @property
    def epochs(self) -> int:
        """As the inner algorithm: what stragglers do a part of."""
        return getattr(self.inner, "epochs", 1)

    def learns_from_environments(self) -> bool:
        """As the inner algorithm."""
        return self.inner.learns_from_environments()

    def check_data(self, model: Model, dataset: Dataset, whose: str) -> None:
        """As the inner algorithm."""
        self.inner.check_data(model, dataset, whose)

    def local_update(self, task: LocalTask) -> LocalUpdate:
        """As the inner algorithm."""
        return self.inner.local_update(task)

    def sends(self, params: Params) -> Params:
        """As the inner algorithm."""
        return self.inner.sends(params)

    def learns(self, params: Params) -> Params:
        """As the inner algorithm."""
        return self.inner.learns(params)

    def initial_broadcast(self, params: Params) -> Params:
        """As the inner algorithm."""
        return self.inner.initial_broadcast(params)

    def received(
        self, mean: Params, params: Params, broadcast: Params, *, round_number: int, participation: float
    ) -> tuple[Params, Params]:
        """As the inner algorithm."""
        return self.inner.received(mean, params, broadcast, round_number=round_number, participation=participation)

    def personal(self, params: Params, memory: Mapping[str, np.ndarray]) -> Params:
        """As the inner algorithm."""
        return self.inner.personal(params, memory)

    def refuse_if_hidden(self) -> None:
        """As the inner algorithm."""
        self.inner.refuse_if_hidden()
