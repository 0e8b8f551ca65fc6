"""The operating system's entropy: the only module that asks for it."""

from __future__ import annotations

import os
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt


class RandomSource(Protocol):
    """Where randomness comes from: the OS in use, a script in known-answer tests."""

    def token(self, size: int) -> bytes:
        """Return `size` uniform bytes."""
        ...

    def below(self, bound: int) -> int:
        """Return a uniform integer in [0, bound)."""
        ...


class SystemRandom:
    """The OS's cryptographic generator (getrandom(2), BCryptGenRandom): stateless, safe across forks and threads."""

    __slots__ = ()

    def token(self, size: int) -> bytes:
        """Return `size` uniform bytes."""
        return os.urandom(size)

    def below(self, bound: int) -> int:
        """Return a uniform integer in [0, bound), by rejection, without modulo bias.

        Eight bytes more than needed are drawn, so that hardly one draw in 2^64 is rejected; where bits are drawn just
        enough, as `secrets.randbelow` does, every second one is for bounds just above a power of two.

        Raises:
            ValueError: the bound is not positive.
        """
        if bound <= 0:
            raise ValueError(f"the bound is {bound}, needs 1 or more")
        size = (bound.bit_length() + 7) // 8 + 8
        last = (1 << 8 * size) - bound
        while True:
            drawn = int.from_bytes(os.urandom(size), "big")
            rest = drawn % bound
            if drawn - rest <= last:  # the multiple of the bound below the draw is followed by a whole run of them
                return rest


OS: Final[RandomSource] = SystemRandom()
"""The source that everything uses by default."""


def uniform_uint64(count: int, source: RandomSource = OS) -> npt.NDArray[np.uint64]:
    """Return `count` independent uniform words.

    Args:
        count: how many.
        source: where the bytes come from, read as little-endian words.

    Returns:
        Writeable uint64 array of shape (count,).
    """
    return np.frombuffer(source.token(8 * count), dtype="<u8").astype(np.uint64)
