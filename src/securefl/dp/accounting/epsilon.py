"""Epsilons of what was released, by each accountant that has an upper bound; none of them is ever below the truth."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterable
from typing import Final

import numpy as np

from securefl.dp.accounting._extra import load
from securefl.dp.accounting.bounds import Floats
from securefl.dp.accounting.curves import orders_for, rdp_curve
from securefl.dp.accounting.events import Event
from securefl.dp.accounting.floats import open_delta, shown, up
from securefl.dp.accounting.pld import pld_epsilon
from securefl.dp.accounting.relations import Relation
from securefl.errors import UnsafePlanError

TOTAL_VARIATION_PER_DRAW: Final = 2.0**-100
"""How far the library's samplers may be from the exact distribution, for each integer drawn."""

_SAMPLER_SHARE: Final = 1e-3
"""The part of delta that the samplers' distance may take."""


class Accountant(enum.StrEnum):
    """Which bound an epsilon is: Renyi divergences, or privacy loss distributions. Central-limit ones are none."""

    RDP = "rdp"
    PLD = "pld"

    @classmethod
    def parse(cls, label: str) -> Accountant:
        """Return the accountant of that name.

        Raises:
            UnsafePlanError: there is none.
        """
        try:
            return cls(label)
        except ValueError:
            raise UnsafePlanError(
                "unknown accountant", value=shown(label), bound=" or ".join(cls), remedy="name one of these"
            ) from None


def epsilon_from_rdp(orders: Iterable[float], curve: Floats, delta: float) -> float:
    """Return the least epsilon at delta that a bound on the RDP at these orders gives, rounded up.

    Source: Canonne, Kamath, Steinke 2020, proposition 12; Bretagnolle-Huber where it gives zero.
    """
    open_delta(delta)
    finite = [(order, rdp) for order, rdp in zip(orders, curve, strict=True) if math.isfinite(rdp)]
    if not finite:
        return math.inf
    found = load("dp_accounting.rdp").compute_epsilon([a for a, _ in finite], np.array([r for _, r in finite]), delta)[
        0
    ]
    return up(float(found)) if found > 0.0 else 0.0


def rdp_epsilon(
    event: Event, delta: float, relation: Relation, *, orders: Iterable[float] | None = None, draws: int = 0
) -> float:
    """Return a bound on the event's epsilon at delta by Renyi differential privacy.

    Args:
        event: what was released, with its repetitions.
        delta: in (0, 1).
        relation: what the guarantee is about.
        orders: above 1; the defaults of `orders_for` if not given.
        draws: integers drawn from the samplers, n d T; see `epsilon_with_draws`.

    Raises:
        UnsafePlanError: delta, relation or orders do not fit.
        ConfigError: the `dp` extra is not installed.
    """
    grid = orders_for(event) if orders is None else tuple(orders)
    curve = rdp_curve(event, grid, relation)
    found = epsilon_with_draws(lambda d: epsilon_from_rdp(grid, curve, d), delta, draws)
    return math.inf if found is None else found


def epsilon_of(
    event: Event,
    delta: float,
    relation: Relation,
    accountant: Accountant,
    *,
    orders: Iterable[float] | None = None,
    draws: int = 0,
) -> float:
    """Return a bound on the event's epsilon by one accountant; arguments as in `rdp_epsilon`.

    Raises:
        UnsafePlanError: this accountant has no upper bound for the event at this delta.
        ConfigError: the `dp` extra is not installed.
    """
    if Accountant.parse(accountant) is Accountant.RDP:
        return rdp_epsilon(event, delta, relation, orders=orders, draws=draws)
    found = epsilon_with_draws(lambda d: pld_epsilon(event, d, relation), delta, draws)
    if found is None:
        raise UnsafePlanError(
            "the privacy loss distribution gives no upper bound here",
            value=type(event).__name__,
            bound="Gaussian noise, and a delta that floats resolve",
            remedy='use accountant "rdp"',
        )
    return found


def epsilons(event: Event, delta: float, relation: Relation, *, draws: int = 0) -> dict[str, float | None]:
    """Return `{"rdp": ..., "pld": ...}`, bounds on the event's epsilon at delta; pld is None where it is no bound.

    Arguments and errors as in `rdp_epsilon`.
    """
    return {
        "rdp": rdp_epsilon(event, delta, relation, draws=draws),
        "pld": epsilon_with_draws(lambda d: pld_epsilon(event, d, relation), delta, draws),
    }


def sampler_delta(epsilon: float, draws: int) -> float:
    """Return what `draws` integers from the samplers add to delta, rounded up: (1 + e^epsilon) TV for each.

    Two distributions within TV of an (epsilon, delta)-private pair are (epsilon, delta + (1 + e^epsilon) TV)-private.
    """
    if draws == 0:
        return 0.0
    return up((1.0 + math.exp(epsilon)) * TOTAL_VARIATION_PER_DRAW * draws) if epsilon < 700.0 else math.inf


def epsilon_with_draws(bound: Callable[[float], float | None], delta: float, draws: int) -> float | None:
    """Return the epsilon of `bound` at what the samplers' distance leaves of delta.

    Args:
        bound: epsilon as a function of delta, not increasing; None where it has none.
        delta: in (0, 1), of which the samplers may take a thousandth.
        draws: integers drawn; 0 for noise that is not the samplers'.

    Returns:
        The epsilon; infinite if the samplers would take more than a thousandth of delta.

    Raises:
        UnsafePlanError: delta is outside (0, 1), or draws are negative.
    """
    open_delta(delta)
    if draws < 0:
        raise UnsafePlanError("the number of draws is out of range", value=draws, bound=">= 0", remedy="n d T")
    if draws == 0:
        return bound(delta)
    most = bound(delta * (1.0 - _SAMPLER_SHARE))
    if most is None:
        return None
    taken = sampler_delta(most, draws)
    if taken > delta * _SAMPLER_SHARE:
        return math.inf
    return bound(math.nextafter(delta - taken, 0.0))
