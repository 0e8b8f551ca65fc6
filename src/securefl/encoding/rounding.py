"""Unbiased stochastic rounding, with randomness from the CSPRNG."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from securefl.crypto.random import OS, RandomSource, uniform_uint64

_FIRST: Final = 2.0**16
"""How many values the first draw has: two bytes decide all but one value in 2^16, and randomness is what takes the time."""


def stochastic_round(values: npt.NDArray[np.float64], random: RandomSource = OS) -> npt.NDArray[np.float64]:
    """Return each x rounded to floor(x) or floor(x) + 1, such that the expectation is x.

    Rounds up iff U < p, where p is x - floor(x) in float64 and U is uniform on the multiples of 2^-69 in [0, 1). The
    upper 16 bits of U are drawn for every value, the other 53 only where those equal floor(2^16 p): where they differ
    they decide U < p whatever follows, and where they are equal the rest of U is compared with the rest of p, which
    float64 holds exactly. So P[U < p] is p rounded up to a multiple of 2^-69; and p is x - floor(x) itself, but for
    -1/2 < x < 0, where it is a multiple of 2^-53 at most 2^-54 away: the bias is at most 2^-54 in absolute value.

    An integer stays as it is, every result is less than 1 from its x, and a result never passes an integer that x does
    not pass.

    Args:
        values: float64, finite, |x| < 2^52.
        random: where U comes from: 2 bytes a value, little-endian; then, if any are equal, 8 for each of them in order.

    Source: protocol.md, Ring and encoding: floor(x + u), u from the CSPRNG.
    """
    floor = np.floor(values)
    scaled = np.subtract(values, floor).reshape(-1)
    scaled *= _FIRST
    upper = np.floor(scaled)
    drawn = np.frombuffer(random.token(2 * values.size), dtype="<u2")
    up = drawn < upper
    ties = np.flatnonzero(drawn == upper)
    if ties.size:
        lower = (uniform_uint64(ties.size, random) >> np.uint64(11)).astype(np.float64)
        lower *= 2.0**-53
        up[ties] = lower < scaled[ties] - upper[ties]
    rounded: npt.NDArray[np.float64] = np.add(floor, up.reshape(values.shape), out=floor)
    return rounded
