"""A bound on the norm of a party's own update, kept by the party itself."""

from __future__ import annotations

import dataclasses
import enum
import math

import numpy as np

from securefl.errors import ConfigError, NonFiniteError, SaturationError
from securefl.federated.algorithms.base import LocalTask, LocalUpdate
from securefl.federated.algorithms.wrapping import Wrapping
from securefl.federated.models import Params
from securefl.federated.robust.rule import norm_of


class Excess(enum.StrEnum):
    """What becomes of an update beyond the bound: shrunk to it, or not sent."""

    CLIP = "clip"
    REFUSE = "refuse"


@dataclasses.dataclass(frozen=True, slots=True)
class NormBound:
    """What an honest party does to its own update before it submits it: at most `bound` in the L2 norm.

    **A malicious party does not run this, and under secure aggregation nobody sees that it did not.** It keeps honest parties from
    moving the mean too far by mistake, and gives `GroupwiseRobust(max_norm=...)` a bound that no honest group breaks.

    Args:
        bound: above 0, over all tensors together, in the update's own unit.
        excess: "clip" or "refuse".

    Raises:
        ConfigError: an argument is out of range.

    Source: Sun et al. 2019 (arXiv:1911.07963), section 4.3, norm thresholding; there the server does it, in the clear.
    """

    bound: float
    excess: Excess | str = Excess.CLIP

    def __post_init__(self) -> None:
        value = self.bound
        if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
            raise ConfigError(
                f"bound: got {value!r}, needs a finite number > 0", remedy="look at the norms of some updates"
            )
        if not isinstance(self.excess, str) or self.excess not in list(Excess):
            raise ConfigError(f"excess: got {self.excess!r}, needs 'clip' or 'refuse'")
        object.__setattr__(self, "excess", Excess(self.excess))

    def __call__(self, update: Params) -> Params:
        """Return the update, shrunk to the bound if it was longer, in its own dtypes (rounded to them, last).

        Raises:
            NonFiniteError: a NaN or an infinity in it.
            SaturationError: it is longer than the bound, under "refuse".
        """
        for name, leaf in update.items():
            if not np.isfinite(leaf).all():
                raise NonFiniteError(f"{name!r} has values that are not finite", tensor=name, remedy="do not send it")
        norm = norm_of(update)
        if norm <= self.bound:
            return dict(update)
        if self.excess is Excess.REFUSE:
            raise SaturationError(
                f"this update has the norm {norm:.4g}, the bound is {self.bound:g}",
                remedy="train fewer epochs or at a smaller rate, or clip instead",
            )
        factor = self.bound / norm
        return {name: (leaf.astype(np.float64) * factor).astype(leaf.dtype) for name, leaf in update.items()}


@dataclasses.dataclass(frozen=True, slots=True)
class NormBounded(Wrapping):
    """An algorithm whose updates keep a bound, over all that travels.

    Args:
        inner: how a party trains.
        bound: what it does to the result.
    """

    bound: NormBound

    def local_update(self, task: LocalTask) -> LocalUpdate:
        """Train, then apply the bound; see both."""
        update = self.inner.local_update(task)
        if not all(np.isfinite(leaf).all() for leaf in update.delta.values()):
            return update  # the federation names party and tensor
        return dataclasses.replace(update, delta=self.bound(update.delta))
