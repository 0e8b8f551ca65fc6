"""Data dealt to parties: nothing is lost, nothing is held twice, and what each sees is what it is tested on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securefl.report.dealing import deal
from securefl.report.learning_tables import DataConfig


@settings(max_examples=25)
@given(
    parties=st.integers(3, 12),
    partition=st.sampled_from(["dirichlet", "iid", "pathological", "quantity"]),
    public=st.sampled_from([0.0, 0.25]),
    seed=st.integers(0, 5),
)
def test_parties_and_public_hold_every_training_example_once(parties, partition, public, seed):
    more = {"classes_per_party": 4} if partition == "pathological" else {}
    dealt = deal(DataConfig(parties=parties, partition=partition, public_fraction=public, seed=seed, **more))
    held = list(dealt.clients.values()) + ([dealt.public] if dealt.public is not None else [])
    assert sum(map(len, held)) + len(dealt.test) == 1797
    pixels = np.concatenate([own.x for own in [*held, dealt.test]])
    whole = deal(DataConfig(parties=3, partition="iid", seed=seed))
    every = np.concatenate([own.x for own in [*whole.clients.values(), whole.test]])
    assert np.array_equal(np.sort(pixels, axis=0), np.sort(every, axis=0))
    assert dealt.counts().sum() == sum(map(len, dealt.clients.values()))
    if partition == "pathological":
        assert set((dealt.counts() > 0).sum(axis=1)) == {4}


@pytest.mark.parametrize("partition", ["dirichlet", "feature-shift", "pathological"])
def test_the_shares_of_each_partys_test_add_up_to_one(partition):
    dealt = deal(DataConfig(parties=5, partition=partition))
    for name, parts in dealt.tests.items():
        assert sum(share for share, _ in parts) == pytest.approx(1)
        assert {int(part.y[0]) for _, part in parts} == set(np.unique(dealt.clients[name].y).tolist())
        assert all(len(np.unique(part.y)) == 1 for _, part in parts)


def test_under_feature_shift_parties_see_the_test_as_they_see_their_own():
    config = DataConfig(parties=4, partition="feature-shift", shift="offset", strength=100.0)
    dealt = deal(config)
    for name, own in dealt.clients.items():
        seen = np.concatenate([part.x for _, part in dealt.tests[name]])
        assert np.abs(seen.mean(axis=0) - own.x.mean(axis=0)).max() < 1
    assert np.ptp([own.x.mean() for own in dealt.clients.values()]) > 1
    assert len(dealt.test) == 360


def test_machines_stay_whole():
    dealt = deal(DataConfig(dataset="sensor_failure", partition="natural", parties=8))
    assert {len(own) % 100 for own in dealt.clients.values()} == {0}
    assert sum(map(len, dealt.clients.values())) == 16_000


@pytest.mark.parametrize("dataset", ["breast_cancer", "credit_default", "sensor_failure"])
def test_every_data_set_can_be_dealt(dataset):
    dealt = deal(DataConfig(dataset=dataset, parties=4))
    assert dealt.classes == 2
    assert len(dealt.clients) == 4


def test_the_synthetic_parties_keep_their_sizes():
    dealt = deal(
        DataConfig(dataset="synthetic", partition="natural", parties=5, synthetic_alpha=0.0, synthetic_beta=0.0)
    )
    assert dealt.classes == 10
    assert len({len(own) for own in dealt.clients.values()}) > 1
