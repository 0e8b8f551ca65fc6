"""The face that every server optimizer shows to the federation."""

from __future__ import annotations

import math
from typing import Any, Protocol

from securefl.errors import ConfigError
from securefl.federated.models import Params


class ServerOptimizer(Protocol):
    """A server step as a pure function: whatever it remembers travels in `state`, so a failed round changes nothing.

    The optimizers of this package remember nothing (None) or a plain dict of float64 arrays, named "m/weight" and the
    like, which `np.savez(file, **state)` keeps and `dict(np.load(file))` gives back; `check_state` says whether it fits.
    """

    def initial(self, params: Params) -> Any:
        """Return the state before the first round."""

    def step(self, params: Params, mean: Params, state: Any) -> tuple[Params, Any]:
        """Return new parameters and state, leaving the arguments as they are."""


def check_rate(name: str, value: float) -> None:
    """Raise unless a rate, or another scale, is a positive number.

    Raises:
        ConfigError: it is not.
    """
    if not (_real(value) and math.isfinite(value) and value > 0):
        raise ConfigError(f"server {name}: got {value!r}, needs a finite number > 0", remedy=f"use {name}=0.1")


def check_decay(name: str, value: float) -> None:
    """Raise unless a decay, or a momentum, is in [0, 1).

    Raises:
        ConfigError: it is not.
    """
    if not (_real(value) and 0.0 <= value < 1.0):
        raise ConfigError(f"server {name}: got {value!r}, needs 0 <= {name} < 1", remedy=f"use {name}=0.9")


def _real(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
