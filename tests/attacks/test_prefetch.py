"""Keys that are sent ahead: of another, of another round, without a signature, against the policy, used twice."""

from __future__ import annotations

import datetime as dt

import pytest

from attacks.harness import ACTIVE, MODELS, SEMI_HONEST, Seats, body_of, kind_of, pre_context_of, refused
from securefl import ClientPolicy, PolicyRefusedError, ProtocolError, RemoteProtocolError
from securefl.crypto.kex import KeyPair
from securefl.crypto.random import OS
from securefl.secagg.advertise import advertise
from securefl.secagg.context import pre_context
from securefl.secagg.states import ClientState
from securefl.types import Step
from securefl.wire.envelope import SERVER_INDEX, parse, seal
from securefl.wire.messages import Advertise, Kind, UnmaskShares

Mail = list[tuple[str, bytes]]


def seats(model=ACTIVE, *, n: int = 5, policy: ClientPolicy | None = None, prefetch: bool = True) -> Seats:
    protocol = {"prefetch": prefetch, "threshold": 3, "max_colluders": 0}
    return Seats(n, server=model, protocol=protocol, policy=policy)


def to_the_last_answers(session: Seats) -> Mail:
    """Run a round until the parties' last answers are under way."""
    session.submit()
    return last_answers(session, session.server.start_round())


def last_answers(session: Seats, mail: Mail) -> Mail:
    """Go on from the server's mail to the parties' last answers."""
    mail = session.exchange(mail)
    while session.server.step is not Step.UNMASK:
        mail = session.exchange(session.collect(mail))
    return mail


def answered(session: Seats, party: str, data: bytes, next_keys: bytes) -> bytes:
    """A party's own last answer with other keys in it."""
    envelope = parse(data, parties=session.n)
    header = {"session": session.server.session, "round_number": envelope.round}
    return seal(
        Kind.UNMASK_SHARES,
        UnmaskShares(body_of(data).shares, next_keys),
        sender=envelope.sender,
        binding=session.server.binding,
        identity=session.keys.get(party) if session.plan.parameters.active else None,
        **header,
    )


def second_round(session: Seats, mail: Mail) -> Mail:
    """End the round and begin the next; returns what the server sends first."""
    for name, data in mail:
        session.server.receive(data, party=name)
    assert session.server.done
    return session.server.start_round()


def kinds(mail: Mail) -> dict[str, Kind]:
    return {name: kind_of(data) for name, data in mail}


@pytest.mark.parametrize("model", MODELS)
def test_keys_sent_ahead_save_the_invitation_and_the_sum_is_right(model):
    """The control: the second and the third round begin with the key list."""
    session = seats(model)
    mail = to_the_last_answers(session)
    for number in (2, 3):
        mail = second_round(session, mail)
        assert set(kinds(mail).values()) == {Kind.ROSTER}
        assert len(mail) == 5
        session.submit()
        mail = last_answers(session, mail)
        assert {client.rounds_joined for client in session.clients.values()} == {number}
    for name, data in mail:
        session.server.receive(data, party=name)
    assert session.server.result().survivors == tuple(session.clients)


@pytest.mark.parametrize("model", MODELS)
def test_without_prefetch_in_the_plan_no_keys_are_sent_and_none_are_taken(model):
    """Success: a party or the server does what the plan does not say."""
    session = seats(model, prefetch=False)
    mail = to_the_last_answers(session)
    assert all(body_of(data).next_keys == b"" for _, data in mail)
    name, data = mail[0]
    context = session.plan.for_round(session.server.session, 2, roster=session.roster)
    _, keys = advertise(pre_context(context), 0, identity=session.keys.get(name), random=OS)
    mail[0] = (name, answered(session, name, data, written(session, keys, 0, 2, name)))
    with pytest.raises(RemoteProtocolError, match="keys ahead under a plan without prefetch") as error:
        session.server.receive(mail[0][1], party=name)
    refused(error.value, name)
    session.server.receive(data, party=name)  # the genuine answer is still taken
    assert set(kinds(second_round(session, mail[1:])).values()) == {Kind.INVITE}


def written(session: Seats, body: Advertise, sender: int, number: int, key: str | None) -> bytes:
    """Keys for a round of this session, sealed by whoever's key."""
    header = {"session": session.server.session, "round_number": number}
    binding = pre_context_of(session.plan, session.roster, header)
    identity = session.keys.get(key) if key else None
    return seal(Kind.ADVERTISE, body, sender=sender, binding=binding, identity=identity, **header)


def forged(session: Seats, mail: Mail, how: str) -> bytes:
    """What the first party sends in place of its next keys."""
    ahead = {name: body_of(data).next_keys for name, data in mail}
    mine, victim = "hospital-0", "hospital-3"
    fresh = Advertise(KeyPair.generate().public, KeyPair.generate().public, b"")
    genuine = body_of(ahead[mine])
    small = Advertise(bytes(32), genuine.share_key, genuine.signature)
    return {
        "another's keys": ahead[victim],
        "in another's name": written(session, fresh, 3, 2, mine),
        "of this round": written(session, genuine, 0, 1, mine),
        "of this round, sealed for the next": seal(
            Kind.ADVERTISE,
            genuine,
            session=session.server.session,
            round_number=1,
            sender=0,
            binding=pre_context_of(
                session.plan, session.roster, {"session": session.server.session, "round_number": 2}
            ),
            identity=session.keys.get(mine),
        ),
        "of a later round": written(session, genuine, 0, 3, mine),
        "without a signature": written(session, fresh, 0, 2, None),
        "signed by another": written(session, genuine, 0, 2, victim),
        "in the server's name": written(session, genuine, SERVER_INDEX, 2, mine),
        "cut off": ahead[mine][:-1],
        "no message": b"\xff" * 100,
        "a key of small order": written(session, small, 0, 2, mine),
        "another's key pair": written(session, body_of(ahead[victim]), 0, 2, mine),
    }[how]


EVERYWHERE = [
    "another's keys",
    "of this round, sealed for the next",
    "of this round",
    "of a later round",
    "in the server's name",
    "cut off",
    "no message",
]
LIES = [
    *((model, how) for model in MODELS for how in [*EVERYWHERE, "in another's name", "a key of small order"]),
    (ACTIVE, "without a signature"),
    (ACTIVE, "signed by another"),
    (ACTIVE, "another's key pair"),
]


@pytest.mark.parametrize(("model", "how"), LIES)
def test_who_sent_bad_keys_ahead_is_invited_like_a_newcomer(model, how):
    """Success: bad keys enter the key list, those of somebody else are taken in its place, or the round cannot begin."""
    session = seats(model)
    mail = to_the_last_answers(session)
    genuine = {name: body_of(body_of(data).next_keys) for name, data in mail}
    name, data = mail[0]
    assert name == "hospital-0"
    mail[0] = (name, answered(session, name, data, forged(session, mail, how)))
    invitations = second_round(session, mail)
    assert kinds(invitations) == {"hospital-0": Kind.INVITE}
    assert session.server.waiting_for == ("hospital-0",)
    rosters = session.collect(session.exchange(invitations))
    assert set(kinds(rosters).values()) == {Kind.ROSTER}
    for entry in body_of(rosters[0][1]).entries[1:]:
        assert entry.mask_key == genuine[f"hospital-{entry.party}"].mask_key
    assert body_of(rosters[0][1]).entries[0].mask_key != genuine["hospital-0"].mask_key, "an invitation makes new keys"
    session.submit()
    assert session.finish(rosters).survivors == tuple(session.clients)


@pytest.mark.parametrize("model", MODELS)
def test_who_left_before_the_last_answer_is_invited_and_the_others_are_not(model):
    """Success: the others are asked for a second set of keys of one round."""
    session = seats(model)
    mail = to_the_last_answers(session)[1:]
    for name, data in mail:
        session.server.receive(data, party=name)
    session.server.close_phase()
    assert session.server.result().survivors == tuple(session.clients)
    invitations = session.server.start_round()
    assert kinds(invitations) == {"hospital-0": Kind.INVITE}


def test_a_party_whose_policy_would_not_join_sends_no_keys_ahead():
    """Success: keys for a round beyond max_rounds leave the party, without its policy."""
    session = seats(policy=ClientPolicy(max_rounds=1))
    mail = to_the_last_answers(session)
    assert [body_of(data).next_keys for _, data in mail] == [b""] * 5
    assert all(client._next is None for client in session.clients.values())
    for name, data in second_round(session, mail):
        with pytest.raises(PolicyRefusedError, match="joined 1 rounds"):
            session.clients[name].receive(data)


def test_the_policy_is_asked_again_when_the_round_begins():
    """Success: keys were sent ahead, days pass, the policy ends, and the party deals all the same."""
    policy = ClientPolicy(expires=dt.date(9999, 12, 31))
    session = seats(policy=policy)
    rosters = second_round(session, to_the_last_answers(session))
    object.__setattr__(policy, "expires", dt.date(2020, 1, 1))
    session.submit()
    for name, data in rosters:
        assert kind_of(data) is Kind.ROSTER
        with pytest.raises(PolicyRefusedError) as error:
            session.clients[name].receive(data)
        assert error.value.floor == "expires"
        assert session.clients[name].rounds_joined == 1
        assert session.clients[name].state is ClientState.DONE


@pytest.mark.parametrize("model", MODELS)
def test_keys_that_were_sent_ahead_serve_one_key_list(model):
    """Success: two key lists of one round make two sets of shares under one key pair; or a repetition ends the round."""
    session = seats(model)
    rosters = second_round(session, to_the_last_answers(session))
    session.submit()
    shares = session.exchange(rosters)
    for name, data in rosters:
        with pytest.raises(ProtocolError, match="out of order"):
            session.clients[name].receive(data)
        assert session.clients[name].state is ClientState.SHARED
        assert session.clients[name].rounds_joined == 2
    assert session.finish(session.collect(shares)).survivors == tuple(session.clients)


@pytest.mark.parametrize("model", MODELS)
def test_an_invitation_to_the_round_whose_keys_were_sent_ahead_makes_new_keys_and_forgets_the_old(model):
    """Success: the keys that were sent ahead and new ones serve one round, or the old ones a key list that comes later."""
    session = seats(model)
    rosters = dict(second_round(session, to_the_last_answers(session)))
    for name, client in session.clients.items():
        ahead = client._next
        pairs = (ahead._kept.advertised.mask, ahead._kept.advertised.share)
        header = {"session": session.server.session, "round_number": 2}
        (answer,) = client.receive(session.invitation(**header))
        assert body_of(answer).mask_key != pairs[0].public
        assert all(pair.private._wiped for pair in pairs)
        assert ahead.state is ClientState.ABORTED
        with pytest.raises(ProtocolError, match="own keys are missing"):
            client.receive(rosters[name])


@pytest.mark.parametrize("model", MODELS)
def test_an_invitation_to_another_round_forgets_the_keys_that_were_sent_ahead(model):
    """Success: keys lie around for a round that was skipped, and serve it later."""
    session = seats(model)
    rosters = dict(second_round(session, to_the_last_answers(session)))
    for name, client in session.clients.items():
        ahead = client._next
        pairs = (ahead._kept.advertised.mask, ahead._kept.advertised.share)
        assert client.receive(session.invitation(session=b"another session!", round_number=1))
        assert all(pair.private._wiped for pair in pairs)
        with pytest.raises(ProtocolError):
            client.receive(rosters[name])
        assert client.state is ClientState.ADVERTISED


def test_a_round_given_up_does_not_use_keys_a_second_time():
    """Success: the server gives a prefetched round up and begins another, in which the same keys serve again."""
    session = seats(SEMI_HONEST)
    rosters = second_round(session, to_the_last_answers(session))
    first = {entry.mask_key for entry in body_of(rosters[0][1]).entries}
    invitations = session.server.start_round()
    assert set(kinds(invitations).values()) == {Kind.INVITE}
    again = session.collect(session.exchange(invitations))
    assert first.isdisjoint({entry.mask_key for entry in body_of(again[0][1]).entries})
