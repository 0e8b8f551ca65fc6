"""FedProx: local SGD on a leash, so that parties who differ, or who stop early, do not drift apart."""

from __future__ import annotations

import dataclasses
import math

from securefl.errors import ConfigError
from securefl.federated.algorithms.base import LocalTask, LocalUpdate
from securefl.federated.algorithms.local_sgd import Correction, LocalSGD, difference, received_metrics


@dataclasses.dataclass(frozen=True, slots=True)
class FedProx(LocalSGD):
    """As FedAvg, with mu/2 |w - w_t|^2 added to each party's loss.

    Args:
        mu: weight of the proximal term; 0 is FedAvg.

    Raises:
        ConfigError: an argument is out of range.

    Source: Li et al. 2020, Federated optimization in heterogeneous networks (arXiv:1812.06127), algorithm 2.
    """

    mu: float = 0.1

    def __post_init__(self) -> None:
        LocalSGD.__post_init__(self)
        if (
            isinstance(self.mu, bool)
            or not isinstance(self.mu, int | float)
            or not (math.isfinite(self.mu) and self.mu >= 0)
        ):
            raise ConfigError(f"mu: got {self.mu}, needs a finite number >= 0", remedy="use mu=0.1")

    def local_update(self, task: LocalTask) -> LocalUpdate:
        """Train from the shared parameters, pulled back to them."""
        metrics = received_metrics(task, task.params)
        local = self.trained(task, task.params, Correction(mu=self.mu, anchor=task.params))
        return LocalUpdate(difference(local.params, task.params), len(task.dataset), metrics)
