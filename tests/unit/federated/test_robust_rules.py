"""Robust rules: values by hand, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest

from securefl.errors import ConfigError, LayoutMismatchError, NonFiniteError, SaturationError
from securefl.federated.robust import (
    GeometricMedian,
    Krum,
    Mean,
    Median,
    MultiKrum,
    NormBound,
    Rule,
    TrimmedMean,
    coordinate_median,
    geometric_median,
    krum,
    krum_scores,
    multi_krum,
    refuse_over_hidden,
    trimmed_mean,
)

RULES: list[Rule] = [Mean(), Median(), TrimmedMean(0.2), Krum(1), MultiKrum(1), GeometricMedian()]
EACH = pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)


def vectors(*rows):
    return [{"w": np.array(row, dtype=np.float64)} for row in rows]


def test_the_median_is_that_of_each_coordinate():
    assert coordinate_median(vectors([1, 9], [2, 8], [100, -5]))["w"].tolist() == [2, 8]
    assert coordinate_median(vectors([1, 0], [3, 0], [4, 0], [1e308, 0]))["w"].tolist() == [3.5, 0]


def test_the_median_of_huge_values_does_not_overflow():
    assert coordinate_median(vectors([1.7e308], [1.5e308]))["w"].tolist() == [1.6e308]


def test_the_trimmed_mean_leaves_out_both_ends():
    assert trimmed_mean(vectors([0], [1], [2], [3], [1e9]), 0.2)["w"].tolist() == [2]
    assert trimmed_mean(vectors([0], [1], [2], [3], [4]), 0.19)["w"].tolist() == [2]
    assert trimmed_mean(vectors([0], [1], [2], [3], [-1e9]), 0.4)["w"].tolist() == [1]


def test_the_trimmed_mean_takes_beta_as_written():
    values = [0.0] * 71 + [1.0] * 29
    assert trimmed_mean(vectors(*[[v] for v in values]), 0.29)["w"].tolist() == [0]


def test_a_third_of_six_is_two():
    assert trimmed_mean(vectors([0], [0], [0], [0], [9], [9]), 1 / 3)["w"].tolist() == [0]
    assert trimmed_mean(vectors([0], [1], [5], [9]), math.nextafter(0.5, 0))["w"].tolist() == [3], "two are left"


def test_krum_scores_by_hand():
    # f = 1, n = 5: two nearest. Points on a line.
    scores = krum_scores(vectors([0], [1], [3], [6], [100]), 1)
    assert scores.tolist() == [1 + 9, 1 + 4, 4 + 9, 9 + 25, 94**2 + 97**2]
    assert krum(vectors([0], [1], [3], [6], [100]), 1)["w"].tolist() == [1]


def test_multi_krum_is_the_mean_of_the_best():
    points = vectors([0], [1], [3], [6], [100])
    assert multi_krum(points, 1, 3)["w"][0] == pytest.approx(4 / 3)
    assert multi_krum(points, 1)["w"][0] == pytest.approx(10 / 4)
    assert multi_krum(points, 1, 1)["w"].tolist() == krum(points, 1)["w"].tolist()


def test_krum_bears_values_whose_distances_overflow():
    points = vectors([0, 0], [1, 0], [0, 1], [1, 1], [1e308, -1e308])
    assert krum(points, 1)["w"].max() <= 1
    assert multi_krum(points, 1)["w"].tolist() == [0.5, 0.5]


def test_krum_scores_survive_a_common_offset():
    """A Gram matrix would have lost the differences: 1e16 + 1 is 1e16."""
    rows = np.array([[0.0], [1.0], [3.0], [6.0], [100.0]])
    near, far = (krum_scores(vectors(*(rows + shift)), 1) for shift in (0.0, 2.0**40))
    assert near.tolist() == far.tolist()


def test_the_geometric_median_of_a_triangle_is_its_fermat_point():
    corners = [[0, 0], [1, 0], [0.5, np.sqrt(3) / 2]]
    found = geometric_median(vectors(*corners), tolerance=1e-14, max_iterations=1000)["w"]
    np.testing.assert_allclose(found, [0.5, np.sqrt(3) / 6], atol=1e-6)


def test_the_geometric_median_stays_at_a_point_that_holds_most_weight():
    found = geometric_median(vectors([0, 0], [1, 0], [0, 1]), [5, 1, 1], tolerance=1e-14, max_iterations=10_000)["w"]
    np.testing.assert_allclose(found, 0, atol=1e-4)


def test_weights_count_in_the_geometric_median_only_when_asked_for():
    points, weights = vectors([0], [0], [1]), [1, 1, 1000]
    assert GeometricMedian()(points, weights)["w"][0] == pytest.approx(0, abs=1e-3)
    assert GeometricMedian(weighted=True)(points, weights)["w"][0] == pytest.approx(1, abs=1e-3)


def test_the_geometric_median_bears_values_whose_distances_overflow():
    found = geometric_median(vectors([0, 0], [1, 0], [0, 1], [1e300, 1e300]))["w"]
    assert np.abs(found).max() <= 2


def test_the_geometric_median_of_nothing_but_overflow_is_still_a_number():
    assert np.isfinite(geometric_median(vectors([1e300, 0], [-1e300, 0], [0, 1e300]))["w"]).all()


def test_the_mean_is_weighted():
    assert Mean()(vectors([0.0], [4.0]), [3, 1])["w"].tolist() == [1.0]


@EACH
def test_results_have_the_names_shapes_and_dtypes_of_the_updates(rule):
    updates = [
        {"w": np.full((2, 3), i, np.float32), "half": np.full((), i, np.float16), "count": np.array([i])}
        for i in range(5)
    ]
    found = rule(updates, [1] * 5)
    assert {name: (leaf.shape, leaf.dtype) for name, leaf in found.items()} == {
        "w": ((2, 3), np.float32),
        "half": ((), np.float16),
        "count": ((1,), np.float64),
    }


@EACH
def test_updates_are_left_as_they_are(rule):
    updates = vectors([3, 1], [2, 5], [9, 4], [0, 0], [7, 7])
    before = [update["w"].copy() for update in updates]
    rule(updates, None)
    np.testing.assert_array_equal([update["w"] for update in updates], before)


@EACH
def test_too_few_updates_are_refused_with_the_number_that_is_needed(rule):
    with pytest.raises(ConfigError, match=rf"got {rule.least - 1} updates, needs at least {rule.least}"):
        rule(vectors(*[[1.0]] * (rule.least - 1)))
    rule(vectors(*[[1.0]] * rule.least))


@EACH
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_by_row(rule, bad):
    with pytest.raises(NonFiniteError, match="update 3"):
        rule(vectors([0], [1], [2], [bad], [4]))


@EACH
def test_other_layouts_are_refused(rule):
    with pytest.raises(LayoutMismatchError, match="update 1 and update 0 differ in tensors: b, w"):
        rule([*vectors([0]), {"b": np.zeros(1)}, *vectors([0], [0], [0])])
    with pytest.raises(LayoutMismatchError, match=r"update 2 has \(2,\) values of 'w'"):
        rule(vectors([0], [0], [0, 1], [0], [0]))


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: TrimmedMean(0.5), "beta: got 0.5"),
        (lambda: TrimmedMean(-0.1), "beta: got -0.1"),
        (lambda: TrimmedMean(float("nan")), "beta: got nan"),
        (lambda: Krum(-1), "f: got -1"),
        (lambda: Krum(1.0), "f: got 1.0"),
        (lambda: MultiKrum(1, 0), "m: got 0"),
        (lambda: multi_krum(vectors([0], [0], [0], [0], [0]), 1, 5), "m: got 5, needs at most 4"),
        (lambda: krum(vectors([0], [0], [0], [0]), 1), "got 4 updates, needs at least 5"),
        (lambda: GeometricMedian(tolerance=0), "tolerance: got 0"),
        (lambda: GeometricMedian(smoothing=float("inf")), "smoothing: got inf"),
        (lambda: GeometricMedian(max_iterations=0), "max_iterations: got 0"),
        (lambda: geometric_median(vectors([0], [0]), [1, 0]), r"weights \[1, 0\], needs 2 finite"),
        (lambda: Mean()(vectors([0], [0]), [1]), r"weights \[1\], needs 2"),
        (lambda: NormBound(0), "bound: got 0"),
        (lambda: NormBound(1.0, "drop"), "excess: got 'drop'"),
    ],
)
def test_arguments_out_of_range_are_refused(make, complaint):
    with pytest.raises(ConfigError, match=complaint):
        make()


def test_a_norm_bound_clips_over_all_tensors():
    found = NormBound(1.0)({"a": np.array([3.0], np.float32), "b": np.array([[4.0]])})
    assert found["a"][0] == pytest.approx(0.6)
    assert found["b"][0, 0] == pytest.approx(0.8)
    assert found["a"].dtype == np.float32
    short = {"a": np.array([0.5])}
    assert NormBound(1.0)(short)["a"] is short["a"]


def test_a_norm_bound_can_refuse_instead():
    with pytest.raises(SaturationError, match="norm 5, the bound is 1"):
        NormBound(1.0, "refuse")({"a": np.array([3.0, 4.0])})
    with pytest.raises(NonFiniteError, match="'a'"):
        NormBound(1.0)({"a": np.array([np.inf])})


def test_a_rule_over_hidden_updates_is_refused_with_the_way_out():
    with pytest.raises(ConfigError, match=r"Krum\(f=2\) beside a plan.*GroupwiseRobust"):
        refuse_over_hidden(Krum(2), object())
    refuse_over_hidden(Krum(2), None)
    refuse_over_hidden(None, object())
