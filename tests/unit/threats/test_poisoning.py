"""Poisoning: what each attack makes of honest updates, or data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.errors import ConfigError
from securefl.federated import Dataset, PlainAverage
from securefl.threats.poisoning import (
    Poisoned,
    Trigger,
    alie,
    alie_z,
    backdoor,
    boosted,
    inner_product_manipulation,
    label_flip,
    sign_flip,
    triggered,
)

UPDATE = {"w": np.array([[1.0, -2.0]], np.float32), "b": np.array([0.5])}
HONEST = [{"w": np.array([value], np.float32)} for value in (1.0, 2.0, 6.0)]
DIGITS = Dataset(np.arange(5 * 64, dtype=np.float32).reshape(5, 8, 8) / 320, np.array([0, 1, 2, 1, 9]))
seeds = st.integers(0, 2**32)


def test_a_boosted_update_keeps_names_shapes_and_dtypes():
    found = boosted(UPDATE, 10.0)
    assert found["w"].tolist() == [[10.0, -20.0]]
    assert {name: leaf.dtype for name, leaf in found.items()} == {"w": np.float32, "b": np.float64}


def test_a_sign_flip_is_a_boost_backwards():
    assert sign_flip(UPDATE)["w"].tolist() == [[-1.0, 2.0]]
    assert sign_flip(UPDATE, 3.0)["b"].tolist() == [-1.5]


@given(seed=seeds, parties=st.integers(2, 20))
def test_one_update_boosted_by_the_number_of_parties_replaces_the_mean_of_zeros(seed, parties):
    wanted = np.random.default_rng(seed).normal(size=3)
    sent = [boosted({"w": wanted}, parties)["w"], *[np.zeros(3)] * (parties - 1)]
    np.testing.assert_allclose(np.mean(sent, axis=0), wanted)


@pytest.mark.parametrize(
    # s = floor(n/2 + 1) - m; Phi^-1((n - m - s)/(n - m)) from a normal table.
    ("parties", "attackers", "share"),
    [(20, 4, 9 / 16), (50, 12, 24 / 38), (51, 12, 25 / 39), (10, 1, 4 / 9)],
)
def test_alie_z_is_the_quantile_of_those_who_need_not_support_it(parties, attackers, share):
    z = alie_z(parties, attackers)
    assert 0.5 * (1 + math.erf(z / math.sqrt(2))) == pytest.approx(share)


def test_alie_is_the_mean_less_z_deviations_by_coordinate():
    found = alie(HONEST, 20, 4)["w"]
    assert found[0] == pytest.approx(3 - alie_z(20, 4) * np.std([1, 2, 6]))
    assert alie(HONEST, 20, 4, z=0.0)["w"][0] == 3
    assert found.dtype == np.float32


@given(seed=seeds, epsilon=st.floats(0.01, 10))
def test_the_inner_product_with_the_honest_mean_is_negative(seed, epsilon):
    rows = np.random.default_rng(seed).normal(size=(4, 3))
    sent = inner_product_manipulation([{"w": row} for row in rows], epsilon)["w"]
    mean = rows.mean(axis=0)
    assert sent @ mean == pytest.approx(-epsilon * mean @ mean)
    assert sent @ mean < 0


def test_flipped_labels_are_mirrored():
    flipped = label_flip(DIGITS, 10)
    assert flipped.y.tolist() == [9, 8, 7, 8, 0]
    assert flipped.x is DIGITS.x
    assert DIGITS.y.tolist() == [0, 1, 2, 1, 9]


def test_a_backdoor_adds_stamped_copies_with_the_target_label():
    poisoned = backdoor(DIGITS, Trigger(), 1, fraction=1.0, seed=0)
    assert len(poisoned) == 5 + 3
    np.testing.assert_array_equal(poisoned.x[:5], DIGITS.x)
    assert poisoned.y.tolist() == [0, 1, 2, 1, 9, 1, 1, 1]
    added = poisoned.x[5:].reshape(3, 64)
    assert (added[:, [54, 55, 62, 63]] == 1.0).all()
    sources = {tuple(row) for row in np.delete(DIGITS.x.reshape(5, 64)[[0, 2, 4]], [54, 55, 62, 63], axis=1)}
    assert {tuple(row) for row in np.delete(added, [54, 55, 62, 63], axis=1)} == sources


def test_a_seed_gives_the_same_backdoor():
    def made(seed):
        return backdoor(DIGITS, Trigger(), 1, fraction=0.34, seed=seed).x

    np.testing.assert_array_equal(made(0), made(0))
    assert len(made(0)) == 6
    assert len({made(seed).tobytes() for seed in range(20)}) == 3  # one of three examples is stamped


def test_the_success_of_a_backdoor_is_measured_on_other_classes_only():
    stamped = triggered(DIGITS, Trigger(), 1)
    assert stamped.y.tolist() == [1, 1, 1]
    assert (stamped.x.reshape(3, 64)[:, 63] == 1.0).all()
    assert DIGITS.x.reshape(5, 64)[0, 63] != 1.0


def test_attackers_send_what_the_attack_makes_and_others_what_they_computed():
    seen = []

    def attack(own, honest):
        seen.append((own["w"][0], sorted(update["w"][0] for update in honest)))
        return boosted(own, -1.0)

    updates = dict(zip("abc", HONEST, strict=True))
    outcome = Poisoned(PlainAverage(), ["b"], attack).round(
        updates,
        weights=dict.fromkeys("abc", 1),
        metrics={name: {} for name in "abc"},
        model={"w": np.zeros(1)},
        drop={},
    )
    assert seen == [(2.0, [1.0, 6.0])]
    assert outcome.mean["w"][0] == pytest.approx((1 - 2 + 6) / 3)
    assert updates["b"]["w"][0] == 2.0


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: boosted(UPDATE, math.inf), "factor: got inf"),
        (lambda: sign_flip(UPDATE, 0.0), "factor: got 0.0"),
        (lambda: alie_z(10, 5), "attackers: got 5 of 10"),
        (lambda: alie_z(10, 0), "attackers: got 0 of 10"),
        (lambda: alie([], 10, 2), "honest updates: got none"),
        (lambda: inner_product_manipulation(HONEST, 0.0), "epsilon: got 0.0"),
        (lambda: label_flip(DIGITS, 9), "labels: got 9"),
        (lambda: backdoor(DIGITS, Trigger(), 1, fraction=0.0, seed=0), "fraction=0.0"),
        (lambda: Trigger((64,)).stamp(DIGITS.x), r"within 0\.\.63"),
        (lambda: triggered(DIGITS.subset([1, 3]), Trigger(), 1), "all examples"),
        (lambda: Poisoned(PlainAverage(), [], lambda own, _: own), "attackers: got none"),
    ],
)
def test_arguments_out_of_range_are_refused(make, complaint):
    with pytest.raises(ConfigError, match=complaint):
        make()
