"""The finest grid on which a mechanism's noise has the multiplier that was asked for.

With the ring fixed, more noise leaves less room for the clip, so that sqrt(V) / D2 rises with the variance: it is found by
bisection. Both numbers are rounded to 24 bits, the variance up and the radius down, and go on the wire as they are: nobody
needs to find them again, everybody checks them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from securefl.dp.conditional_rounding import RoundingBound
from securefl.dp.mechanisms.mechanism import Floor, Mechanism
from securefl.dp.mechanisms.release import Release, no_noise
from securefl.dp.modular_grid import ModularGrid
from securefl.dp.rotation import padded
from securefl.errors import UnsafePlanError

_BITS: Final = 24
_FINE_BITS: Final = 44
_OVER: Final = 1e-3
"""By so much the multiplier may be more than was asked for, beside what a coarse grid costs."""
_MOST: Final = 2.0**90


def choose(mechanism: Mechanism, floor: Floor, size: int, grid: ModularGrid) -> Release:
    """Return the release with the finest grid that has at least the mechanism's noise multiplier.

    On a grid so coarse that the least noise of the mechanism is more than that, the noise is more: see `Release.noise_multiplier`.

    Args:
        mechanism: what was asked for.
        floor: n, m, c and t.
        size: values of an update.
        grid: the ring.

    Raises:
        UnsafePlanError: no noise was chosen, the ring is too small for it, or the floor forbids it.
    """
    target = mechanism.noise_multiplier
    if target is None:
        raise no_noise()
    if size < 1:
        raise UnsafePlanError("nothing to add noise to: values", value=size, bound=">= 1", remedy="check the template")
    dimension = padded(size + mechanism.adaptive)
    grid.room(dimension)
    if mechanism.shares(floor) < 1:
        raise UnsafePlanError(
            "all noise could be known to colluders: survivors",
            value=floor.survivors,
            bound=f"> {floor.colluders}, the colluders",
            remedy="raise min_survivors, or lower max_colluders",
        )

    def radius_at(variance: float) -> float:
        noise = math.sqrt(mechanism.spread(variance, floor))
        return _rounded_down(grid.radius(noise=noise, parties=floor.parties, dimension=dimension))

    def enough(variance: float) -> bool:
        """Whether this variance has the multiplier; more than fits into the ring counts as enough, and is refused at the end."""
        try:
            bound = RoundingBound(radius_at(variance), dimension, mechanism.slack)
        except UnsafePlanError:
            return True
        return math.sqrt(variance * mechanism.shares(floor)) >= target * bound.l2

    def close(variance: float) -> bool:
        """Whether it is little more than was asked for; D2^2 is a whole number, and jumps on a coarse grid."""
        try:
            bound = RoundingBound(radius_at(variance), dimension, mechanism.slack)
        except UnsafePlanError:
            return True
        return math.sqrt(variance * mechanism.shares(floor)) <= target * bound.l2 * (1 + _OVER + 1 / bound.squared)

    least = mechanism.least_variance(floor)
    variance = _least_enough(enough, least, _BITS)
    # Where noise all but fills the ring, the clip that has room beside it depends steeply on the noise: 24 bits are too few there.
    if variance > least * (1 + _OVER) and not close(variance):
        variance = _least_enough(enough, least, _FINE_BITS)
    try:
        radius = radius_at(variance)
        RoundingBound(radius, dimension, mechanism.slack)
    except UnsafePlanError as error:
        raise UnsafePlanError(
            f"noise multiplier {target:g} does not fit into a ring of {grid.ring_bits} bits: {error.rule}",
            value=error.value,
            bound=error.bound,
            remedy='raise ring_bits, lower the noise, or let sums wrap with ModularGrid(wrap="modular", k=2)',
        ) from error
    return Release(mechanism=mechanism, floor=floor, size=size, grid=grid, radius=radius, variance=variance)


def _least_enough(enough: Callable[[float], bool], least: float, bits: int) -> float:
    """Return the least variance of so many bits that is enough, and not below what the mechanism takes."""
    least = -_rounded_down(-least)
    if enough(least):
        return least
    low, high = least, 2 * least
    while not enough(high):
        low, high = high, 2 * high
        if high > _MOST:
            raise UnsafePlanError(
                "no noise has this multiplier", value=high, bound=f"<= {_MOST:g}", remedy="lower the noise multiplier"
            )
    step = 2.0 ** (math.frexp(high)[1] - 1 - bits)
    first, last = round(low / step), round(high / step)
    while last - first > 1:
        middle = (first + last) // 2
        if enough(middle * step):
            last = middle
        else:
            first = middle
    return last * step


def _rounded_down(value: float) -> float:
    mantissa, exponent = math.frexp(value)
    return math.ldexp(math.floor(mantissa * 2**_BITS) / 2**_BITS, exponent)
