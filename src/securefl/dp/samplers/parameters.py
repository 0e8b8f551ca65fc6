"""What every sampler asks of its arguments."""

from __future__ import annotations

import operator
from fractions import Fraction
from numbers import Rational
from typing import Final

from securefl.errors import UnsafePlanError

TV_BOUND: Final = Fraction(1, 2**100)
"""Total variation distance of one draw from its distribution, at most, given uniform bits."""

LEAST: Final = Fraction(1, 16)
"""Variances and scales below this are refused: such noise is zero nearly always."""


def rational(name: str, value: Fraction | int, *, most: int) -> Fraction:
    """Return a variance or scale as a fraction.

    Floats are refused rather than converted: both sides, and every machine, must mean the same number, and what a
    formula yields in floats may differ in its last bit from machine to machine.

    Args:
        name: what the value is, for the message.
        value: an int or a Fraction.
        most: the largest one that is allowed.

    Raises:
        UnsafePlanError: it is neither, or outside [1/16, most].
    """
    if isinstance(value, bool) or not isinstance(value, Rational):
        raise UnsafePlanError(
            f"the {name} of integer noise is a rational number",
            value=f"{value!r} ({type(value).__name__})",
            bound="an int or a fractions.Fraction",
            remedy="agree on a Fraction; Fraction(x) is exactly the float x",
        )
    exact = Fraction(int(value.numerator), int(value.denominator))
    if not LEAST <= exact <= most:
        raise UnsafePlanError(
            f"the {name} of integer noise is out of range",
            value=value,
            bound=f"{LEAST}..2^{most.bit_length() - 1}",
            remedy="change the scale of the grid: below, noise hides nothing; above, sums may leave 64 bits",
        )
    return exact


def checked_count(count: int) -> int:
    """Return the number of draws.

    Raises:
        UnsafePlanError: it is no integer, or negative.
    """
    try:
        number = operator.index(count)
    except TypeError:
        number = -1
    if number < 0:
        raise UnsafePlanError(
            "the number of draws is an integer", value=repr(count), bound="0 or more", remedy="pass the vector's length"
        )
    return number
