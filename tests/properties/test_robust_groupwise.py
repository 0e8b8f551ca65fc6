"""What a round in groups promises, whoever drops out: exact group means, floors, and nobody in two sums."""

from __future__ import annotations

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st

import securefl as sfl
from securefl.errors import BelowThresholdError
from securefl.federated.robust import GroupwiseRobust, Mean, Median
from securefl.types import ServerModel, Step

BEFORE_THE_SUM = {Step.ADVERTISE, Step.SHARE_KEYS, Step.MASKED_INPUT}


@st.composite
def rounds(draw):
    size = draw(st.integers(3, 4))
    names = [f"p{i:02}" for i in range(draw(st.integers(3 * size, 3 * size + 6)))]
    lost = draw(st.lists(st.sampled_from(names), max_size=4, unique=True))
    drop = {
        name: draw(st.sampled_from([Step.ADVERTISE, Step.SHARE_KEYS, Step.MASKED_INPUT, Step.UNMASK])) for name in lost
    }
    return names, size, drop, draw(st.sampled_from(ServerModel)), draw(st.sampled_from([Mean(), Median()]))


@settings(max_examples=25)
@given(case=rounds(), seed=st.integers(0, 2**32))
def test_the_aggregate_is_the_rule_over_the_exact_weighted_means_of_the_groups_survivors(case, seed):
    names, size, drop, server, rule = case
    rng = np.random.default_rng(seed)
    updates = {name: {"w": rng.uniform(-1, 1, 3).astype(np.float32)} for name in names}
    weights = {name: int(rng.integers(1, 20)) for name in names}
    plan = sfl.Plan(
        template={"w": ((3,), "float32")},
        parties=size,
        protocol=sfl.SecAgg(server=server, max_colluders=0),
        encoding=sfl.FixedPoint(value_bits=24, bound=1.0),
        max_weight=20,
    )
    aggregator = GroupwiseRobust(plan, names, rule, group_size=size, min_groups=1)
    outcome = _outcome(
        aggregator, updates, weights=weights, metrics={name: {} for name in names}, model=updates[names[0]], drop=drop
    )
    if isinstance(outcome, BelowThresholdError):
        event("no group ended well")
        assert drop
        assert outcome.reason.count("group-") == len(names) // size
        return
    event(f"{len(outcome.failed)} groups failed")
    assert sorted(name for group in outcome.members.values() for name in group) == names
    assert outcome.members.keys() == outcome.results.keys() | outcome.failed.keys()
    means, totals = [], []
    for group, result in outcome.results.items():
        survivors = result.survivors
        assert set(survivors) <= set(outcome.members[group])
        assert len(survivors) >= result.plan.parameters.min_survivors >= 3
        assert not {name for name in survivors if drop.get(name) in BEFORE_THE_SUM}
        totals.append(sum(weights[name] for name in survivors))
        means.append(sum(weights[name] * updates[name]["w"].astype(float) for name in survivors) / totals[-1])
        np.testing.assert_allclose(result.mean["w"], means[-1], atol=1e-6)
    exact = np.average(means, axis=0, weights=totals) if rule == Mean() else np.median(means, axis=0)
    np.testing.assert_allclose(outcome.mean["w"], exact, atol=1e-6)
    assert outcome.weight_sum == sum(totals)
    assert len(set(outcome.survivors)) == len(outcome.survivors)


def _outcome(aggregator, updates, **arguments):
    try:
        return aggregator.round(updates, **arguments)
    except BelowThresholdError as aborted:
        return aborted
