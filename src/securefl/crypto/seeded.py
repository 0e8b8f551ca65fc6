"""Randomness that a seed determines, the same on every machine: for noise that others must be able to make again."""

from __future__ import annotations

from typing import Final

from securefl.crypto.prg import KEY_BYTES, keystream
from securefl.crypto.secret import Redacted
from securefl.errors import CryptoError

SEED_BYTES: Final = KEY_BYTES

STREAMS: Final = 256
"""Streams that one seed has."""

_WORD_BYTES: Final = 8
_STREAM_WORDS: Final = 1 << 119
"""2^118 AES blocks a stream: the counter of one never reaches the next within the 2^128 that there are."""


class SeededRandom(Redacted):
    """The keystream of AES-256-CTR under a seed, from its beginning, given out byte after byte.

    A `RandomSource` with state: two threads that share one must take turns, and a copy would repeat its bytes, so it is
    neither copied nor pickled. Whoever knows the seed knows every byte. The initial counter block of stream s is the
    big-endian s * 2^118.

    Args:
        seed: 32 uniform bytes.
        stream: which of the seed's 256 independent streams.

    Raises:
        CryptoError: the seed has another length, or there is no such stream.

    Source: NIST SP 800-38A, section 6.5.
    """

    __slots__ = ("_at", "_first", "_seed")

    def __init__(self, seed: bytes, *, stream: int = 0) -> None:
        if len(seed) != SEED_BYTES:
            raise CryptoError(f"a seed has {len(seed)} bytes, needs {SEED_BYTES}")
        if not 0 <= stream < STREAMS:
            raise CryptoError(f"the stream is {stream}, needs 0..{STREAMS - 1}")
        self._seed = bytes(seed)
        self._first = stream * _STREAM_WORDS
        self._at = 0

    def token(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        word, skip = divmod(self._at, _WORD_BYTES)
        words = keystream(self._seed, -(-(skip + size) // _WORD_BYTES), bits=64, offset=self._first + word)
        self._at += size
        return words.astype("<u8", copy=False).tobytes()[skip : skip + size]

    def below(self, bound: int) -> int:
        """Return a uniform integer in [0, bound), by rejection, without modulo bias, as `SystemRandom.below` does.

        Raises:
            ValueError: the bound is not positive.
        """
        if bound <= 0:
            raise ValueError(f"the bound is {bound}, needs 1 or more")
        size = (bound.bit_length() + 7) // 8 + 8
        last = (1 << 8 * size) - bound
        while True:
            drawn = int.from_bytes(self.token(size), "big")
            rest = drawn % bound
            if drawn - rest <= last:
                return rest
