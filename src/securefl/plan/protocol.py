"""The protocols that a plan can ask for."""

from __future__ import annotations

import dataclasses
import enum
from typing import TypeVar

from securefl.errors import UnsafePlanError
from securefl.secagg.parameters import Parameters, choose
from securefl.types import Graph, ServerModel

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

    def resolve(self, parties: int, *, identities: bool) -> Parameters:
        """The parameters for n parties.

        Args:
            parties: n.
            identities: whether a roster with identity keys is there.

        Raises:
            UnsafePlanError: nothing safe satisfies what was asked for.
        """
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


def _member(kind: type[EnumT], name: str, value: str) -> EnumT:
    try:
        return kind(value)
    except ValueError:
        choices = " or ".join(repr(str(choice)) for choice in kind)
        raise UnsafePlanError(f"{name} is unknown", value=repr(value), bound=choices, remedy=f"use {choices}") from None
