"""FedYogi: as FedAdam, but v moves by an amount that depends on Delta² only."""

from __future__ import annotations

import dataclasses

import numpy as np

from securefl.federated.optimizers.adaptive import Adaptive
from securefl.federated.optimizers.base import check_decay
from securefl.federated.optimizers.state import Floats


@dataclasses.dataclass(frozen=True)
class FedYogi(Adaptive):
    """v <- v - (1 - beta_2) Delta² sign(v - Delta²).

    Args:
        lr: eta, the server's rate.
        beta_1: decay of m, in [0, 1).
        tau: degree of adaptivity.
        beta_2: in [0, 1).

    Raises:
        ConfigError: an argument is out of range.

    Source: Reddi et al. 2021 (arXiv:2003.00295), algorithm 2, FedYogi; the betas are those of its experiments.
    """

    beta_2: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        check_decay("beta_2", self.beta_2)

    def second_moment(self, v: Floats, square: Floats) -> Floats:
        """Return v - (1 - beta_2) Delta² sign(v - Delta²); it is never negative."""
        return v - (1 - self.beta_2) * square * np.sign(v - square)
