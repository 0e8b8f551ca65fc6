"""Label skew by a Dirichlet distribution."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from securefl.federated.partition.requests import (
    Indices,
    Labels,
    check_concentration,
    check_request,
    checked_seed,
    labels,
)
from securefl.federated.seeds import Use, generator

_DRAWS = 10
"""Partitions drawn in search of one that meets `min_examples`, before examples are moved instead."""


def dirichlet(y: Labels, parties: int, alpha: float, seed: int, min_examples: int = 1) -> list[Indices]:
    """Deal examples out with label skew: each class is shared among the parties in proportions drawn from Dir(alpha).

    Sizes are unequal too, so that weights matter. Small `alpha` gives parties of few classes, large `alpha` is nearly
    `iid`. When no early draw gives each party `min_examples`, the largest parties cede examples to the smallest.

    Args:
        y: labels, integer, (n,), from 0.
        parties: number of parts.
        alpha: concentration, in (0, 1e6]; 0.1 is strong skew, 1 moderate, 100 next to none.
        seed: of the deal.
        min_examples: the least number of examples a party may hold, at least 1.

    Returns:
        A sorted index array a party; together they hold each of 0..n-1 once.

    Raises:
        ConfigError: `alpha` or a label is out of range, or there are too few examples for the request.

    Source: label skew by Dir(alpha) as in Hsu et al. 2019 (arXiv:1909.06335, section 3), drawn for each class over the
        parties, as in Yurochkin et al. 2019 (arXiv:1905.12022, section 4), so that every example is dealt out.
    """
    check_concentration(alpha)
    array = labels(y)
    count = check_request(len(array), parties, min_examples)
    rng = generator(checked_seed(seed), Use.PARTITION)
    for _ in range(_DRAWS):
        parts = _draw(array, count, alpha, rng)
        if min(map(len, parts)) >= min_examples:
            break
    else:
        parts = _level(parts, min_examples, rng)
    return [np.sort(part) for part in parts]


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
