"""Sets of parties as bit maps: party i is bit i mod 8 of byte i div 8, so that a set costs ceil(n/8) bytes whatever it holds."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from securefl.errors import MalformedMessageError


def pack(members: Iterable[int], parties: int) -> bytes:
    """The bit map of `members`, a subset of 0..parties-1, in ceil(parties/8) bytes."""
    bits = np.zeros(parties, dtype=np.uint8)
    bits[list(members)] = 1
    return np.packbits(bits, bitorder="little").tobytes()


def unpack(data: bytes, parties: int, *, phase: str = "", suspect: str = "") -> frozenset[int]:
    """The set that a bit map stands for.

    Raises:
        MalformedMessageError: its length is not ceil(parties/8), or a bit beyond the last party is set.
    """
    suspects = (suspect,) if suspect else ()
    size = -(-parties // 8)
    if len(data) != size:
        raise MalformedMessageError(
            f"a set of {parties} parties takes {size} bytes, got {len(data)}", phase=phase, suspects=suspects
        )
    bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), bitorder="little")
    if bits[parties:].any():
        raise MalformedMessageError(f"a set names a party beyond the last of {parties}", phase=phase, suspects=suspects)
    return frozenset(np.flatnonzero(bits).tolist())
