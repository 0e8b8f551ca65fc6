"""Generated data and partitions against the distributions that their documents promise.

Each comparison is failed by chance with probability below 1e-7 (chi-square, normal and Kolmogorov-Smirnov tails by scipy). There are
fewer than 20, so that with fresh seeds the file raises a false alarm with probability below 2e-6. The seeds are fixed besides: it
cannot flake.
"""

from __future__ import annotations

import numpy as np
import pytest

from securefl.federated.datasets import Dataset
from securefl.federated.partition import FeatureShift, quantity_skew
from securefl.federated.synthetic import synthetic, synthetic_iid

stats = pytest.importorskip("scipy.stats")

pytestmark = pytest.mark.statistical

FALSE_ALARM = 1e-7


def within(sample, variance):
    """The two-sided odds of a sum of squares of normal variables of this variance, `sample` being centred on 0."""
    statistic = float((np.asarray(sample, dtype=float) ** 2).sum() / variance)
    return 2 * min(stats.chi2.cdf(statistic, np.size(sample)), stats.chi2.sf(statistic, np.size(sample)))


def test_inputs_of_a_party_have_the_covariance_of_the_source():
    clients, _ = synthetic(1.0, 1.0, 0, parties=1, sizes=[5000])
    x = clients["party-0"].x.astype(float)
    n = len(x)
    centred = (x - x.mean(axis=0)) * np.arange(1, 61) ** 0.6
    statistic = float((centred**2).sum())
    assert 2 * min(stats.chi2.cdf(statistic, 60 * (n - 1)), stats.chi2.sf(statistic, 60 * (n - 1))) > FALSE_ALARM
    for feature in (0, 9, 59):
        assert stats.kstest(centred[:, feature] / centred[:, feature].std(), "norm").pvalue > FALSE_ALARM
    # Correlations of independent features are normal of variance 1/n, and there are 1770 of them.
    correlations = np.corrcoef(x.T)[np.triu_indices(60, 1)]
    assert abs(correlations).max() * np.sqrt(n) < stats.norm.isf(FALSE_ALARM / 2 / 1770)


@pytest.mark.parametrize("beta", [0.0, 0.5, 2.0])
def test_parties_inputs_are_centred_as_in_the_source(beta):
    parties, size = 400, 30
    clients, _ = synthetic(0.0, beta, 1, parties, sizes=[size] * parties)
    centres = np.stack([dataset.x.mean(axis=0, dtype=float) for dataset in clients.values()])
    examples = len(clients["party-0"])
    noise = np.arange(1, 61) ** -1.2 / examples
    # Feature j of a centre is N(0, beta^2 + 1 + noise_j); the difference of two features of one party has no beta in it.
    assert within(centres[:, 0], beta**2 + 1 + noise[0]) > FALSE_ALARM
    differences = (centres[:, ::2] - centres[:, 1::2]) / np.sqrt(2 + noise[::2] + noise[1::2])
    assert within(differences, 1.0) > FALSE_ALARM


def test_inputs_of_the_control_are_centred_on_0():
    clients, _ = synthetic_iid(0, parties=50, sizes=[100] * 50)
    x = np.concatenate([dataset.x for dataset in clients.values()]).astype(float)
    assert within(x * np.arange(1, 61) ** 0.6, 1.0) > FALSE_ALARM


def test_sizes_are_lognormal_and_50():
    # Training parts of 4/5, so that sizes are known to within rounding.
    clients, _ = synthetic(0.0, 0.0, 0, parties=300)
    sizes = np.array([len(dataset) for dataset in clients.values()]) / 0.8 - 50
    below = int((sizes < np.exp(4.0)).sum())
    assert stats.binomtest(below, 300, 0.5).pvalue > FALSE_ALARM
    beyond = int((sizes > np.exp(6.0)).sum())
    assert stats.binomtest(beyond, 300, stats.norm.sf(1)).pvalue > FALSE_ALARM


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_shares_of_the_quantity_skew_have_the_moments_of_their_dirichlet_distribution(alpha):
    n, parties, deals = 4000, 5, 600
    shares = np.array([[len(p) for p in quantity_skew(n, parties, alpha, seed)] for seed in range(deals)]) / n
    expected = (alpha + 1) / (parties * alpha + 1)  # E[sum p_i^2]
    concentrations = (shares**2).sum(axis=1)
    # Rounding and the floor of one example move it by less than 2 * parties / n; the rest is the mean of bounded variables.
    error = abs(concentrations.mean() - expected) - 2 * parties / n
    assert error < concentrations.std() / np.sqrt(deals) * stats.norm.isf(FALSE_ALARM / 4)


@pytest.mark.parametrize(("kind", "moment"), [("scale", np.log), ("offset", lambda x: x - 1.0)])
def test_scales_and_offsets_are_lognormal_and_normal(kind, moment):
    ones = Dataset(np.ones((1, 200)), np.zeros(1, dtype=np.int64))
    shift = FeatureShift(kind, 0.3, 20, seed=0)
    drawn = np.concatenate([moment(shift(ones, party).x[0]) for party in range(20)]) / 0.3
    assert stats.kstest(drawn, "norm").pvalue > FALSE_ALARM


def test_angles_are_uniform():
    right = Dataset(np.array([[1.0, 0.0]]), np.zeros(1, dtype=np.int64))
    shift = FeatureShift("rotation", 0.8, 2000, seed=0)
    turned = np.array([shift(right, party).x[0] for party in range(2000)])
    # Which feature comes first in the plane is random too, and so is the sense; the law is symmetric.
    angles = np.arctan2(turned[:, 1], turned[:, 0])
    assert stats.kstest(angles, stats.uniform(-0.8, 1.6).cdf).pvalue > FALSE_ALARM
