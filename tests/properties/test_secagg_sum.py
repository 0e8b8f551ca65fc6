"""The law that everything else serves: the exact sum, or a typed abort (protocol.md, attack list, point 10)."""

from __future__ import annotations

from hypothesis import event, given
from hypothesis import strategies as st

from securefl.errors import BelowThresholdError, RoundAbortedError
from securefl.secagg.states import ClientState
from securefl.types import Step
from unit.secagg.harness import Round, any_size, ended, integer_sum, k_regular_parameters, parameters, run


@st.composite
def rounds_with_dropouts(draw):
    chosen = draw(parameters(any_size))
    # One more than the round can bear, at most: beyond that every round aborts in the same way.
    count = draw(st.integers(0, min(chosen.parties, chosen.max_dropouts + 1)))
    who = draw(st.permutations(range(chosen.parties)))[:count]
    return chosen, {party: draw(st.sampled_from(Step)) for party in who}


def expected_survivors(chosen, drops):
    """U3 if the round must succeed, else None: written from protocol.md, not from the code."""
    steps = [step for step in Step if chosen.active or step is not Step.CONSISTENCY]
    left = {
        step: {p for p in range(chosen.parties) if p not in drops or drops[p] not in steps[: steps.index(step) + 1]}
        for step in steps
    }
    openers = chosen.threshold + 1  # t holders of a secret, and nobody holds a share of its own
    quorum = max(openers, chosen.min_survivors)
    needed = {Step.CONSISTENCY: openers, Step.UNMASK: openers}
    if any(len(left[step]) < needed.get(step, quorum) for step in steps):
        return None
    return left[Step.MASKED_INPUT]


@given(case=rounds_with_dropouts(), bits=st.integers(8, 64), length=st.integers(0, 5), seed=st.integers(0, 2**32))
def test_sum_equals_integer_sum_or_typed_abort(case, bits, length, seed):
    chosen, drops = case
    expected = expected_survivors(chosen, drops)
    outcome = run(chosen, bits=bits, length=length, seed=seed, drops=drops)
    event("a sum" if expected is not None else "an abort")
    if expected is None:
        assert isinstance(outcome, BelowThresholdError)
        assert outcome.phase
        assert outcome.remedy
        return
    assert isinstance(outcome, Round), outcome
    result = outcome.server.result()
    assert result.survivors == expected
    assert result.total.tolist() == integer_sum(outcome.vectors, expected, bits)
    acting = {party: step for party, step in drops.items() if chosen.active or step is not Step.CONSISTENCY}
    assert result.dropped == acting


@st.composite
def rings_with_dropouts(draw):
    chosen = draw(k_regular_parameters(st.one_of(st.integers(5, 12), st.integers(5, 40))))
    count = draw(st.integers(0, min(chosen.parties, chosen.max_dropouts + 1)))
    who = draw(st.permutations(range(chosen.parties)))[:count]
    return chosen, {
        party: draw(st.sampled_from([step for step in Step if step is not Step.CONSISTENCY])) for party in who
    }


def neighbours_of(order, k, party):
    """Written from Bell et al. 2020, section 3, not from the code."""
    n = len(order)
    place = order.index(party)
    return (
        {
            other
            for i, other in enumerate(order)
            if other != party and min((i - place) % n, (place - i) % n) <= max(k, 1) / 2
        }
        if k < n - 1
        else set(order) - {party}
    )


def expected_on_a_ring(chosen, drops, order):
    """U3 if the round must succeed on the ring that was drawn, else None; and the parties that must refuse for want of shares."""
    left = {
        step: {
            p for p in range(chosen.parties) if p not in drops or list(Step).index(drops[p]) > list(Step).index(step)
        }
        for step in Step
    }
    t, floor = chosen.threshold, chosen.min_survivors
    quorum = max(t + 1, floor)
    if len(left[Step.ADVERTISE]) < quorum:
        return None, set()
    around = {party: neighbours_of(order, chosen.neighbours, party) for party in order}
    dealers = left[Step.SHARE_KEYS]
    if len(dealers) < quorum:
        return None, set()
    starved = {party for party in dealers if len(around[party] & dealers) < t}
    survivors = left[Step.MASKED_INPUT] - starved
    if len(survivors) < quorum:
        return None, starved
    openers = left[Step.UNMASK] & survivors
    gone = {party for party in dealers - survivors if around[party] & survivors}
    if len(openers) < t + 1 or any(len(around[party] & openers) < t for party in survivors | gone):
        return None, starved
    return survivors, starved


@given(case=rings_with_dropouts(), bits=st.integers(8, 64), length=st.integers(0, 5), seed=st.integers(0, 2**32))
def test_on_a_ring_sum_equals_integer_sum_or_typed_abort(case, bits, length, seed):
    chosen, drops = case
    round_ = Round(chosen, bits=bits, length=length, seed=seed, forgiving=True)
    aborted = ended(round_, drops)
    expected, starved = expected_on_a_ring(chosen, drops, round_.server._got.graph.order)
    event("a sum" if expected is not None else "an abort")
    event(f"complete: {chosen.neighbours >= chosen.parties - 1 - len(drops)}")
    starved -= {party for party, step in drops.items() if step is Step.SHARE_KEYS}
    if starved:
        event("a party had too few neighbours left")
    assert round_.refusals.keys() == starved
    assert all("are needed" in refusal.reason for refusal in round_.refusals.values())
    assert all(round_.clients[party].state is ClientState.ABORTED for party in starved)
    if expected is None:
        assert isinstance(aborted, RoundAbortedError)
        assert aborted.phase
        assert aborted.remedy
        return
    assert aborted is None
    result = round_.server.result()
    assert result.survivors == expected
    assert result.total.tolist() == integer_sum(round_.vectors, expected, bits)
    assert result.dropped.keys() == drops.keys() | starved


@given(chosen=k_regular_parameters(st.integers(5, 40)), seed=st.integers(0, 2**32), data=st.data())
def test_on_a_ring_every_sum_opens_that_loses_no_more_than_the_slack_of_a_neighbourhood(chosen, seed, data):
    """k - t parties lost leave everybody t neighbours, whatever the order."""
    most = min(chosen.max_dropouts, chosen.neighbours - chosen.threshold)
    count = data.draw(st.integers(0, max(most, 0)))
    who = data.draw(st.permutations(range(chosen.parties)))[:count]
    drops = {party: data.draw(st.sampled_from(Step)) for party in who}
    outcome = run(chosen, bits=20, length=2, seed=seed, drops=drops)
    assert isinstance(outcome, Round), outcome
    result = outcome.server.result()
    assert result.survivors >= set(range(chosen.parties)) - drops.keys()
    assert result.total.tolist() == integer_sum(outcome.vectors, result.survivors, 20)
