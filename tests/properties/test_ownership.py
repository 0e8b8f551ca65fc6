"""Laws of watermarks: exact tails, files that give back what they took, commitments that bind."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from securefl.crypto.digest import digest
from securefl.crypto.seeded import SeededRandom
from securefl.federated.ownership import TriggerSet, Verification, binomial_tail
from securefl.federated.ownership.verification import p_text

SIZES, CLASSES = st.integers(1, 60), st.integers(2, 12)


@given(SIZES, CLASSES)
def test_tails_fall_from_one_to_all_by_the_binomials_probabilities(size, classes):
    tails = [binomial_tail(m, size, classes) for m in range(size + 1)] + [Fraction(0)]
    assert tails[0] == 1
    for m in range(size + 1):
        exactly = Fraction(math.comb(size, m) * (classes - 1) ** (size - m), classes**size)
        assert tails[m] - tails[m + 1] == exactly


@given(st.integers(1, 400), CLASSES, st.data())
def test_a_p_value_in_two_digits_is_the_p_value(size, classes, data):
    found = Verification(data.draw(st.integers(0, size)), size, classes)
    text = p_text(found)
    digits, _, power = text.partition("e")
    assert abs(Fraction(text) / found.tail - 1) <= Fraction(51, 1000)
    assert not power or 1 <= float(digits) < 10


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    CLASSES,
    st.integers(1, 20),
    st.floats(-100, 100, width=32),
    st.floats(0.125, 100, width=32),
    st.integers(0, 2**32),
)
def test_files_give_back_what_they_took(shape, classes, size, low, width, number):
    random = SeededRandom(digest("test", number))
    made = TriggerSet.generate((*shape, 3), classes, size=size, low=low, high=low + width, random=random)
    back = TriggerSet.from_bytes(made.to_bytes())
    assert np.array_equal(back.x, made.x)
    assert np.array_equal(back.y, made.y)
    assert back.to_bytes() == made.to_bytes()
    assert back.generated
    assert ((made.x >= np.float32(low)) & (made.x <= np.float32(low + width))).all()
    given_ones = TriggerSet(made.x, made.y, classes)
    again = TriggerSet.from_bytes(given_ones.to_bytes())
    assert again.commitment == given_ones.commitment != made.commitment
    assert not again.generated


@given(st.binary(max_size=300))
def test_bytes_of_somebody_else_are_refused_by_a_clear_error(data):
    import pytest

    from securefl.errors import ConfigError

    for text in (data, b"securefl-triggers 1\n" + data, b'securefl-triggers 1\n{"kind":"given"}\n' + data):
        with pytest.raises(ConfigError):
            TriggerSet.from_bytes(text)
