"""Authenticated encryption: AES-256-GCM under random nonces."""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from securefl.crypto.random import OS, RandomSource
from securefl.errors import CryptoError

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
OVERHEAD: Final = _NONCE_BYTES + _TAG_BYTES
"""Bytes by which a sealed message is longer than its plaintext."""


def seal(key: bytes, plaintext: bytes, *, aad: bytes, random: RandomSource = OS) -> bytes:
    """Encrypt and authenticate; returns nonce (12 bytes) ‖ ciphertext ‖ tag (16 bytes).

    Random nonces allow 2^32 messages under one key; here a key seals a handful.

    Args:
        key: 32 bytes.
        plaintext: what to hide.
        aad: associated data, authenticated but not sent: both sides must have the same.
        random: source of the nonce.

    Raises:
        ValueError: the key has not 32 bytes.

    Source: NIST SP 800-38D, section 8.2.2.
    """
    nonce = random.token(_NONCE_BYTES)
    return nonce + _cipher(key).encrypt(nonce, plaintext, aad)


def unseal(key: bytes, sealed: bytes, *, aad: bytes) -> bytes:
    """Check and decrypt what `seal` made with the same key and associated data.

    Raises:
        CryptoError: it is too short, was altered, or was made under another key or other associated data.
        ValueError: the key has not 32 bytes.
    """
    cipher = _cipher(key)
    if len(sealed) < OVERHEAD:
        raise CryptoError(f"a sealed message has {len(sealed)} bytes, needs at least {OVERHEAD}")
    try:
        return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], aad)
    except InvalidTag as error:
        raise CryptoError(
            f"a sealed message of {len(sealed)} bytes does not decrypt: it was altered, or is of another key or context"
        ) from error


def _cipher(key: bytes) -> AESGCM:
    # The library would take shorter keys for AES-128 or AES-192.
    if len(key) != KEY_BYTES:
        raise ValueError(f"an AES-256-GCM key has {len(key)} bytes, needs {KEY_BYTES}")
    return AESGCM(key)
