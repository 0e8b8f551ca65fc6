"""Page, "The graph": the ring, and which (k, t) is safe on it, in exact fractions from the three formulas of the protocol note."""

import math
from fractions import Fraction

from reference.errors import Refused

SIGMA, ETA = 40, 30


def shuffled(parties, draws):
    """The parties in the order of the ring: Fisher and Yates from the last place down; `draws` gives a number in 0..last."""
    order, draws = sorted(parties), iter(draws)
    for last in reversed(range(1, len(order))):
        chosen = next(draws)
        order[last], order[chosen] = order[chosen], order[last]
    return order


def neighbourhoods(parties, degree, draws):
    """The neighbours of each party; nothing is drawn where everybody is everybody's neighbour."""
    parties = sorted(parties)
    if degree >= len(parties) - 1:
        return {party: set(parties) - {party} for party in parties}
    order = shuffled(parties, draws)
    distances = {(i - j) % len(order): 0 for i in range(len(order)) for j in range(len(order))}
    distances = {d: min(d, len(order) - d) for d in distances}
    return {
        party: {other for j, other in enumerate(order) if 0 < distances[(i - j) % len(order)] <= degree // 2}
        for i, party in enumerate(order)
    }


def hypergeometric(n, marked, k, x):
    """Pr[Hyp(n, marked, k) = x]: x marked ones among k that were drawn of n."""
    return Fraction(math.comb(marked, x) * math.comb(n - marked, k - x), math.comb(n, k))


def connected(n, lost, k):
    """Formula 1: n(n-k-1)/2 * [B! (n-k)!] / [n! (B-k)!] < 2^-(sigma+1), or k > B."""
    if k > lost:
        return True
    apart = Fraction(n * (n - k - 1), 2)
    for i in range(k):  # B! (n-k)! / (n! (B-k)!), factor by factor
        apart *= Fraction(lost - i, n - i)
    return apart < Fraction(1, 2 ** (SIGMA + 1))


def t1(n, colluders, k):
    """Formula 2: the least x with Pr[Hyp(n, A, k) > x] <= 2^-(sigma+1) / n."""
    bound, above = Fraction(1, 2 ** (SIGMA + 1) * n), Fraction(0)
    x = k
    while x > 0 and above + hypergeometric(n, colluders, k, x) <= bound:
        above += hypergeometric(n, colluders, k, x)
        x -= 1
    return x


def t2(n, staying, k):
    """Formula 3: the greatest y <= k with Pr[Hyp(n, S, k) < y] <= 2^-eta / n."""
    bound, below = Fraction(1, 2**ETA * n), Fraction(0)
    y = 0
    while y < k and below + hypergeometric(n, staying, k, y) <= bound:
        below += hypergeometric(n, staying, k, y)
        y += 1
    return y


def choose(n, colluders, dropped):
    """(k, t): the first even k with a threshold, and the least such threshold."""
    for k in range(2, n, 2):
        if connected(n, colluders + dropped, k):
            t = max(t1(n, colluders, k) + 1, 2)
            if t <= t2(n, n - dropped, k):
                return k, t
    raise Refused("no degree is safe and lives")


def check(n, colluders, dropped, k, t):
    """A given pair."""
    if k % 2 or not 2 <= k < n or not 2 <= t <= n - 1:
        raise Refused("a degree or a threshold out of bounds")
    if not connected(n, colluders + dropped, k) or not t1(n, colluders, k) < t <= t2(n, n - dropped, k):
        raise Refused("a degree or a threshold that is not safe, or does not live")


def refit(attending, colluders, dropped, k, t):
    """The threshold for those that advertised, of whom `dropped` may still be missing from the sum."""
    least = t1(attending, colluders, k) + 1
    if not connected(attending, colluders + dropped, k) or least > k:
        raise Refused("unsafe for so few")
    return max(t, least)
