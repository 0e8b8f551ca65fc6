"""Plain averaging: the mean update is added."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from securefl.errors import ConfigError
from securefl.federated.models import Params


@dataclasses.dataclass(frozen=True, slots=True)
class Averaging:
    """Add the mean update to the parameters: params + learning_rate * mean.

    Args:
        learning_rate: 1 gives the average of the parties' models.

    Raises:
        ConfigError: the learning rate is not a positive number.

    Source: McMahan et al. 2017 (arXiv:1602.05629), algorithm 1; the rate is that of Reddi et al. 2021
        (arXiv:2003.00295), section 2.
    """

    learning_rate: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ConfigError(
                f"server learning_rate: got {self.learning_rate}, needs a finite number > 0",
                remedy="use learning_rate=1.0",
            )

    def initial(self, params: Params) -> None:
        """Return no state."""

    def step(self, params: Params, mean: Params, state: None) -> tuple[Params, None]:
        """Return params + learning_rate * mean in the dtypes of `params`."""
        stepped = {
            name: np.asarray(leaf + self.learning_rate * mean[name]).astype(leaf.dtype, copy=False)
            for name, leaf in params.items()
        }
        return stepped, state
