"""update -> flatten -> clamp -> scale and round -> weigh -> Z_{2^b}.

The vector holds the values in layout order, then the weight (if the plan is weighted), then the metrics by name.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from securefl.crypto.random import OS, RandomSource
from securefl.errors import EncodingError, NonFiniteError
from securefl.plan import Plan
from securefl.types import Tree, Words

_BLOCK: Final = 1 << 16
"""Values encoded at once, so that the 8-byte integers on the way need no second vector."""


@dataclasses.dataclass(frozen=True, slots=True)
class EncodedUpdate:
    """A party's vector, ready to be masked.

    Args:
        vector: of the plan's length over its ring.
        saturated: how many values lay outside the encoding's bound; this stays with the party.
    """

    vector: Words
    saturated: int


def check_update(plan: Plan, update: Tree, *, weight: int = 1, metrics: Mapping[str, float] | None = None) -> None:
    """Check that an update can be encoded, without encoding it.

    Raises:
        LayoutMismatchError: names, shapes or dtypes differ from the plan's.
        NonFiniteError: a NaN or an infinity in a tensor or metric, which is named.
        EncodingError: a weight outside 1..max_weight, or metrics other than the plan's.
    """
    for leaf, array in zip(plan.layout.leaves, plan.layout.arrays(update), strict=True):
        if array.dtype.kind != "f":
            continue
        for start, block in _blocks(array):
            finite = np.isfinite(block)
            if not finite.all():
                raise NonFiniteError(
                    f"tensor {leaf.name!r} has a NaN or an infinity at flat index {start + int(np.argmin(finite))}",
                    tensor=leaf.name,
                    remedy="look for a diverged training step; nothing was sent",
                )
    if isinstance(weight, bool) or not isinstance(weight, int | np.integer) or not 1 <= weight <= plan.max_weight:
        raise EncodingError(
            f"the weight is not a whole number in 1..{plan.max_weight}",  # and is not quoted: it is the party's secret
            remedy="raise the plan's max_weight, or cap the weight; a party without examples stays away",
        )
    given = metrics or {}
    if set(given) != set(plan.metrics):
        raise EncodingError(
            f"metrics {sorted(given)} were given, the plan declares {sorted(plan.metrics)}",
            remedy="give exactly the metrics of the plan, or declare them there with their ranges",
        )
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise EncodingError(
                f"metric {name!r} is no number", tensor=name, remedy="give a number, or leave the round out"
            )
        if not math.isfinite(value):
            raise NonFiniteError(
                f"metric {name!r} is NaN or infinite", tensor=name, remedy="nothing was sent; leave the round out"
            )


class EncodedParts(Iterator[Words]):
    """A party's vector in consecutive parts, each encoded when it is asked for: the whole is never held.

    It goes through once. To encode an update again is to round it anew, and two roundings tell more than one.

    Args:
        plan: gives layout, grid and ring.
        update: a tree of the plan's template; it must not change before the last part was taken.
        values_per_part: length of every part but the last, which has the rest; at least 1.
        weight: 1..max_weight; multiplies after rounding, so it costs no precision.
        metrics: one value for each metric of the plan.
        random: randomness of the rounding.

    Attributes:
        saturated: how many values lay outside the encoding's bound, of those encoded so far.

    Raises:
        EncodingError: as `check_update`; while parts are taken, SaturationError where the plan refuses saturation.
        ValueError: less than one value a part.
    """

    def __init__(
        self,
        plan: Plan,
        update: Tree,
        *,
        values_per_part: int,
        weight: int = 1,
        metrics: Mapping[str, float] | None = None,
        random: RandomSource = OS,
    ) -> None:
        if values_per_part < 1:
            raise ValueError(f"{values_per_part} values a part, needs 1 or more")
        check_update(plan, update, weight=weight, metrics=metrics)
        self.saturated = 0
        self._plan = plan
        self._weight = int(weight)
        self._random = random
        self._parts = self._cut(self._encoded(update, metrics or {}), values_per_part)

    def __next__(self) -> Words:
        """Return the next part, in a new array of the ring's dtype."""
        return next(self._parts)

    def _cut(self, blocks: Iterator[npt.NDArray[np.int64]], size: int) -> Iterator[Words]:
        """Yield the blocks' values modulo 2^b, in parts."""
        ring, left = self._plan.ring, self._plan.length
        part, filled = ring.zeros(min(size, left)), 0
        for block in blocks:
            taken = 0
            while taken < block.size:
                count = min(block.size - taken, part.size - filled)
                ring.reduce_into(block[taken : taken + count], part[filled : filled + count])
                taken, filled = taken + count, filled + count
                if filled == part.size:
                    yield part
                    left -= filled
                    part, filled = ring.zeros(min(size, left)), 0

    def _encoded(self, update: Tree, metrics: Mapping[str, float]) -> Iterator[npt.NDArray[np.int64]]:
        """Yield the weighted values in the vector's order, block by block, each in the place of the last one."""
        plan, factor = self._plan, np.int64(self._weight)
        scratch = np.empty(_BLOCK, dtype=np.int64)
        for leaf, array in zip(plan.layout.leaves, plan.layout.arrays(update), strict=True):
            for _, block in _blocks(array):
                encoded = scratch[: block.size]
                self.saturated += plan.fixed_point.encode_into(block, encoded, name=leaf.name, random=self._random)
                encoded *= factor
                yield encoded
        extras = [self._weight] if plan.weighted else []
        for name, span in plan.metrics.items():
            extras.append(self._weight * span.encode(metrics[name], plan.fixed_point, self._random, name=name))
        yield np.array(extras, dtype=np.int64)


def encode_update(
    plan: Plan, update: Tree, *, weight: int = 1, metrics: Mapping[str, float] | None = None, random: RandomSource = OS
) -> EncodedUpdate:
    """Encode one party's update into one vector; `EncodedParts` gives the same in parts.

    Args:
        plan: gives layout, grid and ring.
        update: a tree of the plan's template.
        weight: 1..max_weight; multiplies after rounding, so it costs no precision.
        metrics: one value for each metric of the plan.
        random: randomness of the rounding.

    Raises:
        EncodingError: as `check_update`, or SaturationError where the plan refuses saturation.
    """
    parts = EncodedParts(
        plan, update, values_per_part=max(1, plan.length), weight=weight, metrics=metrics, random=random
    )
    vector = next(parts, plan.ring.zeros(0))
    return EncodedUpdate(vector, parts.saturated)


def _blocks(array: npt.NDArray[Any]) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    flat = array.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        yield start, flat[start : start + _BLOCK]
