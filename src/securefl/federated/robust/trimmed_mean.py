"""Coordinate-wise trimmed mean."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Final

from securefl.errors import ConfigError
from securefl.federated.models import Params
from securefl.federated.robust.rule import Floats, by_rows

_ROUNDING: Final = 1e-9
"""How far below a whole number beta n may be and still mean it."""


def trimmed_mean(updates: Sequence[Params], beta: float) -> Params:
    """Return the mean of each coordinate without its floor(beta n) least and as many largest values.

    With at most floor(beta n) updates wrong, each coordinate lies between the least and the largest of the right ones.

    Args:
        updates: n >= 1, of one layout, finite.
        beta: in [0, 1/2): the share of wrong updates to bear. 0 is the mean.

    Raises:
        ConfigError: beta is out of range.
        LayoutMismatchError, NonFiniteError: as for a `Rule`.

    Source: Yin et al. 2018 (arXiv:1803.01498), definition 2 and algorithm 1, option II.
    """
    _check_beta(beta)
    # As meant: binary floats would make 0.29 of 100 updates 28, and decimal ones a third of 6 updates 1.
    cut = min(math.floor(beta * len(updates) + _ROUNDING), (len(updates) - 1) // 2)

    def reduce(rows: Floats) -> Floats:
        rows.sort(axis=0)
        kept: Floats = rows[cut : len(rows) - cut] / (len(rows) - 2 * cut)
        total: Floats = kept.sum(axis=0)
        return total

    return by_rows(updates, reduce, least=1, rule="trimmed mean")


@dataclasses.dataclass(frozen=True, slots=True)
class TrimmedMean:
    """`trimmed_mean` as a rule; it takes no weights.

    Args:
        beta: in [0, 1/2).

    Raises:
        ConfigError: beta is out of range.
    """

    beta: float = 0.2

    def __post_init__(self) -> None:
        _check_beta(self.beta)

    def __call__(self, updates: Sequence[Params], weights: Sequence[float] | None = None) -> Params:  # noqa: ARG002
        """Return the trimmed mean; weights are left out."""
        return trimmed_mean(updates, self.beta)

    @property
    def least(self) -> int:
        """One: below 1/beta updates nothing is cut, and it is the mean."""
        return 1


def _check_beta(beta: float) -> None:
    if isinstance(beta, bool) or not isinstance(beta, int | float) or not 0.0 <= beta < 0.5:
        raise ConfigError(
            f"beta: got {beta!r}, needs 0 <= beta < 0.5", remedy="use the share of attackers, such as 0.2"
        )
