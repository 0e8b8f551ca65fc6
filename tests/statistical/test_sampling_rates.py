"""How often parties are sampled, and how much stragglers do, against the distributions that are promised.

Each comparison is failed by chance with probability below 1e-7: exact binomial tails, and a chi-square tail with thousands expected in
each cell. There are fewer than 20, so that with fresh seeds the file raises a false alarm with probability below 2e-6. Seeds are fixed
besides, but for secret samples, which have none: 4 comparisons are of them, so that the file fails by chance in one of 2 million runs.
"""

from __future__ import annotations

import numpy as np
import pytest

from securefl.federated.sampling import FixedSize, Poisson
from securefl.federated.stragglers import StragglerSchedule

stats = pytest.importorskip("scipy.stats")

pytestmark = pytest.mark.statistical

FALSE_ALARM = 1e-7
ROUNDS = 4000
PARTIES = tuple(f"p{i}" for i in range(20))


def taking_part(sampler, seed=0):
    """Whether each party takes part in each round, (rounds, parties)."""
    samples = [set(sampler.for_round(seed, number, PARTIES)) for number in range(1, ROUNDS + 1)]
    return np.array([[party in sample for party in PARTIES] for sample in samples])


@pytest.mark.parametrize("secret", [False, True])
@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_poisson_samples_at_its_rate_and_each_party_independently(rate, secret):
    chosen = taking_part(Poisson(rate, secret=secret))
    assert stats.binomtest(int(chosen.sum()), chosen.size, rate).pvalue > FALSE_ALARM
    # Sizes are binomial: parties that came or stayed away together would make them gather less about the mean.
    sizes = chosen.sum(axis=1)
    law = stats.binom(len(PARTIES), rate)
    low, high = law.ppf(0.25), law.ppf(0.75)
    usual = int(((low <= sizes) & (sizes <= high)).sum())
    assert stats.binomtest(usual, ROUNDS, law.cdf(high) - law.cdf(low - 1)).pvalue > FALSE_ALARM


def test_fixed_size_samples_every_party_and_every_pair_equally_often():
    size, n = 6, len(PARTIES)
    chosen = taking_part(FixedSize(size)).astype(int)
    assert (chosen.sum(axis=1) == size).all()
    for party in range(n):
        assert stats.binomtest(int(chosen[:, party].sum()), ROUNDS, size / n).pvalue > FALSE_ALARM / n
    together = chosen.T @ chosen
    for first, second in ((0, 1), (0, 19), (9, 10)):
        share = size * (size - 1) / (n * (n - 1))
        assert stats.binomtest(int(together[first, second]), ROUNDS, share).pvalue > FALSE_ALARM


def test_stragglers_do_1_to_e_minus_1_epochs_equally_often_and_every_party_is_one_equally_often():
    schedule, epochs = StragglerSchedule(partial=0.5, seed=0), 8
    done = np.array([[w.epochs for w in schedule.for_round(r, PARTIES, epochs).values()] for r in range(ROUNDS)])
    slow = done[done < epochs]
    assert len(slow) == ROUNDS * 10
    assert stats.chisquare(np.bincount(slow, minlength=epochs)[1:]).pvalue > FALSE_ALARM
    for party in range(len(PARTIES)):
        often = int((done[:, party] < epochs).sum())
        assert stats.binomtest(often, ROUNDS, 0.5).pvalue > FALSE_ALARM / len(PARTIES)
