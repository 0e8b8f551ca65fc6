"""Key derivation: HKDF-SHA256."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES: Final = 32


def derive_key(secret: bytes, *, salt: bytes, info: bytes) -> bytes:
    """Derive a 32-byte key from a shared or random secret.

    Args:
        secret: input keying material.
        salt: public; the round's ctx, so that no key serves two rounds.
        info: public; what the key is for and whom it joins.

    Source: RFC 5869, section 2.
    """
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=info).derive(secret)
