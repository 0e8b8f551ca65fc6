"""Amplification by Poisson sampling, over any RDP and for replace-one."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from securefl.dp.accounting._extra import load
from securefl.dp.accounting.bounds import Floats, require_integers

FLOAT_ERROR: Final = 2.0**-36
"""Absolute error of log E[(P/Q)^alpha] in floats: lgamma of 1025 is near 6080, whose last place is 2^-40."""


def poisson_rdp(orders: Floats, *, q: float, rdp: Floats, tail_factor: float = 3.0) -> Floats:
    """Return the RDP of an event on a Poisson sample, at each integer order.

    Args:
        orders: integers of 2..A.
        q: probability with which each unit is sampled, 0 < q <= 1.
        rdp: RDP of the event without sampling at 2, 3, ..., A.
        tail_factor: 3 for any mechanism; 1 gives the divergence in one direction only (tests).

    Raises:
        UnsafePlanError: an order is not an integer above 1.

    Source: Zhu, Wang 2019, theorem 5; never more than without sampling, because Renyi divergence is quasi-convex.
    """
    require_integers(orders)
    alphas = orders.astype(np.int64)
    unamplified = rdp[alphas - 2]
    if q == 1.0:
        return np.asarray(unamplified, dtype=np.float64)
    gammaln = load("scipy.special").gammaln
    most = int(alphas.max())
    choice = np.arange(most + 1, dtype=np.float64)
    moment = np.zeros(most + 1)  # log E_Q[(P/Q)^l]; nothing for l = 0 and 1
    moment[2:] = (choice[2:] - 1.0) * rdp[: most - 1]
    moment[3:] += math.log(tail_factor)
    factorial = gammaln(choice + 1.0)
    constant = choice * math.log(q) - factorial + moment
    total = np.empty(len(alphas))
    for i, a in enumerate(alphas):
        terms = factorial[a] - factorial[a::-1] + (a - choice[: a + 1]) * math.log1p(-q) + constant[: a + 1]
        top = terms.max()
        total[i] = top + math.log(np.exp(terms - top).sum()) if math.isfinite(top) else math.inf
    amplified = (total + FLOAT_ERROR) / (orders - 1.0)
    return np.asarray(np.minimum(amplified, unamplified), dtype=np.float64)


def replace_one_rdp(orders: Floats, removal: Floats) -> Floats:
    """Return a bound on the RDP of a Poisson-sampled Gaussian under replace-one.

    Args:
        orders: above 1.
        removal: RDP at these orders of the same sampling under removal, with half the noise multiplier.

    Write F for E[(P/Q)^alpha]. The neighbours P = (1-q) A + q B and Q = (1-q) A + q C have, in either direction and at
    each epsilon >= 0, a hockey-stick divergence of at most q D(B || C) (Balle, Barthe, Gaboardi 2018, theorem 2: B is
    compared with a mixture of A and C, and is no farther from A than from C), which is that of a removal at distance
    |B - C|. F - 1 is an integral over these with weights e^((alpha-1) epsilon) in one direction and e^(-alpha epsilon)
    in the other (Liese, Vajda 2006), so it is at most twice that of the removal: F <= 2 F_removal - 1.
    """
    moment = (orders - 1.0) * removal
    with np.errstate(invalid="ignore"):
        doubled = moment + np.log1p(-np.expm1(-moment))
    return np.asarray(np.where(np.isinf(moment), np.inf, doubled + FLOAT_ERROR) / (orders - 1.0), dtype=np.float64)
