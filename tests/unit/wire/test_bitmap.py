from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.errors import MalformedMessageError
from securefl.wire import bitmap


@given(st.data())
def test_a_set_survives_packing_in_ceil_n_eighths_bytes(data):
    parties = data.draw(st.integers(1, 300))
    members = data.draw(st.frozensets(st.integers(0, parties - 1)))
    packed = bitmap.pack(members, parties)
    assert len(packed) == (parties + 7) // 8
    assert bitmap.unpack(packed, parties) == members


@given(st.data())
def test_every_set_has_one_form(data):
    parties = data.draw(st.integers(1, 60))
    packed = data.draw(st.binary(min_size=(parties + 7) // 8, max_size=(parties + 7) // 8))
    try:
        members = bitmap.unpack(packed, parties)
    except MalformedMessageError:
        assert int.from_bytes(packed, "little") >> parties
    else:
        assert bitmap.pack(members, parties) == packed


def test_party_i_is_bit_i_of_the_bytes_in_order():
    assert bitmap.pack({0, 3, 8}, 10) == b"\x09\x01"
    assert bitmap.unpack(b"\x09\x01", 10) == {0, 3, 8}


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00\x00\x00"])
def test_another_length_is_refused(data):
    with pytest.raises(MalformedMessageError, match="takes 2 bytes") as caught:
        bitmap.unpack(data, 10, phase="unmask", suspect="server")
    assert (caught.value.phase, caught.value.suspects) == ("unmask", ("server",))


@pytest.mark.parametrize("bit", range(10, 16))
def test_a_party_beyond_the_last_is_refused(bit):
    with pytest.raises(MalformedMessageError, match="beyond the last of 10"):
        bitmap.unpack((1 << bit).to_bytes(2, "little"), 10)
