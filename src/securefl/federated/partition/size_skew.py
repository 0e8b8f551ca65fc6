"""Quantity skew: parties alike in what they hold, unlike in how much."""

from __future__ import annotations

import enum

import numpy as np
import numpy.typing as npt

from securefl.errors import ConfigError
from securefl.federated.partition.requests import (
    Indices,
    Labels,
    between,
    check_concentration,
    check_request,
    checked_seed,
    examples_of,
)
from securefl.federated.seeds import Use, generator

_STEEPEST = 100.0


class SizeLaw(enum.StrEnum):
    """How the sizes of the parts are distributed.

    dirichlet: proportions from Dir(alpha), small alpha is strong skew. power: the party of rank r holds a share
    proportional to r^-alpha, large alpha is strong skew.
    """

    DIRICHLET = "dirichlet"
    POWER = "power"


def quantity_skew(
    y_or_n: Labels | int,
    parties: int,
    alpha: float,
    seed: int,
    law: SizeLaw | str = SizeLaw.DIRICHLET,
    min_examples: int = 1,
) -> list[Indices]:
    """Deal examples out at random in parts of unequal sizes.

    Each party gets `min_examples`; what is left is shared by the law, rounded by largest remainders. Which party gets
    which size is random.

    Args:
        y_or_n: the labels, (n,), or just n.
        parties: number of parts.
        alpha: of the law: concentration in (0, 1e6], or exponent in (0, 100].
        seed: of the deal.
        law: "dirichlet" or "power".
        min_examples: the least number of examples a party may hold, at least 1.

    Returns:
        A sorted index array a party; together they hold each of 0..n-1 once.

    Raises:
        ConfigError: an argument is out of range, or there are too few examples for the request.

    Source: Li et al. 2022 (arXiv:2102.02079, section 4, "quantity skew": q ~ Dir(beta)), with a floor instead of new
        draws. The power law is Zipf's.
    """
    examples = examples_of(y_or_n)
    count = check_request(examples, parties, min_examples)
    if law not in set(SizeLaw):
        raise ConfigError(f"law: got {law!r}, needs one of {', '.join(SizeLaw)}", remedy="use law='dirichlet'")
    rng = generator(checked_seed(seed), Use.PARTITION)
    if law == SizeLaw.DIRICHLET:
        check_concentration(alpha)
        proportions = rng.dirichlet(np.full(count, float(alpha)))
    else:
        exponent = between("alpha", alpha, 0, _STEEPEST, "use alpha=1.0, or iid() for no skew", low_open=True)
        proportions = rng.permutation(np.arange(1.0, count + 1.0) ** -exponent)
    sizes = min_examples + _rounded(proportions, examples - count * min_examples)
    order = rng.permutation(examples)
    return [np.sort(part) for part in np.split(order, np.cumsum(sizes)[:-1])]


def _rounded(proportions: npt.NDArray[np.float64], total: int) -> npt.NDArray[np.intp]:
    """Whole numbers in these proportions that add up to `total`, by largest remainders (Hamilton)."""
    exact = proportions / proportions.sum() * total
    counts: npt.NDArray[np.intp] = np.floor(exact).astype(np.intp)
    short = total - int(counts.sum())
    # In floats the floors can miss `total` by more than the number of parties only beyond 2^50 examples.
    counts[np.argsort(counts - exact, kind="stable")[:short]] += 1
    return counts
