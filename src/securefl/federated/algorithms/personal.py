"""Parties that keep part of the model to themselves: FedPer its last layers, FedBN its normalisation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from securefl.errors import ConfigError
from securefl.federated.algorithms.base import LocalTask, LocalUpdate, matching
from securefl.federated.algorithms.local_sgd import LocalSGD, difference, received_metrics
from securefl.federated.models import Params


@dataclasses.dataclass(frozen=True, slots=True)
class FedPer(LocalSGD):
    """Local SGD on the whole model; the tensors that `keep` matches stay with each party, and are its own.

    Args:
        keep: names or patterns (`head*`) of what never travels.

    Raises:
        ConfigError: an argument is out of range; when a federation is made, a pattern that matches nothing or everything.

    Source: Arivazhagan et al. 2019, Federated learning with personalization layers (arXiv:1912.00818).
    """

    keep: tuple[str, ...] = ()

    def sends(self, params: Params) -> Params:
        """What is shared."""
        kept = matching(params, self.keep, "keep")
        if len(kept) == len(params):
            raise ConfigError("keep: matches the whole model, so nothing is learnt together", remedy="keep fewer")
        return {name: leaf for name, leaf in params.items() if name not in kept}

    def personal(self, params: Params, memory: Mapping[str, np.ndarray]) -> Params:
        """The shared tensors, and the party's own."""
        return {name: memory.get(name, leaf) for name, leaf in params.items()}

    def local_update(self, task: LocalTask) -> LocalUpdate:
        """Train the party's own model; only what is shared travels."""
        start = self.personal(task.params, task.memory)
        metrics = received_metrics(task, start)
        local = self.trained(task, start)
        shared = self.sends(task.params)
        memory = {name: leaf for name, leaf in local.params.items() if name not in shared}
        return LocalUpdate(difference(local.params, start, shared), len(task.dataset), metrics, memory)


@dataclasses.dataclass(frozen=True, slots=True)
class FedBN(FedPer):
    """As FedPer, keeping batch normalisation: its weights, biases and running statistics stay with each party.

    Source: Li et al. 2021, FedBN (arXiv:2102.07623).
    """

    keep: tuple[str, ...] = ("*bn*",)
