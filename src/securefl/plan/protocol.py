"""The protocols that a plan can ask for."""

from __future__ import annotations

import dataclasses
import enum
import math
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, TypeVar

from securefl.errors import ConfigError, UnsafePlanError
from securefl.secagg.parameters import ASSUMED, Parameters, choose
from securefl.types import Graph, ServerModel

if TYPE_CHECKING:
    from securefl.plan.plan import Plan

COMPLETE_GRAPH_LIMIT = 200
"""Above this many parties the complete graph must be asked for by name: its cost grows with the square of n."""

EnumT = TypeVar("EnumT", bound=enum.StrEnum)


@dataclasses.dataclass(frozen=True, slots=True)
class SecAgg:
    """Pairwise-mask secure aggregation; what is left out is computed by the plan, and explained there.

    Args:
        threshold: t, the shares that rebuild a secret.
        server: "semi-honest" or "active"; by default active where the plan has a roster with identity keys.
        max_colluders: c, how many parties may collude with the server.
        dropout: the fraction of parties that a round must be able to lose, 0 <= dropout < 1.
        min_survivors: the least number of vectors in a sum.
        graph: "complete" or "k-regular"; by default complete up to 200 parties and k-regular above, under a semi-honest server.
        neighbours: k, with how many others a party shares masks on the k-regular graph; even.
        prefetch: let the keys of the next round ride in the last answer of each: one exchange less a round.

    Source: Bonawitz et al. 2017 (complete graph), Bell et al. 2020 (k-regular).
    """

    threshold: int | None = None
    server: ServerModel | str | None = None
    max_colluders: int | None = None
    dropout: float = 0.0
    min_survivors: int | None = None
    graph: Graph | str | None = None
    neighbours: int | None = None
    prefetch: bool = False

    name: ClassVar[str] = "secagg"

    def settled(self, parameters: Parameters) -> SecAgg:
        """As it is once the roster is known: what follows from its identities must outlive it, in `Plan.replace`."""
        return dataclasses.replace(self, server=parameters.server)

    def resolve(self, parties: int, *, identities: bool, noisy: bool = False) -> Parameters:
        """The parameters for n parties.

        Args:
            parties: n.
            identities: whether a roster with identity keys is there.
            noisy: whether the sum's noise is sized for the floor and the colluders. What is not given is then 5 % dropouts and 5 %
                colluders rather than the most that the threshold bears, and the floor is all that stay: see `_sized`.

        Raises:
            UnsafePlanError: nothing safe satisfies what was asked for.
        """
        self._check_types()
        default = ServerModel.ACTIVE if identities else ServerModel.SEMI_HONEST
        server = default if self.server is None else _member(ServerModel, "server", self.server)
        graph = Graph.COMPLETE if self.graph is None else _member(Graph, "graph", self.graph)
        if self.graph is None and isinstance(parties, int) and parties > COMPLETE_GRAPH_LIMIT:
            if server is ServerModel.ACTIVE:
                raise UnsafePlanError(
                    f"the complete graph costs n^2 = {parties**2} pairs, and no other holds against an active server",
                    value=parties,
                    bound=f"<= {COMPLETE_GRAPH_LIMIT}",
                    remedy=f"split the parties into cohorts of at most {COMPLETE_GRAPH_LIMIT} (securefl.aggregate_cohorts), or ask for "
                    'SecAgg(graph="complete")',
                )
            graph = Graph.K_REGULAR
        if noisy and graph is Graph.COMPLETE and self._numbers(parties):
            return self._sized(parties, server)
        return choose(
            parties,
            server,
            threshold=self.threshold,
            max_colluders=self.max_colluders,
            dropout=self.dropout,
            min_survivors=self.min_survivors,
            graph=graph,
            neighbours=self.neighbours,
        )

    def _check_types(self) -> None:
        """Check the types of what `choose` does not: on the complete graph 4.0 neighbours would pass for 4."""
        if not isinstance(self.prefetch, bool):
            raise UnsafePlanError(
                "prefetch is of another type",
                value=repr(self.prefetch)[:80],
                bound="True or False",
                remedy="pass True to let keys ride ahead, or leave it out",
            )
        if self.neighbours is not None and not _whole(self.neighbours):
            raise UnsafePlanError(
                "neighbours is of another type",
                value=repr(self.neighbours)[:80],
                bound="an even whole number on the k-regular graph",
                remedy="leave it out, and the smallest that serves is computed",
            )

    def _numbers(self, parties: object) -> bool:
        """Whether numbers can be computed from; where not, `choose` names the one that is of another type."""
        given = (self.threshold, self.max_colluders, self.min_survivors)
        fraction = (
            not isinstance(self.dropout, bool) and isinstance(self.dropout, int | float) and 0 <= self.dropout < 1
        )
        return fraction and _whole(parties) and all(number is None or _whole(number) for number in given)

    def _sized(self, parties: int, server: ServerModel) -> Parameters:
        """Parameters on the complete graph for noise that m - c parties' shares must suffice for."""
        why: list[str] = []
        lost = math.floor((Fraction(str(self.dropout)) or ASSUMED) * parties)
        floor = self.min_survivors
        if floor is None:
            floor = max(3, parties - lost)
            assumed = "" if self.dropout else ", 5 % as no dropouts were given"
            why.append(f"min_survivors {floor}: all but the {lost} that may drop out{assumed}; noise is sized for it")
        threshold, colluders = self.threshold, self.max_colluders
        if colluders is None:
            colluders = math.floor(ASSUMED * parties)
            if threshold is not None:
                active = server is ServerModel.ACTIVE
                colluders = max(0, min(colluders, 2 * threshold - parties - 1 if active else threshold - 2))
            colluders = max(0, min(colluders, floor - 2))
            why.append(f"max_colluders {colluders}: at most 5 % of {parties} parties, as they were not given")
        if threshold is None:
            least = (parties + colluders) // 2 + 1 if server is ServerModel.ACTIVE else colluders + 2
            if least > parties - 1:
                most = parties - 3
                raise UnsafePlanError(
                    "no threshold leaves honest noise against so many colluders",
                    value=colluders,
                    bound=f"<= {most} of {parties} parties",
                    remedy="assume fewer colluders, or invite more parties",
                )
            threshold = max(2, least, min(parties - 1, floor - 1, 2 * parties // 3 + 1))
            why.append(
                f"threshold {threshold}: two thirds of {parties} parties, within what colluders and floor demand"
            )
        chosen = choose(
            parties,
            server,
            threshold=threshold,
            max_colluders=colluders,
            dropout=self.dropout,
            min_survivors=floor,
            neighbours=self.neighbours,
        )
        return dataclasses.replace(chosen, explanation=(*why, *chosen.explanation))


def require_protocol(plan: Plan, kind: type) -> None:
    """Raise where a plan is for another protocol than a session speaks.

    Raises:
        ConfigError: it is.
    """
    if not isinstance(plan.protocol, kind):
        raise ConfigError(
            f"this session speaks {kind.__name__}, the plan is for {type(plan.protocol).__name__}",
            remedy=f"use {type(plan.protocol).__name__}Server and {type(plan.protocol).__name__}Client, or plan with {kind.__name__}",
        )


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _member(kind: type[EnumT], name: str, value: str) -> EnumT:
    try:
        return kind(value)
    except ValueError:
        choices = " or ".join(repr(str(choice)) for choice in kind)
        raise UnsafePlanError(
            f"{name} is unknown", value=repr(value)[:80], bound=choices, remedy=f"use {choices}"
        ) from None
