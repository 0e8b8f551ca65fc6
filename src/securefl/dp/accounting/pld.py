"""Epsilons from privacy loss distributions, made pessimistic where dp-accounting's are not quite.

dp-accounting rounds losses up (Doroshenko et al. 2022), so its epsilon is a bound but for the floating-point error of
its Fourier transforms. That error grows with the number of compositions: 8e-15 in delta at 1000, 3e-12 at 10^5, more
than 1.2e-10 at 10^7 (Gaussians with known answer), enough to fall below the truth at delta = 1e-10.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from securefl.dp.accounting._extra import load
from securefl.dp.accounting.analytic_gaussian import gaussian_epsilon
from securefl.dp.accounting.composition import FixedSizeSampled, PoissonSampled, is_gaussian, is_sampled
from securefl.dp.accounting.curves import folded_multiplier, orders_for, rdp_curve, require_relation
from securefl.dp.accounting.events import Event, GaussianRelease
from securefl.dp.accounting.floats import open_delta, up
from securefl.dp.accounting.relations import Relation

_INTERVAL: Final = 1e-4
_MOST_CELLS: Final = 10_000_000
_TAIL: Final = 1e-15
"""Mass of losses that dp-accounting cuts off."""
_TRANSFORM_ERROR: Final = 2.0**-51
"""Bound on the error in delta for each composition: 15 times and more what was seen."""


def has_pld(event: Event) -> bool:
    """Whether the event's privacy loss distribution is known: Gaussian noise, without sample or on Poisson samples.

    That of integer noise is not the Gaussian's, which is no bound: sigma 2, shift 2 gives 4.4079, a Gaussian 4.3772.
    """
    return is_gaussian(event) and not any(isinstance(leaf, FixedSizeSampled) for leaf, _ in event.leaves())


def pld_epsilon(event: Event, delta: float, relation: Relation) -> float | None:
    """Return a bound on epsilon at delta, or None where no distribution is a bound or floats cannot resolve delta.

    Raises:
        UnsafePlanError: delta is outside (0, 1), or the relation does not fit the event.
        ConfigError: the `dp` extra is not installed.

    Source: Koskela, Jälkö, Honkela 2020 (composition by Fourier transform); without sampling the exact formula.
    """
    open_delta(delta)
    relation = require_relation(event, relation)
    if not has_pld(event):
        return None
    if not is_sampled(event):
        return gaussian_epsilon(delta, folded_multiplier(event, relation))
    margin = _TRANSFORM_ERROR * (1000 + sum(count for _, count in event.leaves()))
    if delta < 2.0 * margin or _cells(event, relation) > _MOST_CELLS:
        return None
    # dp-accounting's convention for its PLD under replace-one is noise over the clip; under the others, over the
    # sensitivity, which is the clip. So the multiplier is handed over as it is.
    accounting = load("dp_accounting")
    relations = accounting.NeighboringRelation
    theirs = relations.REPLACE_ONE if relation == Relation.REPLACE_ONE else relations.REPLACE_SPECIAL
    accountant = load("dp_accounting.pld").PLDAccountant(theirs, value_discretization_interval=_INTERVAL)
    for leaf, count in event.leaves():
        accountant.compose(_theirs(leaf), count)
    epsilon = float(accountant.get_epsilon(delta - margin))
    return up(epsilon) if math.isfinite(epsilon) else math.inf


def _theirs(leaf: Event) -> object:
    accounting = load("dp_accounting")
    if isinstance(leaf, PoissonSampled):
        multiplier = folded_multiplier(leaf.event, Relation.ZERO_OUT)  # not halved: their convention, see above
        return accounting.PoissonSampledDpEvent(leaf.q, accounting.GaussianDpEvent(multiplier))
    if isinstance(leaf, GaussianRelease):
        return accounting.GaussianDpEvent(leaf.noise_multiplier)
    raise TypeError(f"no privacy loss distribution for {type(leaf).__name__}")  # has_pld said there is one


def _cells(event: Event, relation: Relation) -> float:
    """Return about how many cells the table of losses needs, for one event and for all together, twice for safety."""
    widths = []
    for leaf, _ in event.leaves():
        z = folded_multiplier(leaf.unsampled(), relation)
        widths.append(0.5 / z**2 + 10.0 / z)
    orders = orders_for(event)
    slopes = rdp_curve(event, orders, relation) - math.log(_TAIL) / (np.array(orders) - 1.0)
    return 2.0 * max(*widths, float(slopes.min())) / _INTERVAL
