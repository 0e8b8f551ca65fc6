"""Who holds how much of what."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from securefl.errors import ConfigError
from securefl.federated.partition.requests import Indices, Labels, labels


def summary(parts: Sequence[Indices], y: Labels, classes: int | None = None) -> npt.NDArray[np.int64]:
    """Count the examples of each class that each party holds.

    Args:
        parts: an index array a party, at least one.
        y: labels, integer, (n,), from 0.
        classes: columns of the table; None for the highest label and 1.

    Returns:
        Counts, (parties, classes); drawn by `securefl.report.partition_plot`.

    Raises:
        ConfigError: there are no parts, an index is outside 0..n-1, or a label outside the range.
    """
    array = labels(y, classes)
    if not len(parts):
        raise ConfigError("parts: got none, needs at least 1", remedy="pass what a partitioner returned")
    width = int(array.max(initial=-1)) + 1 if classes is None else classes
    return np.stack([_count(number, part, array, width) for number, part in enumerate(parts)])


def _count(number: int, part: Indices, y: Labels, width: int) -> npt.NDArray[np.int64]:
    indices = np.asarray(part)
    if indices.size == 0:
        return np.zeros(width, dtype=np.int64)
    if not np.issubdtype(indices.dtype, np.integer) or indices.min() < 0 or indices.max() >= len(y):
        raise ConfigError(
            f"parts[{number}]: got an index outside 0..{len(y) - 1}, or none at all",
            remedy="pass the labels that the parts were made of",
        )
    return np.bincount(y[indices], minlength=width).astype(np.int64)
