"""Messages of one round played into another: another session, round, model, plan or roster, the same identities."""

from __future__ import annotations

import pytest

from attacks.harness import ACTIVE, DOWN, MODELS, UP, Seats, Table, body_of, order
from securefl import LocalProtocolError, RemoteProtocolError, RoundAbortedError, SecureFLError, SigningKey
from securefl.secagg.context import pre_context
from securefl.secagg.states import CLIENT, SERVER_COLLECTS, ClientState
from securefl.wire.envelope import parse
from securefl.wire.messages import Kind

ELSEWHERE = {
    "session": {"session": b"S" * 16},
    "round": {"round": 8},
    "model": {"model_digest": b"M" * 32},
    "plan": {"plan_digest": b"P" * 32},
    "roster": {"roster_digest": b"R" * 32},
    "keys": {},
}
"""What is different in the round that the message comes from; "keys": only the ephemeral keys are."""

EARLY = {Kind.ADVERTISE, Kind.ROSTER}
"""Sealed under ctx0, which knows no model and no plan, so that keys can be fetched ahead; what they say is checked later."""


@pytest.fixture(scope="module")
def keys():
    return [SigningKey.generate() for _ in range(4)]


def recorded(model, keys, where) -> dict[tuple[Kind, int], bytes]:
    """Everything that was sent in the other round."""
    table = Table(4, 3, server=model, keys=keys, **ELSEWHERE[where])
    sent = {}
    for kind in order(model):
        for party, messages in table.play(kind).items():
            sent[kind, party] = messages[0]
    table.play()
    return sent


@pytest.mark.parametrize("where", ELSEWHERE)
@pytest.mark.parametrize("model", MODELS)
def test_no_message_of_a_party_is_taken_in_another_round(model, where, keys):
    """Success: the server takes a party's message of another session, round, model, plan, roster or key list."""
    other = recorded(model, keys, where)
    table = Table(4, 3, server=model, keys=keys)
    for kind in order(model):
        table.play(kind)
        if kind not in UP:
            continue
        for party in range(4):
            if kind in EARLY and where in {"model", "plan", "keys"}:
                continue
            with pytest.raises(RemoteProtocolError):
                table.give(other[kind, party])
    table.finish()
    table.assert_exact(range(4))


@pytest.mark.parametrize("where", ELSEWHERE)
@pytest.mark.parametrize("model", MODELS)
def test_no_message_of_the_server_moves_a_party_of_another_round(model, where, keys):
    """Success: a party acts on the server's message of another session, round, model, plan, roster or key list."""
    other = recorded(model, keys, where)
    table = Table(4, 3, server=model, keys=keys)
    for kind in order(model):
        table.play(kind)
        if kind not in DOWN:
            continue
        for party in range(4):
            if kind in EARLY and where in {"model", "plan", "keys"}:
                continue
            before = table.clients[party].state
            with pytest.raises(RemoteProtocolError):
                table.hand(party, other[kind, party])
            assert table.clients[party].state is before
    table.finish()
    table.assert_exact(range(4))


@pytest.mark.parametrize("where", ["model", "plan", "keys"])
@pytest.mark.parametrize("model", MODELS)
def test_old_keys_of_the_same_round_number_are_taken_by_nobody_who_made_new_ones(model, where, keys):
    """Success: keys that were advertised for another model or plan, or before a restart, end in a sum."""
    other = recorded(model, keys, where)
    table = Table(4, 3, server=model, keys=keys)
    table.play(Kind.ADVERTISE)[0] = [other[Kind.ADVERTISE, 0]]
    table.play(Kind.SHARES)
    assert table.clients[0].state is ClientState.ABORTED
    assert "own keys" in table.refusals[0].reason
    with pytest.raises(RoundAbortedError):
        table.finish()


@pytest.mark.parametrize("where", ["model", "plan", "keys"])
@pytest.mark.parametrize("model", MODELS)
def test_an_old_key_list_is_refused_by_everybody(model, where, keys):
    """Success: a party deals its secrets under keys that nobody in this round advertised."""
    other = recorded(model, keys, where)
    table = Table(4, 3, server=model, keys=keys)
    table.play(Kind.ROSTER)
    for party in range(4):
        with pytest.raises(RemoteProtocolError):
            table.hand(party, other[Kind.ROSTER, party])


@pytest.mark.parametrize("where", ELSEWHERE)
@pytest.mark.parametrize("kind", [Kind.ROSTER, Kind.CIPHERTEXTS, Kind.UNMASK])
@pytest.mark.parametrize("model", MODELS)
def test_old_contents_in_a_new_envelope_are_refused(model, kind, where, keys):
    """Success: a server that seals what it has from another round anew (it may) gets a party to act on it."""
    if kind is Kind.UNMASK and model is not ACTIVE:
        return  # says nothing but the set, and the same set is no lie
    other = recorded(model, keys, where)
    table = Table(4, 3, server=model, keys=keys)
    table.play(kind)
    for party in range(4):
        with pytest.raises((RemoteProtocolError, RoundAbortedError)):
            table.tell(party, body_of(other[kind, party]))


@pytest.mark.parametrize("where", ELSEWHERE)
@pytest.mark.parametrize("model", MODELS)
def test_old_shares_and_signatures_in_a_party_s_new_envelope_are_refused(model, where, keys):
    """Success: a malicious party that seals its old answers anew has them accepted as this round's."""
    other = recorded(model, keys, where)
    table = Table(4, 3, server=model, keys=keys)
    wanted = {Kind.UNMASK_SHARES} | ({Kind.CONSISTENCY} if model is ACTIVE else set())
    for kind in order(model):
        table.play(kind)
        if kind in wanted:
            with pytest.raises(RemoteProtocolError):
                table.give(table.write_as(1, body_of(other[kind, 1])))
    table.finish()
    table.assert_exact(range(4))


@pytest.mark.parametrize("where", ["session", "round", "roster"])
def test_keys_signed_for_another_round_in_a_new_envelope_are_refused(where, keys):
    """Success: an advertisement outlives its session and round, and a party masks for a key that its owner forgot."""
    other = recorded(ACTIVE, keys, where)
    table = Table(4, 3, keys=keys)
    with pytest.raises(RemoteProtocolError, match="not signed by the identity"):
        table.give(table.write_as(1, body_of(other[Kind.ADVERTISE, 1])))


@pytest.mark.parametrize("model", MODELS)
def test_every_message_is_taken_once(model):
    """Success: a message of this very round counts twice."""
    table = Table(4, 3, server=model)
    for kind in order(model):
        mail = table.play(kind)
        first, others = mail[0], {party: sent for party, sent in mail.items() if party != 0}
        if kind in UP:
            for data in first:
                table.give(data)
            with pytest.raises(RemoteProtocolError, match="again"):
                table.give(first[0])
            table.mail = others
        else:
            answers = table.hand(0, first[0])
            with pytest.raises(RemoteProtocolError, match="a repetition"):
                table.hand(0, first[0])
            table.mail = others
            table.step()
            table.mail[0] = answers
    table.play()
    table.assert_exact(range(4))


@pytest.mark.parametrize("model", MODELS)
def test_messages_are_taken_in_their_order_only(model):
    """Success: a party or the server skips a step."""
    sealed = {}
    source = Table(4, 3, server=model)
    for kind in order(model):
        sealed[kind] = body_of(source.play(kind)[0][0])
    table = Table(4, 3, server=model)
    for now in order(model):
        table.play(now)
        for kind, body in sealed.items():
            early = {"binding": pre_context(table.context)} if kind in EARLY else {}
            if kind in DOWN and (table.clients[0].state, kind) not in CLIENT[model]:
                with pytest.raises(RemoteProtocolError):
                    table.tell(0, body, **early)
            if kind in UP and kind is not SERVER_COLLECTS[table.server.state]:
                with pytest.raises(RemoteProtocolError):
                    table.give(table.write_as(0, body, **early))
    table.finish()
    table.assert_exact(range(4))


@pytest.mark.parametrize("model", MODELS)
def test_the_server_cannot_be_told_its_own_messages_nor_a_party_a_party_s(model):
    """Success: a message that is reflected to its sender is acted upon."""
    table = Table(4, 3, server=model)
    for kind in order(model):
        mail = table.play(kind)
        body = body_of(mail[0][0])
        if kind in UP:
            with pytest.raises(RemoteProtocolError):
                table.tell(1, body)
            with pytest.raises(RemoteProtocolError, match="bears a party's index"):
                table.hand(1, mail[0][0])
        else:
            with pytest.raises(RemoteProtocolError):
                table.give(mail[0][0])
            with pytest.raises(RemoteProtocolError):
                table.give(table.write_as(0, body))
    table.finish()
    table.assert_exact(range(4))


@pytest.mark.parametrize("header", [{"session": b"S" * 16}, {"round_number": 8}], ids=["session", "round"])
@pytest.mark.parametrize("model", MODELS)
def test_a_header_of_another_round_over_a_seal_of_this_one_is_refused(model, header):
    """Success: a message whose header names one round and whose seal is of another counts in either (receipts would not match)."""
    table = Table(4, 3, server=model)
    for kind in order(model):
        body = body_of(table.play(kind)[0][0])
        early = {"binding": pre_context(table.context)} if kind in EARLY else {}
        with pytest.raises(RemoteProtocolError, match=r"this is session|came in session"):
            table.give(table.write_as(0, body, **early, **header)) if kind in UP else table.tell(
                0, body, **early, **header
            )
    table.finish()
    table.assert_exact(range(4))


@pytest.mark.parametrize("state", [ClientState.START, ClientState.READY])
@pytest.mark.parametrize("model", MODELS)
def test_a_kind_that_a_party_sends_of_its_own_accord_cannot_be_received(model, state):
    """Success: the server moves a party's state with a kind that only the party itself may produce, or crashes it."""
    table = Table(4, 3, server=model)
    kind = Kind.ADVERTISE if state is ClientState.START else Kind.MASKED_INPUT
    body = body_of(table.play(kind)[0][0])
    fresh = Table(4, 3, server=model)
    client = fresh.clients[0]
    if state is ClientState.START:
        client.state = ClientState.START
    else:
        client.receive(parse(fresh.play(Kind.CIPHERTEXTS)[0][0], parties=4))
    with pytest.raises(RemoteProtocolError):
        client.receive(parse(fresh.forge(body, binding=fresh.ctx), parties=4))
    assert client.state is state


@pytest.mark.parametrize("model", MODELS)
def test_an_invitation_to_a_round_that_was_joined_is_refused(model):
    """Success: a party makes new keys for a (session, round) it had before, or a running round is thrown away by a replay."""
    seats = Seats(server=model)
    client = seats.clients["hospital-0"]
    client.receive(seats.invitation(round_number=5))
    for number in (5, 4, 0):
        with pytest.raises(RemoteProtocolError, match="was joined before"):
            client.receive(seats.invitation(round_number=number))
    assert client.state is ClientState.ADVERTISED
    assert client.rounds_joined == 1
    assert client.receive(seats.invitation(round_number=6))
    assert client.receive(seats.invitation(session=b"T" * 16, round_number=5))
    with pytest.raises(RemoteProtocolError, match="was joined before"):
        client.receive(seats.invitation(round_number=6))


@pytest.mark.parametrize("change", [{"session": b"T" * 16}, {"round_number": 2}])
def test_an_invitation_under_another_header_is_refused(change):
    """Success: an old invitation with a new session or round number in its header opens a round."""
    seats = Seats()
    header = {"session": b"S" * 16, "round_number": 1}
    stale = seats.invitation_of(
        seats.plan.to_bytes(),
        pre_context(seats.plan.for_round(b"S" * 16, 1, roster=seats.roster)),
        **{**header, **change},
    )
    with pytest.raises(SecureFLError, match="checksum"):
        seats.clients["hospital-0"].receive(stale)
    assert seats.clients["hospital-0"].state is ClientState.START


@pytest.mark.parametrize("model", MODELS)
def test_a_round_s_messages_are_nothing_before_an_invitation_or_in_the_next_round(model):
    """Success: a session forgets which round it is in."""
    seats = Seats(server=model)
    mail = seats.server.start_round()
    seats.submit()
    answers = seats.exchange(mail)
    roster = [sent for name, data in answers for sent in seats.server.receive(data, party=name)]
    with pytest.raises(RemoteProtocolError, match="before any invitation"):
        seats.client("hospital-0").receive(roster[0][1])
    mail = seats.server.start_round()
    fresh = seats.exchange(mail)
    seats.submit()
    with pytest.raises(RemoteProtocolError):
        seats.clients["hospital-0"].receive(roster[0][1])
    with pytest.raises(RemoteProtocolError):
        seats.server.receive(answers[0][1], party=answers[0][0])
    outgoing = seats.collect(fresh)
    assert seats.finish(outgoing).survivors == seats.roster.names
    with pytest.raises(LocalProtocolError, match="no round is open"):
        seats.server.receive(answers[0][1])
