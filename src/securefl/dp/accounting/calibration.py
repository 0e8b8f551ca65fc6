"""The least noise that meets a target epsilon: the inverse of an accountant, rounded against the spender."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable
from typing import Final

from securefl.dp.accounting.composition import Repeated, sample_of
from securefl.dp.accounting.epsilon import Accountant, epsilon_of
from securefl.dp.accounting.events import Event, GaussianRelease
from securefl.dp.accounting.floats import open_delta, positive
from securefl.dp.accounting.pld import has_pld
from securefl.dp.accounting.relations import Relation
from securefl.errors import UnsafePlanError

_DIGITS: Final = 6
_CLOSE: Final = {Accountant.RDP: 1e-6, Accountant.PLD: 1e-5}  # each distribution costs a second
_FARTHEST: Final = 2.0**100
_AS_FAR_AS_IT_GOES: Final = 1.0001
"""How near the search comes to noise that a mechanism refuses, as a ratio."""


@dataclasses.dataclass(frozen=True, slots=True)
class Calibration:
    """An amount of noise, in whatever the caller varied, and the epsilon that the accountant gives for exactly it.

    Args:
        noise: rounded up to six digits.
        epsilon: at most the target.
        delta: as asked.
        accountant: whose bound it is.
    """

    noise: float
    epsilon: float
    delta: float
    accountant: Accountant


def calibrate(
    event_of: Callable[[float], Event],
    *,
    epsilon: float,
    delta: float,
    relation: Relation,
    accountant: Accountant = Accountant.RDP,
    orders: Iterable[float] | None = None,
    draws: int = 0,
    start: float = 1.0,
) -> Calibration:
    """Return the least noise whose event costs at most epsilon at delta, within 1e-5, then rounded up to six digits.

    Args:
        event_of: what is released altogether, for an amount of noise: multiplier, variance, local variance.
        epsilon: target, positive.
        delta: in (0, 1).
        relation: what the guarantee is about.
        accountant: whose bound must meet the target.
        orders: of the Renyi divergences; the defaults of `orders_for` if not given.
        draws: integers drawn from the samplers.
        start: where to begin to look.

    Raises:
        UnsafePlanError: no noise meets the target, or the accountant has no upper bound for the event.
        ConfigError: the `dp` extra is not installed.
    """
    positive("the target epsilon", epsilon, "name a positive number")
    positive("the start", start, "name a positive number")
    open_delta(delta)
    accountant = Accountant.parse(accountant)
    grid = None if orders is None else tuple(orders)
    if accountant is Accountant.PLD and has_pld(event_of(start)):
        # A distribution costs seconds: begin where the cheaper bound ends.
        start = calibrate(
            event_of, epsilon=epsilon, delta=delta, relation=relation, orders=grid, draws=draws, start=start
        ).noise

    @functools.cache
    def cost(noise: float) -> float:
        return epsilon_of(event_of(noise), delta, relation, accountant, orders=grid, draws=draws)

    low, high = _bracket(cost, epsilon, start)
    noise = _round_up(_close_in(cost, epsilon, low, high, _CLOSE[accountant]))
    while cost(noise) > epsilon:  # a distribution's grid makes epsilon jump by 1e-4 where noise does not
        noise = _round_up(noise * (1.0 + _CLOSE[accountant]))
    return Calibration(noise, cost(noise), delta, accountant)


def calibrate_noise_multiplier(
    *,
    epsilon: float,
    delta: float,
    rounds: int,
    sample_rate: float = 1.0,
    relation: Relation = Relation.ADD_REMOVE,
    accountant: Accountant = Accountant.RDP,
) -> Calibration:
    """Return the least z, noise over clip, of `rounds` Gaussian releases on Poisson samples; errors as in `calibrate`."""
    return calibrate(
        lambda z: Repeated(sample_of(sample_rate, GaussianRelease(z)), rounds),
        epsilon=epsilon,
        delta=delta,
        relation=relation,
        accountant=accountant,
    )


def _bracket(cost: Callable[[float], float], target: float, start: float) -> tuple[float, float]:
    """Return an amount that is too little and one that is enough."""
    if cost(start) > target:
        return _bracket_above(cost, target, start)
    step, enough = 1.25, start
    while cost(low := enough / step) <= target:
        enough, step = low, min(step * step, 16.0)
        if enough < 1.0 / _FARTHEST:
            raise UnsafePlanError(
                "the target is met without noise",
                value=target,
                bound="an epsilon that costs noise",
                remedy="lower delta",
            )
    return low, enough


def _bracket_above(cost: Callable[[float], float], target: float, low: float) -> tuple[float, float]:
    """Return an amount that is too little and one that is enough, from one that is too little."""
    step, refused = 1.25, math.inf
    while True:
        # Some mechanisms have a most noise: an adaptive clip's bit alone may spend what is asked for.
        enough = low * step if low * step < refused else math.sqrt(low * refused)
        try:
            found = cost(enough)
        except UnsafePlanError:
            refused = enough
            if refused < low * _AS_FAR_AS_IT_GOES:
                raise
            continue
        if found <= target:
            return low, enough
        low, step = enough, min(step * step, 16.0)
        if enough > _FARTHEST:
            raise UnsafePlanError(
                "no amount of noise meets the target",
                value=target,
                bound="an epsilon that noise can reach",
                remedy="raise epsilon or delta, or draw less",
            )


def _close_in(cost: Callable[[float], float], target: float, low: float, high: float, close: float) -> float:
    """Return an amount that is enough, and relatively within `close` of one that is not: false position in logarithms, Illinois' way."""

    def excess(noise: float) -> float:
        found = cost(noise)
        return math.log(found / target) if 0.0 < found < math.inf else math.copysign(100.0, found - target)

    above, below = excess(low), excess(high)
    last = 0
    while high > low * (1.0 + close):
        width = math.log(high / low)
        margin = min(0.5, 0.4 * close / width)  # steps over the root, so that both ends come near
        part = min(max(above / (above - below), margin), 1.0 - margin)
        middle = low * math.exp(width * part)
        if (found := excess(middle)) > 0.0:
            low, above, below = middle, found, below / 2.0 if last > 0 else below
            last = 1
        else:
            high, below, above = middle, found, above / 2.0 if last < 0 else above
            last = -1
    return high


def _round_up(value: float) -> float:
    """Return `value` rounded up to six significant digits; the float may be below the decimal, so the caller checks."""
    scale = 10.0 ** (_DIGITS - 1 - math.floor(math.log10(value)))
    return max(value, math.ceil(value * scale) / scale)
