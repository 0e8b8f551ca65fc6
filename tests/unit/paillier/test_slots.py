from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from securefl.encoding.ring import Ring
from securefl.errors import CryptoError, EncodingError, UnsafePlanError
from securefl.paillier import SlotLayout, packing

Q = 2**15 - 1
LAYOUT = SlotLayout(512, 10, Q)


def add(plaintexts):
    return [sum(column) for column in zip(*plaintexts, strict=True)]


@pytest.mark.parametrize(
    ("parties", "bits", "slots"), [(10, 20, 153), (100, 23, 133), (3, 18, 170), (1000, 26, 118), (100_000, 33, 93)]
)
def test_slots_of_16_bit_values_at_3072_bits(parties, bits, slots):
    layout = SlotLayout(3072, parties, Q)
    assert layout.slot_bits == bits == math.ceil(math.log2(2 * parties * Q + 1))
    assert layout.slots == slots


@pytest.mark.parametrize("key_bits", [512, 2048, 3072])
@pytest.mark.parametrize("parties", [1, 3, 10, 127])
@pytest.mark.parametrize(
    ("max_value", "weight", "noise"), [(1, 1, 0), (Q, 1, 0), (Q, 100, 0), (7, 1, 5), (2**31 - 1, 9, 3)]
)
def test_no_sum_of_extreme_vectors_borrows_or_carries(key_bits, parties, max_value, weight, noise):
    layout = SlotLayout(key_bits, parties, max_value, weight, noise)
    assert layout.bound == weight * max_value * 2**noise
    assert 2 * parties * layout.bound < 2**layout.slot_bits
    assert layout.slots * layout.slot_bits <= key_bits - 2
    count = 2 * layout.slots + 1
    for sign in (np.ones(count, dtype=int), -np.ones(count, dtype=int), np.resize([1, -1], count)):
        vector = sign * layout.bound
        packed = layout.pack(vector)
        assert len(packed) == layout.plaintexts(count) == 3
        assert all(0 <= m < 2 ** (key_bits - 2) // parties for m in packed[:-1])
        total = add([packed] * parties)
        assert all(m < 2 ** (key_bits - 2) for m in total)
        assert layout.unpack(total, count, vectors=parties).tolist() == (parties * vector.astype(object)).tolist()


def test_the_offset_is_taken_off_once_for_each_survivor():
    vector = np.array([5, -5, 0])
    for survivors in range(1, 11):
        total = add([LAYOUT.pack(vector)] * survivors)
        assert LAYOUT.unpack(total, 3, vectors=survivors).tolist() == [5 * survivors, -5 * survivors, 0]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.uint32, np.int64, np.uint64, ">i8", ">i2"])
def test_any_integer_dtype_without_silent_overflow(dtype):
    top = min(np.iinfo(dtype).max, LAYOUT.bound)
    bottom = max(np.iinfo(dtype).min, -LAYOUT.bound)
    values = np.array([bottom, 0, 1, top], dtype=dtype)
    assert LAYOUT.unpack(LAYOUT.pack(values), 4, vectors=1).tolist() == [bottom, 0, 1, top]


@pytest.mark.parametrize(
    "bad",
    [
        np.array([0, Q + 1]),
        np.array([0, -Q - 1]),
        np.array([0, -(2**63)]),
        np.array([0, 2**64 - 1], dtype=np.uint64),
        np.array([0, 2**63], dtype=np.uint64),
        np.array([0, -(2**15)], dtype=np.int16),
    ],
)
def test_one_value_beyond_the_bound_is_refused(bad):
    with pytest.raises(EncodingError, match=r"value 1 is beyond ±32767"):
        LAYOUT.pack(bad)


@pytest.mark.parametrize("bad", [np.array([1.0]), np.zeros((2, 2), dtype=int), np.array([True]), np.array([10**30])])
def test_other_arrays_are_refused(bad):
    with pytest.raises(EncodingError, match="an array of dtype"):
        LAYOUT.pack(bad)


def test_strided_and_empty_vectors():
    values = np.arange(-50, 50)
    assert LAYOUT.unpack(LAYOUT.pack(values[::-3]), 34, vectors=1).tolist() == values[::-3].tolist()
    assert LAYOUT.pack(np.zeros(0, dtype=int)) == []
    assert LAYOUT.unpack([], 0, vectors=1).shape == (0,)


@pytest.mark.parametrize("bits", [*range(8, 58), 64])
@pytest.mark.parametrize("slots", [1, 7, 8, 9, 24])
def test_packing_is_the_sum_of_shifted_slots(bits, slots):
    count = 3 * slots - min(2, slots - 1)
    top = min(2**bits, 2**63)
    values = np.random.default_rng(bits).integers(0, top, count) - top // 2
    packed = packing.pack(values, top // 2, bits, slots)
    plain = [int(v) + top // 2 for v in values]
    rows = [plain[i : i + slots] for i in range(0, count, slots)]
    assert packed == [sum(v << bits * i for i, v in enumerate(row)) for row in rows]
    unpacked = packing.unpack(packed, bits, slots)
    assert unpacked[:count].tolist() == plain
    assert not unpacked[count:].any()


def test_many_blocks_of_rows():
    values = np.random.default_rng(0).integers(-Q, Q + 1, 3 * packing._ROWS * LAYOUT.slots + 5)
    assert np.array_equal(LAYOUT.unpack(LAYOUT.pack(values), values.size, vectors=1), values)


def test_plaintexts_that_are_no_such_sum_are_refused():
    vector = np.full(3, Q)
    packed = LAYOUT.pack(vector)
    assert LAYOUT.unpack(packed, 3, vectors=1).tolist() == [Q] * 3
    with pytest.raises(CryptoError, match="no sum of 1 vectors"):
        LAYOUT.unpack(add([packed, packed]), 3, vectors=1)
    for bad in (-1, 1 << LAYOUT.slots * LAYOUT.slot_bits, packed[0] + (1 << 3 * LAYOUT.slot_bits)):
        with pytest.raises(CryptoError, match="no sum of 1 vectors"):
            LAYOUT.unpack([bad], 3, vectors=1)
    with pytest.raises(CryptoError, match="3 values lie in 1 plaintexts, came 2"):
        LAYOUT.unpack(packed * 2, 3, vectors=1)
    for vectors in (0, 11):
        with pytest.raises(EncodingError, match=r"in a layout for 1\.\.10"):
            LAYOUT.unpack(packed, 3, vectors=vectors)


def test_layouts_that_could_overflow_cannot_be_made():
    for name, value in (("key_bits", 0), ("parties", 0), ("max_value", 0), ("max_weight", 0), ("noise_bits", -1)):
        with pytest.raises(UnsafePlanError, match=name):
            dataclasses.replace(LAYOUT, **{name: value})
        with pytest.raises(UnsafePlanError, match=name):
            dataclasses.replace(LAYOUT, **{name: 20.0})
    SlotLayout(512, 2**31, 2**31 - 1)
    for wide in ({"parties": 2**32}, {"max_weight": 2**40}, {"noise_bits": 60}, {"noise_bits": 10**9}):
        with pytest.raises(UnsafePlanError, match="too wide"):
            dataclasses.replace(SlotLayout(512, 2**31, 2**31 - 1), **wide)
    with pytest.raises(UnsafePlanError, match="wider than a plaintext"):
        SlotLayout(20, 10, Q)


def test_narrow_and_wide_slots_are_rounded_to_what_is_packed():
    assert SlotLayout(512, 3, 1).slot_bits == 8
    assert SlotLayout(512, 1, 2**56 - 1).slot_bits == 57
    assert SlotLayout(512, 1, 2**57 - 1).slot_bits == 64


def test_room_for_noise():
    layout = SlotLayout.for_noise(3072, 10, Q, max_noise=Q, max_weight=3)
    assert layout.noise_bits == 1
    assert layout.bound >= 4 * Q
    assert layout.slot_bits == (2 * 10 * 3 * Q).bit_length() + 1
    assert SlotLayout.for_noise(3072, 10, Q, max_noise=0).noise_bits == 0
    assert SlotLayout.for_noise(3072, 10, Q, max_noise=1).noise_bits == 1


@pytest.mark.parametrize("bits", [8, 16, 23, 32, 40, 54])
def test_words_of_a_ring(bits):
    ring, parties = Ring(bits), 7
    layout = SlotLayout.for_words(3072, parties, ring)
    rng = np.random.default_rng(bits)
    words = [rng.integers(0, ring.modulus, 50, dtype=np.uint64).astype(ring.dtype) for _ in range(parties - 1)]
    words.append(np.full(50, ring.modulus // 2, dtype=ring.dtype))
    total = layout.unpack(add([layout.pack(ring.centre(w)) for w in words]), 50, vectors=parties)
    expected = ring.zeros(50)
    for w in words:
        ring.add_into(expected, w)
    assert np.array_equal(ring.reduce(total), expected)


def test_every_field_is_in_the_digest():
    changed = [dataclasses.replace(LAYOUT, **{field.name: 777}) for field in dataclasses.fields(LAYOUT)[:-1]]
    changed.append(dataclasses.replace(LAYOUT, noise_bits=1))
    assert len({layout.digest() for layout in [LAYOUT, *changed]}) == 6
