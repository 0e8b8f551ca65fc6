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
    """The arrays of a record by name, as they are.

    Raises:
        LayoutMismatchError: one is not numpy's, or damaged; names it.
    """
    arrays = {}
    for name, array in record.items():
        try:
            arrays[name] = array.numpy()
        except (TypeError, ValueError, EOFError, OSError) as error:
            raise LayoutMismatchError(
                f"array {name!r} cannot be read as numpy's: {error}", tensor=name, remedy="send arrays of numbers"
            ) from error
    return arrays


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
        with np.errstate(all="ignore"):  # what is not finite is refused by name when it is encoded
            changed[name] = after[name] - start
    return changed


def learnt_of(record: ArrayRecord) -> ArrayRecord:
    """The arrays of floats alone: what an optimizer on the server is to see, for it spoils counters and fails at flags."""
    return ArrayRecord({name: array for name, array in record.items() if learnt(array.numpy())})


def moved(before: ArrayRecord, mean: Mapping[str, npt.NDArray[Any]]) -> ArrayRecord:
    """The arrays of floats after the mean change."""
    return ArrayRecord(
        {
            name: Array(np.asarray(array + mean[name], array.dtype))
            for name, array in to_numpy(before).items()
            if name in mean
        }
    )


def completed(record: ArrayRecord, before: ArrayRecord) -> ArrayRecord:
    """A strategy's arrays of floats in the model they belong to: order, dtypes, integers and flags as they were."""
    return ArrayRecord(
        {
            name: Array(np.asarray(record[name].numpy(), old.dtype)) if learnt(old) else before[name]
            for name, old in to_numpy(before).items()
        }
    )
