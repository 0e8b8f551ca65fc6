"""Modified Bessel functions of the first kind and integer order, between integers that are proven to enclose them."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final

_START_BITS: Final = 288

LEAST_ARGUMENT: Final = 2**14
"""Below this Hankel's expansion is not used: its terms must have shrunk long before they grow again, at order 2 x."""


def recurrence(argument: Fraction, step: int, count: int, bits: int) -> list[int]:
    """Return 2^bits I_{k step}(x) / I_0(x) for k = 0..count-1, while positive, by Miller's backward recurrence.

    y_{k-1} = y_{k+1} + (2k/x) y_k from y_{m+1} = 0 and y_m = 1. Any two solutions have y_k I_{k+1} - y_{k+1} I_k of
    constant magnitude, here I_{m+1}, so the ratio y_{k+1}/y_k is off by a relative I_m I_{m+1} / I_k I_{k+1} (to first
    order). With m = 18 sqrt(x) + 100 and orders up to 14 sqrt(x) + 62, that is below 2^-150. The y are integers in units of
    2^-288 of the first: rounding adds a relative m 2^-288.

    Args:
        argument: x, positive.
        step: distance of the orders.
        count: how many; orders are at most 14 sqrt(x) + 62, give or take two steps.
        bits: scale of the result.

    Source: NIST DLMF 10.29.1; 3.6(iii) (Miller's algorithm).
    """
    top = max(18 * (math.isqrt(math.ceil(argument)) + 1) + 100, step * count)
    numerator, twice = argument.numerator, 2 * argument.denominator
    above, here = 0, 1 << _START_BITS
    kept = []
    for order in range(top, 0, -1):
        if order % step == 0:
            kept.append(here)
        above, here = here, above + order * twice * here // numerator
    values = [(value << bits) // here for value in (here, *reversed(kept))][:count]
    return [value for value in values if value]


def hankel(order: int, argument: Fraction, bits: int) -> tuple[int, int]:
    """Return integers low and high around 2^bits sqrt(2 pi x) exp(-x) I_k(x), at most 4 apart.

    By Hankel's expansion, sum of (-1)^l a_l(k) / x^l. The sum to l - 1 lacks at most

        2 chi(l) |a_l| / x^l exp(chi(1) |k^2 - 1/4| / x),    chi(1) = pi/2, chi(l) <= l + 1:

    DLMF 10.40.11 and 10.40.12 bound the rest of K_k at x e^(pi i), whose imaginary part is -pi I_k(x) (10.34.2). Terms
    reach exp(k^2 / 2x); each is rounded to an integer, and an error is multiplied by what follows, at most by that, too.

    Args:
        order: k, at most 16 sqrt(x).
        argument: x, at least 2^14.
        bits: scale of the result.
    """
    square = 4 * order * order
    # pi/2 log2(e) < 16/7 and log2(e) / 2 < 3/4: the bits of both exponentials.
    rest_bits = 16 * order * order * argument.denominator // (7 * argument.numerator) + 1
    growth_bits = 3 * order * order * argument.denominator // (4 * argument.numerator) + 1
    guard = rest_bits + growth_bits + 32
    term = total = 1 << bits + guard
    small = 1 << guard - rest_bits
    degree = 0
    while True:
        degree += 1
        odd = 2 * degree - 1
        term = term * ((odd * odd - square) * argument.denominator) // (8 * degree * argument.numerator)
        if 2 * (degree + 1) * (abs(term) + (1 << growth_bits + 12)) <= small:
            break
        total += term
    return (total >> guard) - 2, (total >> guard) + 2
