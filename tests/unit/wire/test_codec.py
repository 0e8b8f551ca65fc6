from __future__ import annotations

import resource
from typing import Annotated

import msgspec
import pytest

from securefl.errors import MalformedMessageError
from securefl.wire import codec
from securefl.wire.messages import Advertise, LabelledShare, MaskedInput, Message, Roster, ShareBundle, Survivors


class Pair(Message, frozen=True):
    number: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
    data: bytes


CANONICAL = b"\x92\x05\xc4\x02ab"

NON_CANONICAL = {
    "an integer in one byte more": b"\x92\xcc\x05\xc4\x02ab",
    "an integer in two bytes more": b"\x92\xcd\x00\x05\xc4\x02ab",
    "an integer in eight bytes": b"\x92\xcf" + bytes(7) + b"\x05\xc4\x02ab",
    "a signed integer": b"\x92\xd0\x05\xc4\x02ab",
    "bytes with a wider length": b"\x92\x05\xc5\x00\x02ab",
    "bytes with the widest length": b"\x92\x05\xc6\x00\x00\x00\x02ab",
    "an array with a wider length": b"\xdc\x00\x02\x05\xc4\x02ab",
}
REFUSED = {
    "trailing bytes": CANONICAL + b"\x00",
    "a second message": CANONICAL * 2,
    "truncated": CANONICAL[:-1],
    "nothing": b"",
    "a field more": b"\x93\x05\xc4\x02ab\xc0",
    "a field less": b"\x91\x05",
    "a map": b"\x82\xa6number\x05\xa4data\xc4\x02ab",
    "text for bytes": b"\x92\x05\xa2ab",
    "a float for an integer": b"\x92\xcb\x40\x14" + bytes(6) + b"\xc4\x02ab",
    "a negative integer": b"\x92\xff\xc4\x02ab",
    "an integer beyond its bound": b"\x92\xcf\x00\x00\x00\x01" + bytes(4) + b"\xc4\x02ab",
    "nil": b"\xc0",
    "the reserved byte": b"\xc1",
    "an array of 2^32 - 1": b"\xdd\xff\xff\xff\xff\x05",
    "bytes of 2^32 - 1": b"\x92\x05\xc6\xff\xff\xff\xff",
    "deep nesting": b"\x91" * 5000,
}


def test_the_canonical_form_is_accepted():
    assert codec.encode(Pair(5, b"ab")) == CANONICAL
    assert codec.decode(Pair, CANONICAL, limit=len(CANONICAL)) == Pair(5, b"ab")


@pytest.mark.parametrize("case", NON_CANONICAL)
def test_another_form_of_the_same_message_is_refused(case):
    data = NON_CANONICAL[case]
    assert msgspec.msgpack.decode(data, type=Pair) == Pair(5, b"ab"), "the case tests something else"
    with pytest.raises(MalformedMessageError, match="canonical"):
        codec.decode(Pair, data, limit=100)


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_message_is_refused(case):
    with pytest.raises(MalformedMessageError) as caught:
        codec.decode(Pair, REFUSED[case], limit=1 << 20, phase="unmask", suspect="somebody")
    assert caught.value.suspects == ("somebody",)
    assert caught.value.phase == "unmask"
    assert caught.value.remedy


def test_text_that_is_no_utf8_is_refused():
    data = codec.encode(ShareBundle([LabelledShare("self_mask", bytes(33))]))
    with pytest.raises(MalformedMessageError):
        codec.decode(ShareBundle, data.replace(b"self_mask", b"self\xff\xfe\xfdsk"), limit=1000)


@pytest.mark.parametrize("label", ["", "Self_mask", "self-mask", "x" * 17, "self_mask\n", "é"])
def test_a_label_is_a_short_word_of_plain_letters(label):
    with pytest.raises(MalformedMessageError):
        codec.decode(ShareBundle, codec.encode(ShareBundle([LabelledShare(label, bytes(33))])), limit=1000)


def test_a_message_longer_than_its_limit_is_refused_unread():
    with pytest.raises(MalformedMessageError, match=r"6 bytes long, at most 5"):
        codec.decode(Pair, CANONICAL, limit=5)
    with pytest.raises(MalformedMessageError, match="at most 5"):
        codec.decode(Pair, b"\xc1" * 6, limit=5)


@pytest.mark.parametrize(
    "message",
    [
        Advertise(bytes(31), bytes(32), b""),
        Advertise(bytes(32), bytes(33), b""),
        Advertise(bytes(32), bytes(32), bytes(65)),
        MaskedInput(-1, b"", b""),
        MaskedInput(1 << 32, b"", b""),
        Survivors(bytes((1 << 13) + 1)),
        ShareBundle([]),
        ShareBundle([LabelledShare("a", bytes(32))]),
        ShareBundle([LabelledShare("a", bytes(33))] * 65),
    ],
    ids=repr,
)
def test_a_field_out_of_bounds_is_refused(message):
    with pytest.raises(MalformedMessageError):
        codec.decode(type(message), codec.encode(message), limit=1 << 20)


def test_a_length_that_is_claimed_and_not_there_costs_no_memory():
    plain = codec.encode(Roster(bytes(32), bytes(32), bytes(32), 0, [], []))
    assert plain.endswith(b"\x90")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for length in (b"\xdd\xff\xff\xff\xff", b"\xdd\x7f\xff\xff\xff", b"\xdd\x00\x01\x00\x00"):
        with pytest.raises(MalformedMessageError):
            codec.decode(Roster, plain[:-1] + length, limit=1 << 20)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024  # KiB


def test_messages_are_frozen():
    with pytest.raises(AttributeError):
        Pair(5, b"ab").number = 6
