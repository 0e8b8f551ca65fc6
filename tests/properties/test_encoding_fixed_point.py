"""Laws of the fixed-point grid."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from securefl.encoding import FixedPoint, Range, Ring, required_bits, stochastic_round
from securefl.errors import NonFiniteError, SaturationError

GRIDS = st.builds(FixedPoint, value_bits=st.integers(4, 32), bound=st.floats(1e-6, 1e6))
FLOATS = st.sampled_from(["float16", "float32", "float64"])
INTEGERS = st.sampled_from(["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"])
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
moderate = settings(max_examples=100)


def encode(grid, values):
    out = np.full(values.size, 2**62, dtype=np.int64)
    return out, grid.encode_into(values, out, name="layer/w")


@moderate
@given(GRIDS, st.lists(st.floats(-1, 1), min_size=1, max_size=20))
def test_a_value_within_the_bound_is_encoded_within_one_step(grid, shares):
    values = np.array(shares) * grid.bound
    out, saturated = encode(grid, values)
    assert saturated == 0
    decoded = grid.decode(out, "float64")
    for value, back in zip(values.tolist(), decoded.tolist(), strict=True):
        assert abs(Fraction(back) - Fraction(value)) < Fraction(grid.error_bound)


@moderate
@given(GRIDS, st.lists(st.tuples(st.floats(-1, 1), st.integers(1, 1000)), min_size=1, max_size=12))
def test_the_decoded_weighted_mean_is_within_the_error_bound(grid, parties):
    total, exact = np.zeros(1, dtype=np.int64), Fraction(0)
    for share, weight in parties:
        value = np.array([share * grid.bound])
        total += weight * encode(grid, value)[0]
        exact += weight * Fraction(float(value[0]))
    weights = sum(weight for _, weight in parties)
    mean = grid.decode(total, "float64") / weights
    assert abs(Fraction(float(mean[0])) - exact / weights) < Fraction(grid.error_bound)


@moderate
@given(GRIDS, st.data(), FLOATS)
def test_no_float_ever_leaves_the_grid(grid, data, dtype):
    width = {"float16": 16, "float32": 32, "float64": 64}[dtype]
    elements = st.floats(width=width, allow_nan=False, allow_infinity=False)
    values = data.draw(hnp.arrays(dtype, SHAPES, elements=elements))
    out, saturated = encode(grid, values)
    assert (np.abs(out) <= grid.max_value).all()
    assert saturated == sum(abs(value) > grid.bound for value in values.reshape(-1).tolist())


@moderate
@given(GRIDS)
def test_the_ends_of_the_bound_are_the_ends_of_the_grid(grid):
    beyond = math.nextafter(grid.bound, math.inf)
    out, saturated = encode(grid, np.array([grid.bound, -grid.bound, beyond, -beyond, 0.0]))
    assert (np.abs(out) <= grid.max_value).all()
    assert (np.abs(out[:4]) >= grid.max_value - 1).all()
    assert out[4] == 0
    assert saturated == 2


@moderate
@given(GRIDS, st.data(), INTEGERS)
def test_integers_are_carried_exactly_or_counted(grid, data, dtype):
    values = data.draw(hnp.arrays(dtype, SHAPES))
    out, saturated = encode(grid, values)
    limit = grid.max_value
    exact = [int(value) for value in values.reshape(-1).tolist()]
    assert out.tolist() == [min(max(value, -limit), limit) for value in exact]
    assert saturated == sum(abs(value) > limit for value in exact)
    assert grid.decode(out, dtype).dtype == np.int64
    assert grid.decode(out, dtype).tolist() == out.tolist()


@moderate
@given(st.integers(1, 30), st.integers(1, 1000), st.data())
def test_integer_sums_through_the_ring_are_exact(parties, weight, data):
    grid = FixedPoint(value_bits=16)
    ring = Ring(required_bits(parties, weight, grid.max_value))
    vectors = data.draw(st.lists(hnp.arrays(np.int16, 4), min_size=parties, max_size=parties))
    acc, exact = ring.zeros(4), np.zeros(4, dtype=np.int64)
    for vector in vectors:
        out, _ = encode(grid, np.maximum(vector, -grid.max_value))
        ring.add_into(acc, ring.reduce(out * weight))
        exact += np.maximum(vector, -grid.max_value).astype(np.int64) * weight
    assert np.array_equal(grid.decode(ring.centre(acc), "int16"), exact)


@moderate
@given(FLOATS, st.integers(1, 50), st.data(), st.sampled_from([math.nan, math.inf, -math.inf]))
def test_what_is_not_finite_is_named_with_its_first_index(dtype, size, data, bad):
    values = np.zeros(size, dtype=dtype)
    places = data.draw(st.lists(st.integers(0, size - 1), min_size=1))
    values[places] = bad
    with pytest.raises(NonFiniteError, match=rf"'layer/w'.* index {min(places)}\.") as caught:
        encode(FixedPoint(), values)
    assert caught.value.tensor == "layer/w"


@moderate
@given(st.sampled_from(["float32", "int32", "uint64"]), st.integers(0, 9))
def test_refuse_names_the_first_value_beyond_the_bound(dtype, place):
    values = np.zeros((2, 5), dtype=dtype)
    values.reshape(-1)[place:] = 200
    with pytest.raises(SaturationError, match=rf"'layer/w'.* index {place}\. Remedy") as caught:
        encode(FixedPoint(value_bits=8, on_saturation="refuse"), values)
    assert caught.value.tensor == "layer/w"
    assert "200" not in str(caught.value)


@moderate
@given(st.lists(st.floats(-(2.0**40), 2.0**40), max_size=20))
def test_rounding_gives_floor_or_ceiling_and_keeps_integers(values):
    rounded = stochastic_round(np.array(values, dtype=np.float64)).tolist()
    assert all(math.floor(x) <= q <= math.ceil(x) for x, q in zip(values, rounded, strict=True))


@moderate
@given(GRIDS, st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.floats(-0.5, 1.5))
def test_a_metric_comes_back_within_a_step_of_its_clamped_value(grid, low, width, share):
    declared = Range(low, low + width)
    value = low + share * width
    encoded = declared.encode(value, grid, name="loss")
    assert abs(encoded) <= grid.max_value
    clamped = min(max(value, declared.low), declared.high)
    decoded = declared.decode(7 * encoded, 7, grid)
    span = declared.high - declared.low
    assert abs(decoded - clamped) <= span / (2 * grid.max_value) + 1e-12 * (span + abs(low))
