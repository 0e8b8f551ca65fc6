"""The threshold and its floors on the complete graph: chosen, checked, explained.

With n parties, c of them colluding with the server, t shares needed for each secret, and a fraction delta that may drop:

- semi-honest server: t > c, or the colluders alone could open a secret;
- active server: 2t > n + c, or a server that shows different survivor sets could have both secrets of one party opened;
- floor: a sum holds at least max(3, c + 2) vectors, so that no honest party stands alone beside the colluders;
- liveness: the n - floor(delta n) parties that stay reach the floor, and t of them besides the owner hold shares of each secret.

Source: Bonawitz et al. 2017, sections 4 and 6; nobody holds a share of its own secret, hence t + 1 for liveness.
"""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction

from securefl.errors import UnsafePlanError
from securefl.types import Graph, ServerModel
from securefl.wire.messages import MAX_PARTIES

MIN_PARTIES = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Parameters:
    """A safe choice; `choose` makes it.

    Args:
        parties: n.
        server: the server model.
        graph: which pairs share masks.
        threshold: t.
        max_colluders: c, how many parties may collude with the server.
        min_survivors: the least number of vectors in a sum.
        explanation: one line of reasoning a value, for people.
    """

    parties: int
    server: ServerModel
    graph: Graph
    threshold: int
    max_colluders: int
    min_survivors: int
    explanation: tuple[str, ...] = dataclasses.field(default=(), compare=False)

    @property
    def active(self) -> bool:
        """Whether the server is assumed to be active."""
        return self.server is ServerModel.ACTIVE

    @property
    def quorum(self) -> int:
        """Parties that must stay to the end for the sum to be opened."""
        return max(self.threshold + 1, self.min_survivors)

    @property
    def max_dropouts(self) -> int:
        """Parties that a round can lose."""
        return self.parties - self.quorum


def choose(
    parties: int,
    server: ServerModel,
    *,
    threshold: int | None = None,
    max_colluders: int | None = None,
    dropout: float = 0.0,
    min_survivors: int | None = None,
    graph: Graph = Graph.COMPLETE,
) -> Parameters:
    """Safe parameters from whatever is given; what is not given is computed.

    Args:
        parties: n, 3 to 65 536.
        server: the server model.
        threshold: t; without it the smallest that is safe against `max_colluders`; without that too, two thirds of n, or fewer
            where `dropout` leaves no more.
        max_colluders: c; without it the most that t and the floor bear.
        dropout: delta, the fraction of parties that may be lost, 0 <= delta < 1.
        min_survivors: the floor; without it max(3, t, c + 2).
        graph: which pairs share masks.

    Raises:
        UnsafePlanError: nothing safe satisfies what is given.
    """
    active = server is ServerModel.ACTIVE
    n = _integer(
        "parties", parties, MIN_PARTIES, MAX_PARTIES, "with fewer than 3 a sum reveals a vector to the other party"
    )
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise UnsafePlanError(
            "dropout is a fraction of the parties",
            value=repr(dropout),
            bound="0 <= dropout < 1",
            remedy="use 0.1 for 10 %",
        )
    staying = n - math.floor(Fraction(str(dropout)) * n)
    why: list[str] = []
    if max_colluders is not None:
        _integer("max_colluders", max_colluders, 0, n - 2, "two honest parties must remain")
    if threshold is None and max_colluders is None:
        threshold = max(2, min(n - 1, staying - 1, 2 * n // 3 + 1))
        why.append(
            f"threshold {threshold}: two thirds of {n} parties, or what the expected dropouts leave, as neither threshold nor "
            "max_colluders was given"
        )
    if threshold is None:
        assumed = max_colluders or 0
        threshold = max(2, (n + assumed) // 2 + 1 if active else assumed + 1)
        rule = f"2t > n + c = {n + assumed}" if active else f"t > c = {assumed}, and at least 2"
        why.append(f"threshold {threshold}: the smallest t with {rule}")
    threshold = _integer(
        "threshold", threshold, 2, n - 1, "one share must open nothing, and n - 1 parties hold shares of a secret"
    )
    if max_colluders is None:
        max_colluders = min(2 * threshold - n - 1, threshold - 2) if active else threshold - 2
        why.append(f"max_colluders {max_colluders}: the most that threshold {threshold} and a floor of as many bear")
    _check_threshold(n, threshold, max_colluders, active=active)
    floor = max(MIN_PARTIES, max_colluders + 2)
    if min_survivors is None:
        min_survivors = max(floor, threshold)
        why.append(f"min_survivors {min_survivors}: max(3, t, c + 2), so that no honest party stands alone in a sum")
    _integer(
        "min_survivors",
        min_survivors,
        floor,
        n,
        f"a sum of fewer than c + 2 = {max_colluders + 2} vectors, or 3, leaves one alone",
    )
    chosen = Parameters(n, server, graph, threshold, max_colluders, min_survivors)
    if staying < chosen.quorum:
        raise UnsafePlanError(
            f"with {dropout:.0%} dropouts {staying} of {n} parties stay, too few to open a sum",
            value=staying,
            bound=f">= {chosen.quorum} = max(t + 1, min_survivors)",
            remedy="expect fewer dropouts, assume fewer colluders, or invite more parties",
        )
    why.append(f"liveness: a round ends well while {chosen.quorum} parties stay, it can lose {chosen.max_dropouts}")
    return dataclasses.replace(chosen, explanation=tuple(why))


def _check_threshold(n: int, threshold: int, colluders: int, *, active: bool) -> None:
    colluders = max(colluders, 0)
    if active and 2 * threshold <= n + colluders:
        raise UnsafePlanError(
            f"threshold {threshold} is unsafe against an active server with {colluders} colluders among {n} parties",
            value=threshold,
            bound=f"> (n + c) / 2 = {(n + colluders) / 2:g}",
            remedy="raise the threshold or assume fewer colluders; with less, both shares of a secret can be collected",
        )
    if not active and threshold <= colluders:
        raise UnsafePlanError(
            f"threshold {threshold} is unsafe with {colluders} colluders: they could open secrets alone",
            value=threshold,
            bound=f"> {colluders}",
            remedy="raise the threshold or assume fewer colluders",
        )


def _integer(name: str, value: object, low: int, high: int, reason: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UnsafePlanError(
            f"{name} is out of bounds",
            value=repr(value),
            bound=f"{low}..{high}",
            remedy=f"choose within the bounds: {reason}",
        )
    return value
