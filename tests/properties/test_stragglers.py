"""The laws of partial work."""

from __future__ import annotations

import math
from fractions import Fraction

from hypothesis import assume, given
from hypothesis import strategies as st

from securefl.federated.stragglers import StragglerSchedule, dropped
from securefl.types import Step

seeds = st.integers(0, 2**64)
percents = st.integers(0, 100)
epochs = st.integers(2, 30)


def names(n):
    return [f"p{i}" for i in range(n)]


@given(partial=percents, missing=percents, n=st.integers(0, 60), e=epochs, number=st.integers(1, 1000), seed=seeds)
def test_as_many_as_was_said_do_part_of_the_work_or_miss_the_deadline(partial, missing, n, e, number, seed):
    assume(partial + missing <= 100)
    schedule = StragglerSchedule(partial / 100, missing / 100, seed)
    works = schedule.for_round(number, names(n), e)
    assert list(works) == names(n)
    late = [party for party, work in works.items() if work.missed]
    slow = [work for work in works.values() if 0 < work.epochs < e]
    assert len(late) == math.floor(Fraction(missing, 100) * n)
    assert len(slow) == math.floor(Fraction(partial, 100) * n)
    assert all(work.of == e and (work.missed or 1 <= work.epochs <= e) for work in works.values())
    assert all(work.fraction * e - work.epochs < 1e-9 for work in works.values())
    assert dropped(works) == dict.fromkeys(late, Step.MASKED_INPUT)
    assert schedule.for_round(number, names(n), e) == works


@given(share=percents, n=st.integers(0, 60), e=epochs, number=st.integers(1, 1000), seed=seeds)
def test_the_slow_are_the_same_whether_their_work_counts_or_is_thrown_away(share, n, e, number, seed):
    partly = StragglerSchedule(partial=share / 100, seed=seed).for_round(number, names(n), e)
    never = StragglerSchedule(missing=share / 100, seed=seed).for_round(number, names(n), e)
    assert {p for p, work in partly.items() if work.epochs < e} == {p for p, work in never.items() if work.missed}


@given(seed=seeds)
def test_rounds_have_stragglers_of_their_own(seed):
    schedule = StragglerSchedule(0.5, seed=seed)
    rounds = {tuple(work.epochs for work in schedule.for_round(r, names(100), 20).values()) for r in range(1, 6)}
    assert len(rounds) == 5
