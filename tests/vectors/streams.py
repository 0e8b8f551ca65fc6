"""The generator's randomness: SHA-256 in counter mode over a label, so that everybody can make the same files."""

import hashlib


def stream(label, size):
    """`size` bytes that the label determines."""
    blocks = (hashlib.sha256(label.encode() + i.to_bytes(4, "big")).digest() for i in range(-(-size // 32)))
    return b"".join(blocks)[:size]


def below(label, bound):
    return int.from_bytes(stream(label, 64), "big") % bound


class Tape:
    """Bytes that are given out one after the other, like the draws of a random source."""

    def __init__(self, data):
        self._data, self._at = data, 0

    def __call__(self, size):
        assert self._at + size <= len(self._data), "more was drawn than the tape has"
        self._at += size
        return self._data[self._at - size : self._at]

    @property
    def used(self):
        """What was given out so far."""
        return self._data[: self._at]
