"""Rings and words by example."""

import numpy as np
import pytest

from securefl.encoding import Ring, pack, packed_size, required_bits, unpack
from securefl.errors import UnsafePlanError


@pytest.mark.parametrize(
    ("bits", "dtype", "width"), [(8, "u4", 1), (9, "u4", 2), (23, "u4", 3), (32, "u4", 4), (33, "u8", 5), (64, "u8", 8)]
)
def test_a_ring_knows_its_words(bits, dtype, width):
    ring = Ring(bits)
    assert (ring.modulus, ring.mask, ring.dtype, ring.word_bytes) == (2**bits, 2**bits - 1, np.dtype(dtype), width)
    assert ring.zeros(3).dtype == dtype
    assert packed_size(7, bits) == 7 * width


@pytest.mark.parametrize("bits", [7, 65, 0, -8, 16.0, True])
def test_a_ring_outside_8_to_64_bits_is_refused(bits):
    with pytest.raises(UnsafePlanError, match=r"8\.\.64"):
        Ring(bits)


def test_required_bits_are_those_of_the_specification():
    assert required_bits(100, 1, 2**15 - 1) == 23
    assert required_bits(100, 100, 2**15 - 1) == 30
    assert required_bits(1, 1, 1) == 8
    assert required_bits(1, 1, 2**62) == 64
    assert required_bits(1, 1, 2**63 - 1) == 64


@pytest.mark.parametrize("arguments", [(0, 1, 1), (1, 0, 1), (1, 1, 0), (1, 1, 2**63), (2**20, 2**20, 2**31)])
def test_required_bits_refuses_what_no_ring_holds(arguments):
    with pytest.raises(UnsafePlanError, match="Remedy"):
        required_bits(*arguments)


def test_reduce_into_writes_where_it_is_told():
    ring, out = Ring(24), Ring(24).zeros(6)
    ring.reduce_into(np.array([-1, 2**24, 5]), out[::2])
    assert out.tolist() == [2**24 - 1, 0, 0, 0, 5, 0]


def test_no_words_take_no_bytes():
    assert pack(Ring(23).zeros(0), 23) == b""
    assert unpack(b"", 23, 0).size == 0
