"""Page, "Digests": SHA-256 over a label and fields, each with its length before it."""

import hashlib


def sha256(data):
    return hashlib.sha256(data).digest()


def u32(i):
    """4 bytes big-endian."""
    return i.to_bytes(4, "big")


def u64(i):
    """8 bytes big-endian."""
    return i.to_bytes(8, "big")


def framed(label, *fields):
    """The bytes that H hashes: for the label and each field its length as u64, then the field itself."""
    data = b""
    for field in ("securefl/v1/" + label, *fields):
        encoded = u64(field) if isinstance(field, int) else field.encode("utf-8") if isinstance(field, str) else field
        data += u64(len(encoded)) + encoded
    return data


def H(label, *fields):  # noqa: N802
    """The digest of the page."""
    return sha256(framed(label, *fields))


def checksum(label, *fields):
    return H(label, *fields)[:16]
