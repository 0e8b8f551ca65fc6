"""Which parties share masks: every pair, or k neighbours on a ring in random order (a Harary graph).

The order is drawn after the last key was advertised: who chose its key, or where to collude, after seeing the order could place itself
around one victim, and the bounds of `k_regular` hold for no such graph.

Source: Bell, Bonawitz, Gascon, Lepoint, Raykova 2020, section 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from securefl.crypto.random import RandomSource
from securefl.types import Graph, RoundContext


class Neighbourhoods:
    """The mask graph of one round.

    Args:
        order: the parties that advertised, as they stand on the ring; any order for the complete graph.
        degree: with how many others each shares masks; even, or all others.
    """

    def __init__(self, order: Sequence[int], degree: int) -> None:
        self._order = tuple(order)
        self._place = {party: place for place, party in enumerate(self._order)}
        self._reach = degree // 2
        self._ring = self._order + self._order[: 2 * self._reach]
        self._all = frozenset(self._order) if degree >= len(self._order) - 1 else None

    @property
    def parties(self) -> frozenset[int]:
        """Everybody on the graph."""
        return frozenset(self._place)

    @property
    def order(self) -> tuple[int, ...]:
        """The parties as they stand on the ring."""
        return self._order

    def of(self, party: int) -> frozenset[int]:
        """The neighbours of a party, without itself."""
        if self._all is not None:
            return self._all - {party}
        # The ring, cut open, goes on by as much as two sides reach: both of them are slices.
        reach, place = self._reach, self._place[party]
        first = place - reach if place >= reach else place - reach + len(self._order)
        return frozenset(self._ring[first : first + reach] + self._ring[place + 1 : place + reach + 1])


def draw(context: RoundContext, parties: Iterable[int], random: RandomSource) -> Neighbourhoods:
    """The graph of a round, once it is known who advertised."""
    order = sorted(parties)
    degree = context.degree(len(order))
    if context.graph is Graph.K_REGULAR and degree < len(order) - 1:
        shuffle(order, random)
    return Neighbourhoods(order, degree)


def shuffle(order: list[int], random: RandomSource) -> None:
    """Put a list into uniformly random order, in place (Fisher and Yates; Knuth, TAOCP 2, algorithm 3.4.2 P)."""
    for last in range(len(order) - 1, 0, -1):
        chosen = random.below(last + 1)
        order[last], order[chosen] = order[chosen], order[last]
