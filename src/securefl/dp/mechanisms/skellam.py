"""Skellam noise in shares of the parties, and XNoise: its excess comes off again, whoever is missing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from fractions import Fraction
from typing import ClassVar, Final

import numpy as np

from securefl.crypto.random import OS, RandomSource
from securefl.crypto.seeded import SeededRandom
from securefl.dp.accounting.events import CompensatedSkellam, Event, check_count
from securefl.dp.accounting.events import DistributedSkellam as SkellamEvent
from securefl.dp.conditional_rounding import RoundingBound
from securefl.dp.mechanisms.mechanism import LEAST_VARIANCE, Floor, Mechanism
from securefl.dp.samplers import skellam
from securefl.dp.samplers.blocks import Integers
from securefl.errors import UnsafePlanError

MOST_DROPOUTS: Final = 62
"""Seeds that a party can deal beside its other secrets."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistributedSkellam(Mechanism):
    """Each party adds Skellam noise, which is closed under addition: the sum's noise is Skellam again.

    Args:
        max_dropouts: J; above 0 the noise is made for n - J survivors and the excess of the others is taken off again, so that
            the sum holds one and the same variance however many up to J are missing (XNoise).

    Source: Agarwal, Kairouz, Liu 2021; Jiang, Wang, Chen 2024 (XNoise).
    """

    max_dropouts: int = 0

    kind: ClassVar[str] = "distributed-skellam"

    def __post_init__(self) -> None:
        Mechanism.__post_init__(self)
        check_count("max_dropouts", self.max_dropouts, 0)
        if self.max_dropouts > MOST_DROPOUTS:
            raise UnsafePlanError(
                "more components of noise than a party can deal seeds of: max_dropouts",
                value=self.max_dropouts,
                bound=f"<= {MOST_DROPOUTS}",
                remedy="split the parties into cohorts, or leave max_dropouts out and size the noise for the floor",
            )

    @property
    def compensated(self) -> bool:
        """Whether excess noise is taken off."""
        return self.max_dropouts > 0

    def shares(self, floor: Floor) -> int:
        """Return m - c; 1 under XNoise, whose variance is the whole sum's."""
        return 1 if self.compensated else floor.survivors - floor.colluders

    def spread(self, variance: float, floor: Floor) -> float:
        """Return the variance itself; its n-th part under XNoise."""
        return variance * float(self._inflation(floor)) / floor.parties if self.compensated else variance

    def _inflation(self, floor: Floor) -> Fraction:
        """Return (n - J) / (n - J - c): what colluders know is made up for."""
        kept = floor.parties - self.max_dropouts
        most = min(kept, kept if floor.threshold is None else floor.threshold) - 2
        if not 0 <= floor.colluders <= most:
            raise UnsafePlanError(
                "too many colluders for XNoise",
                value=floor.colluders,
                bound=f"0..{most}, that is min(n - max_dropouts, threshold) - 2",
                remedy="lower max_dropouts or max_colluders, or raise the threshold",
            )
        return Fraction(kept, kept - floor.colluders)

    def check(self, variance: Fraction, floor: Floor) -> None:
        """Raise where XNoise could not take off what is missing."""
        if not self.compensated:
            return
        if floor.survivors < floor.parties - self.max_dropouts or floor.parties - self.max_dropouts < 3:
            raise UnsafePlanError(
                "fewer survivors would do than XNoise has noise for: min_survivors",
                value=floor.survivors,
                bound=f">= max(3, {floor.parties - self.max_dropouts}), that is n - max_dropouts",
                remedy="raise min_survivors, or max_dropouts",
            )
        least = min(self.components(variance, floor))
        if least < Fraction(1, 16):
            raise UnsafePlanError(
                "a component of XNoise is too small to draw: variance in squared grid points",
                value=float(least),
                bound=">= 1/16",
                remedy="raise ring_bits: a finer grid has more noise in it",
            )

    def least_variance(self, floor: Floor) -> float:
        """Under XNoise so much that its smallest component can be drawn."""
        least = Mechanism.least_variance(self, floor)
        if self.compensated:
            least = max(least, LEAST_VARIANCE / float(min(self.components(Fraction(1), floor))) * (1 + 1e-9))
        return least

    def components(self, variance: Fraction, floor: Floor) -> list[Fraction]:
        """Return the variances of a party's J + 1 shares: V/n, then V / ((n - j)(n - j + 1)), all times (n - J)/(n - J - c)."""
        n, inflated = floor.parties, variance * self._inflation(floor)
        return [inflated / n, *(inflated / ((n - j) * (n - j + 1)) for j in range(1, self.max_dropouts + 1))]

    def event(self, bound: RoundingBound, variance: float, floor: Floor) -> Event:
        """Return the event of the sum as released."""
        if self.compensated:
            return CompensatedSkellam(bound.l2, float(bound.l1), variance)
        return SkellamEvent(
            bound.l2, float(bound.l1), variance, floor.survivors, floor.colluders, threshold=floor.threshold
        )

    def draw_party(self, variance: Fraction, floor: Floor, count: int, random: RandomSource = OS) -> Integers:
        """Draw Skellam noise; under XNoise its first component, which stays in the sum."""
        return skellam(self.components(variance, floor)[0] if self.compensated else variance, count, random)

    @property
    def seeds(self) -> int:
        """Return J."""
        return self.max_dropouts

    def draw_excess(self, variance: Fraction, floor: Floor, count: int, seeds: Mapping[int, bytes]) -> Integers | None:
        """Draw the components of these numbers, each from its own seed: the same for whoever has the seeds."""
        if not seeds:
            return None
        components = self.components(variance, floor)
        total = np.zeros(count, dtype=np.int64)
        for number, seed in seeds.items():
            total += skellam(components[number], count, SeededRandom(seed))
        return total
