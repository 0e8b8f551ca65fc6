"""Cohorts add up: whatever is lost on the way, the sum is that of exactly the parties that it names."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

import securefl as sfl
from securefl.engines.cohorts import split
from securefl.types import Step

steps = st.sampled_from(Step)
BEFORE_MASKING = {Step.ADVERTISE, Step.SHARE_KEYS, Step.MASKED_INPUT}


@given(parties=st.integers(1, 300), size=st.integers(1, 300))
def test_a_split_is_a_partition_with_sizes_that_differ_by_at_most_one_and_are_at_least_the_plans(parties, size):
    names = [f"p{i}" for i in range(parties)]
    if parties < size:
        with pytest.raises(sfl.UnsafePlanError, match="too few parties"):
            split(names, size)
        return
    members = split(names, size)
    assert sorted(name for cohort in members.values() for name in cohort) == sorted(names)
    sizes = [len(cohort) for cohort in members.values()]
    assert max(sizes) - min(sizes) <= 1
    assert size <= min(sizes) < 2 * size
    assert list(members) == sorted(members)
    place = {name: i for i, name in enumerate(names)}
    assert all(sorted(cohort, key=place.get) == list(cohort) for cohort in members.values())


@st.composite
def rounds_in_cohorts(draw):
    size = draw(st.integers(3, 6))
    n = draw(st.integers(size, 14))
    names = [f"p{i}" for i in range(n)]
    drop = draw(st.dictionaries(st.sampled_from(names), steps, max_size=n))
    return names, size, draw(st.sampled_from(sfl.ServerModel)), drop


@given(case=rounds_in_cohorts(), seed=st.integers(0, 2**32), weighted=st.booleans(), measured=st.booleans())
def test_the_sum_over_cohorts_is_the_exact_integer_sum_over_all_survivors(case, seed, weighted, measured):
    names, size, server, drop = case
    rng = np.random.default_rng(seed)
    updates = {name: {"w": rng.integers(-32767, 32767, 3, endpoint=True), "one": np.int8(1)} for name in names}
    weights = {name: int(rng.integers(1, 50)) for name in names} if weighted else None
    metrics = {name: {"loss": float(rng.integers(0, 3))} for name in names} if measured else None
    plan = sfl.Plan(
        template={"w": ((3,), "int64"), "one": ((), "int8")},
        parties=size,
        protocol=sfl.SecAgg(server=server, max_colluders=0),
        max_weight=50 if weighted else 1,
        metrics={"loss": (0.0, 2.0)} if measured else {},
    )
    result = _outcome(updates, plan, weights, metrics=metrics, drop=drop)
    if isinstance(result, sfl.BelowThresholdError):
        event("no cohort ended well")
        assert drop
        assert result.reason.count("cohort-") == len(names) // size
        return
    event(f"{len(result.results)} cohorts ended well, {len(result.failed)} failed")
    _in_the_sum_are_just_the_survivors(result, updates, weights or dict.fromkeys(names, 1), metrics)
    _who_is_missing_was_lost_or_in_a_failed_cohort(result, names, drop)
    _every_cohort_kept_its_own_floor(result)


def _outcome(updates, plan, weights, **more):
    try:
        return sfl.aggregate_cohorts(updates, plan, weights, **more)
    except sfl.BelowThresholdError as aborted:
        return aborted


def _in_the_sum_are_just_the_survivors(result, updates, weights, metrics):
    survivors = result.survivors
    assert len(set(survivors)) == len(survivors)
    exact = sum(weights[name] * updates[name]["w"] for name in survivors)
    assert result.sum["w"].tolist() == exact.tolist()
    total = sum(weights[name] for name in survivors)
    assert result.weight_sum == total == result.sum["one"]
    assert result.mean["w"].tolist() == np.rint(exact / total).tolist()
    if metrics is not None:
        loss = sum(weights[name] * metrics[name]["loss"] for name in survivors) / total
        assert abs(result.metrics["loss"] - loss) < 1e-3
    # Python's integers, which never wrap, cohort by cohort: none was added twice and none left out.
    added = [sum(int(part.sum["w"][i]) for part in result.results.values()) for i in range(3)]
    assert added == exact.tolist()


def _who_is_missing_was_lost_or_in_a_failed_cohort(result, names, drop):
    in_failed = {name for cohort in result.failed for name in result.members[cohort]}
    lost = {name for name, step in drop.items() if step in BEFORE_MASKING or step is Step.CONSISTENCY}
    assert not in_failed & set(result.survivors)
    assert set(names) - set(result.survivors) - in_failed <= lost
    assert not {name for name, step in drop.items() if step in BEFORE_MASKING} & set(result.survivors)
    assert result.members.keys() == result.results.keys() | result.failed.keys()


def _every_cohort_kept_its_own_floor(result):
    for cohort, part in result.results.items():
        assert set(part.survivors) <= set(result.members[cohort])
        assert part.plan.parties == len(result.members[cohort])
        assert len(part.survivors) >= part.plan.parameters.min_survivors >= 3
    assert result.smallest == min(len(part.survivors) for part in result.results.values())
    for error in result.failed.values():
        assert isinstance(error, sfl.BelowThresholdError)
        assert error.phase in set(Step)
