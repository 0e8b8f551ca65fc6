"""Masks: AES-256-CTR keystreams, added to a vector modulo 2^b where it lies.

The modulus is a power of two, so the low bits of uniform words are exactly uniform masks, and nothing needs reducing
before the sum is complete.

Source: NIST SP 800-38A, section 6.5 (CTR); Bonawitz et al. 2017, section 4 (masking).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

from securefl.types import Words

KEY_BYTES: Final = 32
_BLOCK_BYTES: Final = 16

_TILE_BYTES: Final = 512 * 1024
"""Part of the vector that takes all its masks before the next: it stays in the cache of its core."""

_THREAD_BYTES: Final = 256 * 1024
"""Less work than this is not worth a thread of its own."""

_LIVE_STREAMS: Final = 256
"""Cipher contexts that one thread holds at a time; more masks take another pass over the vector."""

_ZEROS: Final = bytes(_TILE_BYTES)
"""What is encrypted: a keystream is the encryption of zeros."""


def apply_masks(
    vector: Words, masks: Sequence[tuple[bytes, int]], *, bits: int, offset: int = 0, threads: int | None = None
) -> None:
    """Add signed masks to a vector modulo 2^bits, in place.

    Every mask takes 4 keystream bytes a word for bits <= 32 and 8 above, little-endian, from a zero IV. Memory beyond
    the vector: one tile of 512 KiB a thread.

    Args:
        vector: shape (d,), contiguous; uint32 for bits <= 32, uint64 above.
        masks: (key, sign) pairs: 32 bytes, and +1 to add or -1 to subtract. One key serves one vector, ever.
        bits: b, 8..64.
        offset: index of `vector[0]` in the whole vector, when this is a chunk of it.
        threads: threads to use; None means as many as there are cores and work for.

    Raises:
        ValueError: an argument is outside these bounds.
    """
    _check_bits(bits)
    _check_vector(vector, bits)
    if offset < 0:
        raise ValueError(f"the offset is {offset}, needs 0 or more")
    if threads is not None and threads < 1:
        raise ValueError(f"the number of threads is {threads}, needs 1 or more")
    for key, sign in masks:
        if len(key) != KEY_BYTES:
            raise ValueError(f"the key of a mask has {len(key)} bytes, needs {KEY_BYTES}")
        if sign not in {1, -1}:
            raise ValueError(f"the sign of a mask is {sign}, needs +1 or -1")

    if threads is None:
        threads = min(os.cpu_count() or 1, max(1, vector.nbytes // _THREAD_BYTES))
    if threads == 1:
        _mask_part(vector, masks, bits, offset)
        return
    length = max(1, -(-len(vector) // threads))
    with ThreadPoolExecutor(threads, thread_name_prefix="securefl-masks") as pool:
        parts = [
            pool.submit(_mask_part, vector[start : start + length], masks, bits, offset + start)
            for start in range(0, len(vector), length)
        ]
        for part in parts:
            part.result()


def keystream(key: bytes, count: int, *, bits: int, offset: int = 0) -> Words:
    """Return words of one mask, as `apply_masks` adds them.

    Args:
        key: 32 bytes.
        count: number of words.
        bits: b, 8..64.
        offset: index of the first word.

    Returns:
        Shape (count,), below 2^bits; uint32 for bits <= 32, uint64 above.

    Raises:
        ValueError: an argument is outside its bounds.
    """
    _check_bits(bits)
    words: Words = np.zeros(count, dtype=_word_type(bits))
    apply_masks(words, [(key, 1)], bits=bits, offset=offset, threads=1)
    return words


def _mask_part(vector: Words, masks: Sequence[tuple[bytes, int]], bits: int, offset: int) -> None:
    """Apply all masks to the part of the vector that one thread owns."""
    width = vector.itemsize
    tile_words = _TILE_BYTES // width
    out = np.empty(min(len(vector), tile_words), dtype=f"<u{width}")
    modulus_mask = vector.dtype.type(2**bits - 1)
    zeros, sink = memoryview(_ZEROS), out.view(np.uint8).data
    for first in range(0, max(1, len(masks)), _LIVE_STREAMS):  # once even without masks: the sum is reduced
        streams = [
            (_stream(key, offset * width), np.add if sign > 0 else np.subtract)
            for key, sign in masks[first : first + _LIVE_STREAMS]
        ]
        for start in range(0, len(vector), tile_words):
            tile = vector[start : start + tile_words]
            source, target, words = zeros[: tile.nbytes], sink[: tile.nbytes], out[: len(tile)]
            for stream, accumulate in streams:
                stream.update_into(source, target)
                accumulate(tile, words, out=tile)
            tile &= modulus_mask
    out.fill(0)  # best effort: the buffer held the last mask in clear


def _stream(key: bytes, position: int) -> CipherContext:
    """Return a keystream that is about to give the byte at `position`."""
    block, skip = divmod(position, _BLOCK_BYTES)
    stream = Cipher(AES256(key), CTR(block.to_bytes(_BLOCK_BYTES, "big"))).encryptor()
    stream.update(_ZEROS[:skip])
    return stream


def _word_type(bits: int) -> type[np.uint32 | np.uint64]:
    return np.uint32 if bits <= 32 else np.uint64


def _check_bits(bits: int) -> None:
    if not 8 <= bits <= 64:
        raise ValueError(f"the ring has {bits} bits, needs 8..64")


def _check_vector(vector: Words, bits: int) -> None:
    if vector.dtype != _word_type(bits):
        raise ValueError(f"a vector of {bits}-bit values is {vector.dtype}, needs {np.dtype(_word_type(bits))}")
    if vector.ndim != 1 or not vector.flags.c_contiguous:
        raise ValueError(f"the vector has shape {vector.shape} and strides {vector.strides}, needs one contiguous axis")
