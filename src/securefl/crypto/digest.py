"""SHA-256 over unambiguous, labelled fields, SHAKE256, and comparison in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, TypeAlias

Field: TypeAlias = bytes | bytearray | memoryview | int | str

DIGEST_BYTES: Final = 32
CHECKSUM_BYTES: Final = 16
_DOMAIN: Final = "securefl/v1/"
_JOINED: Final = 4096
"""Longest field that is copied to be hashed together with its neighbours in one call."""


def sha256(*parts: bytes | bytearray | memoryview) -> bytes:
    """Return the bare SHA-256 of the concatenated parts; for constructions that bring their own framing (Merkle trees).

    Source: FIPS 180-4, section 6.2.
    """
    state = hashlib.sha256()
    for part in parts:
        state.update(part)
    return state.digest()


def shake256(size: int, *parts: bytes | bytearray | memoryview) -> bytes:
    """Return `size` bytes of the bare SHAKE256 of the concatenated parts; for hashing to large integers.

    Source: FIPS 202, section 6.2.
    """
    state = hashlib.shake_256()
    for part in parts:
        state.update(part)
    return state.digest(size)


def digest(label: str, *fields: Field) -> bytes:
    """Return the 32-byte SHA-256 of a label and fields, each preceded by its length in bytes as u64 big-endian.

    The label is prefixed with "securefl/v1/" and fixes number and types of the fields. Integers become 8 bytes
    big-endian, text UTF-8; buffers are hashed where they lie.

    Args:
        label: what is hashed, one name for each use.
        fields: bytes-like, integers in 0..2^64-1, or text.

    Raises:
        ValueError: an integer does not fit in 8 unsigned bytes.
    """
    parts: list[bytes | bytearray | memoryview] = [_labelled(label)]
    long = False
    for field in fields:
        encoded = field if isinstance(field, bytes) else _encode(field)
        size = len(encoded) if isinstance(encoded, bytes) else memoryview(encoded).nbytes
        long = long or size > _JOINED
        parts += (size.to_bytes(8, "big"), encoded)
    return sha256(*parts) if long else hashlib.sha256(b"".join(parts)).digest()


def opening(label: str, *fields: Field) -> bytes:
    """Return the bytes with which all digests of this label and these first fields begin; `framed` gives what follows."""
    return b"".join((_labelled(label), *map(framed, fields)))


def framed(field: Field) -> bytes:
    """Return a field as `digest` hashes it, its length before it."""
    encoded = bytes(_encode(field))
    return len(encoded).to_bytes(8, "big") + encoded


def continued(head: bytes, tails: Iterable[bytes]) -> list[bytes]:
    """Return the bare SHA-256 of `head + tail` for every tail; the head is taken in once."""
    begun = hashlib.sha256(head)
    digests = []
    for tail in tails:
        state = begun.copy()
        state.update(tail)
        digests.append(state.digest())
    return digests


def checksum(label: str, *fields: Field) -> bytes:
    """Return the first 16 bytes of `digest`: a guard against accidents, no authentication.

    Raises:
        ValueError: an integer does not fit in 8 unsigned bytes.
    """
    return digest(label, *fields)[:CHECKSUM_BYTES]


def equal(a: bytes, b: bytes) -> bool:
    """Return whether two byte strings are equal, in a time that depends on their lengths only."""
    return hmac.compare_digest(a, b)


def u32(i: int) -> bytes:
    """Return an integer in 0..2^32-1 as 4 bytes big-endian: a party's index on the roster.

    Raises:
        ValueError: it does not fit.
    """
    if not 0 <= i < 1 << 32:
        raise ValueError(f"{i} is no 32-bit unsigned integer: needs 0..2^32-1")
    return i.to_bytes(4, "big")


@lru_cache(maxsize=256)
def _labelled(label: str) -> bytes:
    """Return the first field with its length: labels are few, and digests by the ten thousand in a round."""
    encoded = (_DOMAIN + label).encode()
    return len(encoded).to_bytes(8, "big") + encoded


def _encode(field: Field) -> bytes | bytearray | memoryview:
    if isinstance(field, int):
        if not 0 <= field < 1 << 64:
            raise ValueError(f"{field} cannot be hashed as a 64-bit unsigned integer: needs 0..2^64-1")
        return field.to_bytes(8, "big")
    return field.encode() if isinstance(field, str) else field
