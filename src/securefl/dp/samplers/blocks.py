"""From cells to integers: a cell for each integer, or a cell for each block of integers and rejection within it.

Both serve distributions on the integers that are symmetric and log-concave. Every draw is a function of the lanes alone: a
call for fewer draws gives the beginning of a call for more, and no float takes part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from securefl.dp.samplers.cells import CellTable
from securefl.dp.samplers.exact import log_ratio
from securefl.dp.samplers.lanes import Lanes, words

Integers: TypeAlias = npt.NDArray[np.int64]
Ratio: TypeAlias = Callable[[int, int, int], tuple[int, int]]
"""Of (j, d, bits): integers around 2^bits f(j B + d) / f(j B), for 0 <= d <= B, which close in on it as bits grow."""

NODE_BITS: Final = 256
"""Scale of the weights that tables are made of, relative to the largest."""

TILE: Final = 1 << 16
"""Candidates at a time: what they take, less than 3 MiB, stays in the cache."""

_ONE: Final = 1 << 32
_PLACE_BITS: Final = 31
_TERMS: Final = 8
_SLACK: Final = 4


class Sampler(Protocol):
    """Draws integers from lanes."""

    def draw(self, count: int, lanes: Lanes) -> Integers:
        """Return `count` independent draws."""
        ...


class SingleCells:
    """A cell for each integer of -N..N.

    Args:
        weights: of 0..N, positive integers; -x has the weight of x.
    """

    __slots__ = ("_last", "table")

    def __init__(self, weights: Sequence[int]) -> None:
        self._last = len(weights) - 1
        self.table = CellTable([*reversed(weights), *weights[1:]])

    def draw(self, count: int, lanes: Lanes) -> Integers:
        """Return `count` independent draws."""
        drawn = np.empty(count, dtype=np.int64)
        for start in range(0, count, TILE):
            part = drawn[start : start + TILE]
            np.subtract(self.table.draw(len(part), lanes), self._last, out=part, dtype=np.int64)
        return drawn


class RejectedBlocks:
    """A cell for each block of B = 2^e integers: k B .. k B + B - 1 for -J <= k < J, then rejection within the block.

    A block's cell has the weight of its end nearer to zero, f(j B). Its integer at distance d from there, uniform, is kept
    with probability f(j B + d) / f(j B): if 32 random bits say u, for certain when u + 1 is at most the ratio of the two
    ends. Otherwise (h / 2 of the candidates, where the blocks are h standard deviations long) the ratio is bracketed
    by the chords of log f over this block, from below, and over its neighbours, prolonged, from above, as
    log-concavity allows; and the few that lie in between (h^2 / 4) are settled by big integers and further bits.

    Args:
        nodes: f(j B) for j = 0..J+1, in any unit, within a relative 2^-66; adjacent ones less than exp(1/4) apart.
        block_bits: e.
        ratio: f(j B + d) / f(j B), to any precision.
    """

    __slots__ = ("_bits", "_cells", "_ratio", "_slopes", "_squeeze", "table")

    def __init__(self, nodes: Sequence[int], block_bits: int, ratio: Ratio) -> None:
        cells = len(nodes) - 2
        self._cells, self._bits, self._ratio = cells, block_bits, ratio
        self.table = CellTable([*reversed(nodes[:cells]), *nodes[:cells]])
        ends = [(nodes[j + 1] << 32) // nodes[j] - 1 for j in range(cells)]  # less one: the nodes are not quite exact
        self._squeeze = np.array([*reversed(ends), *ends], dtype=np.uint32)
        # -log of the ratio of a block's ends in units of 2^-32, rounded down by less than 2; the block before the first
        # mirrors it and rises: 0 bounds the ratio by 1.
        slopes = [0, *(log_ratio(nodes[j], nodes[j + 1]) for j in range(cells + 1))]
        self._slopes = np.array(slopes, dtype=np.int64)

    def draw(self, count: int, lanes: Lanes) -> Integers:
        """Return `count` independent draws."""
        drawn = np.empty(count, dtype=np.int64)
        filled = 0
        while filled < count:
            missing = count - filled
            kept = self._candidates(min(TILE, missing + missing // 32 + 16), lanes)[:missing]
            drawn[filled : filled + len(kept)] = kept
            filled += len(kept)
        return drawn

    def _candidates(self, count: int, lanes: Lanes) -> Integers:
        """Return those of `count` candidates that are kept, in order."""
        cells = self.table.draw(count, lanes)
        width = max(8, 1 << (self._bits - 1).bit_length())
        places = words(lanes.offset, count, width) >> np.array(width - self._bits, dtype=f"u{width // 8}")
        chances = words(lanes.accept, count, 32)
        keep = chances < self._squeeze.take(cells)
        doubtful = np.flatnonzero(~keep)
        keep[doubtful] = self._decide(
            cells[doubtful].astype(np.int64),
            places[doubtful].astype(np.int64),
            chances[doubtful].astype(np.int64),
            lanes,
        )
        values = cells.astype(np.int64)
        values -= self._cells
        values <<= self._bits
        values += places.astype(np.int64, copy=False)
        return values[keep]

    def _decide(self, cells: Integers, places: Integers, chances: Integers, lanes: Lanes) -> npt.NDArray[np.bool_]:
        """Return which candidates are kept, given the 32 bits of each."""
        right = cells >= self._cells
        blocks = np.where(right, cells - self._cells, self._cells - 1 - cells)
        steps = np.where(right, places, (1 << self._bits) - places)
        low, high = self.bracket(blocks, steps)
        keep: npt.NDArray[np.bool_] = chances < low
        for i in np.flatnonzero((chances < high) & ~keep).tolist():
            keep[i] = self._resolve(int(blocks[i]), int(steps[i]), int(chances[i]), lanes)
        return keep

    def bracket(self, blocks: Integers, steps: Integers) -> tuple[Integers, Integers]:
        """Return integers around 2^32 f(j B + d) / f(j B).

        With L the slopes and t = d / B: t L[j] bounds -log of the ratio from above; t L[j-1] and L[j] - (1-t) L[j+1] bound
        it from below. t is cut to 31 bits, L is at most 2 units too small, the shift rounds down: together less than 4.

        Args:
            blocks: j, in 0..J-1.
            steps: d, in 0..B.
        """
        place = steps << _PLACE_BITS - self._bits if self._bits <= _PLACE_BITS else steps >> self._bits - _PLACE_BITS
        before, here, after = (self._slopes[blocks + i] for i in range(3))
        most = (place * here >> _PLACE_BITS) + 4
        least = here - (((1 << _PLACE_BITS) - place) * after >> _PLACE_BITS) - 4
        least = np.maximum(np.maximum(least, place * before >> _PLACE_BITS), 0)
        return _exp_minus(most) - _SLACK, _exp_minus(least) + _SLACK

    def _resolve(self, block: int, step: int, chance: int, lanes: Lanes) -> bool:
        """Draw bits until the uniform number that begins with `chance` is on one side of the ratio."""
        bits = 32
        while True:
            low, high = self._ratio(block, step, bits + 32)
            if chance + 1 << 32 <= low:
                return True
            if chance << 32 >= high:
                return False
            chance = chance << 64 | int.from_bytes(lanes.accept_tie.token(8), "little")
            bits += 64


def _exp_minus(exponents: Integers) -> Integers:
    """Return 2^32 exp(-x) within 4, for x below 1/4 + 2^-20 in units of 2^-32.

    Taylor to degree 8, by Horner: the rest is below 0.05 units, each step rounds by less than 2 and shrinks what was there
    to a quarter.
    """
    total: Any = np.full_like(exponents, _ONE)
    for degree in range(_TERMS, 0, -1):
        total = _ONE - (exponents * total >> 32) // degree
    exponential: Integers = total
    return exponential
