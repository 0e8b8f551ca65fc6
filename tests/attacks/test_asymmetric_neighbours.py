"""A_u that do not agree: u masks with v, and v does not mask with u, so that a mask stays in the sum that nobody can name."""

from __future__ import annotations

import msgspec
import pytest

from attacks.harness import MODELS, SEMI_HONEST, Table, body_of, refused
from securefl import RemoteProtocolError
from securefl.secagg.states import ClientState
from securefl.wire.messages import Ciphertexts, Kind, MaskedInput, Survivors, Unmask


def withhold(table: Table, source: int, destination: int) -> None:
    """The network or the server loses the shares that `source` dealt to `destination`."""
    data = table.play(Kind.CIPHERTEXTS)[destination][0]
    kept = [item for item in body_of(data).sealed if item.party != source]
    table.mail[destination] = [table.forge(Ciphertexts(kept))]


@pytest.mark.parametrize("model", MODELS)
def test_shares_withheld_one_way_cost_the_party_cheated_and_nothing_else(model):
    """Success: the server opens secrets for a sum that cannot be right, or takes the wrong sum for one."""
    table = Table(6, 4, server=model)
    withhold(table, source=5, destination=0)
    mail = table.play(Kind.MASKED_INPUT)
    with pytest.raises(RemoteProtocolError, match="not the 5 parties whose shares were forwarded") as error:
        table.give(mail.pop(0)[0])
    refused(error.value, "party-0")
    table.finish()
    table.assert_exact(range(1, 6))


def test_a_malicious_server_that_goes_on_gets_no_signature_of_the_one_it_cheated():
    """Success: party 0, who has no shares of party 5, signs a set with it."""
    table = Table(6, 4)
    withhold(table, source=5, destination=0)
    table.play(Kind.MASKED_INPUT)
    with pytest.raises(RemoteProtocolError, match="dealt this one no shares"):
        table.tell(0, Survivors(table.members(range(6))))
    assert table.clients[0].state is ClientState.ABORTED


def test_a_server_that_goes_on_gets_no_answer_of_the_one_it_cheated():
    """Success: under a semi-honest plan party 0 answers for a set with party 5 in it."""
    table = Table(6, 4, server=SEMI_HONEST)
    withhold(table, source=5, destination=0)
    table.play(Kind.MASKED_INPUT)
    with pytest.raises(RemoteProtocolError, match="dealt this one no shares"):
        table.tell(0, Unmask(table.members(range(6)), []))


@pytest.mark.parametrize("model", MODELS)
def test_shares_withheld_both_ways_give_the_exact_sum_or_none(model):
    """Success: the sum is wrong when two parties know nothing of each other."""
    table = Table(8, 5, server=model)
    withhold(table, source=7, destination=0)
    withhold(table, source=0, destination=7)
    table.finish()
    table.assert_exact(range(1, 7))
    for name, refusal in zip(("party-0", "party-7"), table.refusals, strict=True):
        refused(refusal, name)


@pytest.mark.parametrize("model", MODELS)
def test_a_vector_whose_sender_lies_about_its_neighbours_is_not_summed_wrongly(model):
    """Success: a malicious party leaves somebody out of its A_u, and a mask stays in the sum."""
    table = Table(6, 4, server=model)
    mail = table.play(Kind.MASKED_INPUT)
    body = body_of(mail[5][0])
    mail[5] = [table.write_as(5, msgspec.structs.replace(body, neighbours=table.members({1, 2, 3, 4})))]
    assert not table.finish_exact_or_abort() or 5 not in table.server.result().survivors


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("lie", [{0, 1, 2, 3, 4, 5}, {0, 1, 2, 3, 6}, {0, 1, 2}, set()], ids=str)
def test_a_neighbour_set_with_itself_a_stranger_or_too_few_is_refused_and_the_liar_named(model, lie):
    """Success: a malicious party makes the server look for masks that never were, or stops the round for all."""
    table = Table(7, 4, server=model)
    table.silent[6] = Kind.SHARES  # so that party 6 dealt nothing
    mail = table.play(Kind.MASKED_INPUT)
    body = body_of(mail[5][0])
    with pytest.raises(RemoteProtocolError, match="parties whose shares were forwarded to party-5") as error:
        table.give(table.write_as(5, MaskedInput(0, table.members(lie), body.words)))
    refused(error.value, "party-5")
    assert error.value.suspects == ("party-5",)
    del mail[5]
    table.finish()
    table.assert_exact(range(5))


@pytest.mark.parametrize("model", MODELS)
def test_a_liar_about_a_party_that_left_opens_nothing_else_and_ends_nothing(model):
    """Success: a party that leaves a lost one out of its A_u makes the server crash, or keeps the round from its end."""
    table = Table(7, 4, server=model)
    table.silent[6] = Kind.MASKED_INPUT
    mail = table.play(Kind.MASKED_INPUT)
    lie = msgspec.structs.replace(body_of(mail[5][0]), neighbours=table.members({0, 1, 2, 3, 4}))
    table.vectors[5] = None  # what it sends is no vector any more: a party can always spoil the sum by its own input
    mail[5] = [table.write_as(5, lie)]
    table.play()
    assert table.server.result().survivors >= set(range(5))


@pytest.mark.parametrize(
    ("sources", "reason"),
    [
        ((0, 1, 2, 3, 4), "from this one"),
        ((1, 1, 2, 3, 4), "twice from one"),
        ((2, 1, 3, 4, 5), "twice from one"),
        ((1, 2, 3, 4, 63), "did not advertise"),
        ((1, 2, 3, 4, 6), "did not advertise"),
    ],
)
def test_shares_from_strange_sources_are_refused(sources, reason):
    """Success: a party counts a neighbour twice, itself, or one that never advertised."""
    table = Table(7, 4)
    table.silent[6] = Kind.ADVERTISE
    table.play(Kind.CIPHERTEXTS)
    sealed = {item.party: item for item in body_of(table.mail[0][0]).sealed}
    items = [msgspec.structs.replace(sealed.get(source, sealed[1]), party=source) for source in sources]
    with pytest.raises(RemoteProtocolError, match=reason):
        table.tell(0, Ciphertexts(items))


@pytest.mark.parametrize("model", MODELS)
def test_one_liar_about_its_neighbours_does_not_end_the_round_nor_frame_another(model):
    """Success: one party alone ends every round, and an honest one is named beside it."""
    table = Table(6, 4, server=model)
    mail = table.play(Kind.MASKED_INPUT)
    lie = msgspec.structs.replace(body_of(mail[5][0]), neighbours=table.members({1, 2, 3, 4}))
    mail[5] = [table.write_as(5, lie)]
    table.finish()
    table.assert_exact(range(5))
