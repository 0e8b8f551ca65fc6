"""The symmetric Skellam distribution: the difference of two Poisson variables of mean mu/2, closed under addition."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache, partial
from typing import Final

from securefl.crypto.random import OS, RandomSource
from securefl.dp.samplers.bessel import LEAST_ARGUMENT, hankel, recurrence
from securefl.dp.samplers.blocks import NODE_BITS, Integers, RejectedBlocks, Sampler, SingleCells
from securefl.dp.samplers.lanes import open_lanes
from securefl.dp.samplers.parameters import checked_count, rational

MOST_VARIANCE: Final = 2**100
"""As for the discrete Gaussian."""

_BLOCKS_A_SIGMA: Final = 64

_MOST_RECURRENCE: Final = 2**28
"""Above this variance the recurrence has more steps than the expansion has terms."""


def skellam(variance: Fraction | int, count: int, random: RandomSource = OS) -> Integers:
    """Draw from the symmetric Skellam distribution, whose probabilities are exp(-mu) I_|x|(mu).

    Draws of variances mu and mu' add up to one of mu + mu'. Every draw is within 2^-100 in total variation (in fact
    2^-118): values beyond 14 sqrt(mu) + 60 are left out, which have probability below 2^-120 by Chernoff's bound,
    2 exp(-mu (y asinh y - sqrt(1 + y^2) + 1)) with y = x / mu. Otherwise as `discrete_gaussian`; the distribution is
    log-concave, as are the two that it is the convolution of.

    Args:
        variance: mu, in 1/16..2^100.
        count: how many.
        random: where the 32 bytes of the seed come from.

    Returns:
        int64, shape (count,), of magnitude at most 14 sqrt(mu) + 74 rounded up to the next block.

    Raises:
        UnsafePlanError: an argument is outside its bounds, or the variance is a float.

    Source: Agarwal, Kairouz, Liu 2021, section 3 (the distribution).
    """
    exact = rational("variance", variance, most=MOST_VARIANCE)
    return _sampler(exact).draw(checked_count(count), open_lanes(random))


@lru_cache(maxsize=128)
def _sampler(variance: Fraction) -> Sampler:
    last = 14 * (math.isqrt(math.ceil(variance)) + 1) + 60
    if variance < LEAST_ARGUMENT:
        return SingleCells(recurrence(variance, 1, last + 1, NODE_BITS))
    bits = (int(variance / _BLOCKS_A_SIGMA**2).bit_length() - 1) // 2
    cells = -(-last >> bits)
    return RejectedBlocks(_nodes(variance, 1 << bits, cells + 2), bits, partial(_ratio, variance, bits))


def _nodes(variance: Fraction, step: int, count: int) -> list[int]:
    """Return 2^256 f(k step) for k = 0..count-1, in units of some f near f(0); nothing there is below 2^-160."""
    if variance < _MOST_RECURRENCE:
        return recurrence(variance, step, count, NODE_BITS)
    return [hankel(k * step, variance, NODE_BITS)[0] for k in range(count)]


def _ratio(variance: Fraction, block_bits: int, block: int, step: int, bits: int) -> tuple[int, int]:
    if step == 0:
        return 1 << bits, 1 << bits
    start = block << block_bits
    work = bits + 192
    low, high = hankel(start + step, variance, work)
    least, most = hankel(start, variance, work)
    return (low << bits) // most, (high << bits) // least + 1
