"""Unbiased stochastic rounding, with randomness from the CSPRNG."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from securefl.crypto.random import OS, RandomSource, uniform_uint64


def stochastic_round(values: npt.NDArray[np.float64], random: RandomSource = OS) -> npt.NDArray[np.float64]:
    """Return each x rounded to floor(x) or floor(x) + 1, such that the expectation is x.

    Rounds up iff U < x - floor(x) with U uniform on the multiples of 2^-53 in [0, 1). An integer stays as it is, every
    result is less than 1 from its x, and a result never passes an integer that x does not pass. The bias is at most
    2^-53 in absolute value: x - floor(x) is exact but for -1/2 < x < 0, where it is rounded by at most 2^-54 to a
    multiple of 2^-53; and P[U < p] exceeds p by less than 2^-53, by nothing where p is such a multiple.

    Args:
        values: float64, finite, |x| < 2^52.
        random: where U comes from.

    Source: protocol.md, Ring and encoding: floor(x + u), u from the CSPRNG.
    """
    floor = np.floor(values)
    fraction = values - floor
    uniform = (uniform_uint64(values.size, random) >> np.uint64(11)).astype(np.float64)
    uniform *= 2.0**-53
    rounded: npt.NDArray[np.float64] = np.add(floor, uniform.reshape(values.shape) < fraction, out=floor)
    return rounded
