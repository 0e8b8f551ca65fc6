"""From events to RDP curves: what each release costs at each order, under each relation."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import numpy as np

from securefl.dp.accounting._extra import load, quiet
from securefl.dp.accounting.bounds import Floats, ddg_rdp, gaussian_rdp, require_integers, skellam_rdp
from securefl.dp.accounting.composition import (
    FixedSizeSampled,
    PoissonSampled,
    is_distributed,
    is_gaussian,
    needs_integer_orders,
)
from securefl.dp.accounting.events import (
    CompensatedSkellam,
    DiscreteGaussianCentral,
    DiscreteGaussianLocal,
    DistributedGaussian,
    DistributedSkellam,
    Event,
    GaussianRelease,
)
from securefl.dp.accounting.floats import SLACK, positive
from securefl.dp.accounting.poisson import FLOAT_ERROR, poisson_rdp, replace_one_rdp
from securefl.dp.accounting.relations import Relation
from securefl.errors import UnsafePlanError

INTEGER_ORDERS: Final = tuple(range(2, 1025))


def orders_for(event: Event) -> tuple[float, ...]:
    """Return the orders at which the event's RDP is to be computed.

    dp-accounting's own for Gaussian noise; 2..1024 where bounds hold at integers only; 2..63 for samples of fixed size,
    whose differences cost alpha^2 and lose digits above.
    """
    if any(isinstance(leaf, FixedSizeSampled) for leaf, _ in event.leaves()):
        return INTEGER_ORDERS[:62]
    if needs_integer_orders(event):
        return INTEGER_ORDERS
    defaults: Iterable[float] = load("dp_accounting.rdp.rdp_privacy_accountant").DEFAULT_RDP_ORDERS
    return tuple(float(order) for order in defaults)


def require_relation(event: Event, relation: Relation) -> Relation:
    """Return the relation, under which the event can be accounted.

    Raises:
        UnsafePlanError: there is no such relation, distributed noise and not zero-out, or a sample of fixed size and not replace-one.
    """
    relation = Relation.parse(relation)
    if is_distributed(event) and relation != Relation.ZERO_OUT:
        raise UnsafePlanError(
            "distributed noise is accounted under zero-out only, because a party's noise share comes and goes with it "
            "and the variance would reveal who was there",
            value=str(relation),
            bound=str(Relation.ZERO_OUT),
            remedy="state the guarantee under zero-out, or use central noise",
        )
    if any(isinstance(leaf, FixedSizeSampled) for leaf, _ in event.leaves()) and relation != Relation.REPLACE_ONE:
        raise UnsafePlanError(
            "a sample of fixed size is accounted under replace-one only, because its size would tell",
            value=str(relation),
            bound=str(Relation.REPLACE_ONE),
            remedy="state the guarantee under replace-one, or use Poisson sampling",
        )
    return relation


def rdp_curve(event: Event, orders: Iterable[float], relation: Relation) -> Floats:
    """Return a bound on the event's RDP at each order, shape (orders,), rounded up.

    Args:
        event: what was released, with its repetitions.
        orders: above 1; integers where `needs_integer_orders`.
        relation: what the guarantee is about.

    Raises:
        UnsafePlanError: there is no such relation, it does not fit the event, or an order is one at which no bound is known.
        ConfigError: the `dp` extra is needed and not installed.
    """
    relation = require_relation(event, relation)
    grid = np.array(list(orders), dtype=np.float64)
    if not len(grid) or not np.all(np.isfinite(grid) & (grid > 1.0)):
        raise UnsafePlanError(
            "RDP orders are out of range", value=grid.tolist(), bound="finite, > 1", remedy="use the defaults"
        )
    total = np.zeros(len(grid))
    for leaf, count in event.leaves():
        total = total + count * _leaf_rdp(leaf, grid, relation)
    return np.asarray(np.nextafter(total * (1.0 + SLACK), np.inf), dtype=np.float64)


def folded_multiplier(event: Event, relation: Relation) -> float:
    """Return the noise multiplier of one Gaussian that costs what all of the event's releases cost together.

    Noise over sensitivity under the relation: replace-one halves it. Joint release of Gaussian releases is one Gaussian
    release, whose inverse squares add up.
    """
    inverse = math.fsum(n / leaf.noise_multiplier**2 for leaf, n in event.leaves() if isinstance(leaf, GaussianRelease))
    multiplier = 1.0 / math.sqrt(inverse) / relation.sensitivity_factor if inverse > 0.0 else math.inf
    positive("the noise multiplier of all releases together", multiplier, "release less, or add noise")
    return multiplier


def _leaf_rdp(leaf: Event, orders: Floats, relation: Relation) -> Floats:
    factor = relation.sensitivity_factor
    match leaf:
        case GaussianRelease():
            return gaussian_rdp(orders, d2=factor / leaf.noise_multiplier, variance=1.0)
        case DiscreteGaussianCentral() | DiscreteGaussianLocal():
            return gaussian_rdp(orders, d2=factor * leaf.d2, variance=leaf.sigma2)
        case DistributedGaussian():
            return ddg_rdp(
                orders,
                d2=leaf.d2,
                d1=leaf.d1,
                local_sigma2=leaf.local_sigma2,
                shares=leaf.shares,
                dimension=leaf.dimension,
            )
        case DistributedSkellam() | CompensatedSkellam():
            return skellam_rdp(orders, d2=leaf.d2, d1=leaf.d1, variance=leaf.variance)
        case PoissonSampled():
            return _poisson(leaf, orders, relation)
        case FixedSizeSampled():
            return _fixed_size(leaf, orders)
    raise UnsafePlanError(
        "unknown event",
        value=type(leaf).__name__,
        bound="an event of securefl.dp.accounting",
        remedy="describe the release with one",
    )


def _poisson(leaf: PoissonSampled, orders: Floats, relation: Relation) -> Floats:
    unamplified = rdp_curve(leaf.event, orders, relation)
    if is_gaussian(leaf):
        accounting = load("dp_accounting")
        z = folded_multiplier(leaf.event, relation)
        # Under replace-one dp-accounting's RDP refuses Poisson samples; a removal at twice the distance bounds it.
        amplified = _dp_accounting(
            accounting.PoissonSampledDpEvent(leaf.q, accounting.GaussianDpEvent(z)), orders, "REPLACE_SPECIAL"
        )
        amplified = amplified + FLOAT_ERROR / (orders - 1.0)
        if relation == Relation.REPLACE_ONE:
            amplified = replace_one_rdp(orders, amplified)
        return np.asarray(np.minimum(unamplified, amplified), dtype=np.float64)
    if relation == Relation.REPLACE_ONE:  # Zhu and Wang is about removal
        return unamplified
    require_integers(orders)
    return poisson_rdp(orders, q=leaf.q, rdp=rdp_curve(leaf.event, range(2, int(orders.max()) + 1), relation))


def _fixed_size(leaf: FixedSizeSampled, orders: Floats) -> Floats:
    accounting = load("dp_accounting")
    gaussian = accounting.GaussianDpEvent(folded_multiplier(leaf.event, Relation.REPLACE_ONE))
    event = accounting.SampledWithoutReplacementDpEvent(leaf.population, leaf.sample_size, gaussian)
    amplified = _dp_accounting(event, orders, "REPLACE_ONE") + FLOAT_ERROR / (orders - 1.0)
    return np.asarray(np.minimum(amplified, rdp_curve(leaf.event, orders, Relation.REPLACE_ONE)), dtype=np.float64)


def _dp_accounting(event: object, orders: Floats, relation: str) -> Floats:
    relations = load("dp_accounting").NeighboringRelation
    with quiet(), np.errstate(all="ignore"):
        accountant = load("dp_accounting.rdp").RdpAccountant(list(orders), relations[relation]).compose(event)
        return np.asarray(np.maximum(accountant.rdp, 0.0), dtype=np.float64)
