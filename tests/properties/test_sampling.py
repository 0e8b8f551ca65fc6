"""The laws of who takes part, and of who is slow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.errors import ConfigError
from securefl.federated.sampling import Everybody, FixedSize, Poisson

seeds = st.integers(0, 2**64)
rounds = st.integers(1, 2**32)
names = st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=30, unique=True)
rates = st.floats(1e-6, 1.0)


def is_in_order(sample, parties):
    return list(sample) == [party for party in parties if party in set(sample)]


@given(parties=names, seed=seeds, number=rounds)
def test_everybody_is_everybody(parties, seed, number):
    assert Everybody().for_round(seed, number, parties) == tuple(parties)


@given(parties=names, size=st.integers(1, 40), seed=seeds, number=rounds)
def test_a_sample_of_fixed_size_has_it_or_is_refused(parties, size, seed, number):
    if size > len(parties):
        with pytest.raises(ConfigError, match=f"size: got {size}, needs at most {len(parties)}"):
            FixedSize(size).for_round(seed, number, parties)
        return
    sample = FixedSize(size).for_round(seed, number, parties)
    assert len(sample) == len(set(sample)) == size
    assert is_in_order(sample, parties)
    assert sample == FixedSize(size).for_round(seed, number, parties)


@given(parties=names, rate=rates, seed=seeds, number=rounds)
def test_a_poisson_sample_follows_from_seed_and_round(parties, rate, seed, number):
    sample = Poisson(rate).for_round(seed, number, parties)
    assert is_in_order(sample, parties)
    assert len(sample) == len(set(sample))
    assert sample == Poisson(rate).for_round(seed, number, parties)


@given(parties=names, low=rates, high=rates, seed=seeds, number=rounds)
def test_a_higher_rate_samples_everybody_that_a_lower_one_does(parties, low, high, seed, number):
    low, high = sorted((low, high))
    few, many = (set(Poisson(rate).for_round(seed, number, parties)) for rate in (low, high))
    assert few <= many


@given(parties=names, rate=rates, secret=st.booleans(), seed=seeds)
def test_a_secret_sample_is_a_sample_and_at_rate_one_everybody(parties, rate, secret, seed):
    assert is_in_order(Poisson(rate, secret=True).for_round(seed, 1, parties), parties)
    assert Poisson(1.0, secret=secret).for_round(seed, 1, parties) == tuple(parties)


@given(seed=seeds)
def test_rounds_have_samples_of_their_own(seed):
    parties = [str(i) for i in range(200)]
    for sampler in (FixedSize(100), Poisson(0.5)):
        samples = {sampler.for_round(seed, number, parties) for number in range(1, 6)}
        assert len(samples) == 5  # equal ones have odds below 2^-190


@given(seed=seeds, rate=rates, count=st.integers(1, 30))
def test_a_party_s_own_lot_does_not_depend_on_who_comes_after_it(seed, rate, count):
    parties = [str(i) for i in range(30)]
    all_of_them = Poisson(rate).for_round(seed, 1, parties)
    assert Poisson(rate).for_round(seed, 1, parties[:count]) == tuple(p for p in all_of_them if int(p) < count)


@given(seed=st.integers(0, 2**32), number=st.integers(1, 100))
def test_numpy_integers_are_integers(seed, number):
    parties = ["a", "b", "c", "d"]
    plain = FixedSize(2).for_round(seed, number, parties)
    assert FixedSize(np.int64(2)).for_round(np.int64(seed), np.int32(number), parties) == plain
