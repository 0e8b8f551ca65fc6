"""Laws of the ring and of packed words."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from securefl.encoding import Ring, pack, packed_size, required_bits, unpack
from securefl.errors import EncodingError, UnsafePlanError

BITS = st.integers(8, 64)
INT64 = st.integers(-(2**63), 2**63 - 1)
moderate = settings(max_examples=100)


def words_of(bits, values):
    return np.array([value % 2**bits for value in values], dtype=Ring(bits).dtype)


@moderate
@given(BITS, st.lists(st.lists(INT64, min_size=3, max_size=3), min_size=1, max_size=6))
def test_the_sum_of_the_reduced_is_the_reduced_sum(bits, vectors):
    ring = Ring(bits)
    acc = ring.zeros(3)
    for vector in vectors:
        ring.add_into(acc, ring.reduce(np.array(vector, dtype=np.int64)))
    assert acc.dtype == ring.dtype
    assert acc.tolist() == [sum(column) % ring.modulus for column in zip(*vectors, strict=True)]


@moderate
@given(BITS, st.lists(INT64))
def test_centre_is_the_representative_nearest_to_zero(bits, values):
    ring = Ring(bits)
    array = np.array(values, dtype=np.int64)
    words = ring.reduce(array)
    before = words.copy()
    half = ring.modulus // 2
    assert ring.centre(words).tolist() == [(value + half) % ring.modulus - half for value in values]
    assert np.array_equal(words, before)


@moderate
@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 2**31))
def test_required_bits_is_the_least_ring_that_holds_every_sum(parties, weight, value):
    states = 2 * parties * weight * value + 1
    least = next(bits for bits in range(8, 200) if 2**bits >= states)
    if least > 64:
        with pytest.raises(UnsafePlanError, match="ring bits") as caught:
            required_bits(parties, weight, value)
        assert caught.value.value == least
        assert caught.value.remedy
    else:
        assert required_bits(parties, weight, value) == least


@moderate
@given(st.integers(1, 200), st.integers(1, 1000), st.integers(1, 2**31 - 1))
def test_extreme_sums_survive_the_required_ring(parties, weight, value):
    ring = Ring(required_bits(parties, weight, value))
    extremes = np.array([parties * weight * value, -parties * weight * value], dtype=np.int64)
    assert np.array_equal(ring.centre(ring.reduce(extremes)), extremes)


@pytest.mark.parametrize("bits", range(8, 65))
@settings(max_examples=10)
@given(values=st.lists(st.integers(0, 2**64 - 1), max_size=20))
def test_packed_words_round_trip(bits, values):
    words = words_of(bits, values)
    data = pack(words, bits)
    assert len(data) == packed_size(len(values), bits)
    assert data == b"".join(int(word).to_bytes(-(-bits // 8), "little") for word in words)
    for form in (data, memoryview(data)):
        back = unpack(form, bits, len(values))
        assert back.dtype == words.dtype
        assert np.array_equal(back, words)


@moderate
@given(BITS, st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=5), st.data())
def test_every_other_length_is_refused(bits, values, data):
    packed = pack(words_of(bits, values), bits)
    length = data.draw(st.integers(0, len(packed) + 9).filter(lambda size: size != len(packed)))
    with pytest.raises(EncodingError, match="need"):
        unpack(packed.ljust(length, b"\0")[:length], bits, len(values))


@moderate
@given(BITS.filter(lambda bits: bits % 8), st.data())
def test_every_word_outside_the_ring_is_refused_by_its_index(bits, data):
    width = -(-bits // 8)
    words = data.draw(st.lists(st.integers(0, 2 ** (8 * width) - 1), min_size=1, max_size=8))
    words[data.draw(st.integers(0, len(words) - 1))] = data.draw(st.integers(2**bits, 2 ** (8 * width) - 1))
    first = next(index for index, word in enumerate(words) if word >= 2**bits)
    with pytest.raises(EncodingError, match=f"word {first} "):
        unpack(b"".join(word.to_bytes(width, "little") for word in words), bits, len(words))


@moderate
@given(BITS, hnp.arrays(np.int64, hnp.array_shapes(max_dims=1, max_side=9)))
def test_pack_takes_strided_words(bits, values):
    words = Ring(bits).reduce(values)
    assert pack(words[::-2], bits) == pack(words[::-2].copy(), bits)
