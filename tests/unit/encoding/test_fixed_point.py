"""The fixed-point grid by example, and the distribution of its rounding."""

import math

import numpy as np
import pytest

from securefl.encoding import FixedPoint, Range, Saturation, stochastic_round
from securefl.encoding import fixed_point as module
from securefl.errors import EncodingError, NonFiniteError, SaturationError, UnsafePlanError


class Scripted:
    """A source whose every 8-byte word is the same."""

    def __init__(self, word):
        self.word = word

    def token(self, size):
        return (self.word.to_bytes(8, "little") * (size // 8 + 1))[:size]

    def below(self, bound):
        return 0


HALVES = 0x8000_8000_8000_8000
"""Four first draws of a half each, so that it does not matter where a block begins."""


def encode(grid, values, **options):
    out = np.empty(values.size, dtype=np.int64)
    return out.tolist() if grid.encode_into(values, out, **options) == 0 else (out.tolist(), "saturated")


def test_the_grid_is_what_its_bits_say():
    grid = FixedPoint(value_bits=16, bound=4)
    assert grid.max_value == 2**15 - 1
    assert grid.scale == grid.max_value / 4
    assert grid.step == 4 / grid.max_value
    assert grid.step < grid.error_bound < grid.step * (1 + 1e-9)
    assert grid == FixedPoint(16, 4.0, "clamp")
    assert FixedPoint(on_saturation="refuse").on_saturation is Saturation.REFUSE


@pytest.mark.parametrize(
    "arguments",
    [
        {"value_bits": 3},
        {"value_bits": 33},
        {"value_bits": 16.0},
        {"value_bits": True},
        {"bound": 0.0},
        {"bound": -1.0},
        {"bound": math.nan},
        {"bound": math.inf},
        {"bound": 1e-300},
        {"bound": True},
        {"on_saturation": "wrap"},
    ],
)
def test_an_unsafe_grid_is_never_constructed(arguments):
    with pytest.raises(UnsafePlanError, match="Remedy") as caught:
        FixedPoint(**arguments)
    assert caught.value.bound


@pytest.mark.parametrize(("word", "expected"), [(0, [1, 0, -1, 0, 2]), (2**64 - 1, [0, 0, -2, -1, 2])])
def test_rounding_follows_the_random_word(word, expected):
    values = np.array([0.5, 0.0, -1.25, -1e-20, 2.0])
    rounded = stochastic_round(values, Scripted(word))
    if word:
        expected[3] = 0  # -1e-20 - floor is 1.0 in float64, above every U
    assert rounded.tolist() == expected


@pytest.mark.parametrize("word", [0, 2**64 - 1])
@pytest.mark.parametrize("bits", [4, 8, 16, 24, 32])
def test_the_bound_itself_never_leaves_the_grid(bits, word):
    for bound in (1.0, 0.1, 3.0, 1e-7, math.pi, 1e90):
        grid = FixedPoint(bits, bound)
        out = encode(grid, np.array([bound, -bound]), random=Scripted(word))
        assert max(map(abs, out)) <= grid.max_value


def test_blocks_are_seamless(monkeypatch):
    values = np.linspace(-1, 1, 1000, dtype=np.float32).reshape(10, 100).T
    whole = encode(FixedPoint(), values, random=Scripted(HALVES))
    monkeypatch.setattr(module, "_BLOCK", 7)
    assert encode(FixedPoint(), values, random=Scripted(HALVES)) == whole
    bad = np.zeros(30)
    bad[23] = math.nan
    with pytest.raises(NonFiniteError, match="index 23"):
        encode(FixedPoint(), bad)


def test_saturation_is_counted_under_clamp_and_raised_under_refuse():
    values = np.array([0.5, 1.5, -7.0, 1.0], dtype=np.float16)
    out = np.empty(4, dtype=np.int64)
    assert FixedPoint(bound=1.0).encode_into(values, out) == 2
    assert out[1:3].tolist() == [32767, -32767]
    with pytest.raises(SaturationError, match="index 1"):
        FixedPoint(bound=1.0, on_saturation="refuse").encode_into(values, out, name="w")


def test_the_largest_floats_saturate_without_overflow():
    huge = np.finfo(np.float64).max
    assert encode(FixedPoint(), np.array([huge, -huge])) == ([32767, -32767], "saturated")


def test_integers_beyond_int64_saturate_upwards():
    values = np.array([2**64 - 1, 2**63, 5], dtype=">u8")
    assert encode(FixedPoint(), values) == ([32767, 32767, 5], "saturated")
    assert encode(FixedPoint(), np.array([-(2**63), 7])) == ([-32767, 7], "saturated")
    assert encode(FixedPoint(), np.array([True, False])) == [1, 0]


@pytest.mark.parametrize("dtype", ["complex64", "longdouble", "datetime64[s]", "U3"])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(EncodingError, match="'w'"):
        FixedPoint().encode_into(np.zeros(1, dtype), np.zeros(1, np.int64), name="w")


def test_decode_gives_units_for_floats_and_totals_for_integers():
    grid = FixedPoint(value_bits=8, bound=2.0)
    total = np.array([127, -254])
    assert np.allclose(grid.decode(total, "float32"), [2.0, -4.0], rtol=1e-15)
    assert grid.decode(total, "float16").dtype == np.float64
    assert grid.decode(total, "uint8").tolist() == [127, -254]


@pytest.mark.parametrize("ends", [(1.0, 1.0), (2.0, 1.0), (math.nan, 1.0), (0.0, math.inf), (-1e200, 0.0)])
def test_an_impossible_range_is_refused(ends):
    with pytest.raises(UnsafePlanError, match="range"):
        Range(*ends)


def test_a_range_maps_its_ends_to_the_ends_of_the_grid_and_clamps():
    grid, loss = FixedPoint(), Range(0, 10)
    encoded = [loss.encode(value, grid) for value in (0.0, 10.0, -3.0, 99.0, 5)]
    assert encoded == [-32767, 32767, -32767, 32767, 0]
    assert [loss.decode(3 * q, 3, grid) for q in encoded] == [0.0, 10.0, 0.0, 10.0, 5.0]
    for bad in (math.nan, math.inf):
        with pytest.raises(NonFiniteError, match="'loss'"):
            loss.encode(bad, grid, name="loss")


@pytest.mark.statistical
@pytest.mark.parametrize("value", [0.25, -0.25, 0.001, -0.999, 31.5, -17.3, 0.01])
def test_rounding_is_unbiased(value):
    """The mean of N draws stays within 6 sigma of x: false alarms below 4e-7 in all seven cases (Chernoff)."""
    count = 400_000
    draws = stochastic_round(np.full(count, value))
    fraction = value - math.floor(value)
    sigma = math.sqrt(fraction * (1 - fraction) / count)
    assert abs(draws.mean() - value) < 6 * sigma


@pytest.mark.statistical
def test_encoding_is_unbiased():
    """The mean of N encodings of one value, decoded, stays within 6 sigma of it: false alarms 2e-9 (normal tail)."""
    grid, count, value = FixedPoint(value_bits=6, bound=3.0), 400_000, 0.7321
    out = np.empty(count, dtype=np.int64)
    grid.encode_into(np.full(count, value), out)
    sigma = grid.step / 2 / math.sqrt(count)
    assert abs(grid.decode(out, "float64").mean() - value) < 6 * sigma
