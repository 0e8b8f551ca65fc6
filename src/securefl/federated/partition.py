"""Ways to deal one data set out to parties: evenly, or with skewed labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from securefl.errors import ConfigError
from securefl.federated.seeds import Use, generator

Indices: TypeAlias = npt.NDArray[np.intp]
Labels: TypeAlias = npt.NDArray[np.integer[Any]]

_DRAWS = 10
"""Partitions drawn in search of one that meets `min_examples`, before examples are moved instead."""


def iid(y_or_n: Labels | int, parties: int, seed: int) -> list[Indices]:
    """Deal examples out at random, in parts whose sizes differ by one at most.

    Args:
        y_or_n: the labels, (n,), or just n.
        parties: number of parts.
        seed: of the deal.

    Returns:
        A sorted index array a party; together they hold each of 0..n-1 once.

    Raises:
        ConfigError: there are fewer examples than parties.
    """
    examples = y_or_n if isinstance(y_or_n, int) else len(y_or_n)
    _check_request(examples, parties, min_examples=1)
    order = generator(seed, Use.PARTITION).permutation(examples)
    return [np.sort(part) for part in np.array_split(order, parties)]


def dirichlet(y: Labels, parties: int, alpha: float, seed: int, min_examples: int = 1) -> list[Indices]:
    """Deal examples out with label skew: each class is shared among the parties in proportions drawn from Dir(alpha).

    Sizes are unequal too, so that weights matter. Small `alpha` gives parties of few classes, large `alpha` is nearly
    `iid`. When no early draw gives each party `min_examples`, the largest parties cede examples to the smallest.

    Args:
        y: labels, integer, (n,).
        parties: number of parts.
        alpha: concentration, above 0; 0.1 is strong skew, 1 moderate, 100 next to none.
        seed: of the deal.
        min_examples: the least number of examples a party may hold, at least 1.

    Returns:
        A sorted index array a party; together they hold each of 0..n-1 once.

    Raises:
        ConfigError: `alpha` is not a positive number, or there are too few examples for the request.

    Source: label skew by Dir(alpha) as in Hsu et al. 2019 (arXiv:1909.06335, section 3), drawn for each class over the
        parties, as in Yurochkin et al. 2019 (arXiv:1905.12022, section 4), so that every example is dealt out.
    """
    if not (math.isfinite(alpha) and alpha > 0):
        raise ConfigError(
            f"alpha: got {alpha}, needs a finite number > 0", remedy="use alpha=1.0, or iid() for no skew"
        )
    _check_request(len(y), parties, min_examples)
    rng = generator(seed, Use.PARTITION)
    for _ in range(_DRAWS):
        parts = _draw(y, parties, alpha, rng)
        if min(map(len, parts)) >= min_examples:
            break
    else:
        parts = _level(parts, min_examples, rng)
    return [np.sort(part) for part in parts]


def summary(parts: Sequence[Indices], y: Labels) -> npt.NDArray[np.int64]:
    """Count the examples of each class that each party holds, (parties, classes)."""
    classes = int(y.max(initial=-1)) + 1
    return np.stack([np.bincount(y[part], minlength=classes) for part in parts]).astype(np.int64)


def _check_request(examples: int, parties: int, min_examples: int) -> None:
    if parties < 1:
        raise ConfigError(f"parties: got {parties}, needs at least 1", remedy="ask for one party or more")
    if min_examples < 1:
        raise ConfigError(
            f"min_examples: got {min_examples}, needs at least 1", remedy="a party without examples cannot train"
        )
    if parties * min_examples > examples:
        raise ConfigError(
            f"parties: got {parties} with at least {min_examples} examples each, "
            f"needs parties * min_examples <= {examples}, the number of examples",
            remedy=f"ask for at most {examples // min_examples} parties, or lower min_examples",
        )


def _draw(y: Labels, parties: int, alpha: float, rng: np.random.Generator) -> list[Indices]:
    shares: list[list[Indices]] = [[] for _ in range(parties)]
    for label in np.unique(y):
        members = rng.permutation(np.flatnonzero(y == label))
        proportions = rng.dirichlet(np.full(parties, alpha))
        cuts = np.rint(np.cumsum(proportions)[:-1] * len(members)).astype(np.intp)
        for share, piece in zip(shares, np.split(members, cuts), strict=True):
            share.append(piece)
    return [np.concatenate(share) for share in shares]


def _level(parts: Sequence[Indices], min_examples: int, rng: np.random.Generator) -> list[Indices]:
    """Move examples, chosen at random, from the largest part to the smallest until each has `min_examples`."""
    pools = [rng.permutation(part).tolist() for part in parts]
    while len(smallest := min(pools, key=len)) < min_examples:
        smallest.append(max(pools, key=len).pop())
    return [np.array(pool, dtype=np.intp) for pool in pools]
