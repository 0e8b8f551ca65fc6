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


def encode_update(
    plan: Plan, update: Tree, *, weight: int = 1, metrics: Mapping[str, float] | None = None, random: RandomSource = OS
) -> EncodedUpdate:
    """Encode one party's update.

    Args:
        plan: gives layout, grid and ring.
        update: a tree of the plan's template.
        weight: 1..max_weight; multiplies after rounding, so it costs no precision.
        metrics: one value for each metric of the plan.
        random: randomness of the rounding.

    Raises:
        EncodingError: as `check_update`, or SaturationError where the plan refuses saturation.
    """
    check_update(plan, update, weight=weight, metrics=metrics)
    factor = np.int64(weight)
    vector = plan.ring.zeros(plan.length)
    scratch = np.empty(_BLOCK, dtype=np.int64)
    saturated = 0
    place = 0
    for leaf, array in zip(plan.layout.leaves, plan.layout.arrays(update), strict=True):
        for _, block in _blocks(array):
            encoded = scratch[: block.size]
            saturated += plan.encoding.encode_into(block, encoded, name=leaf.name, random=random)
            encoded *= factor
            plan.ring.reduce_into(encoded, vector[place : place + block.size])
            place += block.size
    extras = [int(weight)] if plan.weighted else []
    given = metrics or {}
    extras += [
        int(weight) * span.encode(given[name], plan.encoding, random, name=name) for name, span in plan.metrics.items()
    ]
    if extras:
        plan.ring.reduce_into(np.array(extras, dtype=np.int64), vector[place:])
    return EncodedUpdate(vector, saturated)


def _blocks(array: npt.NDArray[Any]) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    flat = array.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        yield start, flat[start : start + _BLOCK]
