from __future__ import annotations

import pytest

from securefl.crypto import aead
from securefl.errors import CryptoError

KEY = bytes(range(32))


# McGrew and Viega, The Galois/Counter Mode of Operation (GCM), appendix B, test cases 13 and 14: zero key, zero nonce.
@pytest.mark.parametrize(
    ("plaintext", "expected"),
    [
        (b"", "530f8afbc74536b9a963b4f1c4cb738b"),
        (bytes(16), "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"),
    ],
)
def test_gcm_vectors(scripted, plaintext, expected):
    sealed = aead.seal(bytes(32), plaintext, aad=b"", random=scripted(tokens=[bytes(12)]))
    assert sealed == bytes(12) + bytes.fromhex(expected)


def test_a_sealed_message_is_longer_by_the_overhead():
    assert len(aead.seal(KEY, b"12345", aad=b"")) == 5 + aead.OVERHEAD == 33


def test_nonces_are_fresh():
    assert aead.seal(KEY, b"x", aad=b"")[:12] != aead.seal(KEY, b"x", aad=b"")[:12]


def test_every_bit_flip_is_refused():
    sealed = aead.seal(KEY, b"share", aad=b"ctx")
    for position in range(8 * len(sealed)):
        altered = bytearray(sealed)
        altered[position // 8] ^= 1 << position % 8
        with pytest.raises(CryptoError, match="does not decrypt"):
            aead.unseal(KEY, bytes(altered), aad=b"ctx")


def test_every_truncation_is_refused():
    sealed = aead.seal(KEY, b"share", aad=b"ctx")
    for size in range(len(sealed)):
        with pytest.raises(CryptoError):
            aead.unseal(KEY, sealed[:size], aad=b"ctx")


def test_another_key_or_context_is_refused():
    sealed = aead.seal(KEY, b"share", aad=b"ctx")
    for key, aad in ((bytes(32), b"ctx"), (KEY, b"other"), (KEY, b"")):
        with pytest.raises(CryptoError, match="does not decrypt"):
            aead.unseal(key, sealed, aad=aad)


@pytest.mark.parametrize("size", [0, 16, 24, 31, 33])
def test_only_256_bit_keys_are_taken(size):
    with pytest.raises(ValueError, match="needs 32"):
        aead.seal(bytes(size), b"", aad=b"")
    with pytest.raises(ValueError, match="needs 32"):
        aead.unseal(bytes(size), bytes(40), aad=b"")
