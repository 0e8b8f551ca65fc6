"""The server asks for both shares of one party: of its seed and of its mask key. With t of each, that party's vector is in clear."""

from __future__ import annotations

import itertools

import pytest

from attacks.harness import ACTIVE, MODELS, SEMI_HONEST, Loot, Table, body_of, refused
from securefl import LocalProtocolError, MalformedMessageError, RemoteProtocolError, SecureFLError
from securefl.crypto.digest import digest
from securefl.secagg.consistency import sign_survivors
from securefl.secagg.dealing import HeldShares, Label
from securefl.secagg.states import ClientState
from securefl.wire.messages import Ciphertexts, Kind, Survivors, SurvivorSignature, Unmask

EVERYBODY = frozenset(range(5))


def signatures(table: Table, survivors: frozenset[int], signers: frozenset[int]) -> list[SurvivorSignature]:
    return [
        SurvivorSignature(party, sign_survivors(table.ctx, survivors, table.keys[party])) for party in sorted(signers)
    ]


def unmask(table: Table, survivors: frozenset[int], signers: frozenset[int] | None = None) -> Unmask:
    """A request to open; under an active plan with everybody's signature, as if all had been bribed."""
    signed = signatures(table, survivors, survivors if signers is None else signers) if table.context.active else []
    return Unmask(table.members(survivors), signed)


@pytest.mark.parametrize("model", MODELS)
def test_a_second_request_with_another_survivor_set_opens_nothing(model):
    """Success: party 0 gives party 4's seed share first and its mask key share second."""
    table = Table(server=model)
    table.play(Kind.UNMASK)
    (answer,) = table.tell(0, unmask(table, EVERYBODY))
    assert {item.label for item in body_of(answer).shares} == {"self_mask"}
    with pytest.raises(RemoteProtocolError) as error:
        table.tell(0, unmask(table, EVERYBODY - {4}))
    refused(error.value, "server")
    assert table.clients[0].state is ClientState.DONE


@pytest.mark.parametrize("model", MODELS)
def test_the_same_request_twice_is_answered_once(model):
    """Success: a party answers twice, so it kept its shares after its answer."""
    table = Table(server=model)
    mail = table.play(Kind.UNMASK)
    assert table.hand(0, mail[0][0])
    with pytest.raises(RemoteProtocolError, match="out of order, a repetition"):
        table.hand(0, mail[0][0])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("end", ["done", "aborted"])
def test_nothing_is_answered_after_the_end(model, end):
    """Success: any message of the server moves a party whose round is over."""
    table = Table(server=model)
    table.play(Kind.UNMASK)
    if end == "done":
        table.tell(0, unmask(table, EVERYBODY))
    else:
        table.clients[0].abort()
    for body in (unmask(table, EVERYBODY - {4}), Survivors(table.members(EVERYBODY)), Ciphertexts([])):
        with pytest.raises(RemoteProtocolError):
            table.tell(0, body)
    with pytest.raises(LocalProtocolError):
        table.clients[0].advertise()
    with pytest.raises(LocalProtocolError):
        table.clients[0].mask(table.vectors[0].copy())


def test_no_survivor_set_at_all_makes_a_party_give_two_shares_of_one_owner():
    """Success: some request, of all 2^4 sets that hold party 0, brings two shares of one owner in a single answer."""
    for rest in itertools.chain.from_iterable(itertools.combinations(range(1, 5), size) for size in range(5)):
        survivors = frozenset({0, *rest})
        table = Table(server=SEMI_HONEST)
        table.play(Kind.UNMASK)
        if len(survivors) < 3:
            with pytest.raises(RemoteProtocolError, match="below the floor"):
                table.tell(0, unmask(table, survivors))
            continue
        (answer,) = table.tell(0, unmask(table, survivors))
        shares = body_of(answer).shares
        assert [item.owner for item in shares] == [1, 2, 3, 4]
        assert {item.owner for item in shares if item.label == "self_mask"} == survivors - {0}
        assert {item.owner for item in shares if item.label == "mask_key"} == EVERYBODY - survivors


@pytest.mark.parametrize("data", [b"", b"\x1f\x00", b"\x3f", b"\xff"], ids=["empty", "long", "party 5", "all bits"])
@pytest.mark.parametrize("model", MODELS)
def test_a_survivor_set_in_another_form_names_nobody_twice(model, data):
    """Success: a bit map that is longer or shorter, or names a party beyond the last, is read somehow."""
    table = Table(server=model)
    table.play(Kind.UNMASK)
    with pytest.raises(MalformedMessageError):
        table.tell(0, Unmask(data, signatures(table, EVERYBODY, EVERYBODY) if model is ACTIVE else []))


def test_opening_before_signing_is_refused():
    """Success: the server skips the consistency round and asks for shares at once."""
    table = Table()
    table.play(Kind.SURVIVORS)
    with pytest.raises(RemoteProtocolError, match="may not come in state masked"):
        table.tell(0, unmask(table, EVERYBODY))
    table.finish()
    table.assert_exact(EVERYBODY)


def test_a_second_survivor_set_is_not_signed():
    """Success: a party signs two sets in one round, so that two sets may gather t signatures."""
    table = Table()
    table.play(Kind.SURVIVORS)
    table.tell(0, Survivors(table.members(EVERYBODY)))
    for survivors in (EVERYBODY - {4}, EVERYBODY):
        with pytest.raises(RemoteProtocolError, match="out of order, a repetition"):
            table.tell(0, Survivors(table.members(survivors)))


def test_a_set_that_this_party_did_not_sign_is_not_opened_whoever_signed_it():
    """Success: four parties (three of them bribed) sign another set, and party 0 opens that one."""
    table = Table()
    table.play(Kind.SURVIVORS)
    table.tell(0, Survivors(table.members(EVERYBODY)))
    other = EVERYBODY - {4}
    with pytest.raises(RemoteProtocolError, match="not the one that this party signed"):
        table.tell(0, unmask(table, other, other - {0}))
    assert table.clients[0].state is ClientState.ABORTED


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ("too few", "2 signatures of the survivor set came, 3 are needed"),
        ("none", "0 signatures of the survivor set came"),
        ("one twice", "twice, or from a party outside"),
        ("unordered", "twice, or from a party outside"),
        ("from outside the set", "twice, or from a party outside"),
        ("of another set", "is not of this survivor set"),
        ("of another round", "is not of this survivor set"),
        ("by another party", "is not of this survivor set"),
        ("empty bytes", "is not of this survivor set"),
    ],
)
def test_signatures_that_do_not_prove_agreement_open_nothing(lie, reason):
    """Success: fewer than t parties agreed on the set, and yet it is opened."""
    table = Table()
    table.silent[4] = Kind.MASKED_INPUT
    table.play(Kind.UNMASK)
    survivors = EVERYBODY - {4}
    good = signatures(table, survivors, frozenset({0, 1, 2}))
    elsewhere = sign_survivors(digest("other"), survivors, table.keys[2])
    forged = {
        "too few": good[:2],
        "none": [],
        "one twice": [good[0], good[1], good[1]],
        "unordered": [good[1], good[0], good[2]],
        "from outside the set": [*good[:2], *signatures(table, survivors, frozenset({4}))],
        "of another set": [*good[:2], *signatures(table, EVERYBODY, frozenset({2}))],
        "of another round": [*good[:2], SurvivorSignature(2, elsewhere)],
        "by another party": [*good[:2], SurvivorSignature(2, sign_survivors(table.ctx, survivors, table.keys[3]))],
        "empty bytes": [*good[:2], SurvivorSignature(2, bytes(64))],
    }[lie]
    with pytest.raises(RemoteProtocolError, match=reason) as error:
        table.tell(0, Unmask(table.members(survivors), forged))
    refused(error.value, "server")
    assert table.clients[0].state is ClientState.ABORTED


def test_signatures_under_a_semi_honest_plan_are_refused():
    """Success: a plan that promises no consistency round pretends to have had one."""
    table = Table(server=SEMI_HONEST)
    table.play(Kind.UNMASK)
    with pytest.raises(RemoteProtocolError, match="semi-honest"):
        table.tell(0, Unmask(table.members(EVERYBODY), signatures(table, EVERYBODY, EVERYBODY)))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("survivors", "reason"),
    [
        ({1, 2, 3, 4}, "missing from the survivor set"),
        ({0, 1}, "below the floor of 3"),
        (set(), "missing from the survivor set"),
    ],
)
def test_a_survivor_set_below_the_floor_or_without_this_party_is_refused_at_the_first_sight(model, survivors, reason):
    """Success: a sum of one or two vectors is opened, or one that a party's own vector is said not to be in."""
    table = Table(server=model)
    table.play(Kind.SURVIVORS if model is ACTIVE else Kind.UNMASK)
    survivors = frozenset(survivors)
    with pytest.raises(RemoteProtocolError, match=reason):
        table.tell(0, Survivors(table.members(survivors)) if model is ACTIVE else Unmask(table.members(survivors), []))
    assert table.clients[0].state is ClientState.ABORTED


@pytest.mark.parametrize(("threshold", "floor", "least"), [(3, 3, 3), (3, 5, 5), (5, 3, 5)])
@pytest.mark.parametrize("model", MODELS)
def test_the_floor_is_the_greater_of_threshold_and_min_survivors(model, threshold, floor, least):
    """Success: a set of one party less than max(t, min_survivors) is signed or opened."""
    table = Table(7, threshold + (model is ACTIVE and threshold == 3), floor=floor, server=model)
    least = max(least, table.context.threshold)
    table.play(Kind.SURVIVORS if model is ACTIVE else Kind.UNMASK)

    def ask(party: int, size: int) -> list[bytes]:
        members = table.members(frozenset({party, *range(size)}))
        return table.tell(party, Survivors(members) if model is ACTIVE else Unmask(members, []))

    assert ask(0, least)
    with pytest.raises(RemoteProtocolError, match=f"below the floor of {least}"):
        ask(1, least - 1)


@pytest.mark.parametrize("model", MODELS)
def test_nobody_gives_shares_of_itself_or_of_those_who_left_before_dealing(model):
    """Success: shares are answered for a party outside A_u, whose second secret somebody else may have been asked for."""
    table = Table(6, 4, server=model)
    table.silent[5] = Kind.SHARES
    table.play(Kind.UNMASK_SHARES)
    for party, (data,) in table.mail.items():
        assert {item.owner for item in body_of(data).shares} == set(range(5)) - {party}


def test_one_share_is_released_and_the_other_is_gone():
    """Success: the shares of one owner can be had one after the other from inside the process."""
    held = HeldShares({Label.SELF_MASK: b"a" * 33, Label.MASK_KEY: b"b" * 33})
    assert held.release(Label.SELF_MASK) == [b"a" * 33]
    for label in Label:
        with pytest.raises((SecureFLError, KeyError)):
            held.release(label)


@pytest.mark.parametrize("model", MODELS)
def test_an_honest_round_leaves_nobody_with_both_secrets_opened(model):
    """Success: what a round opens when one party drops at the worst time (its vector arrived, its answer did not) is too much."""
    table = Table(6, 4, server=model)
    table.silent.update({2: Kind.MASKED_INPUT, 5: Kind.UNMASK_SHARES})
    loot = Loot(table)
    for party, answers in table.play(Kind.UNMASK_SHARES).items():
        loot.take(party, answers)
    assert loot.both_opened(range(6)) == []
    assert loot.opened(2, Label.MASK_KEY)
    assert not loot.opened(2, Label.SELF_MASK)
    assert loot.opened(5, Label.SELF_MASK)
    assert not loot.opened(5, Label.MASK_KEY)
