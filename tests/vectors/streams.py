"""The generator's randomness: SHA-256 in counter mode over a label, so that everybody can make the same files."""

import hashlib


def stream(label, size):
    """`size` bytes that the label determines."""
    blocks = (hashlib.sha256(label.encode() + i.to_bytes(4, "big")).digest() for i in range(-(-size // 32)))
    return b"".join(blocks)[:size]


def below(label, bound):
    return int.from_bytes(stream(label, 64), "big") % bound
