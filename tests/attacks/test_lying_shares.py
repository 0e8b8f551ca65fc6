"""Dealers and share-holders that lie: who is named, and that no lie ends in a wrong sum."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from attacks.harness import MODELS, Table, body_of, refused
from securefl import CryptoError, MalformedMessageError, RemoteProtocolError, RoundAbortedError
from securefl.crypto import aead
from securefl.crypto.digest import u32
from securefl.crypto.random import OS
from securefl.crypto.shamir import PRIME, LagrangeBasis, split
from securefl.secagg.dealing import LABELS, Label, commitment, deal, point, share_digest
from securefl.secagg.states import ClientState, ServerState
from securefl.wire import codec
from securefl.wire.messages import (
    Kind,
    LabelledShare,
    OwnedShare,
    SealedShares,
    ShareBundle,
    Shares,
    UnmaskShares,
)

LIAR = 4


# A share-holder that lies when it is asked to open.


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "lie",
    [
        "altered",
        "zero",
        "beyond the field",
        "another holder's",
        "another owner's",
        "the other secret's",
        "relabelled",
        "misnamed",
    ],
)
def test_a_share_holder_that_lies_is_named_and_done_without(model, lie):
    """Success: a false share enters the sum, or ends the round although t honest ones are there."""
    table = Table(6, 4, server=model)
    table.play(Kind.UNMASK)
    mine, theirs = table.held(LIAR), table.held(3)
    table.step()
    answer = body_of(table.mail[LIAR][0])
    (first, *rest) = answer.shares
    assert first.owner == 0
    forged = {
        "altered": OwnedShare(0, "self_mask", first.share[:-1] + bytes([first.share[-1] ^ 1])),
        "zero": OwnedShare(0, "self_mask", bytes(33)),
        "beyond the field": OwnedShare(0, "self_mask", (PRIME + 1).to_bytes(33, "big")),
        "another holder's": OwnedShare(0, "self_mask", theirs[0, Label.SELF_MASK]),
        "another owner's": OwnedShare(0, "self_mask", mine[1, Label.SELF_MASK]),
        "the other secret's": OwnedShare(0, "self_mask", mine[0, Label.MASK_KEY]),
        "relabelled": OwnedShare(0, "mask_key", mine[0, Label.MASK_KEY]),
        "misnamed": OwnedShare(0, "mask_key", mine[0, Label.SELF_MASK]),
    }[lie]
    with pytest.raises(RemoteProtocolError, match="not the one it was dealt") as error:
        table.give(table.write_as(LIAR, UnmaskShares([forged, *rest], b"")))
    assert error.value.suspects == (f"party-{LIAR}",)
    del table.mail[LIAR]
    table.finish()
    table.assert_exact(range(6))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("lie", ["one missing", "none", "one twice", "a stranger's", "its own", "unordered"])
def test_an_answer_for_others_than_its_neighbours_is_refused(model, lie):
    """Success: a share-holder answers for somebody it holds nothing of, or twice for one."""
    table = Table(6, 4, server=model)
    table.play(Kind.UNMASK_SHARES)
    shares = body_of(table.mail[LIAR][0]).shares
    forged = {
        "one missing": shares[1:],
        "none": [],
        "one twice": [shares[0], *shares],
        "a stranger's": [*shares, OwnedShare(63, "self_mask", bytes(33))],
        "its own": sorted([*shares, OwnedShare(LIAR, "self_mask", bytes(33))], key=lambda item: item.owner),
        "unordered": shares[::-1],
    }[lie]
    with pytest.raises(RemoteProtocolError, match="owed are its 5 neighbours") as error:
        table.give(table.write_as(LIAR, UnmaskShares(forged, b"")))
    refused(error.value, f"party-{LIAR}")
    table.finish()  # the genuine answer is still taken
    table.assert_exact(range(6))


@pytest.mark.parametrize("model", MODELS)
def test_too_many_liars_leave_no_sum_rather_than_a_wrong_one(model):
    """Success: with fewer than t honest answers something comes out all the same."""
    table = Table(6, 4, server=model)
    table.play(Kind.UNMASK_SHARES)
    for liar in (3, 4, 5):
        shares = body_of(table.mail[liar][0]).shares
        forged = [OwnedShare(item.owner, item.label, bytes(33)) for item in shares]
        table.mail[liar] = [table.write_as(liar, UnmaskShares(forged, b""))]
    with pytest.raises(RoundAbortedError, match="are needed"):
        table.finish()


# A dealer that lies. It is a party like any other: it knows its own keys and signs its own messages.


def dealing(
    table: Table,
    *,
    secrets: Mapping[Label, bytes] | None = None,
    committed: Mapping[Label, bytes] | None = None,
    threshold: int | None = None,
) -> tuple[dict[int, bytes], Shares]:
    """Play until shares are under way; returns the liar's sealing keys and the dealing that it writes instead of the honest one."""
    table.play(Kind.ROSTER)
    private, mask = table.share_private(LIAR), table.mask_private(LIAR)
    table.play(Kind.SHARES)
    keys = table.sealing_keys(LIAR, private)
    seed = table.clients[LIAR]._kept.dealer.seed.reveal()
    secrets = {Label.SELF_MASK: seed, Label.MASK_KEY: mask, **(secrets or {})}
    threshold = table.context.threshold if threshold is None else threshold
    message = deal(table.ctx, LIAR, secrets, keys=keys, threshold=threshold, random=OS)
    if committed:
        message = msgspec.structs.replace(
            message,
            commitments=[commitment(table.ctx, LIAR, label, (secrets | dict(committed))[label]) for label in LABELS],
        )
    return keys, message


def bundle(table: Table, keys: Mapping[int, bytes], holder: int, shares: list[tuple[str, bytes]]) -> SealedShares:
    """What the liar deals to one holder, in its own words, under digests that match them."""
    sealed = aead.seal(
        keys[holder],
        codec.encode(ShareBundle([LabelledShare(label, share) for label, share in shares])),
        aad=table.ctx + u32(LIAR) + u32(holder),
    )
    digests = b"".join(
        share_digest(table.ctx, LIAR, holder, label, share) for label, (_, share) in zip(LABELS, shares, strict=False)
    )
    return SealedShares(holder, sealed, digests)


def send(table: Table, message: Shares) -> None:
    table.mail[LIAR] = [table.write_as(LIAR, message)]


@pytest.mark.parametrize("model", MODELS)
def test_the_liar_s_own_hand_is_as_good_as_the_library_s(model):
    """The control: an honest dealing written by these helpers is taken, and opens."""
    table = Table(6, 4, server=model)
    send(table, dealing(table)[1])
    table.finish()
    table.assert_exact(range(6))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("how", ["commitment", "polynomials", "threshold"])
def test_a_dealer_whose_shares_do_not_rebuild_its_seed_is_named(model, how):
    """Success: the sum is unmasked with a seed that was never committed to; or honest share-holders are blamed."""
    table = Table(6, 4, server=model)
    if how == "commitment":
        _, message = dealing(table, committed={Label.SELF_MASK: b"\x02" * 32})
    elif how == "threshold":
        _, message = dealing(table, threshold=5)
    else:
        keys, message = dealing(table)
        wrong = split(b"\x09" * 32, threshold=4, points=[point(holder) for holder in keys])
        first, *rest = message.sealed
        shares = [("self_mask", wrong[point(first.party)]), ("mask_key", bytes(33))]
        message = msgspec.structs.replace(message, sealed=[bundle(table, keys, first.party, shares), *rest])
    send(table, message)
    table.play(Kind.UNMASK_SHARES)
    assert not table.refusals
    with pytest.raises(RoundAbortedError, match=f"shares that party-{LIAR} dealt cannot be used") as error:
        table.finish()
    assert error.value.suspects == (f"party-{LIAR}",)
    assert table.server.state is ServerState.ABORTED


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("consistent", [True, False])
def test_a_dealer_of_another_mask_key_than_it_advertised_is_named_when_it_leaves(model, consistent):
    """Success: masks of a key that nobody used are taken off the sum."""
    table = Table(6, 4, server=model)
    other = {Label.MASK_KEY: b"\x05" * 32}
    _, message = dealing(table, secrets=other) if consistent else dealing(table, committed=other)
    send(table, message)
    table.silent[LIAR] = Kind.MASKED_INPUT
    with pytest.raises(RoundAbortedError, match=f"shares that party-{LIAR} dealt cannot be used") as error:
        table.finish()
    assert error.value.suspects == (f"party-{LIAR}",)


@pytest.mark.parametrize("model", MODELS)
def test_a_secret_beyond_the_key_space_is_refused(model):
    """Success: shares that interpolate to 2^256 or more crash the server, or are cut to 32 bytes."""
    table = Table(6, 4, server=model)
    keys, message = dealing(table)
    constant = (PRIME - 1).to_bytes(33, "big")
    sealed = [bundle(table, keys, holder, [(label.value, constant) for label in LABELS]) for holder in sorted(keys)]
    send(table, msgspec.structs.replace(message, sealed=sealed))
    with pytest.raises(RoundAbortedError, match="2\\^256 or more") as error:
        table.finish()
    assert error.value.suspects == (f"party-{LIAR}",)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "lie",
    [
        "another share",
        "another digest",
        "labels exchanged",
        "a label twice",
        "a label more",
        "a label less",
        "an unknown label",
        "no bundle",
        "sealed for another",
        "sealed by another",
        "sealed under another ctx",
        "garbage",
        "too short",
        "not canonical",
        "beyond the field",
    ],
)
def test_a_bad_share_is_found_by_its_holder_when_it_comes(model, lie):
    """Success: the holder keeps it, and is itself held to be the liar when it opens it (a recipient framed by its dealer)."""
    table = Table(6, 4, server=model)
    keys, message = dealing(table)
    index, victim = 0, message.sealed[0].party
    honest = message.sealed[index]
    plain = codec.decode(
        ShareBundle, aead.unseal(keys[victim], honest.ciphertext, aad=table.ctx + u32(LIAR) + u32(victim)), limit=999
    )
    (seed, key) = [(item.label, item.share) for item in plain.shares]

    def sealed(data: bytes, *, source: int = LIAR, holder: int = victim, ctx: bytes = b"", to: int = victim):
        aad = (ctx or table.ctx) + u32(source) + u32(holder)
        return msgspec.structs.replace(honest, ciphertext=aead.seal(keys[to], data, aad=aad))

    data = codec.encode(plain)
    forged = {
        "another share": lambda: msgspec.structs.replace(
            bundle(table, keys, victim, [("self_mask", bytes(33)), key]), share_digests=honest.share_digests
        ),
        "another digest": lambda: msgspec.structs.replace(honest, share_digests=bytes(64)),
        "labels exchanged": lambda: bundle(table, keys, victim, [key, seed]),
        "a label twice": lambda: bundle(table, keys, victim, [seed, ("self_mask", key[1])]),
        "a label more": lambda: bundle(table, keys, victim, [seed, key, ("noise_0", bytes(33))]),
        "a label less": lambda: bundle(table, keys, victim, [seed]),
        "an unknown label": lambda: bundle(table, keys, victim, [("seed", seed[1]), key]),
        "no bundle": lambda: sealed(b"\x01"),
        "sealed for another": lambda: sealed(data, to=message.sealed[1].party),
        "sealed by another": lambda: sealed(data, source=3),
        "sealed under another ctx": lambda: sealed(data, ctx=bytes(32)),
        "garbage": lambda: msgspec.structs.replace(honest, ciphertext=bytes(200)),
        "too short": lambda: msgspec.structs.replace(honest, ciphertext=bytes(20)),
        "beyond the field": lambda: bundle(table, keys, victim, [seed, (key[0], PRIME.to_bytes(33, "big"))]),
        "not canonical": lambda: sealed(b"\x91\xdc\x00\x02" + data[2:]),
    }[lie]()
    if lie == "a label less":
        forged = msgspec.structs.replace(forged, share_digests=honest.share_digests)
    if len(forged.ciphertext) == len(honest.ciphertext):
        send(table, msgspec.structs.replace(message, sealed=[forged, *message.sealed[1:]]))
    else:  # the server would refuse it: it is the server that lies
        send(table, message)
        for_victim = body_of(table.play(Kind.CIPHERTEXTS)[victim][0])
        lie = msgspec.structs.replace(forged, party=LIAR)
        items = [lie if item.party == LIAR else item for item in for_victim.sealed]
        table.mail[victim] = [table.forge(msgspec.structs.replace(for_victim, sealed=items))]
    table.play(Kind.MASKED_INPUT)
    assert table.clients[victim].state is ClientState.ABORTED
    (refusal,) = table.refusals
    refused(refusal, f"party-{LIAR}", "server")
    table.finish()
    table.assert_exact(set(range(6)) - {victim})


@pytest.mark.parametrize("model", MODELS)
def test_a_server_that_alters_what_a_party_is_dealt_is_suspected(model):
    """Success: the server exchanges two parties' shares, or their digests, and a holder does not notice."""
    for change in ("exchange", "digest", "ciphertext"):
        table = Table(6, 4, server=model)
        first, second, *rest = body_of(table.play(Kind.CIPHERTEXTS)[0][0]).sealed
        forged = {
            "exchange": [
                msgspec.structs.replace(second, party=first.party),
                msgspec.structs.replace(first, party=second.party),
            ],
            "digest": [msgspec.structs.replace(first, share_digests=second.share_digests), second],
            "ciphertext": [msgspec.structs.replace(first, ciphertext=second.ciphertext), second],
        }[change]
        message = body_of(table.mail[0][0])
        with pytest.raises(RoundAbortedError) as error:
            table.tell(0, msgspec.structs.replace(message, sealed=[*forged, *rest]))
        refused(error.value, "server")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("lie", ["one missing", "one twice", "to itself", "to a stranger", "unordered", "nobody"])
def test_a_dealing_to_others_than_the_neighbours_is_refused(model, lie):
    """Success: a dealer leaves a neighbour without shares, and A_u are no longer symmetric."""
    table = Table(6, 4, server=model)
    _, message = dealing(table)
    items = message.sealed
    sealed = {
        "one missing": items[1:],
        "one twice": [items[0], *items],
        "to itself": sorted([*items, msgspec.structs.replace(items[0], party=LIAR)], key=lambda item: item.party),
        "to a stranger": [*items, msgspec.structs.replace(items[0], party=63)],
        "unordered": items[::-1],
        "nobody": [],
    }[lie]
    with pytest.raises(MalformedMessageError, match="each of its 5 neighbours once") as error:
        table.give(table.write_as(LIAR, msgspec.structs.replace(message, sealed=sealed)))
    assert error.value.suspects == (f"party-{LIAR}",)
    del table.mail[LIAR]
    table.finish()
    table.assert_exact(set(range(6)) - {LIAR})


@pytest.mark.parametrize("count", [1, 3])
def test_a_dealing_of_another_number_of_secrets_is_refused(count):
    """Success: commitments or digests are missing, and what was dealt cannot be checked when it is opened."""
    table = Table(6, 4)
    _, message = dealing(table)
    for change in (
        {"commitments": (message.commitments * 2)[:count]},
        {
            "sealed": [
                msgspec.structs.replace(message.sealed[0], share_digests=bytes(32 * count)),
                *message.sealed[1:],
            ]
        },
        {
            "sealed": [
                msgspec.structs.replace(message.sealed[0], share_digests=bytes(63)),
                *message.sealed[1:],
            ]
        },
    ):
        with pytest.raises(MalformedMessageError, match="another number of secrets"):
            table.give(table.write_as(LIAR, msgspec.structs.replace(message, **change)))


def test_shares_at_one_point_twice_or_at_zero_rebuild_nothing():
    """Success: one share counts as two, or the share at zero, which is the secret itself, is dealt or used."""
    for points in ([1, 1, 2], [0, 1, 2], [PRIME, 1, 2], [PRIME + 1, 1, 2], [-1, 1, 2]):
        with pytest.raises(CryptoError):
            LagrangeBasis(points)
        with pytest.raises(CryptoError):
            split(bytes(32), threshold=2, points=points)
    basis = LagrangeBasis([1, 2])
    for shares in ([bytes(33)], [bytes(32), bytes(33)], [PRIME.to_bytes(33, "big"), bytes(33)]):
        with pytest.raises(CryptoError):
            basis.combine(shares)
    with pytest.raises(CryptoError):
        basis.replace(1, 2)


def test_fewer_than_t_shares_do_not_fix_the_secret():
    """Success: t - 1 shares leave only some secrets possible (a polynomial of a lower degree, or a leading coefficient that is never
    zero): for every secret there is a polynomial through t - 1 given shares."""
    secret = b"\x07" * 32
    shares = split(secret, threshold=3, points=[1, 2, 3])
    rebuilt = set()
    for third in range(64):
        try:
            rebuilt.add(LagrangeBasis([1, 2, 3]).combine([shares[1], shares[2], third.to_bytes(33, "big")]))
        except CryptoError:
            continue
    assert len(rebuilt) >= 60
    assert secret not in rebuilt
