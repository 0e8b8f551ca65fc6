"""Geometric median, by the smoothed Weiszfeld algorithm of RFA."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from securefl.errors import ConfigError
from securefl.federated.models import Params
from securefl.federated.robust.median import median_of_rows
from securefl.federated.robust.rule import Floats, by_rows, check_count, checked_weights

SMOOTHING: Final = 1e-6
TOLERANCE: Final = 1e-6
MAX_ITERATIONS: Final = 100


def geometric_median(
    updates: Sequence[Params],
    weights: Sequence[float] | None = None,
    *,
    smoothing: float = SMOOTHING,
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
) -> Params:
    """Return the point whose weighted sum of distances to the updates is least.

    With less than half of the weight wrong, its distance from the right updates is bounded, however far the wrong ones are.

    Args:
        updates: n >= 1, of one layout, finite.
        weights: alpha, one an update, above 0; None for equal ones. **A wrong weight is as bad as a wrong update.**
        smoothing: nu, below which a distance counts as nu, in the update's own unit.
        tolerance: relative: it ends when an iteration makes the sum of distances less by no more than this share of it.
        max_iterations: R; each iteration lowers the sum, so the last point is the best one.

    Raises:
        ConfigError: an argument is out of range.
        LayoutMismatchError, NonFiniteError: as for a `Rule`.

    Source: Pillutla et al. 2022 (arXiv:1912.13445), algorithm 2, smoothed Weiszfeld. It starts at the coordinate-wise median rather
        than the mean, which one update can put anywhere.
    """
    _check(smoothing, tolerance, max_iterations)

    def reduce(rows: Floats) -> Floats:
        shares = checked_weights(weights, len(rows), "geometric median")
        point = median_of_rows(rows.copy())
        before = math.inf
        with np.errstate(over="ignore"):
            for _ in range(max_iterations):
                distances = np.maximum(smoothing, np.linalg.norm(rows - point, axis=1))
                total = float(shares @ distances)
                if before - total <= tolerance * total:
                    break
                before = total
                # Too far away for float64 is infinitely far: such a row has weight 0.
                pull = shares / distances
                if not pull.any():
                    break
                point = (pull / pull.sum()) @ rows
        return point

    return by_rows(updates, reduce, least=1, rule="geometric median")


@dataclasses.dataclass(frozen=True, slots=True)
class GeometricMedian:
    """`geometric_median` as a rule.

    Args:
        smoothing: nu, above 0.
        tolerance: relative, above 0.
        max_iterations: R, at least 1.
        weighted: whether weights count; where parties tell their own weights, an attacker tells a large one.

    Raises:
        ConfigError: an argument is out of range.
    """

    smoothing: float = SMOOTHING
    tolerance: float = TOLERANCE
    max_iterations: int = MAX_ITERATIONS
    weighted: bool = False

    def __post_init__(self) -> None:
        _check(self.smoothing, self.tolerance, self.max_iterations)

    def __call__(self, updates: Sequence[Params], weights: Sequence[float] | None = None) -> Params:
        """Return the geometric median, weighted if that was asked for."""
        return geometric_median(
            updates,
            weights if self.weighted else None,
            smoothing=self.smoothing,
            tolerance=self.tolerance,
            max_iterations=self.max_iterations,
        )

    @property
    def least(self) -> int:
        """One."""
        return 1


def _check(smoothing: float, tolerance: float, max_iterations: int) -> None:
    for name, value in (("smoothing", smoothing), ("tolerance", tolerance)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{name}: got {value!r}, needs a finite number > 0", remedy=f"leave {name} out")
    check_count("max_iterations", max_iterations, 1)
