"""The figure that a training is judged by: accuracy, or the mean return of a policy; how it is named, and how written."""

from __future__ import annotations

import dataclasses

from securefl.federated.history import History, RoundRecord
from securefl.report.config import ExperimentConfig


@dataclasses.dataclass(frozen=True, slots=True)
class Measure:
    """One test metric.

    Args:
        metric: its name among the test metrics.
        name: in a sentence.
        scale: that a value is multiplied with, to be shown.
        digits: after the point.
        suffix: after the number.
        unit: of a difference.
        axis: of a plot.
    """

    metric: str
    name: str
    scale: float
    digits: int
    suffix: str
    unit: str
    axis: str

    def last(self, history: History) -> float:
        """After the last round.

        Raises:
            ConfigError: no round has finished.
        """
        return history.accuracy if self.metric == "accuracy" else history.curve(self.metric)[-1]

    def text(self, value: float, digits: int | None = None, gap: str = "") -> str:
        """Such as "97.1%", or with a gap "97.12 %"; "481.3" of a return."""
        number = f"{self.scale * value:.{self.digits if digits is None else digits}f}"
        return f"{number}{gap if self.suffix else ''}{self.suffix}"

    def of(self, record: RoundRecord) -> str:
        """The value after a round, in full."""
        return self.text(record.test_metrics[self.metric], max(self.digits, 2) if self.suffix else None, " ")

    def shown(self, history: History) -> list[float]:
        """The curve, as plotted."""
        return [self.scale * value for value in history.curve(self.metric)]


ACCURACY = Measure("accuracy", "accuracy", 100.0, 1, "%", "points", "test accuracy (%)")
RETURN = Measure("return", "mean return", 1.0, 1, "", "of return", "mean return, held out")


def measure_of(config: ExperimentConfig | None) -> Measure:
    """The return where parties act, accuracy otherwise."""
    return RETURN if config is not None and config.data.dataset == "cartpole" else ACCURACY
