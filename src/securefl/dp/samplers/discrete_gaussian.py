"""The discrete Gaussian N_Z(0, sigma^2): integers x with probability proportional to exp(-x^2 / 2 sigma^2)."""

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

MOST_VARIANCE: Final = 2**100
"""13 standard deviations stay below 2^54: a thousand such vectors add up in 64 bits."""

_TAIL: Final = 13
_BLOCKS_A_SIGMA: Final = 64


def discrete_gaussian(variance: Fraction | int, count: int, random: RandomSource = OS) -> Integers:
    """Draw from N_Z(0, variance).

    Every draw is within 2^-100 in total variation (in fact 2^-118) of the distribution, given uniform bits: values beyond
    13 standard deviations are left out, which have probability below exp(-13^2 / 2) < 2^-121; everything else is
    decided by integers and is exact to 2^-170. Takes 32 bytes of `random`, which seed AES-256-CTR; equal bytes give equal
    draws on every machine. The time varies with the candidates that are rejected.

    Args:
        variance: the parameter sigma^2, in 1/16..2^100; the true variance is `gaussian_variance`.
        count: how many.
        random: where the seed comes from.

    Returns:
        int64, shape (count,), of magnitude at most 13 sigma rounded up to the next block.

    Raises:
        UnsafePlanError: an argument is outside its bounds, or the variance is a float.

    Source: Canonne, Kamath, Steinke 2020, definition 1 and proposition 25 (tail).
    """
    exact = rational("variance", variance, most=MOST_VARIANCE)
    return _sampler(exact).draw(checked_count(count), open_lanes(random))


def gaussian_variance(variance: Fraction | int) -> float:
    """Return the variance that N_Z(0, sigma^2) truly has, for reports: below sigma^2, and near it from sigma^2 = 1 on.

    Args:
        variance: the parameter sigma^2.

    Raises:
        UnsafePlanError: the parameter is outside its bounds.
    """
    exact = rational("variance", variance, most=MOST_VARIANCE)
    parameter = float(exact)
    if exact > 16:  # 1 - 8 pi^2 sigma^2 exp(-2 pi^2 sigma^2) + ... is 1 in double precision (Poisson summation)
        return parameter
    weights = [math.exp(-x * x / (2 * parameter)) for x in range(1, 200)]
    squares = math.fsum(x * x * weight for x, weight in enumerate(weights, 1))
    return 2 * squares / (1 + 2 * math.fsum(weights))


@lru_cache(maxsize=64)
def _sampler(variance: Fraction) -> Sampler:
    last = math.isqrt(math.ceil(_TAIL**2 * variance) - 1) + 1
    bits = (int(variance / _BLOCKS_A_SIGMA**2).bit_length() - 1) // 2
    if bits < 1:
        return SingleCells(_weights(variance, 1, last + 1))
    cells = -(-last >> bits)
    return RejectedBlocks(_weights(variance, 1 << bits, cells + 2), bits, partial(_ratio, variance, bits))


def _weights(variance: Fraction, step: int, count: int) -> list[int]:
    """Return 2^256 exp(-(k step)^2 / 2 sigma^2) for k = 0..count-1, off by less than count^2 2^-60.

    From one exponential q: q^(k^2) = q^((k-1)^2) q^(2k-1).
    """
    work = NODE_BITS + 64
    base = exp_minus(step * step / (2 * variance), work)[0]
    square = base * base >> work
    weights, weight, factor = [], 1 << work, base
    for _ in range(count):
        if weight >> 64 == 0:
            break
        weights.append(weight >> 64)
        weight = weight * factor >> work
        factor = factor * square >> work
    return weights


def _ratio(variance: Fraction, block_bits: int, block: int, step: int, bits: int) -> tuple[int, int]:
    return exp_minus(step * ((block << block_bits + 1) + step) / (2 * variance), bits)
