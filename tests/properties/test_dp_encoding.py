from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from securefl.dp.adaptive_clipping import AdaptiveClip
from securefl.dp.clipping import FlatClip, LayerClip, sqrt_up
from securefl.dp.conditional_rounding import RoundingBound, round_conditionally, squared_norm
from securefl.dp.modular_grid import ModularGrid, headroom
from securefl.dp.rotation import Rotation
from securefl.encoding import Ring, stochastic_round

any_float = st.floats(allow_nan=False, allow_infinity=False)
vectors = st.lists(any_float, max_size=40).map(lambda values: np.array(values, dtype=float))
clips = st.one_of(st.floats(0.01, 100), st.floats(1e-100, 1e100))
moderate = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=300).map(np.array)
seeds = st.binary(min_size=32, max_size=32)


def squared(vector):
    return sum((Fraction(value) ** 2 for value in vector.tolist()), Fraction(0))


@given(vectors, clips)
def test_a_clipped_vector_is_within_its_bound_in_real_arithmetic(vector, bound):
    assert squared(FlatClip(bound).clip(vector).vector) <= Fraction(bound) ** 2


@given(st.integers(1, 10_000), st.integers(0, 2**32), st.floats(0.5, 2.0))
def test_a_long_clipped_vector_is_within_its_bound_in_real_arithmetic(size, seed, bound):
    vector = np.random.default_rng(seed).normal(size=size)
    assert squared(FlatClip(bound).clip(vector).vector) <= Fraction(bound) ** 2


@given(vectors, clips)
def test_clipping_changes_only_what_is_too_long_and_no_more_than_it_must(vector, bound):
    clipped = FlatClip(bound).clip(vector)
    before, limit = squared(vector), Fraction(bound) ** 2
    if before <= limit * (1 - Fraction(1, 10**11)):
        assert clipped.vector.tolist() == vector.tolist()
    if before > limit:
        assert clipped.shrunk
        assert squared(clipped.vector) >= limit * (1 - Fraction(1, 10**11))


@given(vectors, clips)
def test_clipping_twice_is_clipping_once(vector, bound):
    once = FlatClip(bound).clip(vector).vector
    twice = FlatClip(bound).clip(once).vector
    assert np.allclose(once, twice, rtol=1e-11, atol=0)


@given(st.lists(vectors, max_size=5), clips, st.floats(0, 1e3))
def test_clipping_blocks_is_clipping_their_concatenation(blocks, bound, weight):
    whole = np.concatenate([np.zeros(0), *blocks])
    assume(np.abs(whole).max(initial=0) < 1e300)  # lest the weight overflow it
    apart = FlatClip(bound).clip_blocks(blocks, whole.size, weight=weight)
    assert apart.vector.tolist() == FlatClip(bound).clip(whole, weight=weight).vector.tolist()


@given(st.lists(st.tuples(vectors, clips), min_size=1, max_size=5))
def test_each_layer_is_within_its_bound_and_all_within_the_total(layers):
    edges = np.cumsum([0, *(vector.size for vector, _ in layers)]).tolist()
    places = [slice(start, stop) for start, stop in pairwise(edges)]
    clip = LayerClip(tuple(bound / 3 + 1e-100 for _, bound in layers))
    clipped = clip.clip(np.concatenate([vector for vector, _ in layers]), places).vector
    for place, bound in zip(places, clip.bounds, strict=True):
        assert squared(clipped[place]) <= Fraction(bound) ** 2
    assert squared(clipped) <= Fraction(clip.sensitivity.zero_out) ** 2


@given(st.fractions(min_value=Fraction(1, 10**9), max_value=10**30))
def test_a_root_rounded_up_is_the_least_float_that_is_no_smaller(square):
    root = sqrt_up(square)
    assert Fraction(math.nextafter(root, 0)) ** 2 < square <= Fraction(root) ** 2


@given(vectors, clips, st.floats(0.1, 5), st.integers(51, 10_000))
def test_a_vector_with_its_bit_is_within_the_joint_bound(vector, clip, z, parties):
    state = AdaptiveClip(parties=parties, noise_multiplier=z, clip=clip)
    assert squared(state.append_bit(vector)) <= Fraction(state.joint_bound) ** 2
    assert Fraction(clip) ** 2 + Fraction(state.bit_scale) ** 2 / 4 <= Fraction(state.joint_bound) ** 2


@given(moderate, seeds)
def test_rotating_keeps_the_norm(vector, seed):
    rotated = Rotation(seed, vector.size).apply(vector)
    assert math.isclose(np.linalg.norm(rotated), np.linalg.norm(vector), rel_tol=1e-12, abs_tol=1e-300)


@given(moderate, seeds)
def test_rotating_back_gives_the_vector(vector, seed):
    rotation = Rotation(seed, vector.size)
    back = rotation.invert(rotation.apply(vector))
    assert np.linalg.norm(back - vector) <= 1e-14 * np.linalg.norm(vector)


@given(moderate, seeds, st.floats(-10, 10))
def test_the_rotation_of_a_sum_is_the_sum_of_rotations(vector, seed, factor):
    rotation, other = Rotation(seed, vector.size), vector[::-1].copy()
    together = rotation.apply(vector + factor * other)
    assert np.allclose(together, rotation.apply(vector) + factor * rotation.apply(other), rtol=0, atol=1e-8)


@given(moderate, seeds, st.floats(0.5, 1e6), st.sampled_from([0.5, 1.0, math.inf]))
def test_what_is_rounded_is_within_the_bound_and_near(vector, seed, radius, slack):
    rotation = Rotation(seed, vector.size)
    rotated = rotation.apply(FlatClip(1.0).clip(vector).vector)
    bound = RoundingBound(radius, rotation.dimension, slack)
    rounded = round_conditionally(rotated, radius, bound, stochastic_round, max_tries=10)
    assert sum(value**2 for value in rounded.values.tolist()) <= bound.squared
    assert sum(map(abs, rounded.values.tolist())) <= bound.l1
    assert np.abs(rounded.values - radius * rotated).max() < 1 + radius * 2.0**-37


@given(st.lists(st.integers(1 - 2**52, 2**52 - 1), max_size=50))
def test_squared_norms_are_those_of_python_integers(values):
    assert squared_norm(np.array(values, dtype=np.int64)) == sum(value**2 for value in values)


@given(st.integers(1, 500), st.integers(1, 2**20), st.floats(0, 10), st.integers(16, 32))
def test_the_radius_leaves_the_room_that_was_asked_for(parties, dimension, noise, bits):
    grid = ModularGrid(bits)
    radius = grid.radius(noise=noise, parties=parties, dimension=dimension)
    k = headroom(bits, radius=radius, noise=noise, parties=parties, dimension=dimension)
    assert math.isclose(k, grid.room(dimension), rel_tol=1e-9)


@given(st.integers(3, 12), st.integers(1, 200), seeds, st.integers(0, 2**32))
def test_a_sum_over_the_ring_decodes_to_the_sum_of_clipped_vectors(parties, size, seed, data):
    """Clip, rotate, round, add modulo 2^b, centre, unscale, rotate back: off by less than a grid step a party."""
    updates = np.random.default_rng(data).normal(size=(parties, size))
    rotation, clip, ring = Rotation(seed, size), FlatClip(1.0), Ring(16)
    d = rotation.dimension
    radius = ModularGrid(ring.bits).radius(noise=0.0, parties=parties, dimension=d)
    bound, total = RoundingBound(radius, d), ring.zeros(d)
    for update in updates:
        rotated = rotation.apply(clip.clip(update).vector)
        ring.add_into(total, ring.reduce(round_conditionally(rotated, radius, bound, stochastic_round).values))
    decoded = rotation.invert(ring.centre(total) / radius)
    expected = sum(clip.clip(update).vector for update in updates)
    assert np.linalg.norm(decoded - expected) <= parties * math.sqrt(d) / radius
