"""Renyi divergences of integer noise, as formulas of the order; all bounds from above.

Lengths are in integer units: D2 and D1 bound a party's vector, V is the variance parameter of all the noise that the
adversary does not know.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from securefl.errors import UnsafePlanError

Floats = npt.NDArray[np.float64]

_ALL_SHARES: Final = 4096
"""Up to here the bound is taken over every smaller number of shares; above, over powers of two as well as the number itself."""


def tau(sigma2: float, shares: int) -> float:
    """Return how far a sum of discrete Gaussians is from one: a bound on the log-ratio, without unit.

    Args:
        sigma2: variance parameter of each share, in squared integer units.
        shares: n, equal shares in the sum; one share has none.

    Source: Kairouz, Liu, Steinke 2021, section 4 (convolution of discrete Gaussians).
    """
    return float(_taus(sigma2, shares)[-1])


def ddg_rdp(orders: Floats, *, d2: float, d1: float, local_sigma2: float, shares: int, dimension: int) -> Floats:
    """Return the RDP of a sum of `shares` discrete Gaussians in each of `dimension` coordinates, at each order.

    Shape: that of `orders`, which are above 1. More shares than stated do no harm, because whoever adds independent
    noise to a release reveals nothing more.

    Source: Kairouz, Liu, Steinke 2021, section 4 (three bounds, the least holds); the least over fewer shares is
    post-processing, and it matters for sigma below 1 only, where tau outgrows what a further share's variance gains.
    """
    counts = _counts(shares)
    variance, t = local_sigma2 * counts, _taus(local_sigma2, shares)[counts - 1]
    first = d2 * d2 / (2.0 * variance), t * dimension
    second = (d2 * d2 / variance + 2.0 * d1 * t / np.sqrt(variance) + t * t * dimension) / 2.0
    third = (d2 / np.sqrt(variance) + t * math.sqrt(dimension)) ** 2 / 2.0
    slope = float(np.min(np.minimum(second, third)))
    return np.array([min(a * slope, float(np.min(a * first[0] + first[1]))) for a in orders])


def skellam_rdp(orders: Floats, *, d2: float, d1: float, variance: float) -> Floats:
    """Return the RDP of a sum with symmetric Skellam noise of this variance in each coordinate, at each integer order.

    Raises:
        UnsafePlanError: an order is not an integer above 1.

    Source: Agarwal, Kairouz, Liu 2021, section 3.
    """
    require_integers(orders)
    further = np.minimum(
        ((2.0 * orders - 1.0) * d2 * d2 + 6.0 * d1) / (4.0 * variance * variance), 3.0 * d1 / (2.0 * variance)
    )
    return orders * (d2 * d2 / (2.0 * variance)) + further


def gaussian_rdp(orders: Floats, *, d2: float, variance: float) -> Floats:
    """Return alpha D2^2 / 2V: the RDP of one Gaussian, continuous or discrete with integer shifts.

    Source: Mironov 2017, corollary 3; Canonne, Kamath, Steinke 2020, theorem 4.
    """
    return orders * (d2 * d2 / (2.0 * variance))


def require_integers(orders: Floats) -> None:
    """Raise unless every order is an integer above 1.

    Raises:
        UnsafePlanError: one is not.
    """
    for order in orders:
        if order < 2.0 or order != math.floor(order):
            raise UnsafePlanError(
                "this bound does not hold at the order",
                value=float(order),
                bound="an integer >= 2",
                remedy="use orders 2..1024",
            )


def _taus(sigma2: float, shares: int) -> Floats:
    """Return tau for 1, 2, ... `shares` shares."""
    k = np.arange(1, shares, dtype=np.float64)
    terms = 10.0 * np.exp(-2.0 * np.pi**2 * sigma2 * (k / (k + 1.0)))
    return np.concatenate(([0.0], np.cumsum(terms)))


def _counts(shares: int) -> npt.NDArray[np.int64]:
    if shares <= _ALL_SHARES:
        return np.arange(1, shares + 1)
    powers = 2 ** np.arange(int(math.log2(shares)) + 1)
    return np.unique(np.concatenate((np.arange(1, _ALL_SHARES + 1), powers, [shares])))
