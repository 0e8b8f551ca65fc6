"""Conditional stochastic rounding: a rounding that lengthens the vector by more than a known bound is drawn again.

What is enforced is an integer: squared norms of integer vectors are integers, so floor(D2^2) is as good a bound as D2^2
and sharper. The accountant takes its sensitivities from the same `RoundingBound`; whatever was rounded on the way to the
integer, what is charged is what is enforced.

Source: Kairouz, Liu, Steinke 2021, algorithm 1 and theorem 1; privacy.md, Mechanisms.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from securefl.dp.clipping import peak_of, sqrt_up, sum_of_squares
from securefl.errors import EncodingError, UnsafePlanError

Rounder: TypeAlias = Callable[[npt.NDArray[np.float64]], npt.NDArray[Any]]
"""Rounds each x to floor(x) or floor(x) + 1, with expectation x; as `securefl.encoding.stochastic_round` does."""

MAX_RADIUS: Final = 2.0**48
"""Longest vector, in grid points: every coordinate and its fraction fit into a float64."""

MAX_TRIES: Final = 100
"""A try fails with probability at most beta; for beta = e^(-1/2) all of them do with probability e^-50."""

_LIMB: Final = 26
_LIMB_BLOCK: Final = 1 << 10


@dataclasses.dataclass(frozen=True, slots=True)
class RoundingBound:
    """Bounds on the norms of a rounded vector: enforced by the party, charged by the accountant.

    Args:
        radius: c s, the clip in grid points, above 0 and at most 2^48.
        dimension: d, the vector's length, padding included.
        slack: sqrt(2 ln(1 / beta)): 1 for beta = e^(-1/2); infinite for beta = 0, where the first term alone counts.

    Raises:
        UnsafePlanError: an argument out of range.

    Source: Kairouz, Liu, Steinke 2021, theorem 1; privacy.md, Distributed discrete Gaussian, 2.
    """

    radius: float
    dimension: int
    slack: float = 1.0

    def __post_init__(self) -> None:
        if (
            isinstance(self.radius, bool)
            or not isinstance(self.radius, int | float)
            or not 0 < self.radius <= MAX_RADIUS
        ):
            raise UnsafePlanError(
                "clip in grid points out of range",
                value=self.radius,
                bound="> 0 and <= 2^48",
                remedy="lower the ring's bits or the scale",
            )
        if type(self.dimension) is not int or not 1 <= self.dimension <= 2**40:
            raise UnsafePlanError(
                "dimension out of range", value=self.dimension, bound="1..2^40", remedy="cut the vector"
            )
        if isinstance(self.slack, bool) or not isinstance(self.slack, int | float) or not self.slack > 0:
            raise UnsafePlanError("slack out of range", value=self.slack, bound="> 0", remedy="1 is beta = e^(-1/2)")
        if self.squared < 1:
            raise UnsafePlanError(
                "the grid is so coarse that all vectors round to zero: D2^2",
                value=self.squared,
                bound=">= 1",
                remedy="raise the scale or the ring's bits",
            )

    @property
    def squared(self) -> int:
        """floor(D2^2): the largest squared norm that is sent. The same on every machine, since no float is rounded."""
        return _squared(self.radius, self.dimension, self.slack)

    @property
    def l2(self) -> float:
        """D2 = sqrt(floor(D2^2)), rounded up: the sensitivity under zero-out, in grid points."""
        return sqrt_up(self.squared)

    @property
    def l1(self) -> int:
        """D1 = D2 min(sqrt d, D2), floor: the sum of absolute values of an integer vector is an integer, too."""
        return math.isqrt(self.squared * min(self.dimension, self.squared))


@functools.lru_cache(maxsize=256)
def _squared(radius: float, d: int, slack: float) -> int:
    """Return floor(D2^2); kept, since every vector of a run is held against the same few."""
    exact = Fraction(radius)
    worst = _floor_with_root(exact**2 + d, 2 * exact, d)
    if math.isinf(slack):
        return worst
    extra = Fraction(slack)
    return min(worst, _floor_with_root(exact**2 + Fraction(d, 4) + extra * exact, extra / 2, d))


@dataclasses.dataclass(frozen=True, slots=True)
class Rounded:
    """A vector on the grid.

    Args:
        values: int64, new, of squared norm at most the bound's.
        tries: roundings that were drawn; it depends on the update, so it stays with the party.
        towards_zero: whether all of them were too long, and the values are those rounded toward zero.
    """

    values: npt.NDArray[np.int64]
    tries: int
    towards_zero: bool


def slack(beta: float) -> float:
    """Return sqrt(2 ln(1 / beta)), infinite for 0; agree on the result, whose last bit may differ between machines.

    Raises:
        UnsafePlanError: beta outside [0, 1).
    """
    if not 0 <= beta < 1:
        raise UnsafePlanError("beta out of range", value=beta, bound=">= 0 and < 1", remedy="e^(-1/2) is usual")
    return math.sqrt(-2 * math.log(beta)) if beta else math.inf


def round_conditionally(
    vector: npt.NDArray[np.float64],
    scale: float,
    bound: RoundingBound,
    rounder: Rounder,
    *,
    max_tries: int = MAX_TRIES,
) -> Rounded:
    """Scale a clipped vector and round it at random until its exact norm is within the bound; then give up and truncate.

    Args:
        vector: float64, shape (d,), clipped and rotated: of norm at most radius / scale, to within 1e-12 of it.
        scale: s, grid points per unit.
        bound: for this d, and for c s.
        rounder: draws one rounding; called once a try, with a copy that it may write to.
        max_tries: at least 1.

    Raises:
        EncodingError: another shape or dtype, a NaN, a vector longer than its clip, or a rounder that does not round.

    Source: Kairouz, Liu, Steinke 2021, algorithm 1; the cap is ours.
    """
    if vector.dtype != np.float64 or vector.shape != (bound.dimension,):
        raise EncodingError(
            f"a vector of {vector.dtype}, shape {vector.shape}, expected float64 of shape ({bound.dimension},)",
            remedy="clip and rotate first",
        )
    if max_tries < 1:
        raise EncodingError(f"{max_tries} tries to round", remedy="allow 1 or more; 100 are usual")
    with np.errstate(over="ignore", invalid="ignore"):  # refused in the next line
        scaled = vector * scale
    # Not what privacy rests on, that is the integer norm below: a longer vector would be rounded with a bias unnoticed.
    within = peak_of(scaled) <= 2 * bound.radius and sum_of_squares(scaled) <= bound.radius**2 * (1 + 2.0**-30)
    if not within:
        raise EncodingError("the vector is longer than its clip, or not finite", remedy="clip it before it is rotated")
    limit = bound.squared
    for tries in range(1, max_tries + 1):
        values = _integers(rounder(scaled.copy()), scaled)
        if squared_norm(values) <= limit:
            return Rounded(values, tries, towards_zero=False)
    # The factor takes back what rotation and scaling may have added by rounding, at most 2^-39 of the norm.
    values = np.trunc(scaled * (1 - 2.0**-38)).astype(np.int64)
    if squared_norm(values) > limit:
        raise EncodingError("the vector is longer than its clip, rounded toward zero", remedy="clip it first")
    return Rounded(values, max_tries, towards_zero=True)


def squared_norm(values: npt.NDArray[np.int64]) -> int:
    """Return the exact sum of squares of integers below 2^52 in absolute value.

    Raises:
        EncodingError: a larger one.
    """
    if not values.size:
        return 0
    peak = max(int(values.max()), -int(values.min()))
    if peak**2 * values.size < 2**63:
        return int(np.dot(values, values))
    if peak >= 1 << (2 * _LIMB):
        raise EncodingError("a value of 2^52 grid points or more", remedy="lower the scale")
    # Two limbs of 26 bits: sums of 2^10 products stay below 2^62.
    total = 0
    for start in range(0, values.size, _LIMB_BLOCK):
        block = values[start : start + _LIMB_BLOCK]
        high, low = block >> _LIMB, block & ((1 << _LIMB) - 1)
        total += (int(np.dot(high, high)) << (2 * _LIMB)) + (int(np.dot(high, low)) << (_LIMB + 1))
        total += int(np.dot(low, low))
    return total


def _integers(drawn: npt.NDArray[Any], scaled: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return a rounding as new integers, after a look that it is one: each less than 1 from its x."""
    if drawn.shape != scaled.shape:
        raise EncodingError(f"the rounder gave shape {drawn.shape}, expected {scaled.shape}", remedy="round each value")
    with np.errstate(invalid="ignore"):  # a NaN differs from any integer
        values = drawn.astype(np.int64)
    if not np.array_equal(values, drawn) or not bool((np.abs(values - scaled) < 1).all()):
        raise EncodingError("the rounder gave no roundings", remedy="use securefl.encoding.stochastic_round")
    return values


def _floor_with_root(rational: Fraction, factor: Fraction, radicand: int) -> int:
    """Return floor(rational + factor sqrt(radicand)), exactly; all of them 0 or more."""
    common = math.lcm(rational.denominator, factor.denominator)
    whole, root = int(rational * common), int(factor * common)
    return (whole + math.isqrt(root**2 * radicand)) // common
