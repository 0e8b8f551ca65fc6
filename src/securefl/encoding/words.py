"""Words on the wire: ceil(b / 8) little-endian bytes a value."""

from __future__ import annotations

import sys

import numpy as np

from securefl.encoding.ring import Ring
from securefl.errors import EncodingError
from securefl.types import Words


def packed_size(count: int, bits: int) -> int:
    """Return the number of bytes that `count` words of `bits` bits take on the wire."""
    return count * Ring(bits).word_bytes


def pack(words: Words, bits: int) -> bytes:
    """Return the words as bytes, ceil(bits / 8) little-endian ones each.

    Args:
        words: one-dimensional, of the ring's dtype, every word below 2^bits.
        bits: b, 8 to 64.

    Source: protocol.md, Ring and encoding.
    """
    width = Ring(bits).word_bytes
    if width == words.itemsize:
        return _little_endian(words).tobytes()
    source = _little_endian(np.ascontiguousarray(words)).view(np.uint8).reshape(-1, words.itemsize)
    packed = np.empty((words.size, width), dtype=np.uint8)
    # One strided copy for each byte of the word is five times as fast as one copy of short rows.
    for byte in range(width):
        packed[:, byte] = source[:, byte]
    return packed.tobytes()


def unpack(data: bytes | memoryview, bits: int, count: int) -> Words:
    """Return the `count` words that `pack` wrote, in a new array of the ring's dtype.

    Args:
        data: bytes off the wire, contiguous.
        bits: b, 8 to 64.
        count: how many words must be there.

    Raises:
        EncodingError: another number of bytes, or a word of 2^bits or more, by its index.
    """
    ring = Ring(bits)
    packed = np.frombuffer(data, dtype=np.uint8)
    if packed.size != packed_size(count, bits):
        raise EncodingError(f"{count} words of {bits} bits need {packed_size(count, bits)} bytes, came {packed.size}")
    packed = packed.reshape(count, ring.word_bytes)
    words = ring.zeros(count)
    target = words.view(np.uint8).reshape(count, words.itemsize)
    for byte in range(ring.word_bytes):
        target[:, byte] = packed[:, byte]
    words = _little_endian(words)
    if bits % 8 and count and words.max() > ring.mask:
        index = int(np.argmax(words > ring.mask))
        raise EncodingError(f"word {index} is {int(words[index])}, needs to be below 2^{bits}")
    return words


def _little_endian(words: Words) -> Words:
    """Swap between native and little-endian bytes; nothing to do on most machines."""
    return words if sys.byteorder == "little" else words.byteswap()
