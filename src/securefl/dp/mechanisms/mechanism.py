"""What a plan asks for: a mechanism, a clip, and a noise multiplier. Variance and grid follow when n, d and the floor are known.

All noise is integer noise on the grid of the encoding, and all mechanisms encode alike. They differ in who adds noise, and so in
how many shares of it an adversary cannot take off, and in the event that is accounted.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import ClassVar, Final

import numpy as np

from securefl.crypto.random import OS, RandomSource
from securefl.crypto.seeded import SeededRandom
from securefl.dp.accounting.events import (
    CompensatedSkellam,
    DiscreteGaussianCentral,
    DiscreteGaussianLocal,
    DistributedGaussian,
    Event,
    check_count,
)
from securefl.dp.accounting.events import (
    DistributedSkellam as SkellamEvent,
)
from securefl.dp.accounting.floats import positive
from securefl.dp.accounting.relations import Relation, Unit
from securefl.dp.clipping import FlatClip, LayerClip, checked_clip
from securefl.dp.conditional_rounding import RoundingBound
from securefl.dp.mechanisms.quantile import QuantileClip
from securefl.dp.samplers import discrete_gaussian, skellam
from securefl.dp.samplers.blocks import Integers
from securefl.errors import UnsafePlanError

MOST_DROPOUTS: Final = 62
"""Seeds that a party can deal beside its other secrets."""

_LEAST_VARIANCE: Final = 1 / 16
"""What samplers take at least."""

LEAST_SIGMA: Final = 0.75
"""Below this the sum of discrete Gaussians is too far from one for its bound to be worth anything."""


@dataclasses.dataclass(frozen=True, slots=True)
class Floor:
    """How many parties stand behind a sum.

    Args:
        parties: n, at most so many vectors are in it.
        survivors: m, at least so many are.
        colluders: c, parties who tell the adversary their noise.
        threshold: t of the secret sharing; None where there is none.
    """

    parties: int
    survivors: int
    colluders: int
    threshold: int | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mechanism:
    """Base of all mechanisms.

    Args:
        clip: C, the bound on the L2 norm of w x in the update's own unit: a number, a `LayerClip` with one bound a leaf, or a
            `QuantileClip` that adapts.
        noise_multiplier: z = sqrt(V) / D2, both in grid points; None until `securefl.dp.calibrate` has chosen it.
        relation: which datasets are neighbours.
        unit: whose influence is bounded.
        slack: sqrt(2 ln(1 / beta)) of conditional rounding; 1 is beta = e^(-1/2).
        denominator: what the noisy sum is divided by, fixed and public; n unless given.

    Raises:
        UnsafePlanError: a value out of range, or a relation or unit that the mechanism does not yield.
    """

    clip: float | LayerClip | QuantileClip
    noise_multiplier: float | None = None
    relation: Relation | str = Relation.ZERO_OUT
    unit: Unit | str = Unit.PARTY
    slack: float = 1.0
    denominator: float | None = None

    kind: ClassVar[str]
    relations: ClassVar[tuple[Relation, ...]] = (Relation.ZERO_OUT,)
    min_sigma: ClassVar[float] = 0.25

    def __post_init__(self) -> None:
        if isinstance(self.clip, QuantileClip):
            checked_clip(self.clip.clip)
        elif not isinstance(self.clip, LayerClip):
            object.__setattr__(self, "clip", checked_clip(self.clip))
        if self.noise_multiplier is not None:
            positive("the noise multiplier", self.noise_multiplier, "add noise: without it nothing is private")
        if self.denominator is not None:
            positive("the denominator", self.denominator, "use the number of parties, or an expected sum of weights")
        if not self.slack > 0:
            raise UnsafePlanError("slack out of range", value=self.slack, bound="> 0", remedy="1 is beta = e^(-1/2)")
        object.__setattr__(self, "relation", Relation.parse(self.relation))
        object.__setattr__(self, "unit", Unit.parse(self.unit))
        Unit.parse(self.unit).require_yielded(dp_sgd=False)
        if self.relation not in self.relations:
            raise UnsafePlanError(
                f"{type(self).__name__} is not accounted under this relation",
                value=str(self.relation),
                bound=" or ".join(self.relations),
                remedy="a party's share of noise comes and goes with it: use zero-out, or central noise",
            )

        if self.adaptive and self.relation == Relation.ADD_REMOVE:
            raise UnsafePlanError(
                "an adaptive clip under add-remove: the next clip is public and says how many took part",
                value=str(self.relation),
                bound=str(Relation.ZERO_OUT),
                remedy="state the guarantee under zero-out, or fix the clip",
            )

    @property
    def adaptive(self) -> bool:
        """Whether the clip follows a quantile, so that one more coordinate rides in each vector."""
        return isinstance(self.clip, QuantileClip)

    def clipping(self) -> FlatClip | LayerClip:
        """How a vector is clipped this round, without the bit of an adaptive clip."""
        if isinstance(self.clip, LayerClip):
            return self.clip
        return FlatClip(self.clip.clip if isinstance(self.clip, QuantileClip) else self.clip)

    def shares(self, floor: Floor) -> int:
        """How many shares of the variance are certainly there and unknown to the adversary: V is so many times the variance."""
        raise NotImplementedError

    def spread(self, variance: float, floor: Floor) -> float:
        """The variance of a coordinate's noise in the sum of all n, for each of them."""
        raise NotImplementedError

    def event(self, bound: RoundingBound, variance: float, floor: Floor) -> Event:
        """What one round releases."""
        raise NotImplementedError

    def check(self, variance: Fraction, floor: Floor) -> None:
        """Raise where this variance or this floor does not do.

        Raises:
            UnsafePlanError: it does not.
        """

    def least_variance(self, floor: Floor) -> float:
        """The least variance that this mechanism takes; on a coarse grid it may be more noise than was asked for."""
        return max(_LEAST_VARIANCE, self.min_sigma**2)

    def draw_party(self, variance: Fraction, floor: Floor, count: int, random: RandomSource = OS) -> Integers | None:
        """A party's share of the noise; None where parties add none."""
        raise NotImplementedError

    @property
    def seeds(self) -> int:
        """J, the seeds from which each party draws noise that may be taken off the sum again."""
        return 0

    def draw_excess(self, variance: Fraction, floor: Floor, count: int, seeds: Mapping[int, bytes]) -> Integers | None:
        """The noise of these seeds of one party, by their numbers 1..J; None where there is none."""
        return None

    def draw_server(self, variance: Fraction, count: int, random: RandomSource = OS) -> Integers | None:
        """The server's noise; None where it adds none."""
        return None

    @property
    def demands(self) -> float:
        """The least standard deviation of a party's share, in grid points."""
        return self.min_sigma


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
        if not LEAST_SIGMA <= self.min_sigma < math.inf:
            raise UnsafePlanError(
                "min_sigma out of range", value=self.min_sigma, bound=f">= {LEAST_SIGMA}", remedy="leave it at 2"
            )

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
            least = max(least, _LEAST_VARIANCE / float(min(self.components(Fraction(1), floor))) * (1 + 1e-9))
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


MECHANISMS: Final = {
    mechanism.kind: mechanism
    for mechanism in (
        DistributedDiscreteGaussian,
        DistributedSkellam,
        CentralDiscreteGaussian,
        LocalDiscreteGaussian,
    )
}
"""Every mechanism by its name on the wire."""
