"""Pathological label skew: each party knows a few classes and nothing of the others."""

from __future__ import annotations

import heapq

import numpy as np
import numpy.typing as npt

from securefl.errors import ConfigError
from securefl.federated.partition.requests import Indices, Labels, check_request, checked_seed, labels, whole
from securefl.federated.seeds import Use, generator


def pathological(y: Labels, parties: int, classes_per_party: int, seed: int) -> list[Indices]:
    """Deal examples out so that each party holds examples of exactly k classes.

    Each class is cut into shards of equal size (to one example), the more the larger the class is, and a party gets k
    shards of different classes. With balanced classes and parties * k a multiple of their number, sizes differ by k at
    most.

    Args:
        y: labels, integer, (n,), from 0.
        parties: number of parts.
        classes_per_party: k; 2 in the source. The number of classes that occur gives each party all of them.
        seed: of the deal.

    Returns:
        A sorted index array a party; together they hold each of 0..n-1 once.

    Raises:
        ConfigError: k is above the number of classes, parties * k is below it (a class would be nobody's), a class has
            too few examples to be cut, or a label is out of range.

    Source: McMahan et al. 2017 (arXiv:1602.05629, section 3: MNIST sorted by label, 200 shards of 300, two a client),
        generalised: there a shard may straddle two classes and both shards be of one class, so k is only nearly a bound.
    """
    array = labels(y)
    count = check_request(len(array), parties)
    k = whole("classes_per_party", classes_per_party, 1, "use classes_per_party=2")
    present, sizes = np.unique(array, return_counts=True)
    shards = _shards(sizes, count, k)
    rng = generator(checked_seed(seed), Use.PARTITION)
    shares: list[list[Indices]] = [[] for _ in range(count)]
    free = np.full(count, k)
    for index in rng.permutation(len(present)):
        # Who can still take the most shards goes first: so no party is left that would need one class twice (Gale, Ryser).
        holders = np.lexsort((rng.random(count), -free))[: shards[index]]
        free[holders] -= 1
        members = rng.permutation(np.flatnonzero(array == present[index]))
        for holder, piece in zip(holders, np.array_split(members, shards[index]), strict=True):
            shares[holder].append(piece)
    return [np.sort(np.concatenate(share)) for share in shares]


def _shards(sizes: npt.NDArray[np.intp], parties: int, k: int) -> list[int]:
    """Into how many shards each class is cut, parties * k in all: the class with the largest shards is cut once more."""
    classes, wanted = len(sizes), parties * k
    if k > classes:
        raise ConfigError(
            f"classes_per_party: got {k}, needs at most {classes}, the number of classes that occur",
            remedy=f"use classes_per_party={classes} or less",
        )
    if wanted < classes:
        raise ConfigError(
            f"classes_per_party: got {k} for {parties} parties, needs parties * classes_per_party >= {classes}, "
            "the number of classes, or a class would be nobody's",
            remedy=f"use classes_per_party={-(-classes // parties)} or more",
        )
    most = [min(parties, int(size)) for size in sizes]
    if sum(most) < wanted:
        raise ConfigError(
            f"classes_per_party: got {k} for {parties} parties, needs {wanted} shards of at least 1 example; "
            f"the classes' sizes allow {sum(most)}",
            remedy="ask for fewer parties or fewer classes a party",
        )
    shards = [1] * classes
    heap = [(-float(size), index) for index, size in enumerate(sizes) if most[index] > 1]
    heapq.heapify(heap)
    for _ in range(wanted - classes):
        _, index = heapq.heappop(heap)
        shards[index] += 1
        if shards[index] < most[index]:
            heapq.heappush(heap, (-sizes[index] / shards[index], index))
    return shards
