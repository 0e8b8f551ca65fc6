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


def test_below_rejects_what_would_favour_small_values(monkeypatch):
    # 2^72 = 1 mod 3: the largest draw of 9 bytes begins a run of three that is cut short.
    draws = [2**72 - 1, 2**72 - 2, 5]
    monkeypatch.setattr("os.urandom", lambda size: draws.pop(0).to_bytes(size, "big"))
    assert OS.below(3) == (2**72 - 2) % 3
    assert OS.below(3) == 2
    assert not draws


@pytest.mark.parametrize("bound", [0, -1])
def test_below_needs_a_positive_bound(bound):
    with pytest.raises(ValueError, match="needs 1 or more"):
        OS.below(bound)


@pytest.mark.statistical
def test_below_a_bound_just_above_a_power_of_two_is_even():
    """Chi-square of 2^16 draws below 257: 256 expected, deviation 22.6; a bound of 9 deviations alarms < 1e-12."""
    counts = np.bincount([OS.below(257) for _ in range(2**16)], minlength=257)
    mean = 2**16 / 257
    assert float(((counts - mean) ** 2 / mean).sum()) < 256 + 9 * 22.6


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
