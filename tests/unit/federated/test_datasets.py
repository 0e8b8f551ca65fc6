from __future__ import annotations

import sys

import numpy as np
import pytest

from securefl import federated as fl
from securefl.errors import ConfigError


def test_digits_are_split_into_1437_and_360_scaled_examples():
    train, test = fl.digits(seed=0)
    assert (train.x.shape, test.x.shape) == ((1437, 64), (360, 64))
    assert train.x.dtype == np.float32
    assert (train.x.min(), train.x.max()) == (0.0, 1.0)
    assert set(train.y) == set(range(10))


def test_breast_cancer_is_standardised_by_the_training_part():
    train, test = fl.breast_cancer(seed=0)
    assert len(train) + len(test) == 569
    np.testing.assert_allclose(train.x.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(train.x.std(axis=0), 1, atol=1e-5)
    assert abs(test.x.mean(axis=0)).max() > 1e-3


@pytest.mark.parametrize("name", fl.DATASETS)
def test_a_split_is_set_by_its_seed(name):
    (first, _), (again, _), (other, _) = (fl.DATASETS[name](seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.x, again.x)
    assert not np.array_equal(first.x, other.x)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, 0.9999, float("nan")])
def test_a_fraction_that_empties_a_side_is_refused(fraction):
    with pytest.raises(ConfigError, match="test_fraction"):
        fl.digits(seed=0, test_fraction=fraction)


def test_a_subset_keeps_the_order_of_its_indices(blobs):
    part = blobs.subset([5, 2])
    assert len(part) == 2
    np.testing.assert_array_equal(part.x, blobs.x[[5, 2]])
    np.testing.assert_array_equal(part.y, blobs.y[[5, 2]])


@pytest.mark.parametrize(
    ("x", "y", "complaint"),
    [
        (np.zeros((3, 2), dtype=np.int64), np.zeros(3, dtype=np.int64), "features x"),
        (np.zeros((3, 2)), np.zeros(3), "labels y"),
        (np.zeros((3, 2)), np.zeros((3, 1), dtype=np.int64), "labels y"),
        (np.zeros((3, 2)), np.array([1, -1, 1]), "got -1"),
        (np.zeros((3, 2)), np.zeros(4, dtype=np.int64), "got 3 and 4 rows"),
    ],
)
def test_arrays_that_are_no_examples_are_refused(x, y, complaint):
    with pytest.raises(ConfigError, match=complaint):
        fl.Dataset(x, y)


@pytest.mark.parametrize("name", fl.DATASETS)
def test_without_scikit_learn_the_error_says_how_to_install_it(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ConfigError, match=r"needs scikit-learn.*pip install 'securefl\[demo\]'"):
        fl.DATASETS[name](0)
