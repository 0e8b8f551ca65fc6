"""The laws of the skewed partitions: every example is dealt out once, and skewed as was asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from securefl.errors import ConfigError
from securefl.federated.datasets import Dataset
from securefl.federated.partition import FeatureShift, Shift, feature_shift, pathological, quantity_skew, summary

seeds = st.integers(0, 2**64)
class_sizes = st.lists(st.integers(1, 15), min_size=1, max_size=6)


def is_partition(parts, n):
    return np.array_equal(np.sort(np.concatenate(parts)), np.arange(n))


@given(sizes=class_sizes, parties=st.integers(1, 12), k=st.integers(1, 7), seed=seeds)
def test_each_party_has_exactly_k_classes_wherever_that_is_possible_and_a_refusal_elsewhere(sizes, parties, k, seed):
    y = np.repeat(np.arange(len(sizes)), sizes)
    possible = (
        parties <= len(y)
        and k <= len(sizes) <= parties * k
        and parties * k <= sum(min(parties, size) for size in sizes)
    )
    if not possible:
        with pytest.raises(ConfigError, match=r"(parties|classes_per_party): got"):
            pathological(y, parties, k, seed)
        return
    parts = pathological(y, parties, k, seed)
    counts = summary(parts, y)
    assert is_partition(parts, len(y))
    assert (np.count_nonzero(counts, axis=1) == k).all()
    for column in counts.T:
        shards = column[column > 0]
        assert shards.max() - shards.min() <= 1


@given(classes=st.integers(1, 6), per_class=st.integers(1, 8), laps=st.integers(1, 5), k=st.integers(1, 6), seed=seeds)
def test_with_balanced_classes_pathological_parties_differ_by_k_examples_at_most(classes, per_class, laps, k, seed):
    assume(k <= classes and (laps * classes) % k == 0 and laps <= per_class)
    parties = laps * classes // k
    y = np.repeat(np.arange(classes), per_class)
    sizes = [len(part) for part in pathological(y, parties, k, seed)]
    assert max(sizes) - min(sizes) <= k


@given(
    n=st.integers(1, 300),
    alpha=st.floats(1e-300, 100),
    law=st.sampled_from(["dirichlet", "power"]),
    seed=seeds,
    data=st.data(),
)
def test_quantity_skew_deals_every_example_out_once_and_gives_everybody_the_minimum(n, alpha, law, seed, data):
    parties = data.draw(st.integers(1, n))
    least = data.draw(st.integers(1, n // parties))
    parts = quantity_skew(n, parties, alpha, seed, law, least)
    assert len(parts) == parties
    assert is_partition(parts, n)
    assert min(map(len, parts)) >= least


@given(parties=st.integers(1, 40), alpha=st.floats(0.01, 5), spare=st.integers(0, 1000), seed=seeds)
def test_sizes_of_the_power_law_are_its_shares_but_for_rounding(parties, alpha, spare, seed):
    sizes = sorted((len(part) for part in quantity_skew(parties + spare, parties, alpha, seed, "power")), reverse=True)
    shares = np.array([(rank + 1) ** -alpha for rank in range(parties)])
    np.testing.assert_allclose(sizes, 1 + shares / shares.sum() * spare, atol=1 + 1e-9)


@given(
    seed=seeds,
    kind=st.sampled_from(list(Shift)),
    strength=st.floats(0, 3),
    parties=st.integers(1, 5),
    shape=st.sampled_from([(2,), (5,), (4, 4), (3, 5), (4, 3, 2)]),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_shifted_features_keep_labels_shape_and_dtype_and_follow_from_the_seed(
    seed, kind, strength, parties, shape, dtype
):
    x = np.random.default_rng(0).standard_normal((4, *shape)).astype(dtype)
    clients = {f"p{i}": Dataset(x, np.array([0, 1, 2, 1])) for i in range(parties)}
    shifted = feature_shift(clients, kind, strength, seed)
    again = FeatureShift(kind, strength, parties, seed)
    assert list(shifted) == list(clients)
    for number, dataset in enumerate(shifted.values()):
        np.testing.assert_array_equal(dataset.y, [0, 1, 2, 1])
        assert (dataset.x.shape, dataset.x.dtype) == (x.shape, x.dtype)
        np.testing.assert_array_equal(dataset.x, again(clients["p0"], number).x)
        if strength == 0:
            np.testing.assert_allclose(dataset.x, x, atol=1e-12)


finite = st.floats(-100, 100)


@given(x=hnp.arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(2, 7)), elements=finite), seed=seeds)
def test_rotated_vectors_keep_lengths_and_angles(x, seed):
    shifted = FeatureShift("rotation", 3.0, 4, seed)(Dataset(x, np.zeros(len(x), dtype=np.int64)), 2)
    np.testing.assert_allclose(shifted.x @ shifted.x.T, x @ x.T, atol=1e-8)


@given(seed=seeds, kind=st.sampled_from(["scale", "offset", "rotation"]), party=st.integers(0, 6))
def test_training_set_and_test_set_of_a_party_are_shifted_alike(seed, kind, party):
    rng = np.random.default_rng(0)
    train, test = (Dataset(rng.standard_normal((n, 6)), np.zeros(n, dtype=np.int64)) for n in (5, 3))
    shift = FeatureShift(kind, 0.7, 7, seed)
    both = Dataset(np.concatenate([train.x, test.x]), np.concatenate([train.y, test.y]))
    np.testing.assert_allclose(
        np.concatenate([shift(train, party).x, shift(test, party, part=1).x]),
        shift(both, party).x,
        rtol=1e-12,
        atol=1e-12,
    )
