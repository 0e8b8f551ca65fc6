from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.crypto import aead
from securefl.crypto.kex import KeyPair
from securefl.crypto.secret import Secret
from securefl.crypto.signing import SigningKey, verify
from securefl.errors import CryptoError

keys = st.binary(min_size=32, max_size=32)


@given(keys, keys)
def test_both_sides_of_an_exchange_agree(a, b):
    alice, bob = KeyPair.from_private(a), KeyPair.from_private(b)
    assert alice.exchange(bob.public) == bob.exchange(alice.public)


@given(keys, st.binary(max_size=100), st.binary(max_size=40))
def test_unseal_inverts_seal(key, plaintext, aad):
    assert aead.unseal(key, aead.seal(key, plaintext, aad=aad), aad=aad) == plaintext


@given(keys, st.binary(max_size=100))
def test_random_bytes_never_unseal(key, data):
    with pytest.raises(CryptoError):
        aead.unseal(key, data, aad=b"")


@given(keys, st.binary(max_size=100), st.binary(max_size=100))
def test_a_signature_verifies_for_its_own_message_only(seed, message, other):
    key = SigningKey.from_bytes(seed)
    signature = key.sign(message)
    verify(key.verify_key, signature, message)
    if other != message:
        with pytest.raises(CryptoError):
            verify(key.verify_key, signature, other)


@given(st.binary(min_size=8, max_size=40))
def test_a_secret_is_never_in_its_text(value):
    text = f"{Secret(value)!r}{Secret(value)!s}"
    assert value.hex() not in text
    assert repr(value)[2:-1] not in text
