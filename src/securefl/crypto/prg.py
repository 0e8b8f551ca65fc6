"""Masks: AES-256-CTR keystreams, added to a vector modulo 2^b where it lies.

The modulus is a power of two, so the low bits of uniform words are exactly uniform masks, and nothing needs reducing
before the sum is complete.

Source: NIST SP 800-38A, section 6.5 (CTR); Bonawitz et al. 2017, section 4 (masking).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, Final, TypeAlias

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

from securefl.types import Words

Mask: TypeAlias = tuple[bytes, int]
"""Key and sign: 32 bytes, and +1 to add or -1 to subtract."""

KEY_BYTES: Final = 32
_BLOCK_BYTES: Final = 16

_TILE_BYTES: Final = 512 * 1024
"""Part of the vector that takes all its masks before the next: it stays in the cache of its core."""

_THREAD_BYTES: Final = 4 * 1024 * 1024
"""Less keystream than this is not worth a thread of its own: starting one costs a tenth of a millisecond or more."""

_SHORT_BYTES: Final = 128 * 1024
"""On a shorter vector most of the time is spent under the interpreter's lock, and threads would wait for each other."""

_LIVE_STREAMS: Final = 256
"""Cipher contexts that one thread holds at a time; more masks take another pass over the vector."""

_MASKS_A_TURN: Final = 32
"""Most masks that a thread takes at a time where threads share them out. Their contexts are set up in one go: doing so
between two keystreams makes threads meet at the interpreter's lock so often that the second one gains nothing."""

_ZEROS: Final = bytes(_TILE_BYTES)
"""What is encrypted: a keystream is the encryption of zeros."""


def apply_masks(
    vector: Words, masks: Iterable[Mask], *, bits: int, offset: int = 0, threads: int | None = None
) -> None:
    """Add signed masks to a vector modulo 2^bits, in place.

    Every mask takes 4 keystream bytes a word for bits <= 32 and 8 above, little-endian, from a zero IV. Memory beyond
    the vector, however many masks there are: one tile of 512 KiB a thread, two where the whole vector is no longer.

    Args:
        vector: shape (d,), contiguous; uint32 for bits <= 32, uint64 above.
        masks: (key, sign) pairs: 32 bytes, and +1 to add or -1 to subtract. One key serves one vector, ever. A sequence
            is checked before anything is added. Any other iterable is drawn from, by one thread at a time, while masks
            are added; after an error the vector holds nothing of use.
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
    if threads is None:
        threads = _worthwhile_threads(vector, masks)
    turn = _MASKS_A_TURN
    checked = _checked(masks)
    if isinstance(masks, Sequence):
        turn = _even_turns(len(masks), threads)
        checked = iter(list(checked))
    if threads > 1 and vector.nbytes <= _TILE_BYTES:
        _share_masks(vector, checked, bits, offset, threads, turn)
    else:
        _share_vector(vector, checked, bits, offset, threads)


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


def _share_vector(vector: Words, masks: Iterator[Mask], bits: int, offset: int, threads: int) -> None:
    """Let every thread apply all masks to a part of the vector of its own."""
    length = max(1, -(-len(vector) // threads))

    def work(start: int) -> None:
        part = vector[start : start + length]
        _mask_part(part, batch, bits, offset + start, _new_sink(part))

    batch = list(islice(masks, _LIVE_STREAMS))
    while True:
        _run_all(work, range(0, len(vector), length))
        batch = list(islice(masks, _LIVE_STREAMS))
        if not batch:  # asked only now: without any masks the vector is still reduced, once
            return


def _share_masks(vector: Words, masks: Iterator[Mask], bits: int, offset: int, threads: int, turn: int) -> None:
    """Let threads apply the masks, `turn` at a time, each to a vector of its own, of at most a tile; add these up."""
    drawing = threading.Lock()

    def work(total: Words) -> None:
        sink = _new_sink(total)
        while True:
            with drawing:
                taken = list(islice(masks, turn))
            if not taken:
                return
            _mask_part(total, taken, bits, offset, sink)

    apart = [np.zeros_like(vector) for _ in range(threads - 1)]
    _run_all(work, [vector, *apart])
    for total in apart:
        vector += total
        total.fill(0)  # best effort: these are sums of masks in clear
    vector &= _largest(vector, bits)


def _run_all(work: Callable[[Any], None], shares: Sequence[Any]) -> None:
    """Call `work` on every share at the same time: on the first in this thread, on each other in one of its own."""
    if len(shares) <= 1:
        for share in shares:
            work(share)
        return
    with ThreadPoolExecutor(len(shares) - 1, thread_name_prefix="securefl-masks") as pool:
        others = [pool.submit(work, share) for share in shares[1:]]
        work(shares[0])
    for other in others:
        other.result()


def _mask_part(vector: Words, masks: Sequence[Mask], bits: int, offset: int, sink: Words) -> None:
    """Apply masks to a vector tile by tile, all of them to one tile before the next."""
    width = vector.itemsize
    streams = [(_stream(key, offset * width).update_into, np.add if sign > 0 else np.subtract) for key, sign in masks]
    zeros, into = memoryview(_ZEROS), sink.view(np.uint8).data
    for start in range(0, len(vector), max(1, len(sink))):
        tile = vector[start : start + len(sink)]
        source, target, words = zeros[: tile.nbytes], into[: tile.nbytes], sink[: len(tile)]
        for generate, accumulate in streams:
            generate(source, target)
            accumulate(tile, words, out=tile)
        tile &= _largest(vector, bits)
    sink.fill(0)  # best effort: the buffer held the last mask in clear


def _new_sink(vector: Words) -> Words:
    """Return the buffer of one thread, into which keystreams are written."""
    width = vector.itemsize
    return np.empty(min(len(vector), _TILE_BYTES // width), dtype=f"<u{width}")


def _largest(vector: Words, bits: int) -> np.unsignedinteger[Any]:
    """Return 2^bits - 1 as a word of the vector's type."""
    largest: np.unsignedinteger[Any] = vector.dtype.type(2**bits - 1)
    return largest


def _stream(key: bytes, position: int) -> CipherContext:
    """Return a keystream that is about to give the byte at `position`."""
    block, skip = divmod(position, _BLOCK_BYTES)
    stream = Cipher(AES256(key), CTR(block.to_bytes(_BLOCK_BYTES, "big"))).encryptor()
    if skip:
        stream.update(_ZEROS[:skip])
    return stream


def _even_turns(masks: int, threads: int) -> int:
    """Return the length of the fewest equal turns that every thread has equally many of."""
    rounds = max(1, -(-masks // (threads * _MASKS_A_TURN)))
    return max(1, -(-masks // (threads * rounds)))


def _worthwhile_threads(vector: Words, masks: Iterable[Mask]) -> int:
    if vector.nbytes < _SHORT_BYTES:
        return 1
    cores = os.cpu_count() or 1
    work = vector.nbytes * len(masks) if isinstance(masks, Sized) else cores * _THREAD_BYTES
    return min(cores, max(1, work // _THREAD_BYTES))


def _checked(masks: Iterable[Mask]) -> Iterator[Mask]:
    for key, sign in masks:
        if len(key) != KEY_BYTES:
            raise ValueError(f"the key of a mask has {len(key)} bytes, needs {KEY_BYTES}")
        if sign not in {1, -1}:
            raise ValueError(f"the sign of a mask is {sign}, needs +1 or -1")
        yield key, sign


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
