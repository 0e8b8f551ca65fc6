"""What the decoded mean owes to the float64 mean (issue 2, "fixed-point mean against float64 mean")."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from securefl.encoding.fixed_point import FixedPoint
from securefl.pipeline import decode_sum, encode_update, integer_sum
from securefl.plan import Plan


@st.composite
def weighted_updates(draw):
    """Plan, one tree a party, weights: float leaves, integer leaves, metrics; nothing saturates."""
    parties = draw(st.integers(3, 12))
    value_bits = draw(st.integers(4, 32))
    bound = draw(st.sampled_from([1e-6, 0.1, 1.0, 4.0, 1e6]))
    heaviest = draw(st.sampled_from([1, 2, 100, 1 << 20]))
    plan = Plan(
        template={"f8": ((6,), "float64"), "f4": ((2, 3), "float32"), "i": ((4,), "int64")},
        parties=parties,
        encoding=FixedPoint(value_bits, bound, "refuse"),
        max_weight=heaviest,
        metrics={"loss": (-1.0, 3.0), "accuracy": (0.0, 1.0)},
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    top = plan.encoding.max_value
    largest = np.nextafter(np.float32(bound), np.float32(0))  # float32(bound) itself may lie above the bound
    updates = [
        {
            "f8": rng.uniform(-bound, bound, 6),
            "f4": np.clip(rng.uniform(-bound, bound, (2, 3)).astype(np.float32), -largest, largest),
            "i": rng.integers(-top, top, 4, endpoint=True),
        }
        for _ in range(parties)
    ]
    ends = draw(st.booleans())
    if ends:  # all parties at one end of the grid: the largest sums there are
        sign = draw(st.sampled_from([-1, 1]))
        for update in updates:
            update["f8"][:] = sign * bound
            update["i"][:] = sign * top
    weights = [heaviest if ends else int(rng.integers(1, heaviest, endpoint=True)) for _ in range(parties)]
    metrics = [{"loss": float(rng.uniform(-1, 3)), "accuracy": float(rng.uniform())} for _ in range(parties)]
    return plan, updates, weights, metrics


def aggregated(plan, updates, weights, metrics):
    total = plan.ring.zeros(plan.length)
    for update, weight, told in zip(updates, weights, metrics, strict=True):
        plan.ring.add_into(total, encode_update(plan, update, weight=weight, metrics=told).vector)
    return decode_sum(plan, integer_sum(plan, total, len(updates)), len(updates))


def exact_mean(values, weights):
    """The mean of what the floats really are, without any rounding."""
    total = sum(weight * Fraction(float(value)) for value, weight in zip(values, weights, strict=True))
    return total / sum(weights)


@given(weighted_updates())
def test_the_mean_differs_from_the_exact_mean_by_less_than_the_stated_bound(case):
    plan, updates, weights, metrics = case
    decoded = aggregated(plan, updates, weights, metrics)
    limit = Fraction(plan.encoding.error_bound)
    for name, half_ulp in (("f8", Fraction(0)), ("f4", Fraction(plan.encoding.bound) / 2**24)):
        totals, means = decoded.total[name].reshape(-1), decoded.mean[name].reshape(-1)
        for place, (total, mean) in enumerate(zip(totals, means, strict=True)):
            exact = exact_mean([update[name].reshape(-1)[place] for update in updates], weights)
            # The sum is in float64; the mean is rounded once more, to the leaf's own dtype.
            assert abs(Fraction(float(total / decoded.weight_sum)) - exact) < limit
            assert abs(Fraction(float(mean)) - exact) < limit + half_ulp
    assert decoded.weight_sum == sum(weights)


@given(weighted_updates())
def test_integers_are_carried_exactly(case):
    plan, updates, weights, metrics = case
    decoded = aggregated(plan, updates, weights, metrics)
    for place in range(4):
        values = [int(update["i"][place]) for update in updates]
        exact = sum(weight * value for weight, value in zip(weights, values, strict=True))
        assert int(decoded.total["i"][place]) == exact
        # Rounded to the nearest; at a tie, which float64 may miss by 2^-20, either neighbour will do.
        assert abs(Fraction(int(decoded.mean["i"][place])) - Fraction(exact, sum(weights))) <= Fraction(
            1, 2
        ) + Fraction(1, 2**20)


@given(weighted_updates())
def test_metrics_are_within_their_stated_step(case):
    plan, updates, weights, metrics = case
    decoded = aggregated(plan, updates, weights, metrics)
    for name, span in plan.metrics.items():
        exact = exact_mean([told[name] for told in metrics], weights)
        step = Fraction(span.high - span.low) / (2 * plan.encoding.max_value)
        assert abs(Fraction(decoded.metrics[name]) - exact) < step + Fraction(span.high - span.low) / 2**48


@given(value=st.floats(-1, 1), value_bits=st.integers(4, 20), parties=st.integers(3, 8), weight=st.integers(1, 1 << 20))
def test_a_common_value_comes_back_between_its_two_grid_points(value, value_bits, parties, weight):
    plan = Plan(
        template={"w": ((3,), "float64")},
        parties=parties,
        encoding=FixedPoint(value_bits, 1.0),
        max_weight=1 << 20,
    )
    decoded = aggregated(plan, [{"w": np.full(3, value)}] * parties, [weight] * parties, [{}] * parties)
    step, slack = plan.encoding.step, 2.0**-50
    assert (abs(decoded.mean["w"] - value) < step + slack).all()
