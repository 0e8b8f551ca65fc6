"""The distribution of stochastic rounding, counted over all draws, and what it leaves as it is."""

import bisect
import math
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest

from securefl.encoding import FixedPoint, stochastic_round
from securefl.encoding.fixed_point import _BLOCK

TINY = 2.0**-53
FRACTIONS = [0.5, 0.25, 1 / 3, 0.7, 0.001, 2.0**-16, 3 * 2.0**-17, 1 - 2.0**-16, 1 - 2.0**-17, TINY, 1 - TINY]
FINEST = [2.0**-69, 3 * 2.0**-70, 2.0**-80, 5e-324]
NEGATIVE = [-0.5, -0.25, -1 / 3, -0.9, -1.75, -(2.0**-17), -TINY, -TINY / 2, -1e-20, -(1 - TINY), -126.3]
LARGE = [1.3, 126.999, 2.0**31 + 0.1, 2.0**51 + 0.5, -(2.0**51) - 0.5]


class Draws:
    """Gives out what it was told to, in order, and keeps the sizes that were asked for."""

    def __init__(self, *tokens):
        self.tokens, self.sizes = list(tokens), []

    def token(self, size):
        self.sizes.append(size)
        token = self.tokens.pop(0)
        assert len(token) == size
        return token

    def below(self, bound):
        raise NotImplementedError


ALL_FIRST = np.arange(2**16, dtype="<u2").tobytes()


def ups(value, second):
    """How many of all 2^16 first draws round up, if the 53 bits after a tie are `second`; each must give floor or floor + 1."""
    source = Draws(ALL_FIRST, (second << 11).to_bytes(8, "little"))
    rounded = stochastic_round(np.full(2**16, value), source)
    steps = rounded - math.floor(value)
    assert np.isin(steps, (0, 1)).all()
    assert source.sizes in ([2**17, 8], [2**17])  # at most one first draw is a tie
    assert (np.diff(steps) <= 0).all()  # who draws less rounds up
    return int(steps.sum())


def chance(value):
    """The probability of rounding up, exactly: counted over the first draws, and over the second ones by bisection."""
    most, least = ups(value, 0), ups(value, 2**53 - 1)
    assert most - least in (0, 1)
    # The comparison is monotone in the second draw: where it turns, there are so many that round up.
    turn = bisect.bisect_left(range(2**53), 1, key=lambda second: 1 - tied_up(value, second)) if most > least else 0
    return Fraction(least, 2**16) + Fraction(turn, 2**69)


def tied_up(value, second):
    first = math.floor((value - math.floor(value)) * 2**16).to_bytes(2, "little")
    source = Draws(first, (second << 11 | 2047).to_bytes(8, "little"))
    return int(stochastic_round(np.array([value]), source)[0]) - math.floor(value)


@pytest.mark.parametrize("value", FRACTIONS + LARGE)
def test_the_chance_of_rounding_up_is_the_fraction_exactly(value):
    assert chance(value) == Fraction(value) - math.floor(value)


@pytest.mark.parametrize("value", FINEST)
def test_below_the_last_bit_the_chance_exceeds_the_fraction_by_less_than_that_bit(value):
    assert 0 <= chance(value) - Fraction(value) < Fraction(1, 2**69)


@pytest.mark.parametrize("value", NEGATIVE)
def test_the_chance_for_a_negative_value_is_within_half_a_unit_of_float64(value):
    difference = abs(chance(value) - (Fraction(value) - math.floor(value)))
    assert difference <= (Fraction(1, 2**54) if value > -0.5 else 0)


def test_ties_are_decided_each_by_its_own_draw_and_nobody_else_is():
    values = np.array([0.5, 2.0**-17, 0.75, 2.0**-17, -1 + 2.0**-17, 3.0])
    first = np.array([0, 0, 0xFFFF, 0, 0, 0], dtype="<u2").tobytes()
    second = np.array([2**63, 2**63 - 1, 0, 0], dtype="<u8").tobytes()  # half of a first draw's step, and just below
    source = Draws(first, second)
    assert stochastic_round(values, source).tolist() == [1, 0, 0, 1, 0, 3]
    assert source.sizes == [12, 32]


def test_without_a_tie_no_second_draw_is_asked_for():
    source = Draws(b"\xff\xff" * 3)
    assert stochastic_round(np.array([0.5, -2.5, 7.0]), source).tolist() == [0, -3, 7]
    assert source.sizes == [6]


@pytest.mark.parametrize("byte", [0, 1, 0x7F, 0xFF])
def test_whole_numbers_never_change(byte):
    class Constant:
        def token(self, size):
            return bytes([byte]) * size

    whole = np.array([0.0, -0.0, 1.0, -1.0, 127.0, -127.0, 2.0**31, -(2.0**51), 2.0**52 - 1, 1 - 2.0**52])
    assert stochastic_round(whole, Constant()).tolist() == whole.tolist()
    for value in whole.tolist():
        assert (ups(value, 0), ups(value, 2**53 - 1)) == (0, 0)


@pytest.mark.parametrize("shape", [(1,), (0,), (3, 0), (4, 3), (2, 3, 2)])
def test_each_value_has_its_own_draw_whatever_the_shape_and_order(shape):
    size = math.prod(shape)
    draws = np.arange(size, dtype="<u2") * 5000
    values = np.linspace(-3.3, 4.4, size).reshape(shape)
    expected = np.floor(values) + (draws.reshape(values.shape) < (values - np.floor(values)) * 2**16)
    for given in (values, np.asfortranarray(values)):
        assert np.array_equal(stochastic_round(given, Draws(draws.tobytes())), expected)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_narrower_float_is_rounded_by_its_exact_value(dtype):
    grid = FixedPoint(value_bits=8, bound=127.0)  # of step 1
    values = np.array([0.1, -0.1, 100.3, -77.7, 3.0, 0.5], dtype)
    exact = [Fraction(float(x)) - math.floor(float(x)) for x in values]
    draws = np.array([math.floor(part * 2**16) for part in exact], dtype="<u2")
    draws += np.array([-1, 1, -1, 1, 1, 1]).astype("<u2")  # as near as they come without a tie
    expected = [
        math.floor(float(x)) + (Fraction(int(u), 2**16) < part) for x, u, part in zip(values, draws, exact, strict=True)
    ]
    out = np.empty(6, dtype=np.int64)
    grid.encode_into(values, out, random=Draws(draws.tobytes()))
    assert out.tolist() == expected


class Zeros:
    """Every first draw of a whole number is a tie: the most that rounding can draw and hold."""

    def token(self, size):
        return bytes(size)

    def below(self, bound):
        raise NotImplementedError


@pytest.mark.parametrize("options", [{}, {"random": Zeros()}], ids=["OS", "ties only"])
def test_no_more_than_a_block_is_held(options):
    values, out = np.zeros(64 * _BLOCK, np.float32), np.empty(64 * _BLOCK, np.int64)
    tracemalloc.start()
    try:
        FixedPoint().encode_into(values, out, **options)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 128 * _BLOCK


@pytest.mark.statistical
@pytest.mark.parametrize("value", [2.0**-17, -(2.0**-17), 1 + 2.0**-17])
def test_what_ties_alone_decide_is_unbiased(value):
    """Of 2^24 values with 2^-17 to their nearest integer, 128 on average leave it, less than 90 more or fewer.

    False alarms below 2e-11 in all three cases (Chernoff: 4.8e-12 above, less below).
    """
    far = sum(int((stochastic_round(np.full(2**20, value)) != round(value)).sum()) for _ in range(16))
    assert abs(far - 128) < 90
