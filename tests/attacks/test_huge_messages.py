"""Messages that promise to be huge, or are: refused in little memory and no time."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable

import msgspec
import pytest

from attacks.harness import DOWN, MODELS, STRUCTS, UP, Seats, Table, order, pre_context_of
from securefl import MalformedMessageError, RemoteProtocolError, SecureFLError
from securefl.secagg.context import pre_context
from securefl.wire import codec
from securefl.wire.envelope import body_limit, message_limit, parse
from securefl.wire.messages import MAX_PARTIES, SECAGG_KINDS, Invite, Kind

BOUND = 64 << 20
"""Bytes that a refusal may allocate at its peak."""

HUGE = {
    "array32 of 2^31": b"\xdd\x80\x00\x00\x00",
    "array32 of 2^32 - 1": b"\xdd\xff\xff\xff\xff",
    "array32 of 2^24": b"\xdd\x01\x00\x00\x00",
    "map32 of 2^32 - 1": b"\xdf\xff\xff\xff\xff",
    "bin32 of 4 GiB": b"\xc6\xff\xff\xff\xff",
    "str32 of 4 GiB": b"\xdb\xff\xff\xff\xff",
    "ext32 of 4 GiB": b"\xc9\xff\xff\xff\xff\x05",
    "nested arrays": b"\x91" * 5000,
    "nested maps": b"\x81" * 5000,
}


def cheaply(act: Callable[[], object]) -> SecureFLError:
    """Run what must be refused; returns the refusal."""
    tracemalloc.start()
    started = time.process_time()  # of this process: others on the machine are no harm of the message's
    try:
        with pytest.raises(SecureFLError) as error:
            act()
        assert tracemalloc.get_traced_memory()[1] < BOUND
        assert time.process_time() - started < 5
        return error.value
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("header", HUGE.values(), ids=HUGE)
def test_an_envelope_that_promises_to_be_huge_is_refused_in_little_memory(header):
    """Success: a few bytes make the receiver allocate gigabytes."""
    table = Table(4, 3)
    for data in (header, b"\x97\x01\x01" + header, b"\x97" + header, header + bytes(1000)):
        cheaply(lambda data=data: parse(data, parties=4))
        cheaply(lambda data=data: table.give(data))
        cheaply(lambda data=data: table.hand(0, data))
    table.finish()
    table.assert_exact(range(4))


@pytest.mark.parametrize("kind", [*UP, *DOWN], ids=lambda kind: kind.name)
def test_a_sealed_body_that_promises_to_be_huge_is_refused_in_little_memory(kind):
    """Success: a malicious party or server, with a good seal, makes the receiver allocate gigabytes."""
    for model in MODELS:
        if kind not in order(model):
            continue
        for header in HUGE.values():
            table = Table(4, 3, server=model)
            early = {"binding": pre_context(table.context)} if kind in {Kind.ADVERTISE, Kind.ROSTER} else {}
            fields = len(STRUCTS[kind].__struct_fields__)
            for body in (
                header,
                bytes([0x90 | fields]) + header,
                bytes([0x90 | fields]) + b"\xc4\x00" * (fields - 1) + header,
            ):
                raw = msgspec.Raw(body)
                if kind in UP:
                    if table.kind is not kind:
                        table.play(kind)
                    cheaply(
                        lambda raw=raw, table=table, early=early: table.give(table.write_as(0, raw, kind=kind, **early))
                    )
                else:
                    fresh = Table(4, 3, server=model)
                    fresh.play(kind)
                    cheaply(lambda raw=raw, fresh=fresh, early=early: fresh.tell(0, raw, kind=kind, **early))
                    break


def test_an_invitation_that_promises_to_be_huge_is_refused_in_little_memory():
    """Success: a plan of a few bytes, or of a megabyte, makes a party allocate gigabytes before its policy is asked."""
    seats = Seats()
    client = seats.clients["hospital-0"]
    binding = pre_context_of(seats.plan, seats.roster, {})
    plan = seats.plan.to_bytes()
    place = plan.index(b"\x91\x93\xa1w\x91\x04")
    for header in HUGE.values():
        for data in (header, b"\xdc\x00\x11" + header, plan[:place] + header, plan[:place] + b"\x91" + header):
            cheaply(lambda data=data: client.receive(seats.invitation_of(data, binding)))
    leaf = msgspec.msgpack.encode(["w", [1 << 52], "float32"])
    many = b"".join(msgspec.msgpack.encode([f"w{min(i, 9_998):06}", [1], "float32"]) for i in range(10_000))
    rest = plan[place + 6 + len(b"\xa7float32") :]
    for leaves in (b"\x91" + leaf, b"\xdc" + (10_000).to_bytes(2, "big") + many, b"\xdc\xff\xff" + leaf * 65535):
        cheaply(lambda leaves=leaves: client.receive(seats.invitation_of(plan[:place] + leaves + rest, binding)))
    assert client.receive(seats.invitation())


def test_an_invitation_with_many_or_deep_names_is_refused_before_the_names_are_read():
    """Success: a megabyte of names keeps a party busy for seconds before its policy is asked."""
    seats = Seats()
    client = seats.clients["hospital-0"]
    binding = pre_context_of(seats.plan, seats.roster, {})
    plan = seats.plan.to_bytes()
    place = plan.index(b"\x91\x93\xa1w\x91\x04")
    rest = plan[place + 6 + len(b"\xa7float32") :]

    def answer(names: list[str]) -> str:
        leaves = msgspec.msgpack.encode([[name, [1], "float32"] for name in names])
        return str(cheaply(lambda: client.receive(seats.invitation_of(plan[:place] + leaves + rest, binding))))

    assert "of length <= 16384" in answer([f"{i:05}" for i in range(20_000)])
    deep = "/".join("a" * 30)
    assert "65536 steps in all" in answer([f"{deep}/{i:05}" for i in range(10_000)])
    assert client.receive(seats.invitation())


@pytest.mark.parametrize("parties", [3, 200])
def test_more_bytes_than_a_round_s_largest_message_are_refused_unread(parties):
    """Success: a message longer than any can be is parsed."""
    data = bytes(message_limit(parties) + 1)
    assert "at most" in str(cheaply(lambda: parse(data, parties=parties)))
    assert message_limit(parties) < 16 << 20


@pytest.mark.parametrize("kind", sorted(SECAGG_KINDS), ids=lambda kind: kind.name)
def test_a_body_longer_than_its_kind_can_be_is_refused(kind):
    """Success: a short kind of message carries megabytes (an answer, a signature, a set)."""
    table = Table(4, 3)
    data = table.write_as(0, msgspec.Raw(bytes(body_limit(kind, 4) + 1)), kind=kind)
    if len(data) > message_limit(4):
        return
    error = cheaply(lambda: parse(data, parties=4))
    assert isinstance(error, MalformedMessageError)
    assert f"at most {body_limit(kind, 4)} are allowed" in error.message


def test_the_codec_reads_nothing_beyond_its_limit():
    """Success: the limit of a nested message (a plan inside an invitation) is not kept."""
    message = codec.encode(Invite(bytes(100), bytes(32)))
    assert codec.decode(Invite, message, limit=len(message))
    with pytest.raises(MalformedMessageError, match="at most"):
        codec.decode(Invite, message, limit=len(message) - 1)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("size", [0, 1, 17, 19, 4000])
def test_a_vector_of_another_length_is_refused(model, size):
    """Success: a shorter or longer vector is added, or kept."""
    table = Table(4, 3, server=model)
    data = table.play(Kind.MASKED_INPUT)[0][0]
    chunk, neighbours, words = msgspec.msgpack.decode(parse(data, parties=4).body)
    assert len(words) == 18
    raw = msgspec.Raw(msgspec.msgpack.encode([chunk, neighbours, bytes(size)]))
    with pytest.raises(MalformedMessageError, match="does not fit the plan"):
        table.give(table.write_as(0, raw, kind=Kind.MASKED_INPUT))
    table.finish()
    table.assert_exact(range(4))


@pytest.mark.parametrize("model", MODELS)
def test_a_word_beyond_the_ring_is_refused(model):
    """Success: a value of 2^b or more is added (it would carry the sum over, or tell the server something about the sender)."""
    table = Table(4, 3, server=model)
    data = table.play(Kind.MASKED_INPUT)[0][0]
    chunk, neighbours, words = msgspec.msgpack.decode(parse(data, parties=4).body)
    raw = msgspec.Raw(msgspec.msgpack.encode([chunk, neighbours, b"\xff\xff\x1f" + words[3:]]))
    with pytest.raises(MalformedMessageError, match="needs to be below 2\\^20"):
        table.give(table.write_as(0, raw, kind=Kind.MASKED_INPUT))


def test_an_index_beyond_all_rosters_is_refused():
    """Success: a party's index reaches an array that has no such place."""
    table = Table(4, 3)
    message = msgspec.msgpack.decode(parse(table.play(Kind.ROSTER)[0][0], parties=4).body)
    message[4][3][0] = MAX_PARTIES
    with pytest.raises(MalformedMessageError):
        table.tell(0, msgspec.Raw(msgspec.msgpack.encode(message)), kind=Kind.ROSTER)
    fresh = Table(4, 3)
    fresh.play(Kind.ROSTER)
    message[4][3][0] = MAX_PARTIES - 1
    with pytest.raises(RemoteProtocolError):
        fresh.tell(0, msgspec.Raw(msgspec.msgpack.encode(message)), kind=Kind.ROSTER)


def test_a_dealer_cannot_pad_what_every_holder_must_fetch():
    """Success: one party makes every other (and the server, which keeps it all) carry thirty times the bytes of an honest dealing."""
    table = Table(4, 3)
    message = msgspec.msgpack.decode(parse(table.play(Kind.SHARES)[3][0], parties=4).body)
    assert {len(item[1]) for item in message[1]} == {121}
    for item in message[1]:
        item[1] = bytes(3612)
    with pytest.raises(MalformedMessageError):
        table.give(table.write_as(3, msgspec.Raw(msgspec.msgpack.encode(message)), kind=Kind.SHARES))
