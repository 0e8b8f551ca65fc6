"""FedAvgM: the server steps along a decaying sum of the mean updates."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from securefl.federated.models import Params
from securefl.federated.optimizers.base import check_decay, check_rate
from securefl.federated.optimizers.state import FIRST, Floats, State, filled, stepped


@dataclasses.dataclass(frozen=True, slots=True)
class FedAvgM:
    """Momentum on the server: m <- momentum * m + mean, params <- params + lr * m.

    A constant mean update moves the parameters by lr / (1 - momentum) times that update in the end, so that lr is chosen
    smaller than without momentum.

    Args:
        lr: eta, the server's rate.
        momentum: beta, in [0, 1); 0 is `Averaging`.

    Raises:
        ConfigError: an argument is out of range.

    Source: Hsu et al. 2019 (arXiv:1909.06335), section 4.
    """

    lr: float = 1.0
    momentum: float = 0.9

    def __post_init__(self) -> None:
        check_rate("lr", self.lr)
        check_decay("momentum", self.momentum)

    def initial(self, params: Params) -> State:
        """Return m = 0."""
        return filled(params, {FIRST: 0.0})

    def step(self, params: Params, mean: Params, state: State) -> tuple[Params, State]:
        """Return the next parameters, in the dtypes of `params`, and state.

        Raises:
            ConfigError: state or mean are of another model.
            NonFiniteError: the mean has a NaN or an infinity.
        """
        return stepped(self, self._change, params, mean, state)

    def _change(self, slots: Mapping[str, Floats], mean: Floats) -> tuple[Floats, dict[str, Floats]]:
        m = self.momentum * slots[FIRST] + mean
        return self.lr * m, {FIRST: m}
