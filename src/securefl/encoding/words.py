"""Words on the wire: ceil(b / 8) little-endian bytes a value."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from securefl.encoding.ring import Ring
from securefl.errors import EncodingError
from securefl.types import Words

_NATIVE_WIDTHS: Final = frozenset({1, 2, 4, 8})
"""Widths of a word on the wire that are those of some integer type: numpy converts these in one pass."""


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
    if width in _NATIVE_WIDTHS:
        return words.astype(f"<u{width}", copy=False).tobytes()
    source = words.astype(f"<u{words.itemsize}", order="C", copy=False).view(np.uint8).reshape(-1, words.itemsize)
    packed = np.empty((words.size, width), dtype=np.uint8)
    # One strided copy for each byte of the word is five times as fast as one copy of short rows.
    for byte in range(width):
        packed[:, byte] = source[:, byte]
    return packed.tobytes()


def unpack(data: bytes | memoryview, bits: int, count: int) -> Words:
    """Return the `count` words that `pack` wrote, in the ring's dtype; read-only where they are the bytes of `data` themselves.

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
    words = _joined(packed, ring, count)
    if bits % 8 and count and words.max() > ring.mask:
        index = int(np.argmax(words > ring.mask))
        raise EncodingError(f"word {index} is {int(words[index])}, needs to be below 2^{bits}")
    return words


def _joined(packed: npt.NDArray[np.uint8], ring: Ring, count: int) -> Words:
    """Return the words whose bytes these are, without looking at their range."""
    width = ring.word_bytes
    if width in _NATIVE_WIDTHS or not count:
        return packed.view(f"<u{width if count else 1}").astype(ring.dtype, copy=False)
    # Whole words are read, each with the first bytes of the next one on top, which are then cleared: one pass, where a
    # copy of each byte takes `width` of them. The last word has nothing after it that could be read.
    words: Words = np.empty(count, dtype=ring.dtype)
    words[:-1] = np.ndarray((count - 1,), f"<u{words.itemsize}", packed, strides=(width,))
    words &= ring.dtype.type((1 << 8 * width) - 1)
    words[-1] = int.from_bytes(packed[-width:].tobytes(), "little")
    return words
