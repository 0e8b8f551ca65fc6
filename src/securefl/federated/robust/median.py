"""Coordinate-wise median."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from securefl.federated.models import Params
from securefl.federated.robust.rule import Floats, by_rows


def coordinate_median(updates: Sequence[Params]) -> Params:
    """Return the median of each coordinate by itself.

    With fewer than half of the updates wrong, each coordinate lies between the least and the largest of the right ones.

    Args:
        updates: n >= 1, of one layout, finite.

    Raises:
        ConfigError, LayoutMismatchError, NonFiniteError: as for a `Rule`.

    Source: Yin et al. 2018 (arXiv:1803.01498), definition 1 and algorithm 1, option I.
    """
    return by_rows(updates, median_of_rows, least=1, rule="median")


def median_of_rows(rows: Floats) -> Floats:
    """Return the median of each column, (d,); the columns of `rows`, (n, d), are sorted in place."""
    rows.sort(axis=0)
    low, high = rows[(len(rows) - 1) // 2], rows[len(rows) // 2]
    middle: Floats = np.asarray(low / 2 + high / 2)  # halves first: a sum could overflow
    return middle


@dataclasses.dataclass(frozen=True, slots=True)
class Median:
    """`coordinate_median` as a rule; it takes no weights, since whoever lies about an update lies about its weight."""

    def __call__(self, updates: Sequence[Params], weights: Sequence[float] | None = None) -> Params:  # noqa: ARG002
        """Return the coordinate-wise median; weights are left out."""
        return coordinate_median(updates)

    @property
    def least(self) -> int:
        """One."""
        return 1
