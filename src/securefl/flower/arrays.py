"""Flower's arrays as a plan's tree: what can be learnt travels as a difference, counters and flags stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from flwr.app import Array, ArrayRecord

from securefl.errors import LayoutMismatchError

Arrays = dict[str, npt.NDArray[Any]]


def to_numpy(record: ArrayRecord) -> Arrays:
    """The arrays of a record by name, as they are."""
    return {name: array.numpy() for name, array in record.items()}


def template_of(record: ArrayRecord) -> dict[str, tuple[tuple[int, ...], str]]:
    """A plan's template for a model: name to (shape, dtype) of each array of floats; integers and flags do not travel.

    Raises:
        LayoutMismatchError: no array of floats.
    """
    found = {name: (array.shape, array.dtype.name) for name, array in to_numpy(record).items() if learnt(array)}
    if not found:
        raise LayoutMismatchError("the model has no array of floats", remedy="give the model's parameters")
    return found


def learnt(array: npt.NDArray[Any]) -> bool:
    """Whether an array can be learnt: it holds floats."""
    return array.dtype.kind == "f"


def difference(after: Arrays, before: Arrays) -> Arrays:
    """What training changed, of all arrays of floats, in their dtypes.

    Raises:
        LayoutMismatchError: training returned another model than it was given; names the array.
    """
    if after.keys() != before.keys():
        odd = sorted(after.keys() ^ before.keys())
        raise LayoutMismatchError(
            f"training returned other arrays than it was given: {', '.join(odd[:4])}",
            tensor=odd[0],
            remedy="return the whole model, under the names that came",
        )
    changed = {}
    for name, start in before.items():
        if not learnt(start):
            continue
        if after[name].shape != start.shape or after[name].dtype != start.dtype:
            raise LayoutMismatchError(
                f"array {name!r}: training returned {after[name].dtype} {after[name].shape}, was given {start.dtype} {start.shape}",
                tensor=name,
                remedy="return the model as it came",
            )
        changed[name] = after[name] - start
    return changed


def moved(before: ArrayRecord, mean: Mapping[str, npt.NDArray[Any]]) -> ArrayRecord:
    """The model after the mean change; what does not travel is as it was."""
    arrays = to_numpy(before)
    return ArrayRecord(
        {
            name: Array(np.asarray(array + mean[name], array.dtype) if name in mean else array)
            for name, array in arrays.items()
        }
    )


def as_before(record: ArrayRecord, before: ArrayRecord) -> ArrayRecord:
    """A strategy's result with dtypes, and integers and flags, as they were: optimizers of floats spoil counters."""
    old = to_numpy(before)
    return ArrayRecord(
        {
            name: Array(np.asarray(array, old[name].dtype) if learnt(old[name]) else old[name])
            for name, array in to_numpy(record).items()
        }
    )
