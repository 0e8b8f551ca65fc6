"""What a plan asks for: a mechanism, a clip, and a noise multiplier. Variance and grid follow when n, d and the floor are known.

All noise is integer noise on the grid of the encoding, and all mechanisms encode alike. They differ in who adds noise, and so in
how many shares of it an adversary cannot take off, and in the event that is accounted.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from fractions import Fraction
from typing import ClassVar, Final

from securefl.crypto.random import OS, RandomSource
from securefl.dp.accounting.events import Event
from securefl.dp.accounting.floats import positive, real, shown
from securefl.dp.accounting.relations import Relation, Unit
from securefl.dp.clipping import FlatClip, LayerClip, checked_clip
from securefl.dp.conditional_rounding import RoundingBound
from securefl.dp.mechanisms.quantile import QuantileClip
from securefl.dp.samplers.blocks import Integers
from securefl.errors import UnsafePlanError

LEAST_VARIANCE: Final = 1 / 16
"""What samplers take at least."""


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
class Mechanism(abc.ABC):
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
            multiplier = positive(
                "the noise multiplier", self.noise_multiplier, "add noise: without it nothing is private"
            )
            object.__setattr__(self, "noise_multiplier", multiplier)
        if self.denominator is not None:
            denominator = positive(
                "the denominator", self.denominator, "use the number of parties, or an expected sum of weights"
            )
            object.__setattr__(self, "denominator", denominator)
        if not real(self.slack) > 0:
            raise UnsafePlanError(
                "slack out of range", value=shown(self.slack), bound="> 0", remedy="1 is beta = e^(-1/2)"
            )
        object.__setattr__(self, "slack", float(self.slack))
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

    @abc.abstractmethod
    def shares(self, floor: Floor) -> int:
        """How many shares of the variance are certainly there and unknown to the adversary: V is so many times the variance."""

    @abc.abstractmethod
    def spread(self, variance: float, floor: Floor) -> float:
        """The variance of a coordinate's noise in the sum of all n, for each of them."""

    @abc.abstractmethod
    def event(self, bound: RoundingBound, variance: float, floor: Floor) -> Event:
        """What one round releases."""

    def check(self, variance: Fraction, floor: Floor) -> None:  # noqa: B027 - most take whatever samplers take
        """Raise where this variance or this floor does not do.

        Raises:
            UnsafePlanError: it does not.
        """

    def least_variance(self, floor: Floor) -> float:
        """The least variance that this mechanism takes; on a coarse grid it may be more noise than was asked for."""
        return max(LEAST_VARIANCE, self.min_sigma**2)

    @abc.abstractmethod
    def draw_party(self, variance: Fraction, floor: Floor, count: int, random: RandomSource = OS) -> Integers | None:
        """A party's share of the noise; None where parties add none."""

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
