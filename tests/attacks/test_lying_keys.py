"""Keys that are not what they seem: of small order, doubled, unsigned, signed by another, or put in by the server (man in the middle)."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from attacks.harness import MODELS, SEMI_HONEST, Table, body_of, refused
from securefl import RemoteProtocolError, SigningKey
from securefl.crypto.digest import digest
from securefl.crypto.kex import KeyPair
from securefl.secagg.context import key_list_root, pre_context
from securefl.secagg.states import ClientState
from securefl.wire.envelope import seal
from securefl.wire.messages import Advertise, KeyEntry, Kind, Roster

P = 2**255 - 19
ORDER_8 = (
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
)
SMALL_ORDER = [*(number.to_bytes(32, "little") for number in (0, 1, P - 1, P, P + 1)), *map(bytes.fromhex, ORDER_8)]
"""Every encoding below 2^255 of a point of small order (https://cr.yp.to/ecdh.html#validate): the agreed secret is all zero."""

NAMES = ["0", "1", "p-1", "p", "p+1", "order 8, first", "order 8, second"]


def signed(table: Table, party: int, mask: bytes, share: bytes, *, key=None, ctx0: bytes = b"", name=None) -> bytes:
    """An identity's signature of two keys; empty under a semi-honest plan."""
    if not table.context.active:
        return b""
    data = digest("advertise", ctx0 or pre_context(table.context), party if name is None else name, mask, share)
    return (key or table.keys[party]).sign(data)


def listed(table: Table, entries: list[KeyEntry], **changes) -> Roster:
    """A key list as a malicious server writes it, with the right root unless another is given."""
    context = table.context
    fields = {
        "plan_digest": context.plan_digest,
        "model_digest": context.model_digest,
        "root": key_list_root(entries),
        "attending": len(entries),
        "entries": entries,
        "proofs": [],
    }
    return Roster(**{**fields, **changes})


def with_keys(table: Table, party: int, *, mask: bytes = b"", share: bytes = b"") -> list[KeyEntry]:
    """The key list in which a malicious party put keys of its choice, properly signed."""
    entries = body_of(table.play(Kind.ROSTER)[0][0]).entries
    old = entries[party]
    mask, share = mask or old.mask_key, share or old.share_key
    entries[party] = KeyEntry(party, mask, share, signed(table, party, mask, share))
    return entries


TWINS = [number.to_bytes(32, "little") for number in (P + 2, P + 18, 2**255 + 9, 2**256 - 1)]
"""Second encodings of good points: X25519 reduces modulo p and ignores the top bit (RFC 7748, section 5)."""


def play_with(table: Table, party: int, *, mask: bytes = b"", share: bytes = b"") -> None:
    """Let a malicious party advertise keys of its choice, and know of them, so that it deals and masks as if they were good."""
    own = table.clients[party]._kept.advertised
    own.mask.public, own.share.public = mask or own.mask.public, share or own.share.public
    message = Advertise(own.mask.public, own.share.public, signed(table, party, own.mask.public, own.share.public))
    table.play(Kind.ADVERTISE)[party] = [table.write_as(party, message)]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("which", ["mask", "share"])
@pytest.mark.parametrize("point", [*SMALL_ORDER, *TWINS], ids=[*NAMES, "p+2", "p+18", "top bit", "all bits"])
def test_a_key_of_small_order_or_in_a_second_form_is_refused_by_every_party(model, which, point):
    """Success: shares are sealed, or vectors masked, under a key that anybody can compute; or one key passes for two."""
    table = Table(4, 3, server=model)
    entries = with_keys(table, 3, **{which: point})
    with pytest.raises(RemoteProtocolError, match="no usable X25519 key") as error:
        table.tell(0, listed(table, entries))
    refused(error.value, "party-3")
    assert table.clients[0].state is ClientState.ABORTED


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("which", ["mask", "share"])
def test_another_s_key_with_its_top_bit_set_is_refused(model, which):
    """Success: a party takes over another's key in a second form, which the comparison of bytes does not see."""
    table = Table(5, 3, server=model)
    victim = body_of(table.play(Kind.ADVERTISE)[0][0])
    key = victim.mask_key if which == "mask" else victim.share_key
    play_with(table, 4, **{which: key[:31] + bytes([key[31] | 0x80])})
    table.finish()
    table.assert_exact(range(4))
    assert [refusal.suspects for refusal in table.refusals] == [("party-4",)]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("which", ["mask", "share"])
def test_one_party_with_a_key_of_small_order_does_not_end_the_round_for_all(model, which):
    """Success: one malicious party ends every round, and the server names the honest ones as missing."""
    table = Table(5, 3, server=model)
    play_with(table, 4, **{which: bytes(32)})
    table.finish()
    table.assert_exact(range(4))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("where", ["mask as mask", "share as share", "mask as share", "own twice"])
def test_a_key_that_is_there_already_is_refused_by_the_server(model, where):
    """Success: a party takes over another's key, so that two pairs share a mask, or uses one key for both purposes."""
    table = Table(5, 3, server=model)
    mail = table.play(Kind.ADVERTISE)
    victim, mine = body_of(mail[0][0]), body_of(mail[4][0])
    table.give(mail[0][0])
    mask, share = {
        "mask as mask": (victim.mask_key, mine.share_key),
        "share as share": (mine.mask_key, victim.share_key),
        "mask as share": (mine.mask_key, victim.mask_key),
        "own twice": (mine.mask_key, mine.mask_key),
    }[where]
    with pytest.raises(RemoteProtocolError) as error:
        table.give(table.write_as(4, Advertise(mask, share, signed(table, 4, mask, share))))
    # Which of two parties has the other's key, the server cannot know.
    assert error.value.suspects == (("party-4",) if where == "own twice" else ("party-4", "party-0"))
    del mail[0], mail[4]
    table.finish()
    table.assert_exact(range(4))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("where", ["mask as mask", "share as share", "mask as share", "own twice"])
def test_a_key_that_is_in_the_list_twice_is_refused_by_every_party(model, where):
    """Success: the server and a malicious party give two parties one key."""
    table = Table(4, 3, server=model)
    entries = body_of(table.play(Kind.ROSTER)[0][0]).entries
    victim, mine = entries[0], entries[3]
    keys = {
        "mask as mask": {"mask": victim.mask_key},
        "share as share": {"share": victim.share_key},
        "mask as share": {"share": victim.mask_key},
        "own twice": {"share": mine.mask_key},
    }[where]
    with pytest.raises(RemoteProtocolError) as error:
        table.tell(1, listed(table, with_keys(table, 3, **keys)))
    refused(error.value, "party-3")


@pytest.mark.parametrize("lie", ["unsigned", "other key", "other party", "other round", "other keys", "other use"])
def test_keys_without_a_good_signature_of_the_roster_s_identity_are_refused(lie):
    """Success: keys that nobody vouches for are taken under an active plan, by the server or, worse, by a party."""
    table = Table(5, 3)
    mail = table.play(Kind.ADVERTISE)
    body = body_of(mail[4][0])
    mask, share = body.mask_key, body.share_key
    elsewhere = pre_context(dataclasses.replace(table.context, round=8))
    signature = {
        "unsigned": b"",
        "other key": signed(table, 4, mask, share, key=SigningKey.generate()),
        "other party": signed(table, 4, mask, share, name=3),
        "other round": signed(table, 4, mask, share, ctx0=elsewhere),
        "other keys": signed(table, 4, share, mask),
        "other use": table.keys[4].sign(digest("survivors", pre_context(table.context), mask + share)),
    }[lie]
    with pytest.raises(RemoteProtocolError, match="not signed by the identity") as error:
        table.give(table.write_as(4, Advertise(mask, share, signature)))
    refused(error.value, "party-4")
    entries = body_of(table.play(Kind.ROSTER)[0][0]).entries
    entries[4] = KeyEntry(4, mask, share, signature)
    with pytest.raises(RemoteProtocolError, match="not signed by the identity") as error:
        table.tell(0, listed(table, entries))
    refused(error.value, "party-4", "server")


def test_a_signature_under_a_semi_honest_plan_is_refused():
    """Success: a plan that checks no signatures carries some, and somebody relies on them."""
    table = Table(5, 3, server=SEMI_HONEST)
    mail = table.play(Kind.ADVERTISE)
    body = body_of(mail[4][0])
    with pytest.raises(RemoteProtocolError, match="nobody would check"):
        table.give(table.write_as(4, Advertise(body.mask_key, body.share_key, bytes(64))))
    entries = body_of(table.play(Kind.ROSTER)[0][0]).entries
    entries[4] = msgspec.structs.replace(entries[4], signature=bytes(64))
    with pytest.raises(RemoteProtocolError, match="nobody would check"):
        table.tell(0, listed(table, entries))


def test_the_server_cannot_stand_in_the_middle_of_an_active_round():
    """Success: the server puts keys of its own in a victim's place, opens everything that is sealed for it, and removes its masks."""
    table = Table(4, 3)
    entries = body_of(table.play(Kind.ROSTER)[0][0]).entries
    fake, mallory = KeyPair.generate(), SigningKey.generate()
    for signature in (
        b"",
        entries[2].signature,
        signed(table, 2, fake.public, entries[2].share_key, key=mallory),
        signed(table, 2, fake.public, entries[2].share_key, key=table.keys[3]),
    ):
        again = Table(4, 3, keys=table.keys)
        mine = body_of(again.play(Kind.ROSTER)[0][0]).entries
        mine[2] = KeyEntry(2, fake.public, entries[2].share_key, signature)
        with pytest.raises(RemoteProtocolError, match="not signed by the identity"):
            again.tell(0, listed(again, mine))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("which", ["mask", "share", "both", "missing"])
def test_a_party_whose_own_keys_were_replaced_notices(model, which):
    """Success: a party deals in a round in which the others know keys that it never made."""
    table = Table(5, 3, server=model)
    entries = body_of(table.play(Kind.ROSTER)[0][0]).entries
    other = KeyPair.generate().public
    own = entries[0]
    mask = other if which in {"mask", "both"} else own.mask_key
    share = KeyPair.generate().public if which in {"share", "both"} else own.share_key
    entries = (
        entries[1:] if which == "missing" else [KeyEntry(0, mask, share, signed(table, 0, mask, share)), *entries[1:]]
    )
    with pytest.raises(RemoteProtocolError, match="own keys are missing") as error:
        table.tell(0, listed(table, entries))
    refused(error.value, "server")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("lie", ["unordered", "a party twice", "a stranger", "root", "plan"])
def test_a_key_list_in_disorder_is_refused(model, lie):
    """Success: two key lists have one root, or a party is counted twice towards the threshold rule."""
    table = Table(5, 3, server=model)
    entries = body_of(table.play(Kind.ROSTER)[0][0]).entries
    stranger = KeyPair.generate().public, KeyPair.generate().public
    forged = {
        "unordered": listed(table, [entries[0], entries[2], entries[1], *entries[3:]]),
        "a party twice": listed(table, [entries[0], *entries]),
        "a stranger": listed(table, [*entries, KeyEntry(5, *stranger, signed(table, 0, *stranger))]),
        "root": listed(table, entries, root=bytes(32)),
        "plan": listed(table, entries, plan_digest=bytes(32)),
    }[lie]
    with pytest.raises(RemoteProtocolError) as error:
        table.tell(0, forged)
    refused(error.value, "server")
    assert table.clients[0].state is ClientState.ABORTED


@pytest.mark.parametrize("field", ["mask_key", "share_key", "party"])
def test_the_root_covers_every_key_and_whose_it_is(field):
    """Success: parties that were shown different keys have one ctx, and a wrong sum between them."""
    table = Table(5, 3)
    entries = body_of(table.play(Kind.ROSTER)[0][0]).entries
    changed = msgspec.structs.replace(entries[4], **{field: 9 if field == "party" else bytes(32)})
    assert key_list_root(entries) != key_list_root([*entries[:4], changed])
    assert key_list_root(entries) != key_list_root(entries[:4])


def test_every_message_of_a_party_is_signed_by_its_own_identity():
    """Success: a party or the network speaks in another's name under an active plan, at any step."""
    table = Table(5, 3)
    for kind in (Kind.ADVERTISE, Kind.SHARES, Kind.MASKED_INPUT, Kind.CONSISTENCY, Kind.UNMASK_SHARES):
        body = body_of(table.play(kind)[0][0])
        binding = table.server.binding
        for key in (SigningKey.generate(), table.keys[1]):
            with pytest.raises(RemoteProtocolError, match="does not verify under the roster's key") as error:
                table.give(table.write_as(0, body, key=key, binding=binding))
            refused(error.value, "party-0")
        header = {"session": table.context.session, "round_number": table.context.round, "sender": 0}
        with pytest.raises(RemoteProtocolError, match="does not verify under the roster's key"):
            table.give(seal(kind, body, binding=binding, **header))
    table.finish()
    table.assert_exact(range(5))


def test_a_stranger_s_index_is_refused():
    """Success: a sender beyond the roster crashes the server, or is taken for somebody."""
    table = Table(5, 3)
    body = body_of(table.play(Kind.ADVERTISE)[0][0])
    for sender in (5, 64, 0xFFFFFFFE, 0xFFFFFFFF):
        with pytest.raises(RemoteProtocolError, match="not on the roster"):
            table.give(table.write_as(0, body, sender=sender))


def test_a_key_pair_serves_one_round():
    """Success: a second advertisement of one round comes with the same keys, or the library lets the same keys be made again."""
    table = Table(5, 3)
    other = Table(5, 3, keys=table.keys)
    mine = {body_of(mail[0]).mask_key for mail in table.mail.values()}
    assert mine.isdisjoint({body_of(mail[0]).mask_key for mail in other.mail.values()})
