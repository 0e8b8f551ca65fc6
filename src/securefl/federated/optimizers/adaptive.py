"""What FedAdagrad, FedAdam and FedYogi share: all of Algorithm 2 but the second moment."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np

from securefl.federated.models import Params
from securefl.federated.optimizers.base import check_decay, check_rate
from securefl.federated.optimizers.state import FIRST, SECOND, Floats, State, filled, stepped


@dataclasses.dataclass(frozen=True)
class Adaptive(ABC):
    """A step of eta m / (sqrt(v) + tau), without bias correction, as in the paper.

    Args:
        lr: eta, the server's rate; one step changes no value by much more than it.
        beta_1: decay of m, in [0, 1).
        tau: degree of adaptivity, above 0; v starts at tau².

    Raises:
        ConfigError: an argument is out of range.

    Source: Reddi et al. 2021 (arXiv:2003.00295), algorithm 2.
    """

    lr: float = 0.1
    beta_1: float = 0.9
    tau: float = 1e-3

    def __post_init__(self) -> None:
        check_rate("lr", self.lr)
        check_decay("beta_1", self.beta_1)
        check_rate("tau", self.tau)

    def initial(self, params: Params) -> State:
        """Return m = 0 and v = tau²."""
        return filled(params, {FIRST: 0.0, SECOND: self.tau**2})

    def step(self, params: Params, mean: Params, state: State) -> tuple[Params, State]:
        """Return the next parameters, in the dtypes of `params`, and state.

        Raises:
            ConfigError: state or mean are of another model.
            NonFiniteError: the mean has a NaN or an infinity.
        """
        return stepped(self, self._change, params, mean, state)

    @abstractmethod
    def second_moment(self, v: Floats, square: Floats) -> Floats:
        """Return v_t from v_{t-1} and Delta_t², elementwise."""

    def _change(self, slots: Mapping[str, Floats], mean: Floats) -> tuple[Floats, dict[str, Floats]]:
        m = self.beta_1 * slots[FIRST] + (1 - self.beta_1) * mean
        v = self.second_moment(slots[SECOND], np.square(mean))
        return self.lr * m / (np.sqrt(v) + self.tau), {FIRST: m, SECOND: v}
