"""No skew: the control of every experiment on heterogeneity."""

from __future__ import annotations

import numpy as np

from securefl.federated.partition.requests import Indices, Labels, check_request, checked_seed, examples_of
from securefl.federated.seeds import Use, generator


def iid(y_or_n: Labels | int, parties: int, seed: int) -> list[Indices]:
    """Deal examples out at random, in parts whose sizes differ by one at most.

    Args:
        y_or_n: the labels, (n,), or just n.
        parties: number of parts.
        seed: of the deal.

    Returns:
        A sorted index array a party; together they hold each of 0..n-1 once.

    Raises:
        ConfigError: there are fewer examples than parties, or an argument is no such number.
    """
    examples = examples_of(y_or_n)
    count = check_request(examples, parties)
    order = generator(checked_seed(seed), Use.PARTITION).permutation(examples)
    return [np.sort(part) for part in np.array_split(order, count)]
