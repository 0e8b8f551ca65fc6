"""Accounting: events say what was released, accountants say what it costs; every epsilon is an upper bound."""

from securefl.dp.accounting.analytic_gaussian import gaussian_delta, gaussian_epsilon, gaussian_noise_multiplier
from securefl.dp.accounting.bounds import ddg_rdp, gaussian_rdp, skellam_rdp, tau
from securefl.dp.accounting.calibration import Calibration, calibrate, calibrate_noise_multiplier
from securefl.dp.accounting.composition import Composed, FixedSizeSampled, PoissonSampled, Repeated, sample_of
from securefl.dp.accounting.curves import INTEGER_ORDERS, orders_for, rdp_curve
from securefl.dp.accounting.epsilon import Accountant, epsilon_of, epsilons, rdp_epsilon, sampler_delta
from securefl.dp.accounting.events import (
    CompensatedSkellam,
    DiscreteGaussianCentral,
    DiscreteGaussianLocal,
    DistributedGaussian,
    DistributedSkellam,
    Event,
    GaussianRelease,
)
from securefl.dp.accounting.filter import RdpFilter
from securefl.dp.accounting.guarantee import Adversary, Guarantee, guarantees
from securefl.dp.accounting.pld import pld_epsilon
from securefl.dp.accounting.poisson import poisson_rdp
from securefl.dp.accounting.relations import Relation, Unit

__all__ = [
    "INTEGER_ORDERS",
    "Accountant",
    "Adversary",
    "Calibration",
    "CompensatedSkellam",
    "Composed",
    "DiscreteGaussianCentral",
    "DiscreteGaussianLocal",
    "DistributedGaussian",
    "DistributedSkellam",
    "Event",
    "FixedSizeSampled",
    "GaussianRelease",
    "Guarantee",
    "PoissonSampled",
    "RdpFilter",
    "Relation",
    "Repeated",
    "Unit",
    "calibrate",
    "calibrate_noise_multiplier",
    "ddg_rdp",
    "epsilon_of",
    "epsilons",
    "gaussian_delta",
    "gaussian_epsilon",
    "gaussian_noise_multiplier",
    "gaussian_rdp",
    "guarantees",
    "orders_for",
    "pld_epsilon",
    "poisson_rdp",
    "rdp_curve",
    "rdp_epsilon",
    "sample_of",
    "sampler_delta",
    "skellam_rdp",
    "tau",
]
