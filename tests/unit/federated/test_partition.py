from __future__ import annotations

import numpy as np
import pytest

from securefl.errors import ConfigError
from securefl.federated import dirichlet, iid, summary

Y = np.tile(np.arange(10), 20)


def test_small_alpha_skews_labels_and_large_alpha_does_not():
    def largest_share(alpha):
        counts = summary(dirichlet(Y, 5, alpha, seed=0), Y)
        return (counts.max(axis=1) / counts.sum(axis=1)).mean()

    assert largest_share(0.05) > 0.3
    assert largest_share(1000.0) < 0.15


def test_a_partition_is_set_by_its_seed():
    first, again, other = (np.concatenate(dirichlet(Y, 7, 1.0, seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_largest_parties_cede_examples_when_no_draw_meets_the_minimum():
    parts = dirichlet(Y, 50, 0.01, seed=0, min_examples=4)
    assert [len(part) for part in parts] == [4] * 50


def test_summary_counts_examples_by_party_and_class():
    counts = summary([np.array([0, 1]), np.array([2])], np.array([0, 2, 2]))
    assert counts.tolist() == [[1, 0, 1], [0, 0, 1]]


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (lambda: iid(3, 4, seed=0), r"parties: got 4 .* <= 3.*Remedy: ask for at most 3"),
        (lambda: iid(3, 0, seed=0), "parties: got 0"),
        (lambda: iid(3, 2, seed=-1), "seed: got -1"),
        (lambda: dirichlet(Y, 21, 1.0, seed=0, min_examples=10), r"<= 200.*at most 20"),
        (lambda: dirichlet(Y, 2, 1.0, seed=0, min_examples=0), "min_examples: got 0"),
        (lambda: dirichlet(Y, 2, 0.0, seed=0), "alpha: got 0.0"),
        (lambda: dirichlet(Y, 2, float("inf"), seed=0), "alpha: got inf"),
    ],
)
def test_impossible_requests_are_refused_with_value_bound_and_remedy(request_, complaint):
    with pytest.raises(ConfigError, match=complaint):
        request_()
