"""One call's randomness, in lanes: each use reads a stream of its own, so that no draw depends on how work is cut."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from securefl.crypto.random import RandomSource
from securefl.crypto.seeded import SEED_BYTES, SeededRandom


@dataclasses.dataclass(frozen=True, slots=True)
class Lanes:
    """Where each decision takes its bits from; candidate after candidate reads on where the last one stopped.

    Args:
        cell: 16 bits a candidate: the cell of the table.
        refine: 64 bits for each candidate whose cell these 16 leave open.
        cell_tie: 128 bits for each whose cell is still open.
        offset: the place in a block, 8, 16, 32 or 64 bits a candidate.
        accept: 32 bits a candidate: whether it is kept.
        accept_tie: 64 bits, and 64 more, for each of which that is still open.
    """

    cell: RandomSource
    refine: RandomSource
    cell_tie: RandomSource
    offset: RandomSource
    accept: RandomSource
    accept_tie: RandomSource


def open_lanes(source: RandomSource) -> Lanes:
    """Draw 32 bytes and return the lanes that they seed.

    One short draw and AES-256-CTR in place of long ones: the operating system takes thirty times as long for the bytes.
    """
    seed = source.token(SEED_BYTES)
    return Lanes(*(SeededRandom(seed, stream=stream) for stream in range(len(dataclasses.fields(Lanes)))))


def words(lane: RandomSource, count: int, bits: int) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Return `count` uniform little-endian words of 8, 16, 32 or 64 bits."""
    size = bits // 8
    return np.frombuffer(lane.token(size * count), dtype=f"<u{size}")
