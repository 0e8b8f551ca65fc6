"""Each step's own checks, one at a time; whole attacks are under tests/attacks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from securefl.errors import (
    BelowThresholdError,
    LocalProtocolError,
    MalformedMessageError,
    ProtocolError,
    RemoteProtocolError,
)
from securefl.secagg import masked_input
from securefl.secagg.consistency import accept_survivors, survivors_data
from securefl.secagg.context import bind, pre_context
from securefl.secagg.derive import pair_key, pair_sign, self_key, share_key
from securefl.secagg.parameters import choose
from securefl.secagg.states import ClientState, ServerState
from securefl.types import Graph, ServerModel, Step
from securefl.wire import bitmap, codec
from securefl.wire.messages import MaskedInput, Shares
from unit.secagg.harness import Round, integer_sum, key_list

SEMI_HONEST = choose(6, ServerModel.SEMI_HONEST, threshold=3)
ACTIVE = choose(6, ServerModel.ACTIVE, threshold=4)
BOTH = pytest.mark.parametrize("chosen", [SEMI_HONEST, ACTIVE], ids=lambda chosen: chosen.server)


def chunk_of(round_, data):
    body = round_.open(data).body
    return codec.decode(MaskedInput, body, limit=len(body))


@BOTH
@pytest.mark.parametrize("length", [0, 1, 4, 5, 8, 9])
def test_a_long_vector_travels_in_chunks(monkeypatch, chosen, length):
    monkeypatch.setattr(masked_input, "CHUNK_VALUES", 4)
    round_ = Round(chosen, bits=20, length=length)
    round_.until(ServerState.MASKED_INPUT)
    round_.ask()
    mine = [chunk_of(round_, data) for party, data in round_.up if party == 0]
    assert [message.chunk for message in mine] == list(range(max(1, -(-length // 4))))
    assert [len(message.words) for message in mine] == [3 * min(4, length - i) for i in range(0, max(length, 1), 4)]
    assert all(bitmap.unpack(message.neighbours, 6) == {1, 2, 3, 4, 5} for message in mine)
    round_.collect()
    round_.until(ServerState.DONE)
    assert round_.server.result().total.tolist() == integer_sum(round_.vectors, range(6), 20)


def test_a_chunk_out_of_order_twice_or_beyond_the_last_is_refused_and_can_still_come_right(monkeypatch):
    monkeypatch.setattr(masked_input, "CHUNK_VALUES", 2)
    round_ = Round(SEMI_HONEST, length=5)
    round_.until(ServerState.MASKED_INPUT)
    round_.ask()
    first, second, third = (data for party, data in round_.up if party == 0)

    def give(data):
        return round_.server.receive(round_.open(data))

    for early in (second, third):
        with pytest.raises(RemoteProtocolError, match="where 0 of 3 was due"):
            give(early)
    give(first)
    for wrong in (first, third):
        with pytest.raises(RemoteProtocolError, match="where 1 of 3 was due"):
            give(wrong)
    give(second)
    assert 0 in round_.server.waiting_for
    give(third)
    assert 0 not in round_.server.waiting_for


def test_a_vector_that_came_in_part_is_not_in_the_sum(monkeypatch):
    monkeypatch.setattr(masked_input, "CHUNK_VALUES", 2)
    round_ = Round(SEMI_HONEST, length=5)
    round_.until(ServerState.MASKED_INPUT)
    round_.ask()
    last = [mail for mail in round_.up if mail[0] == 2][-1]
    round_.up.remove(last)
    round_.collect()
    with pytest.raises(RemoteProtocolError, match="late"):
        round_.server.receive(round_.open(last[1]))
    round_.until(ServerState.DONE)
    result = round_.server.result()
    assert result.survivors == {0, 1, 3, 4, 5}
    assert result.dropped == {2: Step.MASKED_INPUT}
    assert result.total.tolist() == integer_sum(round_.vectors, result.survivors, 32)


def test_a_chunk_with_another_set_of_neighbours_is_refused():
    arriving = masked_input.Arriving(Round(SEMI_HONEST, length=1).context, "p", frozenset(range(1, 6)))
    arriving._parts = [slice(0, 0), slice(0, 0)]
    arriving.add(MaskedInput(0, bitmap.pack({1, 2, 3, 4, 5}, 6), b""))
    with pytest.raises(RemoteProtocolError, match="A_u is not the 5 parties"):
        arriving.add(MaskedInput(1, bitmap.pack({1, 2, 3, 4}, 6), b""))


@pytest.mark.parametrize(
    ("neighbours", "words", "error", "match"),
    [
        ({0, 1, 2, 3}, bytes(4), RemoteProtocolError, "A_u is not the 3"),
        ({1, 2, 3, 5}, bytes(4), RemoteProtocolError, "A_u is not the 3"),
        ({1, 2}, bytes(4), RemoteProtocolError, "A_u is not the 3"),
        ({1, 2, 3}, bytes(3), MalformedMessageError, "does not fit"),
        ({1, 2, 3}, bytes(5), MalformedMessageError, "does not fit"),
        ({1, 2, 3}, b"\x00\x00\x00\x80", MalformedMessageError, "below 2"),
    ],
)
def test_a_masked_vector_that_does_not_fit_is_refused_by_the_server(neighbours, words, error, match):
    context = dataclasses.replace(Round(SEMI_HONEST, length=1).context, ring_bits=31)
    arriving = masked_input.Arriving(context, "somebody", frozenset({1, 2, 3}))
    with pytest.raises(error, match=match) as caught:
        arriving.add(MaskedInput(0, bitmap.pack(neighbours, 6), words))
    assert caught.value.suspects == ("somebody",)
    assert not arriving.complete


@pytest.mark.parametrize(
    "vector",
    [
        np.zeros(4, np.uint32),
        np.zeros(2, np.uint32),
        np.zeros((3, 1), np.uint32),
        np.zeros(3, np.uint64),
        np.zeros(3, np.int32),
        np.zeros(3, np.float32),
        np.full(3, 1 << 31, np.uint32),
    ],
    ids=lambda vector: f"{vector.dtype}{list(vector.shape)}",
)
def test_a_vector_that_does_not_fit_the_plan_is_never_masked(vector):
    round_ = Round(SEMI_HONEST, bits=31)
    round_.until(ServerState.MASKED_INPUT)
    client = round_.clients[0]
    client.receive(round_.open(dict(round_.down)[0]))
    with pytest.raises(LocalProtocolError, match=r"cannot be masked|not below 2\^31"):
        client.mask(vector)
    assert client.state is ClientState.READY
    assert list(client.mask(round_.vectors[0].copy()))


@pytest.mark.parametrize("place", [0, 4])
def test_a_part_beyond_the_ring_is_never_masked_and_ends_the_round_for_its_party(monkeypatch, place):
    """Parts before it may have left by then: nobody has seen the whole."""
    monkeypatch.setattr(masked_input, "CHUNK_VALUES", 2)
    round_ = Round(SEMI_HONEST, bits=31, length=5)
    round_.until(ServerState.MASKED_INPUT)
    client, vector = round_.clients[0], round_.vectors[0].copy()
    client.receive(round_.open(dict(round_.down)[0]))
    vector[place] = 1 << 31
    messages = client.mask_parts([vector[:2], vector[2:4], vector[4:]])
    assert len([next(messages) for _ in range(place // 2)]) == place // 2
    with pytest.raises(LocalProtocolError, match=r"not below 2\^31"):
        next(messages)
    assert vector[place] == 1 << 31
    assert client.state is ClientState.ABORTED


def test_a_masked_vector_is_masked_in_place():
    """The caller's vector holds y_u afterwards: no second copy of x_u is left over."""
    round_ = Round(SEMI_HONEST, length=20)
    round_.until(ServerState.MASKED_INPUT)
    client, vector = round_.clients[0], round_.vectors[0].copy()
    client.receive(round_.open(dict(round_.down)[0]))
    (message,) = client.mask(vector)
    assert chunk_of(round_, message).words == vector.tobytes()
    assert not np.array_equal(vector, round_.vectors[0])


@BOTH
def test_neither_a_masked_vector_nor_their_sum_shows_a_word_of_the_inputs(chosen):
    round_ = Round(chosen, bits=32, length=64)
    round_.until(ServerState.MASKED_INPUT)
    round_.ask()
    masked = {party: np.frombuffer(chunk_of(round_, data).words, "<u4") for party, data in round_.up}
    for party, words in masked.items():
        assert np.count_nonzero(words == round_.vectors[party]) < 4
    # The pairwise masks cancel in the sum, the self masks do not.
    total = sum(words.astype(np.uint64) for words in masked.values()) % 2**32
    assert np.count_nonzero(total == integer_sum(round_.vectors, range(6), 32)) < 4


def test_survivor_sets_are_checked_by_each_party():
    keys = key_list(Round(ACTIVE).context)
    neighbours = frozenset({1, 2, 3, 4})

    def accept(*survivors):
        accept_survivors(keys, 0, neighbours, frozenset(survivors), phase=Step.CONSISTENCY)

    accept(0, 1, 2, 3)
    accept(0, 1, 2, 3, 4)
    for survivors, match in (
        ((0, 1, 2, 3, 5), "dealt this one no shares"),
        ((1, 2, 3, 4), "this party sent its vector and is missing"),
        ((0, 1, 2), "of 3 is below the floor of 4"),
        ((), "missing"),
    ):
        with pytest.raises(RemoteProtocolError, match=match) as caught:
            accept(*survivors)
        assert caught.value.suspects == ("server",)


def test_the_floor_of_a_survivor_set_is_the_larger_of_threshold_and_min_survivors():
    keys = key_list(dataclasses.replace(Round(ACTIVE).context, min_survivors=5))
    with pytest.raises(RemoteProtocolError, match="floor of 5"):
        accept_survivors(keys, 0, frozenset(range(1, 6)), frozenset(range(4)), phase=Step.UNMASK)


def test_what_is_signed_is_the_set_whatever_its_order_and_nothing_else():
    ctx = bytes(32)
    data = {survivors_data(ctx, members) for members in ([1, 2, 3], [3, 2, 1], (2, 1, 3))}
    assert len(data) == 1
    others = [survivors_data(ctx, [1, 2]), survivors_data(ctx, [1, 2, 4]), survivors_data(b"c" * 32, [1, 2, 3])]
    assert len({*data, *others}) == 4


def test_every_field_of_the_context_enters_ctx():
    context = Round(ACTIVE).context
    root = bytes(32)
    changes = {
        "session": b"another session!",
        "round": 2,
        "roster_digest": b"x" * 32,
        "plan_digest": b"x" * 32,
        "model_digest": b"x" * 32,
    }
    values = [bind(dataclasses.replace(context, **{name: value}), root) for name, value in changes.items()]
    assert len({bind(context, root), bind(context, b"r" * 32), *values}) == 7
    first = [pre_context(dataclasses.replace(context, **{name: value})) for name, value in changes.items()]
    assert len({pre_context(context), *first}) == 4, "plan and model are not known when keys are advertised"
    carried = {"parties", "threshold", "max_colluders", "min_survivors", "server", "ring_bits", "length", "graph"}
    carried |= {"neighbours", "prefetch", "noise_labels"}
    assert {field.name for field in dataclasses.fields(context)} == changes.keys() | carried, "plan_digest holds these"
    assert context.graph is Graph.COMPLETE


def test_every_key_has_a_use_of_its_own():
    ctx, secret = b"c" * 32, b"s" * 32
    assert pair_key(ctx, secret, 1, 2) == pair_key(ctx, secret, 2, 1)
    assert share_key(ctx, secret, 1, 2) != share_key(ctx, secret, 2, 1)
    keys = [
        pair_key(ctx, secret, 1, 2),
        pair_key(ctx, secret, 1, 3),
        pair_key(b"d" * 32, secret, 1, 2),
        pair_key(ctx, b"t" * 32, 1, 2),
        share_key(ctx, secret, 1, 2),
        share_key(ctx, secret, 2, 1),
        self_key(ctx, 1, secret),
        self_key(ctx, 2, secret),
        self_key(b"d" * 32, 1, secret),
    ]
    assert len(set(keys)) == len(keys)
    assert [pair_sign(1, 2), pair_sign(2, 1)] == [1, -1]


@BOTH
@pytest.mark.parametrize("step", list(Step))
def test_a_round_bears_exactly_as_many_dropouts_as_it_promises(chosen, step):
    if step is Step.CONSISTENCY and not chosen.active:
        return
    most = dict.fromkeys(range(chosen.max_dropouts), step)
    round_ = Round(chosen)
    round_.until(ServerState.DONE, most)
    result = round_.server.result()
    lost = set(most) if step in {Step.ADVERTISE, Step.SHARE_KEYS, Step.MASKED_INPUT} else set()
    assert result.survivors == set(range(6)) - lost
    assert result.dropped == most
    assert result.total.tolist() == integer_sum(round_.vectors, result.survivors, 32)
    with pytest.raises(BelowThresholdError) as caught:
        Round(chosen).until(ServerState.DONE, {**most, chosen.max_dropouts: step})
    assert caught.value.phase in {step, Step.UNMASK}
    assert caught.value.remedy


def test_the_server_names_a_dealing_for_others_than_the_neighbours():
    round_ = Round(SEMI_HONEST)
    round_.until(ServerState.SHARE_KEYS)
    round_.ask()
    body = round_.open(round_.up[0][1]).body
    dealt = codec.decode(Shares, body, limit=len(body))
    from securefl.secagg.share_keys import check_shares

    everybody = frozenset(range(6))
    check_shares(dealt, party=0, name="a", neighbours=everybody)
    fewer = Shares(dealt.commitments, dealt.sealed[1:])
    doubled = Shares(dealt.commitments, [dealt.sealed[0], *dealt.sealed])
    swapped = Shares(dealt.commitments, dealt.sealed[::-1])
    one_label = Shares(dealt.commitments[:1], dealt.sealed)
    for wrong in (fewer, doubled, swapped, one_label):
        with pytest.raises(ProtocolError) as caught:
            check_shares(wrong, party=0, name="a", neighbours=everybody)
        assert caught.value.suspects == ("a",)
    with pytest.raises(MalformedMessageError):
        check_shares(dealt, party=1, name="b", neighbours=everybody)
