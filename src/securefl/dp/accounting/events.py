"""What a round released, described without any accountant.

Lengths are in the grid's integer units: d2 and d1 bound the L2 and L1 norm of one party's encoded vector, and so the
sensitivity under add-remove and zero-out; replace-one doubles them, which is the accountant's work.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

from securefl.dp.accounting.floats import positive, real, shown
from securefl.errors import UnsafePlanError

_MORE_NOISE = "add noise: without it nothing is private"
_MOST = 2**512  # products of larger ones are no floats
_GRID = "refine the grid: scale the clip to at least one integer unit"


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """Base of all events."""

    def leaves(self, count: int = 1) -> Iterator[tuple[Event, int]]:
        """Yield the releases and samplings this event is composed of, each with its number of repetitions."""
        yield self, count

    def unsampled(self) -> Event:
        """Return the event as somebody sees it who knows which parties were sampled."""
        return self


@dataclasses.dataclass(frozen=True, slots=True)
class GaussianRelease(Event):
    """A sum plus continuous Gaussian noise: DP-SGD, and what integer noise is compared with.

    Args:
        noise_multiplier: z, the standard deviation over the clip C.

    Raises:
        UnsafePlanError: z is not a positive number.
    """

    noise_multiplier: float

    def __post_init__(self) -> None:
        positive("the noise multiplier", self.noise_multiplier, _MORE_NOISE)


@dataclasses.dataclass(frozen=True, slots=True)
class DiscreteGaussianCentral(Event):
    """A sum plus one curator's discrete Gaussian noise.

    Args:
        d2: bound on the L2 norm of one party's encoded vector.
        sigma2: parameter of the noise N_Z(0, sigma^2) in each coordinate.

    Source: Canonne, Kamath, Steinke 2020, theorem 4 (concentrated differential privacy of N_Z).
    """

    d2: float
    sigma2: float

    def __post_init__(self) -> None:
        _check_norm(self.d2)
        positive("the variance parameter", self.sigma2, _MORE_NOISE)

    @property
    def noise_multiplier(self) -> float:
        """Standard deviation over sensitivity, both in integer units."""
        return math.sqrt(self.sigma2) / self.d2


@dataclasses.dataclass(frozen=True, slots=True)
class DiscreteGaussianLocal(Event):
    """A party's own vector plus all the discrete Gaussian noise that it needs, whatever else is added to it.

    Args:
        d2: bound on the L2 norm of one party's encoded vector.
        sigma2: parameter of its noise N_Z(0, sigma^2) in each coordinate.

    Source: Canonne, Kamath, Steinke 2020, theorem 4.
    """

    d2: float
    sigma2: float

    def __post_init__(self) -> None:
        _check_norm(self.d2)
        positive("the variance parameter", self.sigma2, _MORE_NOISE)

    @property
    def noise_multiplier(self) -> float:
        """Standard deviation over sensitivity, both in integer units."""
        return math.sqrt(self.sigma2) / self.d2


@dataclasses.dataclass(frozen=True, slots=True)
class _Distributed(Event):
    """A sum in which each of m survivors put an equal share of noise, c of which the adversary knows.

    Args:
        d2: D2, bound on the L2 norm of one party's encoded vector.
        d1: D1, bound on its L1 norm.
        local_sigma2: sigma^2, the variance parameter of one party's noise, in squared integer units.
        survivors: m, the least number of vectors that a sum may hold.
        colluders: c, parties who tell the adversary their noise.
        threshold: t of the secret sharing, where there is one.

    Raises:
        UnsafePlanError: no noise, a grid coarser than the clip, or c outside 0..min(t, m) - 2.
    """

    d2: float
    d1: float
    local_sigma2: float
    survivors: int
    colluders: int = 0
    threshold: int | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _check_norms(self.d2, self.d1)
        positive("the local variance", self.local_sigma2, _MORE_NOISE)
        _check_floor(self.survivors, self.colluders, self.threshold)

    @property
    def shares(self) -> int:
        """Noise shares that the adversary does not know, at the floor: m - c."""
        return self.survivors - self.colluders

    @property
    def variance(self) -> float:
        """V = sigma^2 (m - c)."""
        return self.local_sigma2 * self.shares

    @property
    def noise_multiplier(self) -> float:
        """sqrt(V) / D2, both in integer units."""
        return math.sqrt(self.variance) / self.d2


@dataclasses.dataclass(frozen=True, slots=True)
class DistributedGaussian(_Distributed):
    """A sum with a discrete Gaussian share N_Z(0, sigma^2) from each survivor; arguments as in the base.

    dimension: d, coordinates of the encoded vector, padding included.

    Source: Kairouz, Liu, Steinke 2021, section 4.
    """

    dimension: int = dataclasses.field(kw_only=True)

    def __post_init__(self) -> None:
        _Distributed.__post_init__(self)
        check_count("the dimension", self.dimension)


@dataclasses.dataclass(frozen=True, slots=True)
class DistributedSkellam(_Distributed):
    """A sum with a Skellam share of variance sigma^2 from each survivor.

    Source: Agarwal, Kairouz, Liu 2021, section 3.
    """


@dataclasses.dataclass(frozen=True, slots=True)
class CompensatedSkellam(Event):
    """A sum that holds Skellam noise of one variance V however many dropped out, after the excess was taken off.

    Args:
        d2: D2, bound on the L2 norm of one party's encoded vector.
        d1: D1, bound on its L1 norm.
        variance: V, without what c colluders know: shares are inflated by (n - J) / (n - J - c) for that.

    Source: Jiang, Wang, Chen 2024 (Dordis, XNoise).
    """

    d2: float
    d1: float
    variance: float

    def __post_init__(self) -> None:
        _check_norms(self.d2, self.d1)
        positive("the variance", self.variance, _MORE_NOISE)

    @property
    def noise_multiplier(self) -> float:
        """sqrt(V) / D2, both in integer units."""
        return math.sqrt(self.variance) / self.d2


def _check_norm(d2: float) -> None:
    if not 1.0 <= real(d2) < math.inf:  # below one unit every vector is rounded to zero
        raise UnsafePlanError(
            "the L2 bound is out of range", value=shown(d2), bound="a finite number >= 1", remedy=_GRID
        )


def _check_norms(d2: float, d1: float) -> None:
    _check_norm(d2)
    if not d2 <= real(d1) < math.inf:
        raise UnsafePlanError(
            "the L1 bound is below the L2 bound", value=shown(d1), bound=f">= {d2}", remedy="D1 = D2 min(sqrt d, D2)"
        )


def check_count(name: str, value: int, least: int = 1) -> None:
    """Raise unless `value` is a whole number from `least` to 2^512.

    Raises:
        UnsafePlanError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UnsafePlanError(
            f"{name} is out of range", value=shown(value), bound=f"a whole number >= {least}", remedy="correct it"
        )
    if value > _MOST:
        raise UnsafePlanError(f"{name} is out of range", value=shown(value), bound="<= 2^512", remedy="correct it")


def _check_floor(survivors: int, colluders: int, threshold: int | None) -> None:
    check_count("the number of survivors", survivors, 3)
    check_count("the number of colluders", colluders, 0)
    if threshold is not None:
        check_count("the threshold", threshold)
    most = min(survivors, survivors if threshold is None else threshold) - 2
    if colluders > most:
        raise UnsafePlanError(
            "too many colluders for the floor",
            value=colluders,
            bound=f"0..{most}, that is min(threshold, survivors) - 2",
            remedy="raise the threshold and the least number of survivors",
        )
