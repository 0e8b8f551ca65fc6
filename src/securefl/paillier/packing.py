"""Slots of any width to integers and back, eight numpy operations for a million of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

MIN_BITS: Final = 8
WORD_BITS: Final = 64
MAX_ODD_BITS: Final = WORD_BITS - 7
"""A slot begins at some bit of a byte: so wide may it be that the word which begins at that byte holds all of it."""

_LANES: Final = 8
"""Eight slots of s bits take s bytes: slots that are eight apart begin at the same bit of their bytes."""

_ROWS: Final = 256
"""Plaintexts worked on at once: their slots stay in the processor's cache."""

_Slots = npt.NDArray[np.uint64]


def pack(values: npt.NDArray[np.int64], offset: int, bits: int, slots: int) -> list[int]:
    """Return integers whose slots, lowest first, are value + offset; slots after the last value are zero.

    Args:
        values: shape (d,), value + offset in 0..2^bits - 1.
        offset: is added to each.
        bits: of a slot: 8..57, or 64.
        slots: of an integer.
    """
    groups, used = -(-slots // _LANES), -(-slots * bits // 8)
    stride = groups * bits + 8
    packed: list[int] = []
    for start in range(0, values.size, _ROWS * slots):
        block = values[start : start + _ROWS * slots]
        whole, rest = divmod(block.size, slots)
        table = np.zeros((whole + bool(rest), groups * _LANES), dtype=np.uint64)
        signed = table.view(np.int64)
        np.add(block[: whole * slots].reshape(whole, slots), offset, out=signed[:whole, :slots])
        if rest:
            np.add(block[whole * slots :], offset, out=signed[whole, :rest])
        buffer = np.zeros((len(table), stride), dtype=np.uint8)
        for lane, shift, words in _lanes(buffer, groups, bits):
            np.bitwise_or(words, table[:, lane::_LANES] << shift, out=words)
        data = buffer.tobytes()
        packed += (int.from_bytes(data[at : at + used], "little") for at in range(0, len(data), stride))
    return packed


def unpack(packed: Sequence[int], bits: int, slots: int) -> _Slots:
    """Return all slots of all integers, those after the last value included.

    Args:
        packed: each in 0..2^(bits slots) - 1.
        bits: of a slot: 8..57, or 64.
        slots: of an integer.
    """
    groups = -(-slots // _LANES)
    stride = groups * bits + 8
    values: _Slots = np.empty((len(packed), slots), dtype=np.uint64)
    for start in range(0, len(packed), _ROWS):
        block = packed[start : start + _ROWS]
        data = b"".join(value.to_bytes(stride, "little") for value in block)
        buffer = np.frombuffer(data, dtype=np.uint8).reshape(len(block), stride)
        table = np.empty((len(block), groups * _LANES), dtype=np.uint64)
        for lane, shift, words in _lanes(buffer, groups, bits):
            np.right_shift(words, shift, out=table[:, lane::_LANES])
        np.bitwise_and(table[:, :slots], np.uint64((1 << bits) - 1), out=values[start : start + len(block)])
    return values.reshape(-1)


def _lanes(buffer: npt.NDArray[np.uint8], groups: int, bits: int) -> Iterator[tuple[int, np.uint64, _Slots]]:
    """Yield for each lane the bit of its byte at which its slots begin, and the 64-bit words that begin at these bytes.

    Words of one lane are `bits` bytes apart, at least 8: they do not overlap.
    """
    for lane in range(_LANES):
        at, shift = divmod(lane * bits, 8)
        strides = (buffer.strides[0], bits)
        yield lane, np.uint64(shift), np.ndarray((len(buffer), groups), "<u8", buffer.data, at, strides)
