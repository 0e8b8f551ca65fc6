from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import securefl as sfl
from securefl.crypto.signing import SigningKey
from securefl.errors import SecretMisuseError
from securefl.secagg.context import pre_context
from securefl.secagg.states import ClientState
from securefl.wire.envelope import SERVER_INDEX, parse, seal
from securefl.wire.messages import Invite, Kind, Survivors

NAMES = ("a", "b", "c", "d", "e")
ROSTER, KEYS = sfl.Roster.generate(NAMES)
TEMPLATE = {"w": ((2,), "int32")}
PLAN = sfl.Plan(template=TEMPLATE, parties=ROSTER, protocol=sfl.SecAgg(threshold=3))
POLICY = sfl.ClientPolicy()


def value(number):
    return {"w": np.array([number, -number], np.int32)}


def client_of(name="a", **options):
    return sfl.SecAggClient(name, **{"roster": ROSTER, "policy": POLICY, "identity": KEYS[name], **options})


class Pair:
    """A server and all parties, moved one step at a time."""

    def __init__(self, plan=PLAN, **options):
        self.server = sfl.SecAggServer(plan, roster=ROSTER)
        self.clients = {name: client_of(name, **options) for name in NAMES}
        self.mail = {}

    def start(self, model=None):
        self.mail = dict(self.server.start_round(model))

    def step(self, *, absent=()):
        """All parties but the absent answer their mail."""
        answers = [
            (name, data)
            for name, mail in self.mail.items()
            if name not in absent
            for data in self.clients[name].receive(mail)
        ]
        out = []
        for name, data in answers:
            out += self.server.receive(data, party=name)
        self.mail = dict(out or (() if self.server.done else self.server.close_phase()))

    def finish(self, **options):
        while not self.server.done:
            self.step(**options)
        return self.server.result()


def test_an_update_may_be_submitted_before_the_invitation_or_until_it_is_due():
    pair = Pair()
    for name in "ab":
        pair.clients[name].submit(value(1))
    pair.start()
    pair.clients["c"].submit(value(1))
    pair.step()
    pair.clients["d"].submit(value(1))
    pair.step()
    with pytest.raises(sfl.LocalProtocolError, match="the update is due now"):
        pair.clients["e"].receive(pair.mail["e"])
    assert pair.clients["e"].state is ClientState.SHARED
    pair.clients["e"].submit(value(1))
    result = pair.finish()
    assert result.survivors == NAMES
    assert result.sum["w"].tolist() == [5, -5]


def test_the_last_update_submitted_counts():
    pair = Pair()
    for client in pair.clients.values():
        client.submit(value(7))
        client.submit(value(1))
    pair.start()
    pair.clients["a"].submit(value(2))
    assert pair.finish().sum["w"].tolist() == [6, -6]


def test_an_update_submitted_after_masking_is_for_the_next_round():
    pair = Pair()
    for client in pair.clients.values():
        client.submit(value(1))
    pair.start()
    for _ in range(3):
        pair.step()
    assert {client.state for client in pair.clients.values()} == {ClientState.MASKED}
    for client in pair.clients.values():
        client.submit(value(10))
    assert pair.finish().sum["w"].tolist() == [5, -5]
    pair.start()
    assert pair.finish().sum["w"].tolist() == [50, -50]


def test_an_update_is_used_once():
    pair = Pair()
    for client in pair.clients.values():
        client.submit(value(1))
    pair.start()
    pair.finish()
    pair.start()
    pair.step()
    pair.step()
    with pytest.raises(sfl.LocalProtocolError, match="the update is due now"):
        pair.clients["a"].receive(pair.mail["a"])


@pytest.mark.parametrize("steps", [0, 1])
def test_an_update_meant_for_a_round_that_was_given_up_is_not_used_in_the_next(steps):
    pair = Pair()
    pair.start()
    for _ in range(steps):
        pair.step()
    if not steps:
        for name, client in pair.clients.items():
            client.receive(pair.mail[name])
    for client in pair.clients.values():
        client.submit(value(666))
    pair.start()
    pair.step()
    pair.step()
    for name, client in pair.clients.items():
        with pytest.raises(sfl.LocalProtocolError, match="the update is due now"):
            client.receive(pair.mail[name])
        client.submit(value(1))
    assert pair.finish().sum["w"].tolist() == [5, -5]


def test_an_update_submitted_before_a_round_that_died_is_not_used_in_the_next():
    """Handed in "for the next round": that round was joined, and it is over."""
    pair = Pair()
    for client in pair.clients.values():
        client.submit(value(666))
    pair.start()
    pair.step()
    pair.start()
    pair.step()
    pair.step()
    for name, client in pair.clients.items():
        with pytest.raises(sfl.LocalProtocolError, match="the update is due now"):
            client.receive(pair.mail[name])


def test_a_message_before_the_invitation_is_refused():
    pair = Pair()
    pair.start()
    pair.step()
    with pytest.raises(sfl.RemoteProtocolError, match="roster came before any invitation") as caught:
        client_of().receive(pair.mail["a"])
    assert caught.value.suspects == ("server",)


def test_an_invitation_is_accepted_once_and_an_older_one_never():
    pair = Pair()
    pair.start()
    first = pair.mail["a"]
    client = pair.clients["a"]
    assert len(client.receive(first)) == 1
    pair.start()
    assert len(client.receive(pair.mail["a"])) == 1
    for old in (first, pair.mail["a"]):
        with pytest.raises(sfl.RemoteProtocolError, match="was joined before"):
            client.receive(old)
    assert client.state is ClientState.ADVERTISED
    assert client.rounds_joined == 2


def test_a_second_invitation_gives_the_first_round_up_and_wipes_it():
    pair = Pair()
    pair.start()
    pair.step()
    client = pair.clients["a"]
    client.receive(pair.mail["a"])
    round_, dealer = client._round, client._round._kept.dealer
    pair.start()
    client.receive(pair.mail["a"])
    assert client._round is not round_
    assert round_.state is ClientState.ABORTED
    assert dealer.seed._wiped
    assert dealer.mask.private._wiped


def test_an_invitation_that_is_refused_leaves_the_open_round_alone():
    pair = Pair()
    pair.start()
    client = pair.clients["a"]
    client.receive(pair.mail["a"])
    before = client._round
    other = sfl.SecAggServer(PLAN.replace(protocol=sfl.SecAgg(server="semi-honest")), roster=ROSTER)
    with pytest.raises(sfl.PolicyRefusedError):
        client.receive(dict(other.start_round())["a"])
    assert client._round is before
    assert client.state is ClientState.ADVERTISED
    assert client.plan.parameters.active


@pytest.mark.parametrize("bit", [0, 7, 100, 1000, 3000, 5000, -1, -9, -200])
def test_a_damaged_invitation_is_refused_before_anything_is_sent(bit):
    pair = Pair()
    pair.start()
    data = bytearray(pair.mail["a"])
    data[(bit // 8) % len(data)] ^= 1 << bit % 8
    client = client_of()
    with pytest.raises(sfl.SecureFLError):
        client.receive(bytes(data))
    assert client.plan is None
    assert client.rounds_joined == 0


def invitation(plan=PLAN, *, roster=ROSTER, data=None, sender=SERVER_INDEX, session=b"s" * 16):
    context = plan.for_round(session, 1, roster=ROSTER)
    body = Invite(plan.to_bytes() if data is None else data, roster.digest())
    return seal(Kind.INVITE, body, session=session, round_number=1, sender=sender, binding=pre_context(context))


def test_an_invitation_with_a_plan_that_cannot_be_is_the_servers_fault():
    bad = PLAN.to_bytes().replace(b"\x05\x03", b"\x05\x02", 1)
    assert bad != PLAN.to_bytes()
    with pytest.raises(sfl.RemoteProtocolError, match="proposes a plan that cannot be") as caught:
        client_of().receive(invitation(data=bad))
    assert caught.value.suspects == ("server",)
    assert isinstance(caught.value.__cause__, sfl.UnsafePlanError)
    with pytest.raises(sfl.MalformedMessageError):
        client_of().receive(invitation(data=PLAN.to_bytes()[:-3]))


def test_an_invitation_for_another_roster_or_number_or_from_a_party_is_refused():
    assert client_of().receive(invitation())
    with pytest.raises(sfl.RemoteProtocolError, match="roster is not this party's"):
        client_of().receive(invitation(roster=sfl.Roster(ROSTER.members, 2)))
    with pytest.raises(sfl.RemoteProtocolError, match="another number of parties: got 6, needs 5"):
        client_of().receive(invitation(PLAN.replace(parties=6, protocol=sfl.SecAgg(server="active"))))
    with pytest.raises(sfl.RemoteProtocolError, match="bears a party's index"):
        client_of().receive(invitation(sender=1))


def test_the_policys_limit_of_rounds_counts_over_sessions():
    client = client_of(policy=sfl.ClientPolicy(max_rounds=2))
    client.receive(invitation(session=b"1" * 16))
    client.receive(invitation(session=b"2" * 16))
    with pytest.raises(sfl.PolicyRefusedError, match="joined 2 rounds") as caught:
        client.receive(invitation(session=b"3" * 16))
    assert caught.value.floor == "max_rounds"


def test_the_policy_decides_again_on_who_really_came():
    pair = Pair(policy=sfl.ClientPolicy(min_parties=5))
    pair.start()
    pair.step(absent=("e",))
    with pytest.raises(sfl.PolicyRefusedError, match="4 parties advertised keys, this party demands 5"):
        pair.clients["a"].receive(pair.mail["a"])
    assert pair.clients["a"].state is ClientState.ABORTED


def test_a_party_needs_a_name_on_the_roster_a_policy_and_its_own_key():
    with pytest.raises(sfl.ConfigError, match="'z' is not on the roster"):
        client_of(name="a") and sfl.SecAggClient("z", roster=ROSTER, policy=POLICY)
    for policy in (None, {}, "policy.toml"):
        with pytest.raises(sfl.ConfigError, match="takes part in nothing without one"):
            client_of(policy=policy)
    with pytest.raises(sfl.ConfigError, match="not the one that the roster has for 'a'"):
        client_of(identity=KEYS["b"])
    with pytest.raises(sfl.ConfigError, match="not the one that the roster has"):
        client_of(identity=SigningKey.generate())


def test_an_active_round_without_a_key_is_refused_as_this_sides_fault():
    client = client_of(identity=None)
    with pytest.raises(sfl.LocalProtocolError, match="needs signed identities"):
        client.receive(invitation())
    assert client.rounds_joined == 0


def test_what_the_server_may_not_say_now_is_its_fault_and_what_is_said_twice_too():
    pair = Pair()
    for client in pair.clients.values():
        client.submit(value(1))
    pair.start()
    pair.step()
    client, mail = pair.clients["a"], pair.mail["a"]
    early = seal(
        Kind.SURVIVORS,
        Survivors(b"\x1f"),
        session=pair.server.session,
        round_number=1,
        sender=SERVER_INDEX,
        binding=pair.server.binding,
    )
    with pytest.raises(sfl.RemoteProtocolError, match="survivors may not come"):
        client.receive(early)
    assert client.receive(mail)
    with pytest.raises(sfl.RemoteProtocolError, match="roster may not come"):
        client.receive(mail)
    for kind in (Kind.ADVERTISE, Kind.MASKED_INPUT):
        forged = seal(
            kind,
            Survivors(b""),
            session=pair.server.session,
            round_number=1,
            sender=SERVER_INDEX,
            binding=pair.server.binding,
        )
        with pytest.raises(sfl.RemoteProtocolError, match="not the server's to send"):
            client.receive(forged)
    assert client.state is ClientState.SHARED


@pytest.mark.parametrize("data", [b"", b"\x00", b"hello", bytes(1000), b"\xff" * 100])
def test_noise_is_refused_and_changes_nothing(data):
    pair = Pair()
    pair.start()
    client = pair.clients["a"]
    client.receive(pair.mail["a"])
    for receiver in (client.receive, pair.server.receive):
        with pytest.raises(sfl.MalformedMessageError):
            receiver(data)
    assert client.state is ClientState.ADVERTISED
    assert pair.server.waiting_for == NAMES


def test_a_message_that_is_too_long_is_refused_unread():
    with pytest.raises(sfl.MalformedMessageError, match="at most"):
        client_of().receive(bytes(1 << 25))


def test_an_update_that_fails_to_encode_ends_the_round_for_its_party_and_wipes():
    pair = Pair()
    pair.clients["a"].submit({"w": np.zeros(3)})
    for name in NAMES[1:]:
        pair.clients[name].submit(value(1))
    pair.start()
    pair.step()
    pair.step()
    dealer = pair.clients["a"]._round._kept.dealer
    with pytest.raises(sfl.LayoutMismatchError):
        pair.clients["a"].receive(pair.mail["a"])
    assert pair.clients["a"].state is ClientState.ABORTED
    assert dealer.seed._wiped
    result = pair.finish(absent=("a",))
    assert result.survivors == NAMES[1:]
    assert result.dropped == {"a": "masked_input"}


def test_a_client_is_neither_printed_nor_pickled():
    pair = Pair()
    for client in pair.clients.values():
        client.submit(value(1_234_567_890))  # of ten digits: six stand in an object's address once in 10^6 runs
    pair.start()
    client = pair.clients["a"]
    while not pair.server.done:
        assert repr(client) == str(client) == "<SecAggClient: redacted>"
        assert "1234567890" not in repr(vars(client))
        for thing in (client, client._round):
            if thing is not None:
                assert repr(thing) == f"<{type(thing).__name__}: redacted>"
                with pytest.raises(SecretMisuseError, match="pickled"):
                    pickle.dumps(thing)
                with pytest.raises(SecretMisuseError, match="copied"):
                    copy.deepcopy(thing)
        pair.step()


def test_secrets_are_wiped_when_the_round_is_done():
    pair = Pair()
    for client in pair.clients.values():
        client.submit(value(1))
    pair.start()
    kept = {}
    while not pair.server.done:
        for name, client in pair.clients.items():
            round_ = client._round
            if round_ is not None and round_._kept.dealer is not None:
                kept[name] = (round_._kept.advertised, round_._kept.dealer)
        pair.step()
    assert kept.keys() == set(NAMES)
    for advertised, dealer in kept.values():
        secrets = [advertised.mask.private, advertised.share.private, dealer.seed, dealer.mask.private]
        assert all(secret._wiped and not any(secret._buffer) for secret in secrets)
    for client in pair.clients.values():
        assert client.state is ClientState.DONE
        assert client._submission is None
        assert client._round._kept.advertised is None
        assert client._round._kept.dealer is None
        assert not any(held._shares for held in client._round._kept.holder.held.values())


def test_two_sessions_in_turn_keep_their_rounds_apart():
    """A party may serve one server after another; a message of the first comes too late then."""
    first, second = Pair(), Pair()
    second.clients = first.clients
    first.start()
    first.step()
    late = first.mail["a"]
    second.start()
    second.step()
    with pytest.raises(sfl.RemoteProtocolError, match="came in"):
        second.clients["a"].receive(late)
    for client in second.clients.values():
        client.submit(value(2))
    assert second.finish().sum["w"].tolist() == [10, -10]
    assert parse(late, parties=5).session == first.server.session
