"""The discrete Laplace distribution: integers x with probability proportional to exp(-|x| / scale)."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache, partial
from typing import Final

from securefl.crypto.random import OS, RandomSource
from securefl.dp.samplers.blocks import NODE_BITS, Integers, RejectedBlocks, Sampler, SingleCells
from securefl.dp.samplers.exact import exp_minus
from securefl.dp.samplers.lanes import open_lanes
from securefl.dp.samplers.parameters import checked_count, rational

MOST_SCALE: Final = 2**47
"""86 scales stay below 2^54, as the Gaussian's 13 standard deviations do."""

_TAIL: Final = 86
_BLOCKS_A_SCALE: Final = 32


def discrete_laplace(scale: Fraction | int, count: int, random: RandomSource = OS) -> Integers:
    """Draw from the discrete Laplace distribution.

    Every draw is within 2^-100 in total variation (in fact 2^-118): values beyond 86 scales are left out, which have
    probability below 2 exp(-86) < 2^-123. Otherwise as `discrete_gaussian`.

    Args:
        scale: in 1/16..2^47.
        count: how many.
        random: where the 32 bytes of the seed come from.

    Returns:
        int64, shape (count,), of magnitude at most 86 scales rounded up to the next block.

    Raises:
        UnsafePlanError: an argument is outside its bounds, or the scale is a float.

    Source: Canonne, Kamath, Steinke 2020, section 5.2, for the distribution.
    """
    exact = rational("scale", scale, most=MOST_SCALE)
    return _sampler(exact).draw(checked_count(count), open_lanes(random))


@lru_cache(maxsize=64)
def _sampler(scale: Fraction) -> Sampler:
    last = math.ceil(_TAIL * scale)
    bits = int(scale / _BLOCKS_A_SCALE).bit_length() - 1
    if bits < 1:
        return SingleCells(_weights(scale, 1, last + 1))
    cells = -(-last >> bits)
    return RejectedBlocks(_weights(scale, 1 << bits, cells + 2), bits, partial(_ratio, scale))


def _weights(scale: Fraction, step: int, count: int) -> list[int]:
    """Return 2^256 exp(-k step / scale) for k = 0..count-1, off by less than count 2^-62."""
    work = NODE_BITS + 64
    factor = exp_minus(step / scale, work)[0]
    weights, weight = [], 1 << work
    for _ in range(count):
        if weight >> 64 == 0:
            break
        weights.append(weight >> 64)
        weight = weight * factor >> work
    return weights


def _ratio(scale: Fraction, _block: int, step: int, bits: int) -> tuple[int, int]:
    return exp_minus(step / scale, bits)
