"""Z_{2^b} -> centre -> unscale -> sum and mean."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from securefl.errors import RoundAbortedError
from securefl.plan import Plan
from securefl.types import Step, Tree, Words


@dataclasses.dataclass(frozen=True, slots=True)
class DecodedSum:
    """What the sum says.

    Args:
        total: sum of w_i x_i as a tree: float64 for float leaves, int64 for integer ones.
        mean: total over weight_sum, rounded to the template's dtypes and kept within their range.
        weight_sum: sum of w_i.
        metrics: weighted mean of each metric.
    """

    total: Tree
    mean: Tree
    weight_sum: int
    metrics: dict[str, float]


def integer_sum(plan: Plan, words: Words, survivors: int) -> npt.NDArray[np.int64]:
    """The sum of the survivors' vectors as integers: sums of several rounds or cohorts are added in this form.

    Args:
        plan: gives layout and ring; not private, or see `securefl.pipeline.noisy_sum`.
        words: of the plan's length over its ring.
        survivors: how many vectors are in it.

    Raises:
        RoundAbortedError: the weights do not add up to what that many parties may have; somebody did not follow the encoding.
    """
    values = plan.ring.centre(words)
    weight_sum = _weight_sum(plan, values, survivors)
    if not survivors <= weight_sum <= survivors * plan.max_weight:
        raise RoundAbortedError(
            f"the weights of {survivors} parties add up to {weight_sum}, between {survivors} and "
            f"{survivors * plan.max_weight} is possible",
            phase=Step.UNMASK,
            remedy="a party sent a vector that it did not encode by the plan; which one, secure aggregation cannot tell",
        )
    return values


def decode_sum(plan: Plan, values: npt.NDArray[np.int64], survivors: int) -> DecodedSum:
    """Decode a sum of integers.

    Args:
        plan: gives layout and grid.
        values: of the plan's length, as `integer_sum` gives them.
        survivors: how many vectors are in it.
    """
    size = plan.layout.size
    weight_sum = _weight_sum(plan, values, survivors)
    totals, means = [], []
    for leaf, place in zip(plan.layout.leaves, plan.layout.slices(), strict=True):
        total = plan.fixed_point.decode(values[place], leaf.dtype).reshape(leaf.shape)
        totals.append(total)
        means.append(as_dtype(total / weight_sum, np.dtype(leaf.dtype)))
    metrics = {
        name: span.decode(int(total), weight_sum, plan.fixed_point)
        for (name, span), total in zip(plan.metrics.items(), values[size + plan.weighted :], strict=True)
    }
    return DecodedSum(plan.layout.unflatten(totals), plan.layout.unflatten(means), weight_sum, metrics)


def _weight_sum(plan: Plan, values: npt.NDArray[np.int64], survivors: int) -> int:
    return int(values[plan.layout.size]) if plan.weighted else survivors


def as_dtype(mean: npt.NDArray[np.float64], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """The mean in the leaf's dtype, kept within its range: a sum that a dishonest party spoiled must not wrap into a plausible one."""
    if dtype.kind == "f":
        info: np.finfo[Any] = np.finfo(dtype)
        return np.clip(mean, float(info.min), float(info.max)).astype(dtype)
    if dtype.kind == "b":
        return np.rint(mean) > 0
    low, high = np.iinfo(dtype).min, float(np.iinfo(dtype).max)
    if int(high) > np.iinfo(dtype).max:  # 2^63 and 2^64, to which float64 rounds the largest 64-bit integers
        high = float(np.nextafter(high, 0))
    return np.clip(np.rint(mean), float(low), high).astype(dtype)
