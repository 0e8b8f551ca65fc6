"""A masked vector that comes too late: after its sender was declared lost, and its mask key is being opened."""

from __future__ import annotations

import pytest

from attacks.harness import MODELS, SEMI_HONEST, Loot, Table, body_of, order, refused
from securefl import RemoteProtocolError
from securefl.secagg import masked_input
from securefl.secagg.dealing import Label
from securefl.wire.messages import Kind, MaskedInput, Unmask


@pytest.mark.parametrize(
    ("model", "when"),
    [(model, kind) for model in MODELS for kind in order(model) if kind.value > Kind.MASKED_INPUT.value],
)
def test_a_late_vector_is_refused_and_never_added(model, when):
    """Success: the vector of a party outside U3 is in the sum, whose masks then do not cancel."""
    table = Table(server=model)
    mail = table.play(Kind.MASKED_INPUT)
    (late,) = mail.pop(4)
    table.play(when)
    with pytest.raises(RemoteProtocolError, match="never used") as error:
        table.give(late)
    refused(error.value, "party-4")
    table.finish()
    table.assert_exact({0, 1, 2, 3})


@pytest.mark.parametrize("model", MODELS)
def test_a_vector_whose_second_half_is_late_is_not_added_in_part(model, monkeypatch):
    """Success: one chunk of a lost party's vector stays in the sum."""
    monkeypatch.setattr(masked_input, "CHUNK_VALUES", 4)
    table = Table(server=model, length=10)
    mail = table.play(Kind.MASKED_INPUT)
    assert len(mail[4]) == 3
    late = mail[4].pop()
    table.play(Kind.UNMASK)
    with pytest.raises(RemoteProtocolError, match="never used"):
        table.give(late)
    table.finish()
    table.assert_exact({0, 1, 2, 3})


def test_chunks_are_taken_once_in_order_and_under_one_neighbour_set(monkeypatch):
    """Success: a chunk counts twice or in another place, or A_u changes half-way, and the sum is silently wrong."""
    monkeypatch.setattr(masked_input, "CHUNK_VALUES", 4)
    table = Table(6, 4, length=10)
    first, second, third = table.play(Kind.MASKED_INPUT)[0]
    with pytest.raises(RemoteProtocolError, match="chunk 1 of party-0 came where 0"):
        table.give(second)
    table.give(first)
    with pytest.raises(RemoteProtocolError, match="chunk 0 of party-0 came where 1"):
        table.give(first)
    body = body_of(second)
    narrower = MaskedInput(body.chunk, table.members({1, 2, 3, 4}), body.words)
    with pytest.raises(RemoteProtocolError, match="A_u is not the 5"):
        table.give(table.write_as(0, narrower))
    table.give(second)
    table.give(third)
    with pytest.raises(RemoteProtocolError, match="again"):
        table.give(third)
    del table.mail[0]
    table.up(table.mail)
    assert 0 in table.server._got.survivors


@pytest.mark.parametrize("model", MODELS)
def test_a_party_that_was_left_out_cannot_come_back(model):
    """Success: a party that missed a step is heard in a later one."""
    table = Table(6, 4, server=model)
    shares = table.play(Kind.SHARES).pop(5)
    table.play(Kind.MASKED_INPUT)
    ghost = table.write_as(5, MaskedInput(0, table.members({0, 1, 2, 3, 4}), bytes(18)))
    with pytest.raises(RemoteProtocolError, match="after it was left out"):
        table.give(ghost)
    with pytest.raises(RemoteProtocolError, match="never used"):
        table.give(shares[0])
    table.finish()
    table.assert_exact({0, 1, 2, 3, 4})


def overheard(table: Table) -> Loot:
    """What a server has that lets every masked vector arrive, whatever it says of them later."""
    loot = Loot(table)
    for party, answers in table.play(Kind.MASKED_INPUT).items():
        loot.take(party, answers)
    return loot


def test_a_server_that_keeps_the_late_vector_and_opens_its_mask_key_still_faces_the_self_mask():
    """Success: the vector of a party declared lost comes back in clear once its pairwise masks are known (why masking is double)."""
    table = Table(6, 4, server=SEMI_HONEST)
    loot = overheard(table)
    table.play(Kind.UNMASK)
    for party in range(5):
        loot.take(party, table.tell(party, Unmask(table.members({0, 1, 2, 3, 4}), [])))
    assert loot.opened(5, Label.MASK_KEY)
    assert loot.shares.get((5, Label.SELF_MASK)) is None
    assert (loot.peel({5}) != table.vectors[5]).any()


def test_with_the_seed_as_well_the_late_vector_would_be_in_clear():
    """The control: the very same attack, given t shares of the seed too, succeeds; so the test above can fail."""
    table = Table(6, 4, server=SEMI_HONEST)
    loot = overheard(table)
    for party in range(4):
        loot.collude(party)
    assert loot.peel({5}).tolist() == table.vectors[5].tolist()
