"""A mechanism for n parties, d values and a floor: variance and grid are numbers now, the same for everybody."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Final

from securefl.crypto.random import OS, RandomSource
from securefl.dp.accounting.curves import rdp_curve
from securefl.dp.accounting.events import Event
from securefl.dp.accounting.floats import positive
from securefl.dp.accounting.relations import Relation
from securefl.dp.adaptive_clipping import AdaptiveClip
from securefl.dp.conditional_rounding import RoundingBound
from securefl.dp.mechanisms.discrete_gaussian import CentralDiscreteGaussian
from securefl.dp.mechanisms.mechanism import Floor, Mechanism
from securefl.dp.mechanisms.quantile import QuantileClip
from securefl.dp.modular_grid import ModularGrid, headroom
from securefl.dp.rotation import padded
from securefl.dp.samplers.blocks import Integers
from securefl.dp.samplers.parameters import rational
from securefl.errors import UnsafePlanError

_ORDERS: Final = (2.0, 4.0, 8.0, 16.0, 32.0)

_CLOSE: Final = 1 - 1e-9
"""Room in the ring is compared up to this: it costs accuracy, never privacy, and logarithms differ between machines."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Release:
    """What every round of a plan releases, in numbers that both sides check.

    Args:
        mechanism: what was asked for, with its noise multiplier.
        floor: n, m, c and t.
        size: values of an update.
        grid: the ring, and how far sums may go in it.
        radius: R = C s, the clip in grid points.
        variance: the parameter of the noise in squared grid points: a party's share, or the whole where one adds it all.

    Raises:
        UnsafePlanError: less noise than asked for, a grid too coarse or too fine for the ring, or a floor that the event forbids.
    """

    mechanism: Mechanism
    floor: Floor
    size: int
    grid: ModularGrid
    radius: float
    variance: float

    def __post_init__(self) -> None:
        asked = self.mechanism.noise_multiplier
        if asked is None:
            raise no_noise()
        positive("the variance", self.variance, "let the plan choose it")
        positive("the clip in grid points", self.radius, "let the plan choose it")
        rational("variance", self.exact_variance, most=2**100)
        self.mechanism.check(self.exact_variance, self.floor)
        if not self.noise_multiplier >= asked:
            raise UnsafePlanError(
                "the noise is less than the mechanism says: sqrt(V) / D2",
                value=self.noise_multiplier,
                bound=f">= {asked!r}",
                remedy="let the plan choose radius and variance",
            )
        room = self.grid.room(self.bound.dimension)
        if not self.headroom >= room * _CLOSE:
            raise UnsafePlanError(
                "sums would leave the ring: half of it in standard deviations of a coordinate",
                value=self.headroom,
                bound=f">= {room:.6g}",
                remedy="let the plan choose radius and variance",
            )
        if (state := self.adaptive) is not None:
            state.joint_bound  # noqa: B018 - raises where no such clip can be
        self.event  # noqa: B018 - raises where the floor is one that no bound is known for

    @property
    def exact_variance(self) -> Fraction:
        """The variance as the rational number that samplers take."""
        return Fraction(self.variance)

    @functools.cached_property
    def bound(self) -> RoundingBound:
        """D2 and D1: enforced by each party, charged by the accountant."""
        return RoundingBound(self.radius, self.dimension, self.mechanism.slack)

    @property
    def dimension(self) -> int:
        """d: values and the bit of an adaptive clip, padded to a power of two."""
        return padded(self.size + self.mechanism.adaptive)

    @property
    def noise_by_server(self) -> bool:
        """Whether the server adds the noise, and so sees the sum without it."""
        return isinstance(self.mechanism, CentralDiscreteGaussian)

    @property
    def central_variance(self) -> float:
        """V: the variance parameter that is in the sum at the floor and that no adversary can take off."""
        return self.variance * self.mechanism.shares(self.floor)

    @property
    def noise_multiplier(self) -> float:
        """sqrt(V) / D2 in grid points: what the guarantee rests on, at least what was asked for."""
        return math.sqrt(self.central_variance) / self.bound.l2

    @functools.cached_property
    def effective_multiplier(self) -> float:
        """The multiplier of the Gaussian that protects no better at Renyi orders 2 to 32: what a party's floor is compared with.

        It is that of sqrt(V) / D2 on a fine grid, and less on a coarse one, or under replace-one.
        """
        curve = rdp_curve(self.event, _ORDERS, Relation.parse(self.mechanism.relation))
        return min(math.sqrt(order / (2 * rdp)) for order, rdp in zip(_ORDERS, curve.tolist(), strict=True))

    @functools.cached_property
    def event(self) -> Event:
        """What one round releases, for the accountant."""
        return self.mechanism.event(self.bound, self.variance, self.floor)

    @property
    def adaptive(self) -> AdaptiveClip | None:
        """The state of an adaptive clip; None for a fixed one."""
        clip = self.mechanism.clip
        if not isinstance(clip, QuantileClip):
            return None
        return clip.state(self.floor.parties, self.mechanism.noise_multiplier or 0.0)

    @property
    def clip(self) -> float:
        """C, the bound on the norm of a whole vector in the update's own unit; with an adaptive clip that of vector and bit."""
        state = self.adaptive
        return self.mechanism.clipping().sensitivity.clip if state is None else state.joint_bound

    @property
    def scale(self) -> float:
        """S: grid points per unit of the update."""
        return self.radius / self.clip

    @property
    def denominator(self) -> float:
        """What a sum is divided by: fixed and public."""
        chosen = self.mechanism.denominator
        return float(self.floor.parties) if chosen is None else chosen

    @property
    def headroom(self) -> float:
        """Half the ring in standard deviations of a coordinate of the sum."""
        return headroom(
            self.grid.ring_bits,
            radius=self.radius,
            noise=math.sqrt(self.mechanism.spread(self.variance, self.floor)),
            parties=self.floor.parties,
            dimension=self.dimension,
        )

    @property
    def noise_std(self) -> float:
        """Standard deviation of the noise in each value of the mean of all n, in the update's own unit."""
        total = self.mechanism.spread(self.variance, self.floor) * self.floor.parties
        return math.sqrt(total) / self.scale / self.denominator

    @property
    def error_std(self) -> float:
        """Standard deviation of noise and rounding, at most, in each value of the mean of all n, in the update's own unit."""
        total = (self.mechanism.spread(self.variance, self.floor) + 0.25) * self.floor.parties
        return math.sqrt(total) / self.scale / self.denominator

    @property
    def noise_to_signal(self) -> float:
        """Norm of the noise in the sum over the largest norm that the sum can have; above 1 noise drowns whatever is learnt."""
        total = self.mechanism.spread(self.variance, self.floor) * self.floor.parties
        return math.sqrt(total * self.size) / (self.radius * self.floor.parties)

    @property
    def draws(self) -> int:
        """Integers that all samplers draw in a round, at most: their distance from the exact distribution is charged for."""
        return self.floor.parties * self.dimension * (1 + self.seeds)

    @property
    def seeds(self) -> int:
        """J, the seeds that each party deals for noise that may be taken off again."""
        return self.mechanism.seeds

    def draw_party(self, random: RandomSource = OS) -> Integers | None:
        """A party's share of the noise, shape (d,); None where parties add none."""
        return self.mechanism.draw_party(self.exact_variance, self.floor, self.dimension, random)

    def draw_excess(self, seeds: Mapping[int, bytes]) -> Integers | None:
        """What one party adds from these of its seeds, by number, shape (d,); None where it adds nothing."""
        return self.mechanism.draw_excess(self.exact_variance, self.floor, self.dimension, seeds)

    def draw_server(self, random: RandomSource = OS) -> Integers | None:
        """The server's noise, shape (d,); None where it adds none."""
        return self.mechanism.draw_server(self.exact_variance, self.dimension, random)


def no_noise() -> UnsafePlanError:
    """The error of a plan whose noise nobody has chosen."""
    return UnsafePlanError(
        "no noise has been chosen",
        value=None,
        bound="a noise multiplier",
        remedy="securefl.dp.calibrate(plan, epsilon=..., delta=..., rounds=...) chooses it; or give noise_multiplier",
    )
