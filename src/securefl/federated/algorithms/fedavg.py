"""Federated averaging: some epochs of local SGD."""

from __future__ import annotations

import dataclasses

from securefl.federated.algorithms.base import LocalTask, LocalUpdate
from securefl.federated.algorithms.local_sgd import LocalSGD, difference, received_metrics


@dataclasses.dataclass(frozen=True, slots=True)
class FedAvg(LocalSGD):
    """E epochs of minibatch SGD on the party's own examples; the difference travels.

    Source: McMahan et al. 2017 (arXiv:1602.05629), algorithm 1, ClientUpdate.
    """

    def local_update(self, task: LocalTask) -> LocalUpdate:
        """Train from the shared parameters."""
        metrics = received_metrics(task, task.params)
        local = self.trained(task, task.params)
        return LocalUpdate(difference(local.params, task.params), len(task.dataset), metrics)
