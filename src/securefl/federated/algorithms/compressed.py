"""Smaller updates: a random subspace that all parties share, which adds up; and the largest values of each, which do not."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from securefl.errors import ConfigError
from securefl.federated.algorithms.base import LocalTask, LocalUpdate
from securefl.federated.algorithms.wrapping import Wrapping
from securefl.federated.models import Params

if TYPE_CHECKING:
    from securefl.dp.rotation import Rotation

_NAME = "subspace"


@dataclasses.dataclass(frozen=True, slots=True)
class RandomSubspace(Wrapping):
    """Send k coordinates of each update, rotated at random: the same for all parties of a round, so that they add up.

    A rotation (random signs, then a Walsh-Hadamard transform) spreads an update evenly; k of its d coordinates, scaled by d/k, give
    it back without bias, and with d/k - 1 times its squared length as variance. The seed is public: it hides nothing.

    Args:
        inner: what trains.
        size: k, coordinates that travel.
        seed: of all rounds' subspaces.

    Raises:
        ConfigError: an argument is out of range; when a federation is made, control variates within.

    Source: Konecny et al. 2016, Federated learning: strategies for improving communication efficiency (arXiv:1610.05492), section 2
        (random mask) and 3 (structured random rotations).
    """

    size: int
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 1:
            raise ConfigError(f"size: got {self.size}, needs at least 1", remedy="use a tenth of the model's values")

    def sends(self, params: Params) -> Params:
        """The coordinates within the subspace."""
        if self.inner.initial_broadcast(params):
            raise ConfigError(
                f"RandomSubspace around {type(self.inner).__name__}: its control variates steer every later step, and with the noise "
                "of a subspace in them training diverges",
                remedy="use FedAvg or FedProx within, or Scaffold whole",
            )
        total = _length(self.inner.sends(params))
        if self.size > _padded(total):
            raise ConfigError(
                f"size: got {self.size}, needs at most {_padded(total)}, the values of an update", remedy="lower it"
            )
        return {_NAME: np.zeros(self.size, np.float32)}

    def local_update(self, task: LocalTask) -> LocalUpdate:
        """Train, and send the update's coordinates in this round's subspace."""
        update = self.inner.local_update(task)
        flat = np.concatenate([leaf.reshape(-1) for leaf in update.delta.values()]).astype(np.float64)
        rotation, chosen = self._subspace(flat.size, task.round)
        with np.errstate(over="ignore", invalid="ignore"):
            inside = rotation.apply(flat)[chosen].astype(np.float32)
        return LocalUpdate({_NAME: inside}, update.examples, update.metrics, update.memory)

    def received(
        self, mean: Params, params: Params, broadcast: Params, *, round_number: int, participation: float
    ) -> tuple[Params, Params]:
        """Take the mean back out of the subspace."""
        template = self.inner.sends(params)
        total = _length(template)
        rotation, chosen = self._subspace(total, round_number)
        rotated = np.zeros(_padded(total))
        rotated[chosen] = mean[_NAME].astype(np.float64) * (_padded(total) / self.size)
        flat = rotation.invert(rotated)
        whole, start = {}, 0
        for name, leaf in template.items():
            whole[name] = flat[start : start + leaf.size].reshape(leaf.shape).astype(np.float32)
            start += leaf.size
        return self.inner.received(whole, params, broadcast, round_number=round_number, participation=participation)

    def _subspace(self, size: int, round_number: int) -> tuple[Rotation, npt.NDArray[np.intp]]:
        """This round's rotation, and the coordinates that travel."""
        from securefl.crypto.digest import digest
        from securefl.dp.rotation import Rotation

        public = digest("subspace", self.seed, round_number)
        rng = np.random.default_rng(np.frombuffer(public, np.uint32).tolist())
        return Rotation(public, size), np.sort(rng.choice(_padded(size), self.size, replace=False)).astype(np.intp)


@dataclasses.dataclass(frozen=True, slots=True)
class TopK(Wrapping):
    """Send the largest values of each update, the others as zero: for comparison in the clear only.

    Args:
        inner: what trains.
        fraction: share of the values that are kept, in (0, 1].

    Raises:
        ConfigError: an argument is out of range.
    """

    fraction: float = 0.1

    def __post_init__(self) -> None:
        if isinstance(self.fraction, bool) or not isinstance(self.fraction, int | float) or not 0 < self.fraction <= 1:
            raise ConfigError(f"fraction: got {self.fraction}, needs a number in (0, 1]", remedy="use 0.1")

    def local_update(self, task: LocalTask) -> LocalUpdate:
        """Train, and drop all but the largest values."""
        update = self.inner.local_update(task)
        flat = np.concatenate([np.abs(leaf).reshape(-1) for leaf in update.delta.values()])
        keep = max(1, round(self.fraction * flat.size))
        least = np.partition(flat, flat.size - keep)[flat.size - keep]
        delta = {
            name: np.where(np.abs(leaf) >= least, leaf, 0).astype(leaf.dtype) for name, leaf in update.delta.items()
        }
        return LocalUpdate(delta, update.examples, update.metrics, update.memory)

    def refuse_if_hidden(self) -> None:
        """Always refuses: which values are largest differs by party, and a masked sum needs every value of each."""
        raise ConfigError(
            "TopK under secure aggregation: each party would send other coordinates, and a sum of hidden vectors needs the same of all; "
            "telling the server which ones would give part of the update away",
            remedy="use RandomSubspace, whose coordinates all parties share",
        )


def _padded(size: int) -> int:
    """Coordinates of a rotated vector: the next power of two."""
    return 1 << max(0, size - 1).bit_length()


def _length(template: Params) -> int:
    return sum(leaf.size for leaf in template.values())
