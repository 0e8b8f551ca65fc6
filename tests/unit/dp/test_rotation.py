"""The randomised Hadamard rotation: its definition, its signs, and what it refuses."""

import numpy as np
import pytest

from securefl.crypto.prg import keystream
from securefl.dp.rotation import Rotation, padded, walsh_hadamard
from securefl.errors import EncodingError

SEED = bytes(range(32))


def row(index, size):
    return np.array([(-1.0) ** (index & j).bit_count() for j in range(size)])


@pytest.mark.parametrize("bits", range(9))
def test_the_transform_is_its_definition(bits):
    size = 1 << bits
    matrix = np.array([row(i, size) for i in range(size)])
    vector = np.arange(1.0, size + 1)
    expected = matrix @ vector
    walsh_hadamard(vector)
    assert vector.tolist() == expected.tolist()


@pytest.mark.parametrize("bits", range(13, 20))
def test_large_transforms_are_exact_on_integers(bits):
    size = 1 << bits
    vector = np.random.default_rng(bits).integers(-1000, 1000, size).astype(float)
    transformed = vector.copy()
    walsh_hadamard(transformed)
    for index in (0, 1, size // 2, size - 1, 0x2B6D9 % size):
        assert transformed[index] == row(index, size) @ vector
    walsh_hadamard(transformed)
    assert np.array_equal(transformed, size * vector)


def test_signs_are_the_keystreams_bits_from_the_lowest():
    """A known answer, so that a party on another machine draws the same."""
    signs = Rotation(SEED, 64)
    first = signs.apply(np.eye(64)[0])[0] * 8
    word = int(keystream(SEED, 1, bits=32)[0])
    unit = [signs.apply(np.eye(64)[i])[0] * 8 for i in range(32)]
    assert first == unit[0]
    assert [value < 0 for value in unit] == [bool(word >> i & 1) for i in range(32)]
    assert sum((value < 0) << i for i, value in enumerate(unit)) == 0xB60090F2


def test_signs_continue_across_tiles():
    size = 1 << 15
    delta = np.zeros(size)
    words = keystream(SEED, size // 32, bits=32)
    for index in (16_383, 16_384, 16_385, 32_767):
        delta[:] = 0
        delta[index] = 1
        negative = bool(int(words[index // 32]) >> index % 32 & 1)
        assert (Rotation(SEED, size).apply(delta)[0] < 0) == negative


def test_another_seed_gives_another_rotation():
    vector = np.ones(256)
    one, other = (Rotation(bytes([i]) * 32, 256).apply(vector) for i in (1, 2))
    assert not np.allclose(one, other)


@pytest.mark.parametrize(
    ("size", "length"), [(1, 1), (2, 2), (3, 4), (250, 256), (256, 256), (257, 512), (20_000, 32_768)]
)
def test_the_dimension_is_padded_to_a_power_of_two(size, length):
    rotation = Rotation(SEED, size)
    vector = np.random.default_rng(size).normal(size=size)
    rotated = rotation.apply(vector)
    assert rotation.dimension == padded(size) == rotated.size == length
    back = rotation.invert(rotated)
    assert back.shape == (size,)
    assert np.allclose(back, vector, rtol=0, atol=1e-14 * np.abs(vector).max() * 10)


def test_a_spike_is_spread_evenly():
    rotated = Rotation(SEED, 1 << 16).apply(np.eye(1, 1 << 16, 77)[0])
    assert np.allclose(np.abs(rotated), 2.0**-8, rtol=1e-12)


def test_neither_way_changes_its_argument():
    vector = np.random.default_rng(3).normal(size=100)
    before = vector.copy()
    rotated = Rotation(SEED, 100).apply(vector)
    kept = rotated.copy()
    Rotation(SEED, 100).invert(rotated)
    assert np.array_equal(vector, before)
    assert np.array_equal(rotated, kept)


@pytest.mark.parametrize("seed", [bytes(31), bytes(33), bytearray(32), "0" * 32])
def test_a_seed_of_another_length_is_refused(seed):
    with pytest.raises(EncodingError, match="seed"):
        Rotation(seed, 10)


@pytest.mark.parametrize("size", [0, -1, 2**40])
def test_a_size_out_of_range_is_refused(size):
    with pytest.raises(EncodingError, match="values"):
        Rotation(SEED, size)


def test_other_shapes_and_dtypes_are_refused():
    rotation = Rotation(SEED, 3)
    for vector in (np.zeros(4), np.zeros(3, dtype=np.float32), np.zeros((3, 1))):
        with pytest.raises(EncodingError, match="expected float64"):
            rotation.apply(vector)
    with pytest.raises(EncodingError, match="expected float64"):
        rotation.invert(np.zeros(3))
    for vector in (np.zeros(0), np.zeros(3), np.zeros(4, dtype=np.float32), np.zeros(8)[::2], np.zeros((2, 2))):
        with pytest.raises(EncodingError, match="power of two"):
            walsh_hadamard(vector)
