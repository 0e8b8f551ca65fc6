"""Exponentials and logarithms of rationals between two integers that are proven to enclose them."""

from __future__ import annotations

from fractions import Fraction

_HALVINGS = 8


def exp_minus(exponent: Fraction, bits: int) -> tuple[int, int]:
    """Return integers low and high with low <= 2^bits exp(-exponent) <= high, at most 2 apart.

    The exponent is halved until it is below 2^-8, its exponential taken by Taylor, inverted, and squared back. Each step
    rounds down; `error` bounds what has come together, in units of 2^-work: below 2 a term, twice that and 2 for each
    squaring of a number below 1. The guard bits leave it far below one unit of the result.

    Args:
        exponent: 0 or more, below 2^16.
        bits: scale of the result.
    """
    if exponent == 0:
        return 1 << bits, 1 << bits
    halvings = int(exponent).bit_length() + _HALVINGS
    work = bits + halvings + 64
    small = (exponent.numerator << work) // (exponent.denominator << halvings)
    term = total = 1 << work
    count = 0
    while term:
        count += 1
        term = (term * small >> work) // count
        total += term
    value = (1 << 2 * work) // total
    error = 2 * count + 8
    for _ in range(halvings):
        value = value * value >> work
        error = 2 * error + 2
    shift = work - bits
    return max(0, value - error) >> shift, min(1 << bits, (value + error >> shift) + 1)


def log_ratio(larger: int, smaller: int) -> int:
    """Return an integer g with g <= 2^32 log(larger / smaller) < g + 2.

    By the series of 2 artanh(z) at 64 bits, rounded down throughout. The result holds even where both numbers are off by
    a relative 2^-66.

    Args:
        larger: above 0.
        smaller: above 0, at most `larger`, and more than half of it.
    """
    z = (larger - smaller << 64) // (larger + smaller)
    square = z * z >> 64
    total = power = z
    degree = 1
    while power:
        degree += 2
        power = power * square >> 64
        total += power // degree
    return max(0, 2 * total - 4 >> 32)
