"""Floating-point comparisons, rounded against the spender."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Real
from typing import Final

from securefl.errors import UnsafePlanError

SLACK: Final = 2.0**-40
"""Relative slack on whatever was computed in floats: thousands of roundings of 2^-53, and far below what is printed."""


def up(value: float) -> float:
    """Return a float that is above the real number which `value` approximates."""
    return math.nextafter(value * (1.0 + SLACK), math.inf)


def sum_up(values: Iterable[float]) -> float:
    """Return a float that is not below the exact sum of the values."""
    return math.nextafter(math.fsum(values), math.inf)


def printed(value: float, decimals: int = 4) -> str:
    """Return `value` in decimals, rounded up, so that a report never shows less than was spent."""
    if math.isinf(value):
        return "infinite"
    scale = 10**decimals
    return f"{math.ceil(value * scale) / scale:.{decimals}f}"


def real(value: object) -> float:
    """Return `value` as a float; NaN, within no bounds, where it is no real number or larger than floats go."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan


def shown(value: object) -> object:
    """Return what an error says of a value: numbers as they are, anything else as code and cut short."""
    if isinstance(value, int) and value.bit_length() > 256:  # Python refuses to print the longest ones
        return f"a number of {value.bit_length()} bits"
    return value if isinstance(value, Real) else repr(value)[:80]


def positive(name: str, value: float, remedy: str) -> float:
    """Return `value` as a float, which is positive and finite.

    Raises:
        UnsafePlanError: it is not, or no number.
    """
    number = real(value)
    if not 0.0 < number < math.inf:
        raise UnsafePlanError(f"{name} is out of range", value=shown(value), bound="a finite number > 0", remedy=remedy)
    return number


def above_one(order: float, remedy: str = "use orders above 1") -> float:
    """Return a Renyi order as a float, which is finite and above 1.

    Raises:
        UnsafePlanError: it is not, or no number.
    """
    number = real(order)
    if not 1.0 < number < math.inf:
        raise UnsafePlanError(
            "the order is out of range", value=shown(order), bound="a finite number > 1", remedy=remedy
        )
    return number


def open_delta(delta: float) -> float:
    """Return delta as a float, which is in (0, 1).

    Raises:
        UnsafePlanError: it is not, or no number.
    """
    number = real(delta)
    if not 0.0 < number < 1.0:
        raise UnsafePlanError(
            "delta is out of range",
            value=shown(delta),
            bound="0 < delta < 1",
            remedy="choose delta well below 1 / parties",
        )
    return number
