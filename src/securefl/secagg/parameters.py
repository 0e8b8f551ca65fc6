"""The graph, the threshold and their floors: chosen, checked, explained.

On the complete graph, with n parties, c of them colluding with the server, t shares needed for each secret, and a fraction delta that
may drop:

- semi-honest server: t > c, or the colluders alone could open a secret;
- active server: 2t > n + c, or a server that shows different survivor sets could have both secrets of one party opened;
- floor: a sum holds at least max(3, c + 2) vectors, so that no honest party stands alone beside the colluders;
- liveness: the n - floor(delta n) parties that stay reach the floor, and t of them besides the owner hold shares of each secret.

On the k-regular graph, under a semi-honest server only, the bounds are those of `k_regular`, and the floor is n - D.

Source: Bonawitz et al. 2017, sections 4 and 6; nobody holds a share of its own secret, hence t + 1 for liveness.
"""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction

from securefl.errors import UnsafePlanError
from securefl.secagg.k_regular import ETA, MAX_NEIGHBOURS, MIN_PARTIES, SIGMA, choose_degree, obstacle
from securefl.types import Graph, ServerModel
from securefl.wire.messages import MAX_PARTIES

ASSUMED = Fraction(1, 20)
"""The share of colluders, and of dropouts, that a k-regular plan allows for where it is not told."""


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
        neighbours: k, with how many others a party shares masks.
        explanation: one line of reasoning a value, for people.
    """

    parties: int
    server: ServerModel
    graph: Graph
    threshold: int
    max_colluders: int
    min_survivors: int
    neighbours: int
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
    neighbours: int | None = None,
) -> Parameters:
    """Safe parameters from whatever is given; what is not given is computed.

    Args:
        parties: n, 3 to 65 536.
        server: the server model.
        threshold: t; without it the smallest that is safe against `max_colluders`; without that too, two thirds of n, or fewer
            where `dropout` leaves no more.
        max_colluders: c; without it the most that t and the floor bear.
        dropout: delta, the fraction of parties that may be lost, 0 <= delta < 1.
        min_survivors: the floor; without it max(3, t, c + 2), on the k-regular graph n - floor(delta n).
        graph: which pairs share masks.
        neighbours: k, of the k-regular graph; without it the smallest that serves.

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
    lost = math.floor(Fraction(str(dropout)) * n)
    if max_colluders is not None:
        _integer("max_colluders", max_colluders, 0, n - 2, "two honest parties must remain")
    if graph is Graph.K_REGULAR:
        return _choose_k_regular(n, server, threshold, max_colluders, lost, min_survivors, neighbours)
    if neighbours not in {None, n - 1}:
        raise UnsafePlanError(
            "on the complete graph everybody is everybody's neighbour",
            value=repr(neighbours),
            bound=f"{n - 1}",
            remedy="leave neighbours out" if active else 'leave neighbours out, or ask for SecAgg(graph="k-regular")',
        )
    staying = n - lost
    why: list[str] = []
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
    chosen = Parameters(n, server, graph, threshold, max_colluders, min_survivors, n - 1)
    if staying < chosen.quorum:
        raise UnsafePlanError(
            f"with {dropout:.0%} dropouts {staying} of {n} parties stay, too few to open a sum",
            value=staying,
            bound=f">= {chosen.quorum} = max(t + 1, min_survivors)",
            remedy="expect fewer dropouts, assume fewer colluders, or invite more parties",
        )
    why.append(f"liveness: a round ends well while {chosen.quorum} parties stay, it can lose {chosen.max_dropouts}")
    return dataclasses.replace(chosen, explanation=tuple(why))


def _choose_k_regular(
    n: int,
    server: ServerModel,
    threshold: int | None,
    max_colluders: int | None,
    lost: int,
    min_survivors: int | None,
    neighbours: int | None,
) -> Parameters:
    """Parameters of the k-regular graph; see `choose`."""
    if server is ServerModel.ACTIVE:
        raise UnsafePlanError(
            "the k-regular graph is unsafe against an active server, who could show different survivors to different parties and so "
            "isolate a few of them",
            value=Graph.K_REGULAR.value,
            bound=f"{Graph.COMPLETE.value!r}",
            remedy="split the parties into cohorts of at most 200, each on the complete graph, or assume a semi-honest server",
        )
    why: list[str] = []
    if max_colluders is None:
        max_colluders = math.floor(ASSUMED * n)
        why.append(f"max_colluders {max_colluders}: 5 % of {n} parties, as it was not given")
    if min_survivors is None:
        if not lost:
            lost = math.floor(ASSUMED * n)
            why.append(f"dropouts {lost}: 5 % of {n} parties, as none were given")
        min_survivors = n - lost
        why.append(
            f"min_survivors {min_survivors}: all but the {lost} that may drop out, or the graph might fall apart"
        )
    if n - lost < max_colluders + 2:
        raise UnsafePlanError(
            f"no k-regular graph on {n} parties is safe with {max_colluders} colluders and {lost} dropouts: fewer than two honest "
            "parties would stay",
            value=n - lost,
            bound=f">= c + 2 = {max_colluders + 2} parties that stay",
            remedy="assume fewer colluders or dropouts, or invite more parties",
        )
    _integer(
        "min_survivors",
        min_survivors,
        max(MIN_PARTIES, max_colluders + 2),
        n - lost,
        f"a sum needs c + 2 = {max_colluders + 2} vectors, or 3, and {lost} parties may drop out",
    )
    if threshold is not None:
        _integer(
            "threshold", threshold, 2, n - 1, "one share must open nothing, and a party has at most n - 1 neighbours"
        )
    if neighbours is not None:
        most = min(n - 1, MAX_NEIGHBOURS)
        _integer(
            "neighbours",
            neighbours,
            2,
            most,
            "a party needs some, there are no more others, and with more the complete graph is the better choice",
        )
        if neighbours % 2:
            even = neighbours + 1 if neighbours < most else neighbours - 1
            raise UnsafePlanError(
                "the neighbours lie on both sides of a party on a ring",
                value=neighbours,
                bound="an even number",
                remedy=f"use {even}, or leave it out",
            )
    degree = choose_degree(n, max_colluders, n - min_survivors, neighbours=neighbours, threshold=threshold)
    fewer = obstacle(n, max_colluders, n - min_survivors, degree.neighbours - 2) if degree.neighbours > 2 else ""
    why += [
        f"neighbours {degree.neighbours}: the smallest even k that serves"
        + (f"; with two less {fewer}" if fewer else ""),
        (
            f"threshold {degree.threshold}: below {degree.least} some party had as many colluding neighbours with probability "
            f"above 2^-{SIGMA + 1}, above {degree.most} some party kept fewer neighbours with probability above 2^-{ETA}"
        ),
        f"liveness: a round ends well while {min_survivors} parties stay, it can lose {n - min_survivors}",
    ]
    return Parameters(
        n,
        server,
        Graph.K_REGULAR,
        degree.threshold,
        max_colluders,
        min_survivors,
        degree.neighbours,
        explanation=tuple(why),
    )


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
