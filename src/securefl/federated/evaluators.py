"""What is measured of the shared model on the test set beside loss and accuracy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from securefl.errors import ConfigError
from securefl.federated.datasets import Dataset
from securefl.federated.models import Model, Params


class Evaluator(Protocol):
    """A figure, or several, of a model; such as `RobustAccuracy`."""

    def check(self, model: Model, dataset: Dataset, whose: str) -> None:
        """Raise where it cannot be measured, before the first round.

        Raises:
            ConfigError: it cannot; names `whose`.
        """

    def __call__(self, model: Model, params: Params, dataset: Dataset) -> Mapping[str, float]:
        """The figures, by the names that they have among the test metrics."""


def measured(evaluators: Iterable[Evaluator], model: Model, params: Params, dataset: Dataset) -> dict[str, float]:
    """The model's own metrics, and what the evaluators say.

    Raises:
        ConfigError: a figure under a name that is taken.
    """
    found = model.evaluate(params, dataset)
    for evaluator in evaluators:
        for name, value in evaluator(model, params, dataset).items():
            if name in found:
                raise ConfigError(
                    f"evaluators: {type(evaluator).__name__} says {name!r}, which is measured already",
                    remedy="give one of each",
                )
            found[name] = value
    return found
