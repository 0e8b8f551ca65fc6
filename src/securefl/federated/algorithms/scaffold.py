"""SCAFFOLD: control variates take the parties' drift out of their gradients. They are as secret as updates, and travel with them."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Final

import numpy as np

from securefl.federated.algorithms.base import LocalTask, LocalUpdate
from securefl.federated.algorithms.local_sgd import Correction, LocalSGD, difference, received_metrics
from securefl.federated.models import Params

_CONTROL: Final = "control."


@dataclasses.dataclass(frozen=True, slots=True)
class Scaffold(LocalSGD):
    """Local SGD with c - c_i added to each gradient, and option II of the paper for the new c_i.

    All parties weigh the same, as in the paper. The change of c_i travels in the same sum as the update, times the learning rate:
    it is then the mean change of a step, and fits the encoding's bound as updates do.

    Source: Karimireddy et al. 2020, SCAFFOLD (arXiv:1910.06378), algorithm 1.
    """

    weighted: ClassVar[bool] = False

    def sends(self, params: Params) -> Params:
        """The parameters, and a control variate for each."""
        return {**params, **{_CONTROL + name: leaf.astype(np.float32) for name, leaf in params.items()}}

    def learns(self, params: Params) -> Params:
        """The whole model."""
        return params

    def initial_broadcast(self, params: Params) -> Params:
        """C = 0."""
        return {name: np.zeros(leaf.shape, np.float64) for name, leaf in params.items()}

    def local_update(self, task: LocalTask) -> LocalUpdate:
        """Train with corrected gradients, and renew this party's control variate."""
        metrics = received_metrics(task, task.params)
        shared = task.broadcast
        own = {name: task.memory.get(name, np.zeros(leaf.shape)) for name, leaf in task.params.items()}
        shift = {name: (shared[name] - own[name]).astype(leaf.dtype) for name, leaf in task.params.items()}
        local = self.trained(task, task.params, Correction(shift=shift))
        delta = difference(local.params, task.params)
        step = local.steps * self.learning_rate
        renewed = {name: own[name] - shared[name] - delta[name] / step for name in delta}
        change = {
            _CONTROL + name: (self.learning_rate * (renewed[name] - own[name])).astype(np.float32) for name in delta
        }
        return LocalUpdate({**delta, **change}, len(task.dataset), metrics, renewed)

    def received(
        self, mean: Params, params: Params, broadcast: Params, *, round_number: int, participation: float
    ) -> tuple[Params, Params]:
        """The mean update, and c + |S|/N times the mean change of the c_i."""
        del round_number
        update = {name: mean[name] for name in params}
        control = {
            name: broadcast[name] + participation * mean[_CONTROL + name].astype(np.float64) / self.learning_rate
            for name in params
        }
        return update, control
