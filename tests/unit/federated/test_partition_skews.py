"""What partitioners do by example, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest

from securefl.errors import ConfigError
from securefl.federated.datasets import Dataset
from securefl.federated.partition import (
    FeatureShift,
    SizeLaw,
    dirichlet,
    feature_shift,
    iid,
    pathological,
    quantity_skew,
    summary,
)
from securefl.federated.partition.rotation import rotated_images

Y = np.tile(np.arange(10), 20)
ONE = Dataset(np.ones((3, 4), dtype=np.float32), np.zeros(3, dtype=np.int64))


def test_the_shards_of_the_source_are_two_of_300_a_client():
    y = np.repeat(np.arange(10), 6000)
    counts = summary(pathological(y, 100, 2, seed=0), y)
    assert set(counts[counts > 0]) == {300}
    assert (np.count_nonzero(counts, axis=1) == 2).all()


def test_a_large_class_is_cut_into_more_shards_than_a_small_one():
    y = np.repeat([0, 1], [900, 100])
    counts = summary(pathological(y, 10, 1, seed=0), y)
    assert np.count_nonzero(counts, axis=0).tolist() == [9, 1]
    assert set(counts.sum(axis=1)) == {100}


@pytest.mark.parametrize(
    "deal",
    [
        lambda seed: pathological(Y, 8, 3, seed),
        lambda seed: quantity_skew(Y, 8, 0.5, seed),
        lambda seed: quantity_skew(200, 8, 1.5, seed, law=SizeLaw.POWER),
        lambda seed: dirichlet(Y, 8, 0.5, seed),
        lambda seed: iid(Y, 8, seed),
    ],
)
def test_a_partition_is_set_by_its_seed(deal):
    first, again, other = (np.concatenate(deal(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_small_alpha_is_strong_skew_of_sizes_by_dirichlet_and_weak_skew_by_the_power_law():
    def largest(alpha, law):
        return max(map(len, quantity_skew(1000, 10, alpha, 0, law)))

    assert largest(0.05, "dirichlet") > 500
    assert largest(1000.0, "dirichlet") < 130
    assert largest(0.01, "power") < 130
    assert largest(4.0, "power") > 850


def test_parties_of_other_sizes_hold_the_same_mixture_of_classes():
    y = np.tile(np.arange(2), 5000)
    counts = summary(quantity_skew(y, 5, 1.0, 0, "power"), y)
    assert (abs(counts[:, 0] / counts.sum(axis=1) - 0.5) < 0.05).all()


def test_a_quarter_turn_of_an_image_is_numpy_s():
    images = np.random.default_rng(0).random((2, 6, 6))
    np.testing.assert_allclose(rotated_images(images, math.pi / 2), np.rot90(images, axes=(1, 2)), atol=1e-12)


def test_a_rotated_image_of_channels_is_its_rotated_channels():
    images = np.random.default_rng(0).random((2, 5, 7, 3))
    rotated = rotated_images(images, 0.4)
    for channel in range(3):
        np.testing.assert_allclose(rotated[..., channel], rotated_images(images[..., channel], 0.4), atol=1e-12)


def test_what_turns_in_from_outside_an_image_is_0_and_its_centre_stays():
    rotated = rotated_images(np.ones((1, 9, 9)), math.pi / 4)[0]
    assert rotated[0, 0] == 0
    assert rotated[4, 4] == pytest.approx(1)


def test_images_have_one_contrast_and_one_brightness_a_party_and_vectors_one_a_feature():
    flat, images = np.ones((2, 9)), np.ones((2, 3, 3))
    y = np.zeros(2, dtype=np.int64)
    for kind in ("scale", "offset"):
        shift = FeatureShift(kind, 0.5, 3, seed=0)
        assert len(np.unique(shift(Dataset(images, y), 1).x)) == 1
        assert len(np.unique(shift(Dataset(flat, y), 1).x)) == 9
        assert not np.array_equal(shift(Dataset(flat, y), 0).x, shift(Dataset(flat, y), 1).x)


def test_the_last_party_has_the_noisiest_sensor_and_its_test_set_other_noise():
    zeros = Dataset(np.zeros((400, 50)), np.zeros(400, dtype=np.int64))
    shift = FeatureShift("noise", 0.8, 4, seed=0)
    deviations = [shift(zeros, party).x.std() for party in range(4)]
    np.testing.assert_allclose(deviations, [0.2, 0.4, 0.6, 0.8], rtol=0.03)
    assert not np.array_equal(shift(zeros, 0).x, shift(zeros, 0, part=1).x)


def test_summary_has_a_column_for_each_class_that_is_named():
    assert summary([np.array([0])], np.array([1]), classes=4).tolist() == [[0, 1, 0, 0]]


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (lambda: pathological(Y, 4, 11, 0), r"classes_per_party: got 11, needs at most 10"),
        (lambda: pathological(Y, 4, 2, 0), r"got 2 for 4 parties.*>= 10.*Remedy: use classes_per_party=3"),
        (lambda: pathological(np.repeat([0, 1], [9, 1]), 4, 2, 0), r"needs 8 shards.*allow 5"),
        (lambda: pathological(Y, 4, 0, 0), "classes_per_party: got 0"),
        (lambda: pathological(Y, 4, 2.0, 0), "classes_per_party: got 2.0"),
        (lambda: pathological(Y - 1, 4, 5, 0), "labels y: got -1"),
        (lambda: pathological(Y / 2, 4, 5, 0), "labels y: got dtype float64"),
        (lambda: pathological(Y[:3], 4, 5, 0), r"parties: got 4.*<= 3"),
        (lambda: dirichlet(Y.reshape(2, -1), 4, 1.0, 0), "2 axes"),
        (lambda: dirichlet(Y - 1, 4, 1.0, 0), "labels y: got -1"),
        (lambda: dirichlet(Y, 4, "big", 0), "alpha: got 'big'"),
        (lambda: dirichlet(Y, 4, 1e308, 0), r"alpha: got 1e\+308"),
        (lambda: dirichlet(Y, "4", 1.0, 0), "parties: got '4'"),
        (lambda: dirichlet(Y, 4, 1.0, 0.5), "seed: got 0.5"),
        (lambda: iid(10.0, 4, 0), "examples: got 10.0"),
        (lambda: iid(10, parties=True, seed=0), "parties: got True"),
        (lambda: iid(0, 1, 0), "parties: got 1"),
        (lambda: quantity_skew(10, 11, 1.0, 0), "parties: got 11"),
        (lambda: quantity_skew(10, 2, 0.0, 0), "alpha: got 0.0"),
        (lambda: quantity_skew(10, 2, math.nan, 0), "alpha: got nan"),
        (lambda: quantity_skew(10, 2, 101.0, 0, "power"), r"alpha: got 101.0.*<= 100"),
        (lambda: quantity_skew(10, 2, 1.0, 0, "zipf"), "law: got 'zipf', needs one of dirichlet, power"),
        (lambda: quantity_skew(10, 2, 1.0, 0, min_examples=6), "at least 6 examples"),
        (lambda: summary([], Y), "parts: got none"),
        (lambda: summary([np.array([200])], Y), r"parts\[0\].*outside 0..199"),
        (lambda: summary([np.array([0]), np.array([-1])], Y), r"parts\[1\]"),
        (lambda: summary([np.array([0])], Y, classes=9), r"labels y: got 9, needs numbers in 0..8"),
        (lambda: FeatureShift("blur", 0.1, 3, 0), "kind: got 'blur', needs one of scale"),
        (lambda: FeatureShift("scale", -0.1, 3, 0), "strength: got -0.1"),
        (lambda: FeatureShift("rotation", 4.0, 3, 0), "strength: got 4.0"),
        (lambda: FeatureShift("scale", 0.1, 0, 0), "parties: got 0"),
        (lambda: FeatureShift("scale", 0.1, 3, -1), "seed: got -1"),
        (lambda: FeatureShift("scale", 0.1, 3, 0)(ONE, 3), r"party: got 3, needs a number in 0..2"),
        (lambda: FeatureShift("scale", 0.1, 3, 0)(Dataset(ONE.x[:, 0], ONE.y), 0), r"features x: got shape \(3,\)"),
        (
            lambda: feature_shift({"a": Dataset(ONE.x[:, :1], ONE.y)}, "rotation", 1.0, 0),
            "party 'a': features x: got 1",
        ),
        (lambda: feature_shift({"a": Dataset(ONE.x * np.inf, ONE.y)}, "scale", 1.0, 0), "party 'a': strength: got 1.0"),
        (lambda: feature_shift({}, "scale", 1.0, 0), "parties: got 0"),
    ],
)
def test_impossible_requests_are_refused_with_value_and_bound(request_, complaint):
    with pytest.raises(ConfigError, match=complaint) as caught:
        request_()
    assert caught.value.remedy
