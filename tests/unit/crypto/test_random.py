from __future__ import annotations

import numpy as np
import pytest

from securefl.crypto.random import OS, uniform_uint64


def test_tokens_have_their_size_and_do_not_repeat():
    assert len(OS.token(33)) == 33
    # False-alarm rate 2^-256.
    assert OS.token(32) != OS.token(32)


def test_below_reaches_every_value_and_no_other():
    # False-alarm rate 5 * (4/5)^1000 < 2^-300.
    assert {OS.below(5) for _ in range(1000)} == set(range(5))


def test_below_takes_bounds_of_any_size():
    assert 0 <= OS.below(2**256 + 297) < 2**256 + 297


def test_uniform_words_are_the_little_endian_bytes_of_the_source(scripted):
    source = scripted(tokens=[bytes(range(16))])
    words = uniform_uint64(2, source)
    assert source.sizes == [16]
    assert words.dtype == np.uint64
    assert words.tolist() == [0x0706050403020100, 0x0F0E0D0C0B0A0908]
    words[0] = 1


@pytest.mark.statistical
def test_uniform_words_have_no_constant_or_biased_bit():
    """Each of 64 bits is set in half of 2^16 words, within 7 standard deviations; false alarms 64 * 2.6e-12 < 2e-10."""
    words = uniform_uint64(2**16)
    ones = np.array([np.count_nonzero(words >> np.uint64(bit) & np.uint64(1)) for bit in range(64)])
    assert np.all(np.abs(ones - 2**15) < 7 * 2**7)
