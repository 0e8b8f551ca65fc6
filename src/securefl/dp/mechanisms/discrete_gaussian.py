"""Discrete Gaussian noise: in shares of the parties, by the server, or by each party for itself."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from typing import ClassVar, Final

from securefl.crypto.random import OS, RandomSource
from securefl.dp.accounting.events import DiscreteGaussianCentral, DiscreteGaussianLocal, DistributedGaussian, Event
from securefl.dp.accounting.floats import real, shown
from securefl.dp.accounting.relations import Relation
from securefl.dp.conditional_rounding import RoundingBound
from securefl.dp.mechanisms.mechanism import Floor, Mechanism
from securefl.dp.modular_grid import MAX_BITS
from securefl.dp.samplers import discrete_gaussian
from securefl.dp.samplers.blocks import Integers
from securefl.errors import UnsafePlanError

LEAST_SIGMA: Final = 0.75
"""Below this the sum of discrete Gaussians is too far from one for its bound to be worth anything."""

MOST_SIGMA: Final = 2.0**MAX_BITS
"""No ring has room for more."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistributedDiscreteGaussian(Mechanism):
    """Each party adds N_Z(0, sigma^2), so that only a noisy sum ever exists; m - c shares of it count.

    Args:
        min_sigma: the least sigma in grid points; 2 unless opted in, never below .75.

    Source: Kairouz, Liu, Steinke 2021, algorithm 1 and theorem 1.
    """

    min_sigma: float = 2.0  # type: ignore[misc] # a field here, a constant of the others

    kind: ClassVar[str] = "distributed-discrete-gaussian"

    def __post_init__(self) -> None:
        Mechanism.__post_init__(self)
        if not LEAST_SIGMA <= real(self.min_sigma) <= MOST_SIGMA:
            raise UnsafePlanError(
                "min_sigma out of range",
                value=shown(self.min_sigma),
                bound=f"{LEAST_SIGMA}..2^{MAX_BITS}",
                remedy="leave it at 2",
            )
        object.__setattr__(self, "min_sigma", float(self.min_sigma))

    def shares(self, floor: Floor) -> int:
        """Return m - c."""
        return floor.survivors - floor.colluders

    def spread(self, variance: float, floor: Floor) -> float:
        """Return the variance itself."""
        return variance

    def check(self, variance: Fraction, floor: Floor) -> None:
        """Raise where sigma is below the least."""
        _check_sigma(self.min_sigma, variance)

    def event(self, bound: RoundingBound, variance: float, floor: Floor) -> Event:
        """Return the event of theorem 1."""
        return DistributedGaussian(
            bound.l2,
            float(bound.l1),
            variance,
            floor.survivors,
            floor.colluders,
            threshold=floor.threshold,
            dimension=bound.dimension,
        )

    def draw_party(self, variance: Fraction, floor: Floor, count: int, random: RandomSource = OS) -> Integers:
        """Draw N_Z(0, sigma^2)."""
        return discrete_gaussian(variance, count, random)


def _check_sigma(least: float, variance: Fraction) -> None:
    if variance < Fraction(least) ** 2:
        raise UnsafePlanError(
            "the grid is so coarse that a party's noise is below the least: sigma in grid points",
            value=math.sqrt(variance),
            bound=f">= {least:g}",
            remedy="raise ring_bits: a finer grid has more noise in it"
            + (f"; or opt in to min_sigma={LEAST_SIGMA}" if least > LEAST_SIGMA else ""),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class CentralDiscreteGaussian(Mechanism):
    """The server adds N_Z(0, V) to the sum that it knows: no protection against the server itself.

    Source: Canonne, Kamath, Steinke 2020.
    """

    relation: Relation | str = Relation.ADD_REMOVE

    kind: ClassVar[str] = "central-discrete-gaussian"
    relations: ClassVar[tuple[Relation, ...]] = (Relation.ADD_REMOVE, Relation.ZERO_OUT, Relation.REPLACE_ONE)

    def shares(self, floor: Floor) -> int:
        """Return 1."""
        return 1

    def spread(self, variance: float, floor: Floor) -> float:
        """Return the n-th part of V."""
        return variance / floor.parties

    def event(self, bound: RoundingBound, variance: float, floor: Floor) -> Event:
        """Return the curator's event."""
        return DiscreteGaussianCentral(bound.l2, variance)

    def draw_party(self, variance: Fraction, floor: Floor, count: int, random: RandomSource = OS) -> None:
        """Return nothing."""
        return

    def draw_server(self, variance: Fraction, count: int, random: RandomSource = OS) -> Integers:
        """Draw N_Z(0, V)."""
        return discrete_gaussian(variance, count, random)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LocalDiscreteGaussian(Mechanism):
    """Each party adds all the noise that it needs, whatever the others do; nobody's promise counts but its own."""

    kind: ClassVar[str] = "local-discrete-gaussian"

    def shares(self, floor: Floor) -> int:
        """Return 1: its own."""
        return 1

    def spread(self, variance: float, floor: Floor) -> float:
        """Return the variance itself."""
        return variance

    def event(self, bound: RoundingBound, variance: float, floor: Floor) -> Event:
        """Return the event of one party's vector alone."""
        return DiscreteGaussianLocal(bound.l2, variance)

    def draw_party(self, variance: Fraction, floor: Floor, count: int, random: RandomSource = OS) -> Integers:
        """Draw N_Z(0, sigma^2)."""
        return discrete_gaussian(variance, count, random)
