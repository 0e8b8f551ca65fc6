from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.wire import codec, messages
from securefl.wire.messages import Kind, Message


def kinds_of(base):
    return [
        kind for sub in base.__subclasses__() for kind in (sub, *kinds_of(sub)) if kind.__module__ == messages.__name__
    ]


MESSAGES = kinds_of(Message)


def test_every_kind_of_message_is_among_those_tested():
    assert len(MESSAGES) == 22
    travelling = {name.replace("_", "") for name in Kind.__members__}
    assert travelling <= {kind.__name__.upper() for kind in MESSAGES}


def values_of(kind):
    """Every value that the type and its bounds allow, lists kept short."""
    match msgspec.inspect.type_info(kind) if isinstance(kind, type) else kind:
        case msgspec.inspect.IntType(ge=low, lt=high):
            return st.integers(low, high - 1)
        case msgspec.inspect.BytesType(min_length=low, max_length=high):
            return st.binary(min_size=low or 0, max_size=min(high, (low or 0) + 100))
        case msgspec.inspect.StrType(pattern=pattern, max_length=high):
            return st.from_regex(pattern.replace("+", f"{{1,{high}}}"))
        case msgspec.inspect.ListType(item_type=item, min_length=low):
            return st.lists(values_of(item), min_size=low or 0, max_size=(low or 0) + 3)
        case msgspec.inspect.StructType(cls=cls, fields=fields):
            return st.builds(cls, *(values_of(field.type) for field in fields))
        case other:
            raise AssertionError(f"no values for {other}")


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_every_message_survives_the_wire_and_is_bound_to_its_type(kind, data):
    message = data.draw(values_of(kind))
    encoded = codec.encode(message)
    assert codec.decode(kind, encoded, limit=len(encoded)) == message
    assert codec.encode(codec.decode(kind, encoded, limit=len(encoded))) == encoded


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
def test_every_field_of_every_message_is_bounded(kind):
    def bounded(info):
        match info:
            case msgspec.inspect.IntType(ge=low, lt=high):
                return low is not None and high is not None
            case msgspec.inspect.BytesType(max_length=high) | msgspec.inspect.StrType(max_length=high):
                return high is not None
            case msgspec.inspect.ListType(item_type=item, max_length=high):
                return high is not None and bounded(item)
            case msgspec.inspect.StructType():
                return True  # itself among MESSAGES
        return False

    info = msgspec.inspect.type_info(kind)
    assert info.array_like
    assert info.forbid_unknown_fields
    assert kind.__struct_config__.frozen
    assert all(bounded(field.type) for field in info.fields), kind


def test_kinds_have_numbers_of_their_own_that_never_change():
    assert {kind.name: kind.value for kind in Kind} == {
        "INVITE": 0,
        "ADVERTISE": 1,
        "ROSTER": 2,
        "SHARES": 3,
        "CIPHERTEXTS": 4,
        "MASKED_INPUT": 5,
        "SURVIVORS": 6,
        "CONSISTENCY": 7,
        "UNMASK": 8,
        "UNMASK_SHARES": 9,
        "ENCRYPT": 10,
        "ENCRYPTED_INPUT": 11,
        "DECRYPT": 12,
        "DECRYPTED": 13,
        "PARTIAL_DECRYPTION": 14,
    }
