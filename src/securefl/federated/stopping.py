"""When to stop before the last round."""

from __future__ import annotations

import dataclasses

from securefl.errors import ConfigError
from securefl.federated.history import History


@dataclasses.dataclass(frozen=True, slots=True)
class EarlyStop:
    """Stop when a metric has not become better for some rounds.

    Args:
        metric: of the test set: "loss" becomes better by falling, everything else by rising.
        patience: rounds to wait for something better.
        least: by how much it must become better to count.

    Raises:
        ConfigError: an argument is out of range.
    """

    metric: str = "loss"
    patience: int = 5
    least: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.patience, bool) or not isinstance(self.patience, int) or self.patience < 1:
            raise ConfigError(f"patience: got {self.patience}, needs at least 1", remedy="use patience=5")
        if isinstance(self.least, bool) or not isinstance(self.least, int | float) or not self.least >= 0:
            raise ConfigError(f"least: got {self.least}, needs a number >= 0", remedy="use least=0")

    def __call__(self, history: History) -> bool:
        """Whether to stop.

        Raises:
            ConfigError: a round has no such metric.
        """
        sign = 1.0 if self.metric == "loss" else -1.0
        values = [sign * value for value in history.curve(self.metric)]
        if len(values) <= self.patience:
            return False
        return min(values[-self.patience :]) >= min(values[: -self.patience]) - self.least
