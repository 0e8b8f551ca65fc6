from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st

from securefl.errors import CryptoError, EncodingError, UnsafePlanError
from securefl.paillier import Ciphertexts, Encryptor, PrivateKey, PublicKey, SlotLayout

TEST = {"insecure_size_for_tests": True}


@functools.cache
def key():
    return PrivateKey.generate(512, **TEST)


@functools.cache
def encryptor(mode="djn"):
    return Encryptor(key().public_key, mode, window=4)


modes = st.sampled_from(["standard", "djn", "short"])
plaintexts = st.integers(-(2**510), 2**510)  # below (n - 1) / 2, whatever n
vectors = st.lists(plaintexts, max_size=4)


KEY_BITS = st.sampled_from([256, 512, 2048, 3072])


@st.composite
def layouts(draw, key_bits=KEY_BITS):
    try:
        return SlotLayout(
            draw(key_bits),
            draw(st.integers(1, 40)),
            draw(st.integers(1, 2 ** draw(st.integers(1, 31)))),
            draw(st.integers(1, 1000)),
            draw(st.integers(0, 20)),
        )
    except UnsafePlanError:
        reject()


@st.composite
def sums(draw, **kwargs):
    """A layout and up to as many vectors as it is for, with its extremes among their values."""
    layout = draw(layouts(**kwargs))
    values = st.integers(-layout.bound, layout.bound) | st.sampled_from([-layout.bound, layout.bound, 0])
    length = draw(st.integers(0, 60))
    parties = draw(st.integers(1, min(4, layout.parties)))
    return layout, [draw(st.lists(values, min_size=length, max_size=length)) for _ in range(parties)]


def centred(value):
    n = int(key().public_key.n)
    return (value + n // 2) % n - n // 2


@given(sums())
def test_the_unpacked_sum_of_packed_vectors_is_the_sum_of_integers(drawn):
    layout, given_ = drawn
    packed = [layout.pack(np.array(v, dtype=np.int64)) for v in given_]
    total = [sum(column) for column in zip(*packed, strict=True)]
    length = len(given_[0])
    assert all(m < 2 ** (layout.key_bits - 2) for m in total)
    result = layout.unpack(total, length, vectors=len(given_))
    assert result.tolist() == [sum(column) for column in zip(*given_, strict=True)] or not length


@given(sums(key_bits=st.just(512)), modes)
def test_the_decrypted_packed_sum_is_the_sum_of_integers(drawn, mode):
    layout, given_ = drawn
    sent = [encryptor(mode).encrypt(layout.pack(np.array(v, dtype=np.int64)), threads=1) for v in given_]
    total = encryptor(mode).rerandomise(Ciphertexts.total(sent, threads=1), threads=1)
    result = layout.unpack(key().decrypt(total, threads=1), len(given_[0]), vectors=len(given_))
    assert result.tolist() == [sum(column) for column in zip(*given_, strict=True)]


@given(layouts(), st.integers(0, 50), st.integers(1, 2**60), st.sampled_from([-1, 1]))
def test_a_value_beyond_the_bound_is_refused_before_encryption(layout, index, beyond, sign):
    value = sign * (layout.bound + beyond)
    vector = np.zeros(index + 1, dtype=np.int64)
    assume(abs(value) < 2**63)
    vector[index] = value
    with pytest.raises(EncodingError, match=f"value {index} is beyond"):
        layout.pack(vector)


@given(plaintexts, plaintexts, modes)
def test_decrypting_a_sum_gives_the_sum_modulo_n(a, b, mode):
    encrypt = functools.partial(encryptor(mode).encrypt, threads=1)
    assert key().decrypt(encrypt([a]) + encrypt([b]), threads=1) == [centred(a + b)]


@given(plaintexts, st.integers(-(2**70), 2**70))
def test_decrypting_a_multiple_gives_the_multiple_modulo_n(m, factor):
    assert key().decrypt(encryptor().encrypt([m], threads=1).scaled(factor), threads=1) == [centred(m * factor)]


@given(vectors, modes)
def test_decryption_undoes_encryption_and_rerandomising(values, mode):
    encrypted = encryptor(mode).encrypt(values, threads=1)
    again = encryptor(mode).rerandomise(encrypted, threads=1)
    assert key().decrypt(encrypted, threads=1) == key().decrypt(again, threads=1) == values
    assert not set(encrypted.values) & set(again.values)


@given(vectors)
def test_ciphertexts_come_back_from_their_bytes(values):
    encrypted = encryptor().encrypt(values, threads=1)
    again = Ciphertexts.from_bytes(encrypted.to_bytes(), key=key().public_key, count=len(values))
    assert again.values == encrypted.values
    assert again.key == encrypted.key


@given(st.lists(st.lists(plaintexts, min_size=2, max_size=2), min_size=1, max_size=5))
def test_the_total_is_the_same_in_whatever_order_vectors_are_added(rows):
    encrypted = [encryptor().encrypt(row, threads=1) for row in rows]
    one_by_one = functools.reduce(lambda a, b: a + b, encrypted)
    assert Ciphertexts.total(encrypted, threads=1).values == one_by_one.values
    assert Ciphertexts.total(encrypted[::-1], threads=2).values == one_by_one.values


@given(st.binary(max_size=120) | st.binary(max_size=90).map(lambda tail: b"securefl-paillier-public" + tail))
def test_arbitrary_bytes_are_a_public_key_in_canonical_form_or_are_refused(data):
    try:
        public = PublicKey.from_bytes(data, **TEST)
    except CryptoError:
        return
    assert public.to_bytes() == data
