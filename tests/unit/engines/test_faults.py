"""Each fault at each step: the exact sum over the survivors or a typed abort, and the effect that its docstring states."""

from __future__ import annotations

import numpy as np
import pytest

import securefl as sfl
from securefl.types import Step

NAMES = tuple("abcdefg")
UPDATES = {name: {"w": np.array([3**i, -i], np.int32)} for i, name in enumerate(NAMES)}
SUMMED = {Step.CONSISTENCY, Step.UNMASK}
"""Who leaves at these steps has its vector in the sum."""
DOWN = {Step.ADVERTISE: "invite", Step.SHARE_KEYS: "roster"}

SERVERS = pytest.mark.parametrize("server", list(sfl.ServerModel))
STEPS = pytest.mark.parametrize("step", list(Step))


def session_of(server, **fields):
    protocol = sfl.SecAgg(server=server, threshold=5 if server == "active" else 4, max_colluders=1)
    return sfl.MemorySession(sfl.Plan.for_updates(UPDATES, protocol=protocol, **fields), NAMES)


def happens_at(server, step):
    """Where a fault acts: a semi-honest round has no consistency step, and what goes wrong there goes wrong in the next."""
    return Step.UNMASK if server != "active" and step is Step.CONSISTENCY else step


def check_exact(result):
    total = sum(UPDATES[name]["w"].astype(int) for name in result.survivors)
    assert result.sum["w"].tolist() == total.tolist()


def run(server, *faults):
    """The round, and another in the same session, which no fault of the first may harm."""
    session = session_of(server)
    try:
        result = session.round(UPDATES, faults=faults)
        check_exact(result)
    finally:
        after = session.round(UPDATES)
        assert after.survivors == NAMES
        assert after.refusals == ()
        check_exact(after)
    return result


def expect_lost(result, party, step, server):
    step = happens_at(server, step)
    assert result.dropped == {party: step}
    assert (party in result.survivors) is (step in SUMMED)
    assert set(result.survivors) | {party} == set(NAMES)


@SERVERS
@STEPS
def test_a_drop_loses_its_party_from_its_step_on(server, step):
    result = run(server, sfl.faults.Drop("c", step))
    expect_lost(result, "c", step, server)
    assert result.refusals == ()


@SERVERS
@STEPS
def test_a_delay_comes_too_late_to_be_used_and_is_refused_by_name(server, step):
    result = run(server, sfl.faults.Delay("c", step))
    step = happens_at(server, step)
    assert "c" not in result.survivors or step in SUMMED
    assert result.dropped["c"] is step
    refusals = [refusal for refusal in result.refusals if isinstance(refusal, sfl.ProtocolError)]
    assert len(refusals) == len(result.refusals) >= 1
    if step is not Step.UNMASK:
        assert any("c" in refusal.suspects and "late" in str(refusal) for refusal in refusals)


@SERVERS
@STEPS
def test_a_replay_is_refused_each_time_and_costs_nobody_anything(server, step):
    result = run(server, sfl.faults.Replay("c", step))
    assert result.survivors == NAMES
    assert result.dropped == {}
    steps = [at for at in Step if happens_at(server, at) is at]
    assert len(result.refusals) == len(steps) - steps.index(happens_at(server, step))
    assert all(isinstance(refusal, sfl.ProtocolError) for refusal in result.refusals)


@SERVERS
@STEPS
@pytest.mark.parametrize("bit", [0, 127, 512, 12_345, 10**9 + 7])
def test_a_corrupted_message_loses_its_sender_and_the_damage_is_noticed(server, step, bit):
    result = run(server, sfl.faults.Corrupt("c", step, bit=bit))
    expect_lost(result, "c", step, server)
    assert len(result.refusals) == 1
    assert all(isinstance(refusal, sfl.RemoteProtocolError) for refusal in result.refusals)


@SERVERS
@STEPS
@pytest.mark.parametrize("bit", [0, 127, 512, 12_345, 10**9 + 7])
def test_a_corrupted_message_of_the_server_loses_its_receiver_and_is_noticed(server, step, bit):
    result = run(server, sfl.faults.Corrupt("c", step, bit=bit, downstream=True))
    expect_lost(result, "c", step, server)
    assert len(result.refusals) == 1
    assert all(isinstance(refusal, sfl.SecureFLError) for refusal in result.refusals)


def test_an_active_server_that_equivocates_opens_nothing_for_those_it_lied_to():
    result = run("active", sfl.faults.Equivocate(("a",), ("b",)))
    assert result.survivors == NAMES
    assert result.dropped == {"a": Step.CONSISTENCY}
    (refusal,) = [r for r in result.refusals if "signature of a" in str(r)]
    assert refusal.suspects == ("a",)
    for liars in (("a", "b"), ("a", "b", "c"), ("b", "c", "d", "e", "f", "g")):
        with pytest.raises(sfl.RoundAbortedError):
            run("active", sfl.faults.Equivocate(liars, ("g",) if "g" not in liars else ("a",)))


def test_an_equivocation_that_hides_its_receiver_is_noticed_by_it():
    result = run("active", sfl.faults.Equivocate(("a",), ("a",)))
    assert result.dropped == {"a": Step.CONSISTENCY}
    assert any("missing from the survivor set" in str(refusal) for refusal in result.refusals)
    assert any("server" in refusal.suspects for refusal in result.refusals)


def test_a_semi_honest_round_with_an_equivocating_server_still_has_no_wrong_sum():
    result = run("semi-honest", sfl.faults.Equivocate(("a",), ("b",)))
    assert result.dropped == {"a": Step.UNMASK}
    with pytest.raises(sfl.BelowThresholdError):
        run("semi-honest", sfl.faults.Equivocate(("a", "b", "c"), ("d",)))


@SERVERS
def test_an_abort_carries_the_refusal_that_led_to_it(server):
    session = session_of(server)
    with pytest.raises(sfl.BelowThresholdError, match="missing since: a, b, c") as caught:
        session.round(UPDATES, faults=[sfl.faults.Corrupt(name, "masked_input") for name in "abc"])
    assert caught.value.phase == "masked_input"
    assert isinstance(caught.value.__cause__, sfl.RemoteProtocolError)
    result = session.round(UPDATES)
    assert result.survivors == NAMES
    assert result.refusals == (), "refusals are those of their own round"


@SERVERS
def test_several_faults_at_once_are_borne_up_to_the_plans_limit(server):
    limit = 7 - (6 if server == "active" else 5)
    faults = [sfl.faults.Drop("a", "masked_input"), sfl.faults.Corrupt("b", "share_keys")]
    result = run(server, *faults[:limit], sfl.faults.Replay("g", "advertise"), sfl.faults.Replay("f", "unmask"))
    assert set(result.survivors) == set(NAMES) - set("ab"[:limit])


@SERVERS
@pytest.mark.parametrize("bit", [0, 136, 156, 160, 200, 300])
@pytest.mark.parametrize("lie_first", [True, False])
def test_a_lie_that_is_damaged_on_its_way_is_a_damaged_lie_whichever_is_named_first(server, bit, lie_first):
    faults = [
        sfl.faults.Equivocate(("a",), ("b",)),
        sfl.faults.Corrupt("a", "consistency", bit=bit, downstream=True),
    ]
    result = run(server, *(faults if lie_first else reversed(faults)))
    assert result.dropped == {"a": happens_at(server, Step.CONSISTENCY)}
    assert isinstance(result.refusals[0], sfl.RemoteProtocolError)


@SERVERS
def test_refusals_are_reported(server):
    result = run(server, sfl.faults.Corrupt("c", "masked_input"))
    assert f"Refused: {result.refusals[0]}" in result.report()
    assert "Left: c (masked_input)" in result.report()


def test_a_party_that_drops_is_not_brought_back_by_its_own_replay():
    updates = {f"p{i}": {"x": float(i)} for i in range(10)}
    plan = sfl.Plan.for_updates(updates, encoding=sfl.FixedPoint(bound=8.0))
    faults = [sfl.faults.Drop("p1", "masked_input"), sfl.faults.Replay("p1", "masked_input")]
    assert "p1" not in sfl.aggregate(updates, plan, faults=faults).survivors


def test_a_drop_at_consistency_happens_one_step_later_where_there_is_no_such_step():
    updates = {f"p{i}": {"x": float(i)} for i in range(10)}
    plan = sfl.Plan.for_updates(updates, encoding=sfl.FixedPoint(bound=8.0))
    result = sfl.aggregate(updates, plan, drop={"p1": "consistency"})
    assert result.dropped == {"p1": "unmask"}
    assert "p1" in result.survivors


def prefetching(server):
    """A session whose next round has everybody's keys already."""
    protocol = sfl.SecAgg(server=server, threshold=5 if server == "active" else 4, max_colluders=1, prefetch=True)
    session = sfl.MemorySession(sfl.Plan.for_updates(UPDATES, protocol=protocol), NAMES)
    assert session.round(UPDATES).survivors == NAMES
    return session


@SERVERS
@STEPS
def test_a_drop_loses_its_party_in_a_round_whose_keys_were_sent_ahead(server, step):
    session = prefetching(server)
    result = session.round(UPDATES, drop={"c": step})
    assert result.bytes_by_step[Step.ADVERTISE] == (0, 0), "nobody was invited"
    expect_lost(result, "c", Step.SHARE_KEYS if step is Step.ADVERTISE else step, server)
    check_exact(result)
    assert result.refusals == ()
    # Its keys have served nobody; it is invited like a newcomer.
    after = session.round(UPDATES)
    assert (after.survivors, after.dropped, after.refusals) == (NAMES, {}, ())
    assert after.bytes_by_step[Step.ADVERTISE] != (0, 0)
    check_exact(after)


@SERVERS
def test_a_drop_loses_its_party_where_its_keys_were_sent_ahead_and_another_is_invited(server):
    session = prefetching(server)
    session.round(UPDATES, drop={"a": "unmask"})
    result = session.round(UPDATES, drop={"c": "advertise"})
    assert result.dropped == {"c": Step.SHARE_KEYS}
    assert set(result.survivors) == set(NAMES) - {"c"}
    check_exact(result)
