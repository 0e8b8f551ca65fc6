"""A base for transfer learning: the model is trained on public examples first, at the server, where nothing need be hidden."""

from __future__ import annotations

import dataclasses
from collections.abc import Set as AbstractSet
from typing import Any

import numpy.typing as npt

from securefl.federated import Dataset, FedAvg, Federation, Model, Params
from securefl.federated.algorithms.base import LocalTask
from securefl.federated.algorithms.local_sgd import Correction, Trained, TrainsItself
from securefl.report.config import TrainingConfig


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Pretrained:
    """A model that starts from parameters that were trained before.

    Args:
        inner: the model.
        params: where it starts.
        classes: how many it knows.
    """

    inner: Model
    params: Params
    classes: int

    def initial(self, seed: int) -> Params:  # noqa: ARG002 - what was trained before is the same for every seed
        """Return the parameters that were trained before."""
        return {name: leaf.copy() for name, leaf in self.params.items()}

    def loss_and_gradient(self, params: Params, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> tuple[float, Params]:
        """As the model within."""
        return self.inner.loss_and_gradient(params, x, y)

    def predict(self, params: Params, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """As the model within."""
        return self.inner.predict(params, x)

    def evaluate(self, params: Params, dataset: Dataset) -> dict[str, float]:
        """As the model within."""
        return self.inner.evaluate(params, dataset)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _PretrainedItself(Pretrained):
    """The same around a model that brings its own training loop.

    Args:
        loop: the model, as what trains itself.
    """

    loop: TrainsItself

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
        """As the model within."""
        return self.loop.train(
            task,
            start,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            correction=correction,
            frozen=frozen,
        )


def pretrained(model: Model, public: Dataset, classes: int, wanted: TrainingConfig, seed: int) -> Pretrained:
    """Train on the public examples alone, `pretrain_rounds` times the epochs of a round.

    Args:
        model: what is trained.
        public: nobody's secret.
        classes: of the whole data.
        wanted: rounds, epochs, batch size and rate.
        seed: of the batches.

    Raises:
        NonFiniteError: training diverged.
    """
    alone = Federation(
        model,
        {"public": public},
        plan=None,
        algorithm=FedAvg(wanted.epochs, wanted.batch_size, wanted.learning_rate),
        seed=seed,
    )
    alone.fit(wanted.pretrain_rounds)
    if isinstance(model, TrainsItself):
        return _PretrainedItself(model, alone.params, classes, model)
    return Pretrained(model, alone.params, classes)
