"""Conditional rounding: exact bounds and norms, the cap on tries, and what it refuses."""

import decimal
import math
from fractions import Fraction

import numpy as np
import pytest

from securefl.dp.conditional_rounding import RoundingBound, round_conditionally, slack, squared_norm
from securefl.errors import EncodingError, UnsafePlanError


class Rounder:
    """Unbiased, from a seed."""

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)

    def __call__(self, values):
        floor = np.floor(values)
        return floor + (self.rng.random(values.shape) < values - floor)


def away_from_zero(values):
    return np.sign(values) * np.ceil(np.abs(values))


def by_decimals(radius, d, t):
    with decimal.localcontext(prec=120):
        r, root = decimal.Decimal(radius), decimal.Decimal(d).sqrt()
        worst = (r + root) ** 2
        usual = worst if math.isinf(t) else r * r + decimal.Decimal(d) / 4 + decimal.Decimal(t) * (r + root / 2)
        return math.floor(min(worst, usual))


@pytest.mark.parametrize("radius", [0.9, 1.0, 3, 100.0, 123.456, 1e7 / 3, 2.0**48])
@pytest.mark.parametrize("dimension", [1, 2, 256, 2**17, 2**40])
@pytest.mark.parametrize("t", [1.0, 0.3, 5.25, math.inf])
def test_the_bound_is_the_floor_of_the_papers(radius, dimension, t):
    bound = RoundingBound(radius, dimension, t)
    assert bound.squared == by_decimals(radius, dimension, t)
    assert Fraction(math.nextafter(bound.l2, 0)) ** 2 < bound.squared <= Fraction(bound.l2) ** 2
    assert bound.l1 <= bound.l2 * min(math.sqrt(dimension), bound.l2) * (1 + 1e-15)
    assert bound.l1 + 1 > math.isqrt(bound.squared * min(dimension, bound.squared))


def test_reference_values_of_the_bound():
    """(100 + 16)^2 against 100^2 + 64 + 100 + 8; D1 = D2 sqrt d where d is the smaller."""
    assert RoundingBound(100.0, 256).squared == 10_172
    assert RoundingBound(100.0, 256, math.inf).squared == 13_456
    assert RoundingBound(100.0, 256).l1 == math.isqrt(10_172 * 256)
    assert RoundingBound(3.0, 2**20).squared == min((3 + 1024) ** 2, 9 + 2**18 + 3 + 512)
    assert RoundingBound(0.9, 4).l1 == RoundingBound(0.9, 4).squared == 3


def test_slack_is_one_for_the_usual_beta():
    assert slack(math.exp(-0.5)) == pytest.approx(1, rel=1e-15)
    assert slack(0) == math.inf
    for beta in (1.0, -0.1, math.nan):
        with pytest.raises(UnsafePlanError, match="beta"):
            slack(beta)


@pytest.mark.parametrize("peak", [0, 1, 2**20, 2**26 - 1, 2**31, 2**40 + 1, 2**52 - 1])
@pytest.mark.parametrize("size", [1, 5, 1023, 1025, 3000])
def test_squared_norms_are_exact(peak, size):
    values = np.random.default_rng(size).integers(-peak, peak, size, endpoint=True)
    values[0], values[-1] = peak, -peak
    assert squared_norm(values) == sum(value * value for value in values.tolist())
    assert squared_norm(np.full(size, peak)) == size * peak**2
    assert squared_norm(np.full(size, -peak)) == size * peak**2


def test_squared_norms_beyond_their_range_are_refused():
    assert squared_norm(np.zeros(0, dtype=np.int64)) == 0
    for value in (2**52, -(2**52), -(2**63)):
        with pytest.raises(EncodingError, match=r"2\^52"):
            squared_norm(np.array([value]))


def sphere(size, norm, seed=0):
    vector = np.random.default_rng(seed).normal(size=size)
    return vector * (norm / np.linalg.norm(vector))


def test_rounded_values_are_within_the_bound_and_near_the_vector():
    vector, scale, bound = sphere(256, 2.0), 50.0, RoundingBound(100.0, 256)
    for seed in range(100):
        rounded = round_conditionally(vector, scale, bound, Rounder(seed))
        assert squared_norm(rounded.values) <= bound.squared
        assert (np.abs(rounded.values - scale * vector) < 1).all()
        assert rounded.values.dtype == np.int64
        assert rounded.tries >= 1
        assert not rounded.towards_zero


def test_a_rounding_that_is_too_long_is_drawn_again():
    """A rounder that rounds away from zero twice: the norm is 2 then, and D2^2 = 3 (d = 4, radius .8)."""
    drawn = iter([np.ones(4), np.ones(4), np.zeros(4)])
    vector, bound = np.full(4, 0.4), RoundingBound(0.8, 4)
    assert bound.squared == 3
    rounded = round_conditionally(vector, 1.0, bound, lambda _: next(drawn))
    assert rounded.values.tolist() == [0] * 4
    assert (rounded.tries, rounded.towards_zero) == (3, False)


def test_the_loop_ends_and_rounds_toward_zero():
    calls = []

    def never(values):
        calls.append(1)
        return away_from_zero(values)

    vector = np.array([1.5, -1.5, 0.5, 0.5, *[0.1] * 12])
    bound = RoundingBound(float(np.linalg.norm(vector)), 16)
    rounded = round_conditionally(vector, 1.0, bound, never, max_tries=7)
    assert rounded.values.tolist() == [1, -1, *[0] * 14]
    assert (rounded.tries, rounded.towards_zero, len(calls)) == (7, True, 7)
    assert squared_norm(rounded.values) <= bound.radius**2


def test_rounding_toward_zero_takes_back_what_floats_added():
    """70 grid points more than the clip: truncated alone, the norm would still exceed the bound."""
    far = RoundingBound(2.0**46, 1)
    rounded = round_conditionally(np.array([2.0**46 * (1 + 1e-12)]), 1.0, far, np.floor, max_tries=1)
    assert rounded.towards_zero
    assert squared_norm(rounded.values) <= far.radius**2


def test_even_truncated_nothing_longer_than_the_bound_is_returned():
    bound = RoundingBound(2.0**47, 1)
    with pytest.raises(EncodingError, match="rounded toward zero"):
        round_conditionally(np.array([2.0**47 * (1 + 2.0**-32)]), 1.0, bound, np.floor)


def test_a_vector_that_was_not_clipped_is_refused():
    bound = RoundingBound(10.0, 4)
    for vector in (np.full(4, 5.01), np.full(4, 1e200), np.array([math.nan, 0, 0, 0]), np.array([math.inf, 0, 0, 0])):
        with pytest.raises(EncodingError, match="longer than its clip"):
            round_conditionally(vector, 1.0, bound, Rounder())
    with pytest.raises(EncodingError, match="longer than its clip"):
        round_conditionally(np.full(4, 1e200), 1e200, bound, Rounder())


@pytest.mark.parametrize("vector", [np.zeros(3), np.zeros((4, 1)), np.zeros(4, dtype=np.float32)])
def test_another_shape_or_dtype_is_refused(vector):
    with pytest.raises(EncodingError, match="expected float64"):
        round_conditionally(vector, 1.0, RoundingBound(10.0, 4), Rounder())


@pytest.mark.parametrize(
    "rounder",
    [
        lambda values: values,
        lambda values: np.floor(values) + 2,
        lambda values: np.floor(values)[:-1],
        lambda values: np.full(values.shape, math.nan),
        lambda values: np.floor(values) - 1,
    ],
)
def test_a_rounder_that_does_not_round_is_refused(rounder):
    with pytest.raises(EncodingError, match="rounder"):
        round_conditionally(np.full(4, 0.25), 1.0, RoundingBound(10.0, 4), rounder)


def test_a_rounder_may_write_to_its_argument():
    def spoils(values):
        result = np.floor(values)
        values[:] = 0
        return result

    vector, bound = np.array([-1.5, 2.5, 0, 0]), RoundingBound(3.0, 4)
    assert round_conditionally(vector, 1.0, bound, spoils).values.tolist() == [-2, 2, 0, 0]
    assert vector.tolist() == [-1.5, 2.5, 0, 0]


def test_no_try_at_all_is_refused():
    with pytest.raises(EncodingError, match="0 tries"):
        round_conditionally(np.zeros(4), 1.0, RoundingBound(1.0, 4), Rounder(), max_tries=0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"radius": 0.0},
        {"radius": -1.0},
        {"radius": math.nan},
        {"radius": 2.0**49},
        {"radius": True},
        {"dimension": 0},
        {"dimension": 2.0},
        {"dimension": 2**40 + 1},
        {"slack": 0.0},
        {"slack": math.nan},
        {"slack": True},
        {"radius": 0.1, "dimension": 1},
    ],
)
def test_bounds_out_of_range_are_refused(wrong):
    with pytest.raises(UnsafePlanError, match="Remedy"):
        RoundingBound(**({"radius": 10.0, "dimension": 4} | wrong))


@pytest.mark.statistical
def test_a_try_is_within_the_bound_at_least_as_often_as_the_paper_says():
    """At least 1 - e^(-1/2) = 39 % of tries; of 2000, fewer than 700 would be 4 standard deviations less: 3e-5."""
    bound = RoundingBound(30.0, 256)
    vector = sphere(256, 30.0, seed=4)
    rounder = Rounder(9)
    accepted = sum(squared_norm(rounder(vector).astype(np.int64)) <= bound.squared for _ in range(2000))
    assert accepted >= 700
