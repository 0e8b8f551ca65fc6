"""Accuracy under attack, on examples that nobody trained on."""

from __future__ import annotations

import dataclasses

import numpy as np

from securefl.errors import ConfigError
from securefl.federated.adversarial.gradients import gradient_of, offering
from securefl.federated.adversarial.perturbation import LInfinity
from securefl.federated.adversarial.pgd import runs
from securefl.federated.datasets import Dataset
from securefl.federated.models import Model, Params
from securefl.federated.seeds import Use, checked, generator

_AT_ONCE = 1024
"""Examples that are attacked at once."""


@dataclasses.dataclass(frozen=True, slots=True)
class RobustAccuracy:
    """The share of examples that are right as they are and after every run of PGD: `robust_accuracy`, an evaluator of `Federation`.

    **It is what this attack finds, and no bound on what a stronger one would.** It is never more than the clean accuracy.

    Args:
        perturbation: how far inputs are moved, in how many steps; take more steps than in training.
        restarts: runs from as many starts; an example counts when it withstands all of them.
        seed: of the starts; the same in every round, so that rounds can be compared.

    Raises:
        ConfigError: an argument is out of range.

    Source: Madry et al. 2018 (arXiv:1706.06083), section 5; Carlini et al. 2019 (arXiv:1902.06705) on what such figures are worth.
    """

    perturbation: LInfinity
    restarts: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.perturbation, LInfinity):
            raise ConfigError(
                f"perturbation: got a {type(self.perturbation).__name__}, needs an LInfinity",
                remedy="use LInfinity(epsilon=0.1)",
            )
        if isinstance(self.restarts, bool) or not isinstance(self.restarts, int) or self.restarts < 1:
            raise ConfigError(f"restarts: got {self.restarts!r}, needs at least 1", remedy="use restarts=2")
        checked(self.seed)

    def check(self, model: Model, dataset: Dataset, whose: str) -> None:
        """Check the model, and that the examples are in the perturbation's range.

        Raises:
            ConfigError: the model offers no gradient by its inputs, or an example is out of range; names `whose`.
        """
        offering(model)
        self.perturbation.check(dataset, whose)

    def __call__(self, model: Model, params: Params, dataset: Dataset) -> dict[str, float]:
        """The share, as "robust_accuracy", in [0, 1].

        Args:
            model: that is attacked.
            params: its parameters.
            dataset: the examples, at least one.

        Raises:
            ConfigError: as `check`, or there is no example.
        """
        if not len(dataset):
            raise ConfigError("robust accuracy: got an empty data set, needs at least 1 example")
        self.check(model, dataset, "the examples")
        slope, rng = gradient_of(model, params), generator(self.seed, Use.ATTACK)
        right = 0
        for start in range(0, len(dataset), _AT_ONCE):
            x, y = dataset.x[start : start + _AT_ONCE], dataset.y[start : start + _AT_ONCE]
            standing = model.predict(params, x) == y
            for moved in runs(slope, x, y, self.perturbation, restarts=self.restarts, rng=rng):
                standing &= model.predict(params, moved) == y
            right += int(np.count_nonzero(standing))
        return {"robust_accuracy": right / len(dataset)}
