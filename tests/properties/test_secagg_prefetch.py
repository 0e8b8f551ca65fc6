"""Keys that are sent ahead change how a round begins and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

import securefl as sfl
from securefl.errors import RoundAbortedError
from securefl.secagg.client import ClientRound
from securefl.types import Step


@st.composite
def sessions(draw):
    """A session of a few rounds, and the parties that leave each at some step."""
    n = draw(st.integers(4, 9))
    names = [f"p{i}" for i in range(n)]
    ring = n >= 6 and draw(st.booleans())
    if ring:  # one party of n may leave for certain: k = 4, c = 1
        protocol = {"server": "semi-honest", "graph": "k-regular", "max_colluders": 1, "min_survivors": n - 1}
    else:
        protocol = {"server": draw(st.sampled_from(["semi-honest", "active"]))}
    # Keys that came ahead are there: nobody can leave at `advertise` then.
    steps = st.sampled_from([step for step in Step if step is not Step.ADVERTISE])
    drops = st.dictionaries(st.sampled_from(names), steps, max_size=2)
    return names, protocol, draw(st.lists(drops, min_size=2, max_size=4))


def outcomes(names, protocol, rounds, *, prefetch, updates):
    """What each round of a session ends in: survivors and sum, or None for a typed abort."""
    plan = sfl.Plan.for_updates(updates[0], protocol=sfl.SecAgg(**protocol, prefetch=prefetch))
    session = sfl.MemorySession(plan, names)
    ended, invited = [], []
    for drop, given_ in zip(rounds, updates, strict=True):
        try:
            result = session.round(given_, drop=drop)
        except RoundAbortedError:
            ended.append(None)
        else:
            assert result.sum["w"].tolist() == sum(given_[name]["w"] for name in result.survivors).tolist()
            ended.append(frozenset(result.survivors))
            invited.append(result.bytes_by_step[Step.ADVERTISE][1] > 0)
    return ended, invited


@pytest.mark.timeout(3600)  # hundreds of whole rounds; thousands in `make explore`
@settings(max_examples=max(10, settings().max_examples // 2))
@given(case=sessions(), seed=st.integers(0, 2**32))
def test_with_keys_sent_ahead_every_round_ends_in_the_exact_sum_or_a_typed_abort_as_without(case, seed):
    names, protocol, rounds = case
    rounds = [*rounds, {}, {}]
    rng = np.random.default_rng(seed)
    updates = [{name: {"w": rng.integers(-3000, 3000, 3)} for name in names} for _ in rounds]
    with_keys, invited = outcomes(names, protocol, rounds, prefetch=True, updates=updates)
    without, _ = outcomes(names, protocol, rounds, prefetch=False, updates=updates)
    event(f"{sum(ended is None for ended in without)} aborts")
    assert with_keys[-2:] == without[-2:] == [frozenset(names)] * 2, "whoever left is back"
    assert not invited[-1], "everybody answered the round before, so nobody is invited"
    if protocol.get("graph") != "k-regular":  # there the order on the ring decides what too many dropouts lead to
        assert with_keys == without


@settings(max_examples=max(10, settings().max_examples // 2))
@given(case=sessions(), seed=st.integers(0, 2**32))
def test_no_key_pair_is_dealt_in_two_rounds(case, seed):
    names, protocol, rounds = case
    updates = {name: {"w": np.arange(3)} for name in names}
    plan = sfl.Plan.for_updates(updates, protocol=sfl.SecAgg(**protocol, prefetch=True))
    session = sfl.MemorySession(plan, names)
    used = []

    class Noted(ClientRound):
        def _on_roster(self, body):
            used.append((self.context.round, self._party, self._kept.advertised.mask.public))
            return super()._on_roster(body)

    original = sfl.session.client.ClientRound
    sfl.session.client.ClientRound = Noted
    try:
        for drop in [{}, *rounds, {}]:
            try:
                session.round(updates, drop=drop)
            except RoundAbortedError:
                event("an abort")
    finally:
        sfl.session.client.ClientRound = original
    assert used
    assert len({key for *_, key in used}) == len(used)
    assert len({(number, party) for number, party, _ in used}) == len(used)
