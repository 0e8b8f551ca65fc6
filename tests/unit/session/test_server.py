from __future__ import annotations

import numpy as np
import pytest

import securefl as sfl
from securefl.types import Step
from unit.session.test_client import NAMES, PLAN, ROSTER, TEMPLATE, Pair, value


def submitted(**options):
    pair = Pair(**options)
    for client in pair.clients.values():
        client.submit(value(1))
    return pair


def test_nothing_works_before_a_round_is_started_or_after_it_is_done():
    server = sfl.SecAggServer(PLAN, roster=ROSTER)
    pair = submitted()
    pair.start()
    data = pair.clients["a"].receive(pair.mail["a"])[0]
    for act in (server.close_phase, server.result, lambda: server.receive(data), lambda: server.binding):
        with pytest.raises(sfl.LocalProtocolError, match=r"no round (is open|was started)"):
            act()
    finished = submitted()
    finished.start()
    finished.finish()
    for act in (finished.server.close_phase, lambda: finished.server.receive(data), lambda: finished.server.binding):
        with pytest.raises(sfl.LocalProtocolError, match="no round is open"):
            act()


def test_a_result_asked_for_too_early_names_the_state():
    pair = submitted()
    pair.start()
    for step in Step:
        assert pair.server.step is step
        with pytest.raises(sfl.LocalProtocolError, match=f"no sum in state {step}"):
            pair.server.result()
        pair.step()
    assert pair.server.result().survivors == NAMES


def test_a_server_needs_a_roster_that_fits_its_plan():
    with pytest.raises(sfl.ConfigError, match="for 5 parties, the roster has 3"):
        sfl.SecAggServer(PLAN, roster=sfl.Roster.unsigned("abc"))
    with pytest.raises(sfl.ConfigError, match="active plan needs a roster with identity keys"):
        sfl.SecAggServer(PLAN, roster=sfl.Roster.unsigned(NAMES))


def test_a_round_that_is_given_up_leaves_no_trace_in_the_next():
    pair = submitted()
    pair.start()
    while pair.server.step is not Step.MASKED_INPUT:
        pair.step()
    stale = [(name, data) for name, mail in pair.mail.items() for data in pair.clients[name].receive(mail)]
    for name, data in stale[:3]:
        pair.server.receive(data, party=name)
    pair.start()
    assert pair.server.step is Step.ADVERTISE
    for name, data in stale:
        with pytest.raises(sfl.RemoteProtocolError, match="round 1, this is") as caught:
            pair.server.receive(data, party=name)
        assert caught.value.suspects == (name,)
    for client in pair.clients.values():
        client.submit(value(3))
    result = pair.finish()
    assert result.sum["w"].tolist() == [15, -15]


def test_rounds_are_numbered_and_sessions_named_at_random():
    pair = submitted()
    pair.start()
    pair.finish()
    for client in pair.clients.values():
        client.submit(value(1))
    pair.start()
    pair.finish()
    assert pair.clients["a"].rounds_joined == 2
    names = {sfl.SecAggServer(PLAN, roster=ROSTER).session for _ in range(20)}
    assert len(names) == 20
    assert {len(name) for name in names} == {16}


def test_who_is_waited_for_is_told_by_name():
    pair = submitted()
    pair.start()
    assert pair.server.waiting_for == NAMES
    for done, name in enumerate(NAMES[:-1], 1):
        (data,) = pair.clients[name].receive(pair.mail[name])
        assert pair.server.receive(data, party=name) == []
        assert pair.server.waiting_for == NAMES[done:]
    (last,) = pair.clients[NAMES[-1]].receive(pair.mail[NAMES[-1]])
    outgoing = pair.server.receive(last, party=NAMES[-1])
    assert [name for name, _ in outgoing] == list(NAMES), "the last answer closes the step"
    assert pair.server.step is Step.SHARE_KEYS


def test_a_closed_step_leaves_out_who_has_not_answered_for_good():
    pair = submitted()
    pair.start()
    held_back = pair.clients["e"].receive(pair.mail["e"])[0]
    for name in NAMES[:-1]:
        pair.server.receive(pair.clients[name].receive(pair.mail[name])[0], party=name)
    outgoing = pair.server.close_phase()
    assert [name for name, _ in outgoing] == list(NAMES[:-1])
    with pytest.raises(sfl.RemoteProtocolError, match="late, early") as caught:
        pair.server.receive(held_back, party="e")
    assert caught.value.suspects == ("e",)
    pair.mail = dict(outgoing)
    result = pair.finish()
    assert result.survivors == NAMES[:-1]
    assert result.dropped == {"e": Step.ADVERTISE}


def test_a_deadline_that_comes_after_the_last_message_does_not_close_the_next_step():
    pair = submitted()
    pair.start()
    for name in NAMES:
        (data,) = pair.clients[name].receive(pair.mail[name])
        outgoing = pair.server.receive(data, party=name)
    assert pair.server.close_phase(Step.ADVERTISE) == []
    assert pair.server.step is Step.SHARE_KEYS
    pair.mail = dict(outgoing)
    assert pair.finish().survivors == NAMES


@pytest.mark.parametrize("claimed", NAMES)
def test_a_sender_is_compared_with_what_the_transport_knows(claimed):
    pair = submitted()
    pair.start()
    (data,) = pair.clients["c"].receive(pair.mail["c"])
    if claimed == "c":
        pair.server.receive(data, party=claimed)
        assert "c" not in pair.server.waiting_for
        return
    with pytest.raises(sfl.RemoteProtocolError, match=f"{claimed} sent a message in the name of party 2"):
        pair.server.receive(data, party=claimed)
    assert "c" in pair.server.waiting_for


def test_without_the_transports_word_the_signature_decides():
    pair = submitted()
    pair.start()
    (data,) = pair.clients["c"].receive(pair.mail["c"])
    pair.server.receive(data)
    assert "c" not in pair.server.waiting_for


def test_the_party_of_a_bad_signature_is_named_and_dropped_alone():
    pair = submitted()
    pair.clients["b"]._identity = sfl.SigningKey.generate()
    pair.start()
    answers = {name: pair.clients[name].receive(mail)[0] for name, mail in pair.mail.items()}
    with pytest.raises(sfl.RemoteProtocolError, match="signature") as caught:
        pair.server.receive(answers["b"], party="b")
    assert "b" in caught.value.suspects
    for name in "acde":
        pair.server.receive(answers[name], party=name)
    pair.mail = dict(pair.server.close_phase())
    assert set(pair.mail) == set("acde")


def test_a_sum_that_no_honest_parties_have_aborts_when_it_is_decoded():
    plan = sfl.Plan(template=TEMPLATE, parties=ROSTER, protocol=sfl.SecAgg(threshold=3), max_weight=3)
    pair = Pair(plan)
    for client in pair.clients.values():
        client.submit(value(1), weight=3)
    pair.start()
    pair.step()
    pair.step()
    honest = plan.ring.reduce(np.array([1, -1, 3]))
    cheat = plan.ring.reduce(np.array([1, -1, 10**4]))
    answers = []
    for name, mail in pair.mail.items():
        round_ = pair.clients[name]._round
        round_.receive(pair_open(mail))
        answers += [(name, data) for data in round_.mask((cheat if name == "a" else honest).copy())]
    out = []
    for name, data in answers:
        out += pair.server.receive(data, party=name)
    pair.mail = dict(out)
    while not pair.server.done:
        pair.step()
    with pytest.raises(sfl.RoundAbortedError, match=r"add up to 10012, between 5 and 15"):
        pair.server.result()


def pair_open(data):
    from securefl.wire.envelope import parse

    return parse(data, parties=len(NAMES))
