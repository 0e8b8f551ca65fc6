"""Draws from a finite table of probabilities, exact to 2^-192, most of them with 16 bits and one look-up.

The cumulative distribution is a list of integers of 192 bits. A uniform number of 192 bits falls into one of its cells; its
bits are drawn only as far as the cell needs them: 16 at first, which settle it unless a bound lies in their bucket, then 48
more, then the rest.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from securefl.dp.samplers.lanes import Lanes, words

TABLE_BITS: Final = 192
_GUIDE_BITS: Final = 16
_HIGH_BITS: Final = 64
_OPEN: Final = -1

_MOST_CELLS: Final = 2**15
"""Cells are numbered by int16: the guide then stays in a core's cache."""


class CellTable:
    """A sampler of indices: cell i with probability within 2^-192 of weights[i] / sum(weights).

    Args:
        weights: positive integers, at most 2^15 of them.
    """

    __slots__ = ("_guide", "_high", "bounds")

    def __init__(self, weights: Sequence[int]) -> None:
        if len(weights) > _MOST_CELLS:
            raise ValueError(f"a table of {len(weights)} cells, needs {_MOST_CELLS} or fewer")
        total, below = sum(weights), 0
        bounds: list[int] = []
        for weight in weights[:-1]:
            below += weight
            bounds.append((below << TABLE_BITS) // total)
        self.bounds: Final = bounds
        """Where cell i + 1 begins, in units of 2^-192."""
        self._high = np.array([bound >> TABLE_BITS - _HIGH_BITS for bound in bounds], dtype=np.uint64)
        buckets = (self._high >> np.uint64(_HIGH_BITS - _GUIDE_BITS)).astype(np.int64)
        guide = np.searchsorted(buckets, np.arange(2**_GUIDE_BITS)).astype(np.int16)
        guide[buckets] = _OPEN
        self._guide = guide

    def draw(self, count: int, lanes: Lanes) -> npt.NDArray[np.int16]:
        """Return `count` independent indices."""
        first = words(lanes.cell, count, _GUIDE_BITS)
        cells = self._guide.take(first)
        still_open = np.flatnonzero(cells == _OPEN)
        if still_open.size:
            cells[still_open] = self._refine(first[still_open], lanes)
        return cells

    def _refine(self, first: npt.NDArray[np.unsignedinteger[Any]], lanes: Lanes) -> npt.NDArray[np.int16]:
        """Return the cells of those whose first 16 bits leave them open."""
        more = words(lanes.refine, len(first), _HIGH_BITS).astype(np.uint64, copy=False)
        high = first.astype(np.uint64) << np.uint64(_HIGH_BITS - _GUIDE_BITS) | more >> np.uint64(_GUIDE_BITS)
        cells = np.searchsorted(self._high, high)
        # Equal high words leave it open on which side of the bound, or of several, the number lies.
        ties = np.flatnonzero(self._high[np.minimum(cells, len(self._high) - 1)] == high)
        rest = TABLE_BITS - _HIGH_BITS
        for tie in ties.tolist():
            low = int.from_bytes(lanes.cell_tie.token(rest // 8), "little")
            cells[tie] = bisect_right(self.bounds, int(high[tie]) << rest | low)
        return cells.astype(np.int16)
