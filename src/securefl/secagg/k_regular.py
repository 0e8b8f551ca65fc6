"""The k-regular graph: how many neighbours, and which threshold, so that a random graph is safe and lives (Bell et al. 2020).

Of n parties A may collude with a semi-honest server and D may drop out; each party shares masks with k random neighbours.
With statistical security 2^-sigma and failure probability 2^-eta:

1. connectivity: the honest parties that stay form one connected graph, so that only the sum of all of them is revealed;
2. security: no party has t or more colluding neighbours, who could open its secrets;
3. liveness: every party keeps at least t neighbours that stay.

All probabilities are exact ratios of integers.

Source: Bell, Bonawitz, Gascon, Lepoint, Raykova 2020, section 3 and appendix; the bounds as in protocol.md.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Final

from securefl.errors import UnsafePlanError

SIGMA: Final = 40
"""Security fails with probability at most 2^-SIGMA."""
ETA: Final = 30
"""A round within the bounds fails to open with probability at most 2^-ETA."""


@dataclasses.dataclass(frozen=True, slots=True)
class Degree:
    """A safe degree and threshold.

    Args:
        neighbours: k, even.
        threshold: t.
        least: the smallest threshold that is secure.
        most: the largest threshold that lives.
    """

    neighbours: int
    threshold: int
    least: int
    most: int


def choose_degree(parties: int, corrupted: int, dropped: int, *, sigma: int = SIGMA, eta: int = ETA) -> Degree:
    """The smallest even k for which a threshold exists, and the smallest such threshold.

    Args:
        parties: n.
        corrupted: A, how many may collude with the server.
        dropped: D, how many may drop out.
        sigma: security parameter, in bits.
        eta: liveness parameter, in bits.

    Raises:
        UnsafePlanError: no k below n serves.
    """
    for neighbours in range(2, parties, 2):
        if not connected(parties, corrupted + dropped, neighbours, sigma):
            continue
        least = secure_threshold(parties, corrupted, neighbours, sigma)
        most = live_threshold(parties, parties - dropped, neighbours, eta)
        if most >= least:
            return Degree(neighbours, max(least, 2), least, most)
    raise UnsafePlanError(
        f"no k-regular graph on {parties} parties is safe with {corrupted} colluders and {dropped} dropouts",
        value=parties,
        bound=f"more parties, or fewer than {corrupted} colluders and {dropped} dropouts",
        remedy='use the complete graph, SecAgg(graph="complete"), or assume fewer colluders or dropouts',
    )


def connected(parties: int, lost: int, neighbours: int, sigma: int) -> bool:
    """Formula 1: n(n-k-1)/2 * [B! (n-k)!] / [n! (B-k)!] < 2^-(sigma+1), or k > B, for B parties lost to collusion or dropout."""
    if neighbours > lost:
        return True
    pairs = parties * (parties - neighbours - 1)
    return pairs * math.perm(lost, neighbours) << sigma < math.perm(parties, neighbours)


def secure_threshold(parties: int, corrupted: int, neighbours: int, sigma: int) -> int:
    """Formula 2: the least t with Pr[Hyp(n, A, k) >= t] <= 2^-(sigma+1) / n."""
    total = math.comb(parties, neighbours)
    tail = 0
    for threshold in range(min(neighbours, corrupted), 0, -1):
        tail += math.comb(corrupted, threshold) * math.comb(parties - corrupted, neighbours - threshold)
        if tail * parties << (sigma + 1) > total:
            return threshold + 1
    return 1


def live_threshold(parties: int, staying: int, neighbours: int, eta: int) -> int:
    """Formula 3: the greatest t with Pr[Hyp(n, S, k) < t] <= 2^-eta / n."""
    total = math.comb(parties, neighbours)
    tail = 0
    for threshold in range(neighbours):
        tail += math.comb(staying, threshold) * math.comb(parties - staying, neighbours - threshold)
        if tail * parties << eta > total:
            return threshold
    return neighbours
