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

import bisect
import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Final

from securefl.errors import UnsafePlanError

SIGMA: Final = 40
"""Security fails with probability at most 2^-SIGMA."""
MAX_NEIGHBOURS: Final = 512
"""More are never needed where a k-regular graph is worth having (98 for 100 000 parties), and a search must end."""
ETA: Final = 30
"""A round within the bounds to which all n came fails to open with probability at most 2^-ETA; see `refit` for fewer."""
MIN_PARTIES: Final = 3
"""A sum of two vectors reveals each party the other's."""


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


def choose_degree(
    parties: int,
    corrupted: int,
    dropped: int,
    *,
    neighbours: int | None = None,
    threshold: int | None = None,
    sigma: int = SIGMA,
    eta: int = ETA,
) -> Degree:
    """The smallest even k for which a threshold exists, and the smallest such threshold; or a check of those that are given.

    Args:
        parties: n.
        corrupted: A, how many may collude with the server.
        dropped: D, how many may drop out.
        neighbours: k, where it is given.
        threshold: t, where it is given.
        sigma: security parameter, in bits.
        eta: liveness parameter, in bits.

    Raises:
        UnsafePlanError: nothing below n serves; the remedy says what would.
    """
    found = _search(parties, corrupted, dropped, neighbours, threshold, sigma, eta)
    if found is not None:
        return found
    given = [f"{name} = {value}" for name, value in (("k", neighbours), ("t", threshold)) if value is not None]
    raise UnsafePlanError(
        f"no k-regular graph on {parties} parties{' with ' + ' and '.join(given) if given else ''} is safe with {corrupted} "
        f"colluders and lives with {dropped} dropouts",
        value=", ".join(given) or f"n = {parties}",
        bound="an even k < n and a t that meet the three bounds of connectivity, security and liveness",
        # What was given may come from a stranger: for that nothing is searched, so whether any k and t serve is not known here.
        remedy="leave k and t out: they are computed, or you are told what would serve; `securefl secagg-params` explains them"
        if given
        else _what_works(parties, corrupted, dropped, sigma, eta),
    )


@functools.lru_cache(maxsize=256)
def _search(
    parties: int, corrupted: int, dropped: int, neighbours: int | None, threshold: int | None, sigma: int, eta: int
) -> Degree | None:
    candidates = range(2, min(parties, MAX_NEIGHBOURS + 1), 2) if neighbours is None else (neighbours,)
    for k in candidates:
        if not connected(parties, corrupted + dropped, k, sigma):
            continue
        least = secure_threshold(parties, corrupted, k, sigma)
        most = live_threshold(parties, parties - dropped, k, eta)
        t = max(least, 2) if threshold is None else threshold
        if least <= t <= most:
            return Degree(k, t, least, most)
    return None


def _what_works(parties: int, corrupted: int, dropped: int, sigma: int, eta: int) -> str:
    """What would be safe instead, found by trying."""

    def serves(colluders: int, lost: int) -> bool:
        enough = parties - lost >= max(MIN_PARTIES, colluders + 2)
        return enough and _search(parties, colluders, lost, None, None, sigma, eta) is not None

    ways = []
    if parties - dropped >= corrupted + 3:  # for noise its threshold is c + 2, and t + 1 must stay
        ways.append('use the complete graph, SecAgg(graph="complete")')
    fewer = _most(dropped, lambda lost: serves(corrupted, lost))
    if fewer is not None:
        floor = f"min_survivors={parties - fewer}"
        ways.append(f"plan for at most {fewer} dropouts beside {corrupted} colluders, with {floor}")
    else:
        honest = _most(corrupted, lambda colluders: serves(colluders, dropped))
        ways.append(
            f"assume at most {honest} colluders beside {dropped} dropouts"
            if honest is not None
            else "assume fewer colluders and fewer dropouts"
        )
    return ", or ".join(ways)


def _most(bound: int, serves: Callable[[int], bool]) -> int | None:
    """The greatest number up to `bound` that serves, if any; where one serves, so do all below it."""
    if not serves(0):
        return None
    return bisect.bisect_left(range(1, bound + 1), 1, key=lambda number: 0 if serves(number) else 1)


def obstacle(parties: int, corrupted: int, dropped: int, neighbours: int) -> str:
    """Why no threshold serves with this k, for people; empty where one does."""
    if not connected(parties, corrupted + dropped, neighbours, SIGMA):
        return f"the honest parties that stay may fall apart with probability above 2^-{SIGMA + 1}"
    least = secure_threshold(parties, corrupted, neighbours, SIGMA)
    most = live_threshold(parties, parties - dropped, neighbours, ETA)
    return f"security needs a threshold of {least} and liveness one of at most {most}" if least > most else ""


@functools.lru_cache(maxsize=256)
def refit(parties: int, corrupted: int, dropped: int, neighbours: int, threshold: int, sigma: int = SIGMA) -> int:
    """The threshold for the n that advertised: the plan's, or the next that is secure where fewer parties came.

    The colluders are those of the invited n, all of whom may have come, so that their share grows as others stay away. What is
    secure goes first: liveness is not bounded again, and where t rises a round fails to open more often than with 2^-ETA.

    Args:
        parties: n, how many advertised.
        corrupted: A, of those invited.
        dropped: D, how many of those that advertised may still be missing from the sum.
        neighbours: k.
        threshold: t of the plan.
        sigma: security parameter, in bits.

    Raises:
        UnsafePlanError: the graph of those that came may fall apart, or needs a threshold above k.
    """
    least = secure_threshold(parties, corrupted, neighbours, sigma)
    if not connected(parties, corrupted + dropped, neighbours, sigma) or least > neighbours:
        raise UnsafePlanError(
            f"a k-regular graph with {neighbours} neighbours is unsafe for the {parties} parties that advertised, with {corrupted} "
            f"colluders and {dropped} more dropouts",
            value=parties,
            bound="enough parties that every honest one stays connected, with probability 1 - 2^-40",
            remedy="start a new round when more parties are there, or plan for more dropouts",
        )
    return max(threshold, least)


def connected(parties: int, lost: int, neighbours: int, sigma: int) -> bool:
    """Formula 1: n(n-k-1)/2 * [B! (n-k)!] / [n! (B-k)!] < 2^-(sigma+1), or k > B, for B parties lost to collusion or dropout."""
    if neighbours > lost:
        return True
    pairs = parties * (parties - neighbours - 1)
    return pairs * math.perm(lost, neighbours) << sigma < math.perm(parties, neighbours)


def secure_threshold(parties: int, corrupted: int, neighbours: int, sigma: int) -> int:
    """Formula 2: the least t with Pr[Hyp(n, A, k) >= t] <= 2^-(sigma+1) / n."""
    total = math.comb(parties, neighbours)
    most = min(neighbours, corrupted)
    tail, term = 0, math.comb(corrupted, most) * math.comb(parties - corrupted, neighbours - most)
    for threshold in range(most, 0, -1):
        tail += term
        if tail * parties << (sigma + 1) > total:
            return threshold + 1
        # C(A, x-1) C(n-A, k-x+1) from C(A, x) C(n-A, k-x); the division leaves no rest.
        term = term * threshold * (parties - corrupted - neighbours + threshold)
        term //= (corrupted - threshold + 1) * (neighbours - threshold + 1)
    return 1


def live_threshold(parties: int, staying: int, neighbours: int, eta: int) -> int:
    """Formula 3: the greatest t with Pr[Hyp(n, S, k) < t] <= 2^-eta / n."""
    total = math.comb(parties, neighbours)
    least = max(0, neighbours - (parties - staying))
    tail, term = 0, math.comb(staying, least) * math.comb(parties - staying, neighbours - least)
    for threshold in range(least, neighbours):
        tail += term
        if tail * parties << eta > total:
            return threshold
        term = term * (staying - threshold) * (neighbours - threshold)
        term //= (threshold + 1) * (parties - staying - neighbours + threshold + 1)
    return neighbours
