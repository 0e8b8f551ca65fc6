"""Krum and multi-Krum: the updates that lie nearest to most others."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from securefl.errors import ConfigError
from securefl.federated.models import Params
from securefl.federated.robust.rule import Floats, by_rows, check_count


def krum(updates: Sequence[Params], f: int) -> Params:
    """Return the update with the least score; see `krum_scores`.

    Args:
        updates: n >= 2f + 3, of one layout, finite.
        f: wrong updates to bear.

    Raises:
        ConfigError: f is negative, or too few updates for it.
        LayoutMismatchError, NonFiniteError: as for a `Rule`.

    Source: Blanchard et al. 2017 (NeurIPS, arXiv:1703.02757), section 4.
    """
    return multi_krum(updates, f, 1)


def multi_krum(updates: Sequence[Params], f: int, m: int | None = None) -> Params:
    """Return the mean of the m updates with the least scores; see `krum_scores`.

    Args:
        updates: n >= 2f + 3, of one layout, finite.
        f: wrong updates to bear.
        m: 1 to n - f, by default n - f.

    Raises:
        ConfigError: f or m is out of range, or too few updates.
        LayoutMismatchError, NonFiniteError: as for a `Rule`.

    Source: Blanchard et al. 2017 (NeurIPS, arXiv:1703.02757), section 6, multi-Krum.
    """
    check_count("f", f, 0)
    chosen = len(updates) - f if m is None else m
    if m is not None:
        check_count("m", m, 1)
        if len(updates) >= 2 * f + 3 and m > len(updates) - f:
            raise ConfigError(
                f"m: got {m}, needs at most {len(updates) - f}: of {len(updates)} updates f = {f} may be wrong",
                remedy="leave m out",
            )

    def reduce(rows: Floats) -> Floats:
        best = np.argsort(_scores(rows, f), kind="stable")[:chosen]
        kept: Floats = rows[np.sort(best)] / len(best)
        total: Floats = kept.sum(axis=0)
        return total

    return by_rows(updates, reduce, least=2 * f + 3, rule="multi-Krum")


def krum_scores(updates: Sequence[Params], f: int) -> npt.NDArray[np.float64]:
    """Return each update's score: the sum of its squared distances to its n - f - 2 nearest others.

    Args:
        updates: n >= 2f + 3, of one layout, finite.
        f: wrong updates to bear.

    Returns:
        float64, (n,); infinite where a distance is too large for float64.

    Raises:
        ConfigError, LayoutMismatchError, NonFiniteError: as for `krum`.
    """
    check_count("f", f, 0)
    found: list[Floats] = []

    def reduce(rows: Floats) -> Floats:
        found.append(_scores(rows, f))
        first: Floats = rows[0]
        return first

    by_rows(updates, reduce, least=2 * f + 3, rule="Krum")
    return found[0]


def _scores(rows: Floats, f: int) -> Floats:
    distances = np.zeros((len(rows), len(rows)))
    # Differences, not a Gram matrix: that of nearby vectors far from the origin is all rounding error.
    with np.errstate(over="ignore"):
        for i in range(len(rows) - 1):
            apart = rows[i + 1 :] - rows[i]
            distances[i, i + 1 :] = distances[i + 1 :, i] = np.einsum("ij,ij->i", apart, apart)
        distances.sort(axis=1)
        # The first is the distance to itself.
        scores: Floats = distances[:, 1 : len(rows) - f - 1].sum(axis=1)
    return scores


@dataclasses.dataclass(frozen=True, slots=True)
class Krum:
    """`krum` as a rule; it takes no weights.

    Args:
        f: wrong updates to bear, of 2f + 3 at least.

    Raises:
        ConfigError: f is not a whole number, or negative.
    """

    f: int = 1

    def __post_init__(self) -> None:
        check_count("f", self.f, 0)

    def __call__(self, updates: Sequence[Params], weights: Sequence[float] | None = None) -> Params:  # noqa: ARG002
        """Return the update nearest to its neighbours; weights are left out."""
        return krum(updates, self.f)

    @property
    def least(self) -> int:
        """2f + 3."""
        return 2 * self.f + 3


@dataclasses.dataclass(frozen=True, slots=True)
class MultiKrum:
    """`multi_krum` as a rule; it takes no weights.

    Args:
        f: wrong updates to bear, of 2f + 3 at least.
        m: updates to take the mean of; None for all but f.

    Raises:
        ConfigError: f or m is not a whole number, or out of range.
    """

    f: int = 1
    m: int | None = None

    def __post_init__(self) -> None:
        check_count("f", self.f, 0)
        if self.m is not None:
            check_count("m", self.m, 1)

    def __call__(self, updates: Sequence[Params], weights: Sequence[float] | None = None) -> Params:  # noqa: ARG002
        """Return the mean of the m updates nearest to their neighbours; weights are left out."""
        return multi_krum(updates, self.f, self.m)

    @property
    def least(self) -> int:
        """2f + 3, or m + f if that is more."""
        return max(2 * self.f + 3, self.f + (self.m or 0))
