"""Adaptive clipping: reference values, convergence, and the two mistakes that others made."""

import math
from fractions import Fraction
from statistics import NormalDist, fmean

import numpy as np
import pytest

from securefl.dp.adaptive_clipping import AdaptiveClip
from securefl.dp.clipping import MAX_CLIP, MIN_CLIP
from securefl.errors import EncodingError, NonFiniteError, UnsafePlanError

SIZE = 4


def vector_of_norm(norm, rng):
    direction = rng.normal(size=SIZE)
    return direction * (norm / np.linalg.norm(direction))


def run(
    state, rounds, rng, *, dropout=0.0, median=1.0, bit=lambda coordinate: coordinate, noise=lambda now, after: now
):
    """Clip, add, noise, update; `bit` and `noise` are where a mistake can be planted.

    Returns the clip of each round, and the least noise over what a party could move, divided by z.
    """
    clips, covered = [state.clip], math.inf
    for _ in range(rounds):
        alive = max(1, state.parties - rng.binomial(state.parties, dropout))
        sent = [state.append_bit(vector_of_norm(median * rng.lognormal(0, 0.3), rng)) for _ in range(alive)]
        coordinate = bit(float(sum(vector[-1] for vector in sent)))
        count = None if state.survivors_hidden else alive
        exact = state.after(state.bit_sum(coordinate), count)
        std = noise(state, exact).noise_std
        covered = min(covered, std / state.joint_bound / state.noise_multiplier)
        state = state.after(state.bit_sum(coordinate + rng.normal(0, std)), count)
        clips.append(state.clip)
    return clips, covered


def test_reference_value_of_the_noise_on_the_update():
    state = AdaptiveClip(parties=100, noise_multiplier=1.0)
    assert state.delta_multiplier == pytest.approx(1.005038, abs=5e-7)
    assert state.bit_noise == 5.0
    assert (state.clip, state.quantile, state.learning_rate) == (0.1, 0.5, 0.2)


@pytest.mark.parametrize("z", [0.3, 1.0, 5.0])
def test_one_noise_covers_the_update_and_the_bit(z):
    state = AdaptiveClip(parties=100, noise_multiplier=z, clip=0.7)
    assert state.joint_bound == pytest.approx(state.clip * state.delta_multiplier / z, rel=1e-14)
    assert state.noise_std == pytest.approx(state.clip * state.delta_multiplier, rel=1e-14)
    assert state.noise_std / state.bit_scale == pytest.approx(state.bit_noise, rel=1e-14)
    assert (state.sensitivity.zero_out, state.sensitivity.replace_one) == (state.joint_bound, 2 * state.joint_bound)


def test_the_vector_with_its_bit_is_within_the_joint_bound_exactly():
    rng = np.random.default_rng(1)
    for clip in rng.lognormal(0, 3, size=50):
        state = AdaptiveClip(parties=60, noise_multiplier=0.8, clip=float(clip))
        joined = state.append_bit(vector_of_norm(100 * clip, rng))
        assert sum(Fraction(value) ** 2 for value in joined.tolist()) <= Fraction(state.joint_bound) ** 2


def test_the_bit_is_positive_iff_the_weighed_update_is_within_the_clip():
    state = AdaptiveClip(parties=100, noise_multiplier=1.0, clip=2.0)
    short, long = np.array([1.0, 0.0]), np.array([3.0, 0.0])
    assert state.append_bit(short).tolist() == [1.0, 0.0, state.bit_scale / 2]
    assert state.append_bit(long)[-1] == -state.bit_scale / 2
    assert state.append_bit(short, weight=3)[-1] == -state.bit_scale / 2
    assert state.bit_sum(float(state.append_bit(short)[-1])) == 0.5


def test_the_clip_grows_when_few_are_within_it_and_shrinks_when_many_are():
    state = AdaptiveClip(parties=100, noise_multiplier=1.0, clip=1.0)
    assert state.after(-50.0, 100).clip == pytest.approx(math.exp(0.1))
    assert state.after(50.0, 100).clip == pytest.approx(math.exp(-0.1))
    assert state.after(0.0, 100).clip == 1.0
    assert state.after(10.0, 40).clip == pytest.approx(math.exp(-0.2 * 0.25))


def test_the_noisy_mean_is_clipped_to_a_share():
    state = AdaptiveClip(parties=100, noise_multiplier=1.0, clip=1.0)
    assert state.after(-1e9, 100).clip == state.after(-50.0, 100).clip
    assert state.after(1e9, 100).clip == state.after(50.0, 100).clip


def test_the_rounds_clip_is_frozen():
    state = AdaptiveClip(parties=100, noise_multiplier=1.0)
    before = (state.clip, state.joint_bound, state.bit_scale)
    assert state.after(-50.0, 100) != state
    assert (state.clip, state.joint_bound, state.bit_scale) == before
    with pytest.raises(AttributeError):
        state.clip = 3.0


def test_the_clip_stays_where_float64_can_hold_it():
    assert AdaptiveClip(parties=100, noise_multiplier=1.0, clip=MAX_CLIP).after(-50.0, 100).clip == MAX_CLIP
    assert AdaptiveClip(parties=100, noise_multiplier=1.0, clip=MIN_CLIP).after(50.0, 100).clip == MIN_CLIP


def test_the_joint_bound_in_grid_points_does_not_move_with_the_clip():
    state = AdaptiveClip(parties=100, noise_multiplier=1.0)
    for _ in range(50):
        state = state.after(-37.0, 100)
        assert state.joint_bound * state.scale(1234.5) == pytest.approx(1234.5, rel=1e-15)


def test_reference_values_of_the_clip_on_its_way():
    """Means of 12 runs; each has a standard error below .01, so .04 is more than four of them."""
    start = AdaptiveClip(parties=100, noise_multiplier=1.0)
    runs = [run(start, 60, np.random.default_rng(seed))[0] for seed in range(12)]
    means = [fmean(clips[at] for clips in runs) for at in (20, 40, 60)]
    assert means == pytest.approx([0.65, 1.02, 1.00], abs=0.04)


def converges(state, rng, target, **planted):
    clips, _ = run(state, 130, rng, **planted)
    return abs(math.log(fmean(clips[-30:]) / target)) < 0.1


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("start", [1e-3, 1e3])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_it_converges_to_the_median_from_far_away(hidden, start, dropout):
    state = AdaptiveClip(parties=50, noise_multiplier=1.0, clip=start, survivors_hidden=hidden)
    assert converges(state, np.random.default_rng(5), 1.0, dropout=dropout)


@pytest.mark.parametrize("quantile", [0.3, 0.8])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_it_converges_to_another_quantile_where_the_survivors_are_known(quantile, dropout):
    state = AdaptiveClip(parties=50, noise_multiplier=1.0, clip=0.05, quantile=quantile)
    target = math.exp(0.3 * NormalDist().inv_cdf(quantile))
    assert converges(state, np.random.default_rng(6), target, dropout=dropout)


@pytest.mark.parametrize("start", [0.5, 2.0])
def test_a_wrong_sign_of_the_bit_would_be_seen(start):
    state = AdaptiveClip(parties=50, noise_multiplier=1.0, clip=start)
    assert converges(state, np.random.default_rng(7), 1.0)
    assert not converges(state, np.random.default_rng(7), 1.0, bit=lambda coordinate: -coordinate)


def test_noise_sized_with_the_updated_clip_would_be_seen():
    state = AdaptiveClip(parties=50, noise_multiplier=1.0, clip=10.0)
    assert run(state, 20, np.random.default_rng(8))[1] >= 1
    assert run(state, 20, np.random.default_rng(8), noise=lambda now, after: after)[1] < 0.95


@pytest.mark.parametrize("quantile", [0.49, 0.9])
def test_hidden_survivors_allow_the_median_only(quantile):
    with pytest.raises(UnsafePlanError, match=r"needs 0\.5"):
        AdaptiveClip(parties=100, noise_multiplier=1.0, quantile=quantile, survivors_hidden=True)


def test_survivors_are_given_iff_they_are_known():
    known = AdaptiveClip(parties=100, noise_multiplier=1.0)
    for survivors in (None, 0, 101):
        with pytest.raises(EncodingError, match=r"expected 1..100"):
            known.after(0.0, survivors)
    with pytest.raises(EncodingError, match="the plan hides them"):
        AdaptiveClip(parties=100, noise_multiplier=1.0, survivors_hidden=True).after(0.0, 70)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_sum_of_bits_that_is_not_finite_is_refused(bad):
    with pytest.raises(NonFiniteError):
        AdaptiveClip(parties=100, noise_multiplier=1.0).after(bad, 100)


@pytest.mark.parametrize(
    "wrong",
    [
        {"parties": 0},
        {"parties": 2.0},
        {"noise_multiplier": 10.0},
        {"noise_multiplier": 0.0},
        {"noise_multiplier": math.nan},
        {"clip": 0.0},
        {"clip": math.inf},
        {"quantile": 0.0},
        {"quantile": 1.0},
        {"learning_rate": 0.0},
        {"learning_rate": 2.0},
        {"bit_noise": 0.0},
        {"bit_noise": 0.5},
        {"bit_noise": math.inf},
        {"bit_noise": True},
    ],
)
def test_arguments_out_of_range_are_refused(wrong):
    with pytest.raises(UnsafePlanError, match="Remedy"):
        AdaptiveClip(**({"parties": 100, "noise_multiplier": 1.0} | wrong))
