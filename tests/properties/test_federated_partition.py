from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from securefl.federated import dirichlet, iid, summary

seeds = st.integers(0, 2**64)
labels = st.lists(st.integers(0, 5), min_size=1, max_size=80).map(np.array)


def is_partition(parts, n):
    return np.array_equal(np.sort(np.concatenate(parts)), np.arange(n))


@given(n=st.integers(1, 200), data=st.data(), seed=seeds)
def test_iid_parts_are_disjoint_cover_everything_and_differ_by_one_at_most(n, data, seed):
    parties = data.draw(st.integers(1, n))
    parts = iid(n, parties, seed)
    sizes = [len(part) for part in parts]
    assert len(parts) == parties
    assert is_partition(parts, n)
    assert max(sizes) - min(sizes) <= 1


@given(y=labels, alpha=st.floats(1e-4, 1e4), seed=seeds, data=st.data())
def test_dirichlet_parts_are_disjoint_cover_everything_and_hold_the_minimum(y, alpha, seed, data):
    parties = data.draw(st.integers(1, len(y)))
    min_examples = data.draw(st.integers(1, len(y) // parties))
    parts = dirichlet(y, parties, alpha, seed, min_examples)
    assert len(parts) == parties
    assert is_partition(parts, len(y))
    assert min(map(len, parts)) >= min_examples


@given(y=labels, seed=seeds, data=st.data())
def test_summary_adds_up_to_the_whole_data_set(y, seed, data):
    parts = dirichlet(y, data.draw(st.integers(1, len(y))), 1.0, seed)
    counts = summary(parts, y)
    np.testing.assert_array_equal(counts.sum(axis=0), np.bincount(y))
    assert counts.sum(axis=1).tolist() == [len(part) for part in parts]
