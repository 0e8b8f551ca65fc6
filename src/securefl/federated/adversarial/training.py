"""Any algorithm, on inputs that are moved to where the model errs."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy.typing as npt

from securefl.errors import ConfigError
from securefl.federated.adversarial.gradients import Attack, TrainsOnAttacks, gradient_of, offering
from securefl.federated.adversarial.perturbation import LInfinity
from securefl.federated.adversarial.pgd import ascend
from securefl.federated.algorithms.base import Algorithm, LocalTask, LocalUpdate
from securefl.federated.algorithms.local_sgd import TrainsItself
from securefl.federated.algorithms.wrapping import Wrapping
from securefl.federated.datasets import Dataset
from securefl.federated.models import Model, Params


@dataclasses.dataclass(frozen=True, slots=True)
class AdversarialTraining(Wrapping):
    """Each batch of local training is attacked by PGD first, and the algorithm within trains on what comes of it.

    Nothing else changes: what travels, how it is weighed and what the server does are the inner algorithm's, under masks,
    Paillier encryption and differential privacy alike. Metrics of the model as received are on clean examples.

    Args:
        inner: how a party trains.
        perturbation: how far inputs are moved.

    Raises:
        ConfigError: an argument is of another kind; when a federation is made, data outside the perturbation's range, or a model
            without gradients by its inputs.

    Source: Madry et al. 2018 (arXiv:1706.06083), section 2; federated as in Zizzo et al. 2020, FAT (arXiv:2012.01791).
    """

    perturbation: LInfinity

    def __post_init__(self) -> None:
        if not isinstance(self.inner, Algorithm):
            raise ConfigError(
                f"inner: got a {type(self.inner).__name__}, needs an algorithm",
                remedy="use AdversarialTraining(FedAvg(), ...)",
            )
        if isinstance(self.inner, AdversarialTraining):
            raise ConfigError(
                "inner: got an AdversarialTraining, and inputs are moved once", remedy="leave out one of the two"
            )
        if not isinstance(self.perturbation, LInfinity):
            raise ConfigError(
                f"perturbation: got a {type(self.perturbation).__name__}, needs an LInfinity",
                remedy="use LInfinity(epsilon=0.1)",
            )

    def learns_from_environments(self) -> bool:
        """Never: an environment has no inputs to move.

        Raises:
            ConfigError: the inner algorithm does.
        """
        if self.inner.learns_from_environments():
            raise ConfigError(
                f"AdversarialTraining around {type(self.inner).__name__}: it acts in environments, and has no examples to move",
                remedy="use it around FedAvg, FedProx or another that learns from examples",
            )
        return False

    def check_data(self, model: Model, dataset: Dataset, whose: str) -> None:
        """Check the model, and that the examples are in the perturbation's range."""
        offering(model)
        if isinstance(model, TrainsItself) and not _attackable(model):
            raise ConfigError(
                f"model: {type(model).__name__} brings its own training loop, and no attacked(attack) of its own to put an attack into it",
                remedy="give it that method beside train(), or leave out train()",
            )
        self.perturbation.check(dataset, whose)
        self.inner.check_data(model, dataset, whose)

    def local_update(self, task: LocalTask) -> LocalUpdate:
        """Train as the inner algorithm does, on attacked batches."""
        self.check_data(task.model, task.dataset, f"party {task.party!r}" if task.party else "this party")
        # A stream of its own: batches come in the order that they have without an attack.
        rng = task.rng.spawn(1)[0]

        def attack(gradient: Any, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> npt.NDArray[Any]:
            return ascend(gradient, x, y, self.perturbation, rng)

        model = (
            task.model.attacked(attack) if isinstance(task.model, TrainsOnAttacks) else _Attacked(task.model, attack)
        )
        return self.inner.local_update(dataclasses.replace(task, model=model))


def _attackable(model: TrainsItself) -> bool:
    """Whether its loop is one that an attack can be put into: an inherited attacked() knows nothing of a train() in a subclass."""
    if not isinstance(model, TrainsOnAttacks):
        return False
    for kind in type(model).__mro__:
        if "attacked" in vars(kind):
            return True
        if "train" in vars(kind):
            return False
    return True  # both are the object's own


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Attacked:
    """A model whose training loss is that of attacked batches; predictions and metrics are on inputs as they are.

    Args:
        inner: the model.
        attack: on a batch.
    """

    inner: Model
    attack: Attack

    def initial(self, seed: int) -> Params:
        """As the model within."""
        return self.inner.initial(seed)

    def loss_and_gradient(self, params: Params, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> tuple[float, Params]:
        """Loss and gradient where the attack ends, taken as a constant (Danskin's theorem; section 2.1 of the source)."""
        return self.inner.loss_and_gradient(params, self.attack(gradient_of(self.inner, params), x, y), y)

    def predict(self, params: Params, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """As the model within."""
        return self.inner.predict(params, x)

    def evaluate(self, params: Params, dataset: Dataset) -> dict[str, float]:
        """As the model within."""
        return self.inner.evaluate(params, dataset)
