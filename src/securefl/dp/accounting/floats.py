"""Floating-point comparisons, rounded against the spender."""

from __future__ import annotations

import math
from collections.abc import Iterable
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


def positive(name: str, value: float, remedy: str) -> None:
    """Raise unless `value` is a positive finite number.

    Raises:
        UnsafePlanError: it is not.
    """
    if not (math.isfinite(value) and value > 0):
        raise UnsafePlanError(f"{name} is out of range", value=value, bound="a finite number > 0", remedy=remedy)


def open_delta(delta: float) -> None:
    """Raise unless 0 < delta < 1.

    Raises:
        UnsafePlanError: it is not.
    """
    if not 0.0 < delta < 1.0:
        raise UnsafePlanError(
            "delta is out of range", value=delta, bound="0 < delta < 1", remedy="choose delta well below 1 / parties"
        )
