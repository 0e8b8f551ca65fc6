"""Federated transfer learning: a base that everybody has already is left as it is, and only a head is learnt together."""

from __future__ import annotations

import dataclasses

from securefl.errors import ConfigError
from securefl.federated.algorithms.base import LocalTask, LocalUpdate, matching
from securefl.federated.algorithms.local_sgd import LocalSGD, difference, received_metrics
from securefl.federated.models import Params


@dataclasses.dataclass(frozen=True, slots=True)
class Transfer(LocalSGD):
    """Local SGD on the tensors that `head` matches; the rest is frozen, and never travels.

    Args:
        head: names or patterns (`head*`) of what is trained.

    Raises:
        ConfigError: an argument is out of range; when a federation is made, a pattern that matches nothing or everything.

    Source: Yang et al. 2019, Federated machine learning (arXiv:1902.04885), section 2.3.3, with a base trained elsewhere.
    """

    head: tuple[str, ...] = ()

    def sends(self, params: Params) -> Params:
        """The head."""
        trained = matching(params, self.head, "head")
        if len(trained) == len(params):
            raise ConfigError("head: matches the whole model, so nothing is frozen", remedy="use FedAvg")
        return {name: leaf for name, leaf in params.items() if name in trained}

    def saved(self, params: Params) -> float:
        """How many times fewer values travel than of the whole model."""
        return sum(leaf.size for leaf in params.values()) / sum(leaf.size for leaf in self.sends(params).values())

    def local_update(self, task: LocalTask) -> LocalUpdate:
        """Train the head."""
        head = self.sends(task.params)
        metrics = received_metrics(task, task.params)
        local = self.trained(task, task.params, frozen=task.params.keys() - head.keys())
        return LocalUpdate(difference(local.params, task.params, head), len(task.dataset), metrics)
