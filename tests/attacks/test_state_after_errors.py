"""Attacks on what is left after an error, a refusal or the end: secrets that live on, steps that can be taken twice, hooks that fail."""

from __future__ import annotations

import contextlib
import copy
import pickle

import msgspec
import numpy as np
import pytest

import securefl.secagg.client
from attacks.harness import ACTIVE, DOWN, MODELS, SEMI_HONEST, UP, Seats, Table, body_of, order
from securefl import (
    BelowThresholdError,
    EncodingError,
    LocalProtocolError,
    PolicyRefusedError,
    RemoteProtocolError,
    RoundAbortedError,
    SecretMisuseError,
    SecureFLError,
)
from securefl.secagg import masked_input
from securefl.secagg.client import ClientRound
from securefl.secagg.states import STEP_OF, ClientState, ServerState
from securefl.types import Step
from securefl.wire.envelope import parse
from securefl.wire.messages import Ciphertexts, Kind, Survivors, Unmask


class Secrets:
    """Handles on everything secret that a party has, kept from before it is wiped."""

    def __init__(self, client: ClientRound) -> None:
        self.pairs = [client._kept.advertised.mask, client._kept.advertised.share] if client._kept.advertised else []
        self.dealer, self.holder = client._kept.dealer, client._kept.holder

    def wiped(self) -> bool:
        values = [pair.private for pair in self.pairs]
        if self.dealer:
            values += [self.dealer.seed, self.dealer.mask.private]
            if self.dealer.incoming:
                return False
        if self.holder and any(held._shares for held in self.holder.held.values()):
            return False
        return all(value._wiped and not any(value._buffer) for value in values)


def bad(table: Table, kind: Kind) -> object:
    """A message of that kind that breaks a rule."""
    if kind is Kind.ROSTER:
        body = body_of(table.mail[0][0])
        return msgspec.structs.replace(body, root=bytes(32))
    if kind is Kind.CIPHERTEXTS:
        return Ciphertexts([])
    if kind is Kind.SURVIVORS:
        return Survivors(table.members({0}))
    return Unmask(table.members({0}), [])


@pytest.mark.parametrize(
    ("model", "kind"), [(model, kind) for model in MODELS for kind in order(model) if kind in DOWN]
)
def test_a_party_that_refuses_forgets_everything(model, kind):
    """Success: a party that left a round still has its secrets, or answers the genuine message afterwards."""
    table = Table(server=model)
    genuine = table.play(kind)[0][0]
    secrets = Secrets(table.clients[0])
    assert not secrets.wiped()
    with pytest.raises(RemoteProtocolError):
        table.tell(0, bad(table, kind))
    assert table.clients[0].state is ClientState.ABORTED
    assert secrets.wiped()
    with pytest.raises(RemoteProtocolError):
        table.hand(0, genuine)


@pytest.mark.parametrize("model", MODELS)
def test_each_secret_is_gone_when_it_has_been_used(model):
    """Success: private keys or the seed outlive the message that they were for, and a dump of the memory tells."""
    table = Table(server=model)
    table.play(Kind.ROSTER)
    own = table.clients[0]._kept.advertised
    table.play(Kind.SHARES)
    assert own.share.private._wiped
    table.play(Kind.CIPHERTEXTS)
    dealer = table.clients[0]._kept.dealer
    table.play(Kind.MASKED_INPUT)
    assert dealer.seed._wiped
    assert dealer.mask.private._wiped
    assert dealer.incoming == {}
    holder = table.clients[0]._kept.holder
    table.play()
    assert all(client.state is ClientState.DONE for client in table.clients)
    assert not any(held._shares for held in holder.held.values())
    assert table.clients[0]._kept.advertised is None
    assert table.clients[0]._kept.dealer is None


@pytest.mark.parametrize("model", MODELS)
def test_the_server_forgets_shares_and_parts_when_the_round_ends(model):
    """Success: shares, signatures or vectors of a round are still there after it."""
    done = Table(server=model)
    done.finish()
    failed = Table(server=model)
    failed.silent.update({3: Kind.UNMASK_SHARES, 4: Kind.UNMASK_SHARES, 2: Kind.UNMASK_SHARES})
    with pytest.raises(BelowThresholdError):
        failed.finish()
    aborted = Table(server=model)
    aborted.play(Kind.UNMASK_SHARES)
    aborted.give(aborted.mail[0][0])
    aborted.server.abort()
    for server in (done.server, failed.server, aborted.server):
        assert not server._got.answers
        assert not server._got.signatures
        assert not server._got.arriving
        assert not server._got.messages
    for server in (failed.server, aborted.server):
        assert server.state is ServerState.ABORTED
        assert server._got.total.size == 0
        with pytest.raises(LocalProtocolError, match="no sum"):
            server.result()
        with pytest.raises(RemoteProtocolError):
            server.receive(parse(aborted.mail[1][0], parties=5))
        with pytest.raises(LocalProtocolError):
            server.close_phase()


class BoomError(Exception):
    """What no one foresaw."""


@pytest.mark.parametrize(
    "error", [PolicyRefusedError("no", floor="min_parties"), BoomError(), KeyboardInterrupt(), MemoryError()]
)
def test_a_hook_that_refuses_or_fails_leaves_nothing_dealt(error):
    """Success: the hook says no, and shares are dealt, or the round can be tried again with the same keys."""
    asked = []

    def admit(context, attending: int) -> None:
        asked.append((context.model_digest, attending))
        raise error

    table = Table(admit=admit)
    mail = table.play(Kind.ROSTER)
    secrets = Secrets(table.clients[0])
    with pytest.raises(type(error)):
        table.hand(0, mail[0][0])
    assert asked == [(b"m" * 32, 5)]
    assert table.clients[0].state is ClientState.ABORTED
    assert secrets.wiped()
    with pytest.raises(RemoteProtocolError):
        table.hand(0, mail[0][0])
    assert len(asked) == 1


@pytest.mark.parametrize("error", [BoomError(), KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize(
    ("kind", "place"),
    [
        (Kind.ROSTER, "securefl.secagg.client.share_secrets"),
        (Kind.ROSTER, "securefl.secagg.client.seal"),
        (Kind.CIPHERTEXTS, "securefl.secagg.client.accept_ciphertexts"),
        (Kind.CIPHERTEXTS, "securefl.secagg.client.mask_vector"),
        (Kind.SURVIVORS, "securefl.secagg.client.sign_survivors"),
        (Kind.SURVIVORS, "securefl.secagg.client.seal"),
        (Kind.UNMASK, "securefl.secagg.client.answer"),
        (Kind.UNMASK, "securefl.secagg.client.seal"),
    ],
)
def test_a_step_that_was_begun_is_never_begun_again(kind, place, error, monkeypatch):
    """Success: an exception in mid-step leaves a party that deals, masks, signs or opens a second time."""
    table = Table()
    genuine = table.play(kind)[0][0]
    secrets = Secrets(table.clients[0])

    def fail(*_args, **_kwargs):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(place, fail)
        with pytest.raises(type(error)):
            table.hand(0, genuine)
    assert table.clients[0].state is ClientState.ABORTED
    assert secrets.wiped()
    with pytest.raises(RemoteProtocolError):
        table.hand(0, genuine)


@pytest.mark.parametrize("model", MODELS)
def test_a_vector_is_masked_once(model):
    """Success: two vectors under one seed: their difference is in clear."""
    table = Table(server=model)
    client = table.clients[0]
    client.receive(parse(table.play(Kind.CIPHERTEXTS)[0][0], parties=5))
    first = client.mask(table.vectors[0].copy())
    with pytest.raises(LocalProtocolError, match="a secret is used once"):
        client.mask(table.vectors[0].copy())
    assert len(list(first)) == 1
    with pytest.raises(LocalProtocolError, match="a secret is used once"):
        client.mask(table.vectors[0].copy())
    with pytest.raises(LocalProtocolError, match="a secret is used once"):
        client.advertise()


@pytest.mark.parametrize("wrong", ["dtype", "short", "long", "too large", "two axes"])
def test_a_vector_that_does_not_fit_is_refused_before_the_masks_are_spent(wrong):
    """Success: a vector with values beyond 2^b is masked (its high bits travel in clear), or a wrong call costs the round."""
    table = Table()
    client = table.clients[0]
    client.receive(parse(table.play(Kind.CIPHERTEXTS)[0][0], parties=5))
    vector = table.vectors[0]
    bad_vector = {
        "dtype": vector.astype(np.uint64),
        "short": vector[:-1],
        "long": np.append(vector, vector[:1]),
        "too large": vector | np.uint32(1 << 20),
        "two axes": vector.reshape(2, 3),
    }[wrong]
    with pytest.raises(LocalProtocolError):
        client.mask(bad_vector)
    assert client.state is ClientState.READY
    assert len(list(client.mask(vector.copy()))) == 1


def test_a_part_beyond_the_ring_never_leaves_and_ends_the_round_for_its_party():
    """Success: a vector with values beyond 2^b is masked, and its high bits travel in clear."""
    table = Table()
    client = table.clients[0]
    client.receive(parse(table.play(Kind.CIPHERTEXTS)[0][0], parties=5))
    secrets, vector = Secrets(client), table.vectors[0].copy()
    vector[-1] |= np.uint32(1 << 20)
    with pytest.raises(LocalProtocolError, match="not below"):
        list(client.mask_parts([vector]))
    assert client.state is ClientState.ABORTED
    assert secrets.wiped()


@pytest.mark.parametrize("what", ["client", "session", "identity", "dealer", "holder", "seed"])
def test_nothing_secret_is_printed_pickled_or_copied(what):
    """Success: a log line, a crash report or a worker process gets a secret, or a copy escapes the wiping."""
    table = Table()
    table.play(Kind.MASKED_INPUT)
    fresh = Table()
    fresh.play(Kind.SHARES)
    secret = {
        "client": table.clients[0],
        "session": Seats().clients["hospital-0"],
        "identity": table.keys[0],
        "dealer": fresh.clients[0]._kept.dealer,
        "holder": table.clients[0]._kept.holder,
        "seed": fresh.clients[0]._kept.dealer.seed,
    }[what]
    for text in (repr(secret), str(secret), f"{secret}", f"{[secret]}"):
        assert "redacted" in text
        assert len(text) < 60
    for act in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(SecretMisuseError):
            act(secret)


# Quorums.


@pytest.mark.parametrize(("threshold", "floor"), [(4, 3), (4, 6)])
@pytest.mark.parametrize(("model", "step"), [(model, kind) for model in MODELS for kind in order(model) if kind in UP])
def test_the_quorum_is_enough_and_one_less_ends_the_round(model, threshold, floor, step):
    """Success: fewer than max(t + 1, min_survivors) parties lead to a sum; or a server that follows the rules cannot open one that it
    asked for (t signatures convince, but every owner's secret needs t other holders)."""
    quorum = max(threshold + 1, floor) if step.value <= Kind.MASKED_INPUT.value else threshold + 1
    table = Table(7, threshold, floor=floor, server=model)
    table.silent.update(dict.fromkeys(range(quorum, 7), step))
    table.finish()
    table.assert_exact()
    table = Table(7, threshold, floor=floor, server=model)
    table.silent.update(dict.fromkeys(range(quorum - 1, 7), step))
    with pytest.raises(BelowThresholdError) as error:
        table.finish()
    assert error.value.phase == STEP_OF[step]
    assert table.server.state is ServerState.ABORTED


# The session around the round.


@pytest.mark.parametrize("model", MODELS)
def test_a_new_invitation_ends_the_open_round_for_good(model):
    """Success: two rounds are open at once, with the same update in both."""
    seats = Seats(server=model)
    client = seats.clients["hospital-0"]
    client.receive(seats.invitation(round_number=1))
    before, secrets = client._round, Secrets(client._round)
    client.receive(seats.invitation(round_number=2))
    assert before.state is ClientState.ABORTED
    assert secrets.wiped()


@pytest.mark.parametrize("why", ["plan", "policy", "damaged"])
def test_a_refused_invitation_leaves_the_open_round_alone(why):
    """Success: anybody who can send an invitation, however bad, ends a running round."""
    seats = Seats()
    client = seats.clients["hospital-0"]
    client.receive(seats.invitation(round_number=1))
    good = seats.invitation(round_number=2)
    invitation = {
        "plan": lambda: seats.invitation_of(b"\x01", bytes(32), round_number=2),
        "policy": lambda: seats.invitation(seats.plan.replace(purpose="else", policy_digest=b"d" * 32), round_number=2),
        "damaged": lambda: good[:-1] + bytes([good[-1] ^ 1]),
    }[why]()
    with pytest.raises(SecureFLError):
        client.receive(invitation)
    assert client.state is ClientState.ADVERTISED
    assert client.rounds_joined == 1


def masked(seats: Seats, answers: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """The parties' masked vectors, from their advertisements."""
    return seats.exchange(seats.collect(seats.exchange(seats.collect(answers))))


@pytest.mark.parametrize("model", MODELS)
def test_an_update_is_masked_once_and_never_in_another_round(model):
    """Success: the server ends a round when it has the masked vectors, and has the same update masked again in the next; or a party
    still holds the update in clear when it has been masked."""
    seats = Seats(server=model)
    mail = seats.server.start_round()
    answers = seats.exchange(mail)
    seats.submit()
    assert len(masked(seats, answers)) == 3
    assert all(client._submission is None for client in seats.clients.values())
    answers = seats.exchange(seats.server.start_round())
    with pytest.raises(LocalProtocolError, match="the update is due now"):
        masked(seats, answers)


@pytest.mark.parametrize("model", MODELS)
def test_an_update_handed_in_before_any_invitation_is_masked_once(model):
    """Success: an update that is bound to no round is masked in one after the other."""
    seats = Seats(server=model)
    seats.submit()
    assert len(masked(seats, seats.exchange(seats.server.start_round()))) == 3
    answers = seats.exchange(seats.server.start_round())
    with pytest.raises(LocalProtocolError, match="the update is due now"):
        masked(seats, answers)


@pytest.mark.parametrize("model", MODELS)
def test_an_update_for_a_round_that_died_is_not_used_in_the_next(model):
    """Success: the server gives up rounds until the update meets a round that suits it."""
    seats = Seats(server=model)
    seats.exchange(seats.server.start_round())
    seats.submit()
    answers = seats.exchange(seats.server.start_round())
    with pytest.raises(LocalProtocolError, match="the update is due now"):
        masked(seats, answers)


@pytest.mark.parametrize("model", MODELS)
def test_an_update_handed_in_early_belongs_to_the_round_that_it_meets(model):
    """Success: as above, for an update that was handed in before the first invitation."""
    seats = Seats(server=model)
    seats.submit()
    seats.exchange(seats.server.start_round())
    answers = seats.exchange(seats.server.start_round())
    with pytest.raises(LocalProtocolError, match="the update is due now"):
        masked(seats, answers)


def refuses_at_masking(seats: Seats, error: type[BaseException]) -> None:
    """Every party fails when it is to encode its update, and has forgotten its secrets then."""
    answers = seats.exchange(seats.server.start_round())
    mail = seats.collect(seats.exchange(seats.collect(answers)))
    for name, data in mail:
        client = seats.clients[name]
        secrets = Secrets(client._round)
        with pytest.raises(error):
            client.receive(data)
        assert client.state is ClientState.ABORTED
        assert secrets.wiped()
        with pytest.raises(RemoteProtocolError):
            client.receive(data)


def test_an_update_that_does_not_encode_ends_the_round_for_its_party():
    """Success: a party without a usable update keeps its secrets for ever, or masks something else."""
    seats = Seats()
    for name, client in seats.clients.items():
        client.submit(seats.updates[name], weight=2)
    refuses_at_masking(seats, EncodingError)


def test_an_update_that_fails_in_an_unforeseen_way_ends_the_round_for_its_party(monkeypatch):
    """Success: an exception while the update is encoded leaves a party with all its secrets, in a state that it never leaves."""
    seats = Seats()
    seats.submit()

    def fail(*_args, **_kwargs):
        raise BoomError

    monkeypatch.setattr("securefl.session.masking.EncodedParts.__next__", fail)
    refuses_at_masking(seats, BoomError)


def test_a_refusal_says_nothing_of_the_weight():
    """Success: the error that a party reports has its number of examples in it."""
    seats = Seats(max_weight=10)
    client = seats.clients["hospital-0"]
    client.receive(seats.invitation())
    with pytest.raises(EncodingError) as error:
        client.submit(seats.updates["hospital-0"], weight=31_337)
    assert "31337" not in str(error.value)


def test_an_error_about_a_value_does_not_quote_it():
    """Success: a value of the update is in an error's text."""
    seats = Seats(encoding=securefl.FixedPoint(12, 1.0, "refuse"))
    client = seats.clients["hospital-0"]
    client.submit({"w": np.array([0, 0, 31_337.5, 0], np.float32)})
    answers = []
    for name, data in seats.server.start_round():
        answers += [(name, answer) for answer in seats.clients[name].receive(data)]
    for other in ("hospital-1", "hospital-2"):
        seats.clients[other].submit(seats.updates[other])
    mail = dict(seats.collect(seats.exchange(seats.collect(answers))))
    with pytest.raises(SecureFLError) as error:
        client.receive(mail["hospital-0"])
    assert "31337" not in str(error.value)


@pytest.mark.parametrize("model", MODELS)
def test_a_sender_that_the_transport_knows_as_another_is_refused(model):
    """Success: over an authenticated transport a party still speaks in another's name."""
    seats = Seats(server=model)
    answers = seats.exchange(seats.server.start_round())
    (_, first), (second, _), *_ = answers
    with pytest.raises(RemoteProtocolError, match="in the name of party 0") as error:
        seats.server.receive(first, party=second)
    assert error.value.suspects == (second,)
    assert seats.server.step is Step.ADVERTISE
    assert len(seats.server.waiting_for) == 3


def test_sessions_have_names_of_their_own_and_rounds_count_up():
    """Success: two sessions, or two rounds of one, have one ctx0."""
    seats = Seats(server=SEMI_HONEST)
    sessions = {Seats(server=SEMI_HONEST).server.session for _ in range(20)}
    assert len(sessions) == 20
    rounds = [parse(seats.server.start_round()[0][1], parties=3).round for _ in range(5)]
    assert rounds == [1, 2, 3, 4, 5]


def test_the_sum_of_weights_that_no_parties_could_have_is_no_result():
    """Success: a party that masks another vector than its encoded one makes a mean of nonsense unnoticed where it could be noticed."""
    seats = Seats(server=SEMI_HONEST, max_weight=10)
    answers = seats.exchange(seats.server.start_round())
    seats.submit()
    with pytest.MonkeyPatch().context() as patch:
        real = masked_input.apply_masks

        def spoil(vector, masks, **how):
            vector[-1] = 0
            real(vector, masks, **how)

        patch.setattr("securefl.secagg.masked_input.apply_masks", spoil)
        mail = masked(seats, answers)
    outgoing = seats.collect(mail)
    while not seats.server.done:
        outgoing = seats.collect(seats.exchange(outgoing))
    with pytest.raises(RoundAbortedError, match="the weights of 3 parties add up to 0"):
        seats.server.result()


def test_one_party_s_bad_messages_do_not_keep_its_good_one_nor_others_out():
    """Success: a flood of refused messages of one party, of every kind, changes anything for anybody."""
    table = Table(6, 4)
    for kind in order(ACTIVE):
        mail = table.play(kind)
        if kind in DOWN:
            continue
        body = body_of(mail[5][0])
        for _ in range(20):
            with pytest.raises(RemoteProtocolError):
                table.give(table.write_as(5, body, key=table.keys[4]))
            with pytest.raises(RemoteProtocolError):
                table.give(table.write_as(5, body, round_number=99))
    table.finish()
    table.assert_exact(range(6))


@pytest.mark.parametrize("kind", [Kind.SURVIVORS, Kind.UNMASK], ids=lambda kind: kind.name)
def test_two_messages_at_once_are_answered_once(kind, monkeypatch):
    """Success: on a transport with threads, two survivor sets that come together are both signed, or both labels are opened."""
    table = Table(server=ACTIVE if kind is Kind.SURVIVORS else SEMI_HONEST)
    table.play(kind)
    sets = [frozenset(range(5)), frozenset(range(4))]
    messages = [
        table.forge(Survivors(table.members(s)) if kind is Kind.SURVIVORS else Unmask(table.members(s), []))
        for s in sets
    ]
    answers, inside = [], []
    name = "sign_survivors" if kind is Kind.SURVIVORS else "accept_unmask"
    real = getattr(securefl.secagg.client, name)

    def slowly(*args, **kwargs):
        # The other message comes while this one is being worked on: from another thread, or from a hook.
        if not inside:
            inside.append(True)
            with contextlib.suppress(SecureFLError, KeyError):
                answers.extend(table.hand(0, messages[1]))
        return real(*args, **kwargs)

    monkeypatch.setattr(securefl.secagg.client, name, slowly)
    with contextlib.suppress(SecureFLError, KeyError):
        answers += table.hand(0, messages[0])
    assert inside
    assert len(answers) == 1


@pytest.mark.parametrize("kind", [Kind.SURVIVORS, Kind.UNMASK], ids=lambda kind: kind.name)
def test_two_messages_checked_at_once_are_answered_once(kind, monkeypatch):
    """Success: two threads pass the table before either has moved the state, and two sets are signed or opened."""
    table = Table(server=ACTIVE if kind is Kind.SURVIVORS else SEMI_HONEST)
    table.play(kind)
    sets = [frozenset(range(5)), frozenset(range(4))]
    messages = [
        table.forge(Survivors(table.members(s)) if kind is Kind.SURVIVORS else Unmask(table.members(s), []))
        for s in sets
    ]
    answers, inside = [], []
    real = securefl.secagg.client.check_seal

    def slowly(*args, **kwargs):
        if not inside:
            inside.append(True)
            with pytest.raises(LocalProtocolError, match="two calls at once"):
                answers.extend(table.hand(0, messages[1]))
        return real(*args, **kwargs)

    monkeypatch.setattr(securefl.secagg.client, "check_seal", slowly)
    answers += table.hand(0, messages[0])
    assert inside
    assert len(answers) == 1
