"""Metrics with a declared range, such as a loss or an accuracy, as coordinates of the masked vector."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from securefl.crypto.random import OS, RandomSource
from securefl.encoding.fixed_point import FixedPoint
from securefl.encoding.rounding import stochastic_round
from securefl.errors import NonFiniteError, UnsafePlanError


@dataclasses.dataclass(frozen=True, slots=True)
class Range:
    """The values [low, high] that a metric may take; what lies outside is clamped.

    Args:
        low: the least value, in the metric's unit.
        high: the largest value.

    Raises:
        UnsafePlanError: ends that are not finite (within ±1e100), or low not below high.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not -1e100 <= self.low < self.high <= 1e100:
            raise UnsafePlanError(
                "a metric's range",
                value=(self.low, self.high),
                bound="-1e100 <= low < high <= 1e100",
                remedy="declare the least and the largest value that the metric may take",
            )

    def encode(self, value: float, fixed: FixedPoint, random: RandomSource = OS, *, name: str = "") -> int:
        """Return the value mapped affinely from [low, high] to [-Q, Q], clamped, and rounded without bias.

        Args:
            value: in the metric's unit.
            fixed: gives Q.
            random: randomness of the rounding.
            name: the metric's name, for errors.

        Raises:
            NonFiniteError: a NaN or an infinity; names the metric.
        """
        if not math.isfinite(value):
            raise NonFiniteError(f"metric {name!r} is NaN or infinite", tensor=name, remedy="leave it out")
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        scaled = np.array([(2 * share - 1) * fixed.max_value])
        return int(stochastic_round(scaled, random)[0])

    def decode(self, total: int, weight: int, fixed: FixedPoint) -> float:
        """Return the weighted mean, in the metric's unit: within (high - low) / 2Q of the exact one, but for float64.

        Args:
            total: the centred sum of w_i q_i.
            weight: the sum of the w_i, above 0.
            fixed: gives Q.
        """
        share = (total / (weight * fixed.max_value) + 1) / 2
        return self.low + share * (self.high - self.low)
