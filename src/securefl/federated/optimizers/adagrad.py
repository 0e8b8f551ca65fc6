"""FedAdagrad: steps shrink with the sum of all squares so far."""

from __future__ import annotations

import dataclasses

from securefl.federated.optimizers.adaptive import Adaptive
from securefl.federated.optimizers.state import Floats


@dataclasses.dataclass(frozen=True)
class FedAdagrad(Adaptive):
    """v <- v + Delta².

    Args:
        lr: eta, the server's rate.
        beta_1: decay of m; 0 in the paper's experiments, and here by default.
        tau: degree of adaptivity.

    Raises:
        ConfigError: an argument is out of range.

    Source: Reddi et al. 2021 (arXiv:2003.00295), algorithm 2, FedAdagrad.
    """

    beta_1: float = 0.0

    def second_moment(self, v: Floats, square: Floats) -> Floats:
        """Return v + Delta²."""
        return v + square
