"""What a robust rule is, and updates as the rows of one matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from securefl.errors import ConfigError, LayoutMismatchError, NonFiniteError
from securefl.federated.models import Params

Floats = npt.NDArray[np.float64]


class Rule(Protocol):
    """One update out of many, of which some may be anything at all."""

    def __call__(self, updates: Sequence[Params], weights: Sequence[float] | None = None) -> Params:
        """Return the aggregate.

        Args:
            updates: of one layout, finite.
            weights: one an update, above 0; rules of order and distance leave them out, each says so.

        Returns:
            Arrays of the updates' names and shapes; floats keep their dtype, integers become float64.

        Raises:
            ConfigError: too few updates for the rule, or wrong weights.
            LayoutMismatchError: two updates differ in names or shapes.
            NonFiniteError: an update has a NaN or an infinity.
        """

    @property
    def least(self) -> int:
        """The fewest updates that the rule is defined for."""


def by_rows(updates: Sequence[Params], reduce: Callable[[Floats], Floats], *, least: int, rule: str) -> Params:
    """Apply a function of a matrix, one row an update, to updates.

    Args:
        updates: as for a `Rule`.
        reduce: from (n, d) to (d,), float64; it may change its argument.
        least: the fewest rows.
        rule: its name, for errors.

    Raises:
        ConfigError: fewer updates.
        LayoutMismatchError, NonFiniteError: as for a `Rule`.
    """
    if len(updates) < least:
        raise ConfigError(
            f"{rule}: got {len(updates)} updates, needs at least {least}",
            remedy="ask more parties, form more groups, or let the rule bear fewer attackers",
        )
    first = updates[0]
    matrix = np.empty((len(updates), sum(np.size(leaf) for leaf in first.values())))
    for row, update in enumerate(updates):
        _check_layout(row, update, first, rule)
        matrix[row] = np.concatenate([np.ravel(update[name]) for name in first]) if first else []
        if not np.isfinite(matrix[row]).all():
            raise NonFiniteError(f"{rule}: update {row} has values that are not finite", remedy="leave it out")
    return _unflattened(reduce(matrix), first)


def checked_weights(weights: Sequence[float] | None, count: int, rule: str) -> Floats:
    """Return weights that add up to 1; equal ones for None.

    Raises:
        ConfigError: another number of them, or one that is not a finite number above 0.
    """
    if weights is None:
        return np.full(count, 1.0 / count)
    own = np.asarray(weights, dtype=np.float64)
    if own.shape != (count,) or not (np.isfinite(own) & (own > 0)).all():
        raise ConfigError(
            f"{rule}: got weights {list(weights)[:8]}, needs {count} finite numbers > 0", remedy="leave weights out"
        )
    shares: Floats = own / own.max()  # a sum of the weights themselves could overflow
    shares /= shares.sum()
    return shares


def check_count(name: str, value: int, least: int) -> None:
    """Raise unless a count is a whole number and large enough.

    Raises:
        ConfigError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name}: got {value!r}, needs a whole number >= {least}", remedy=f"use {name}={least}")


def norm_of(update: Params) -> float:
    """Return the L2 norm over all tensors, without overflow."""
    flat = np.concatenate([np.ravel(leaf).astype(np.float64) for leaf in update.values()]) if update else np.zeros(1)
    largest = float(np.abs(flat).max(initial=0.0))
    return largest * float(np.linalg.norm(flat / largest)) if 0 < largest < np.inf else largest


def _check_layout(row: int, update: Params, first: Params, rule: str) -> None:
    if set(update) != set(first):
        odd = ", ".join(sorted(map(str, set(update) ^ set(first)))[:8])
        raise LayoutMismatchError(f"{rule}: update {row} and update 0 differ in tensors: {odd}")
    for name, leaf in first.items():
        if np.shape(update[name]) != np.shape(leaf):
            raise LayoutMismatchError(
                f"{rule}: update {row} has {np.shape(update[name])} values of {name!r}, update 0 has {np.shape(leaf)}",
                tensor=name,
            )


def _unflattened(flat: Floats, like: Params) -> Params:
    shaped: dict[str, npt.NDArray[Any]] = {}
    for name, leaf in like.items():
        size, own = np.size(leaf), np.asarray(leaf)
        dtype = own.dtype if np.issubdtype(own.dtype, np.floating) else np.dtype(np.float64)
        shaped[name], flat = flat[:size].reshape(own.shape).astype(dtype), flat[size:]
    return shaped
