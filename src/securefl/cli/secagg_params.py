"""`securefl secagg-params`: threshold and graph for a number of parties, with the reasons."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Annotated

import typer

from securefl.cli.options import JsonOption, finite
from securefl.cli.screen import Screen
from securefl.errors import UnsafePlanError
from securefl.plan.protocol import COMPLETE_GRAPH_LIMIT
from securefl.secagg.k_regular import SIGMA, secure_threshold
from securefl.secagg.parameters import choose
from securefl.types import Graph, ServerModel


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        name="secagg-params",
        epilog="Example: securefl secagg-params --clients 1000 --corrupted 0.05 --dropout 0.05 --server semi-honest",
    )(secagg_params)


def secagg_params(
    *,
    clients: Annotated[int, typer.Option(min=3, max=65_536, help="Parties invited.", show_default=False)],
    corrupted: Annotated[
        float, typer.Option(min=0, max=0.99, callback=finite, help="Fraction of them that may collude with the server.")
    ] = 0.05,
    dropout: Annotated[
        float, typer.Option(min=0, max=0.99, callback=finite, help="Fraction of them that may drop out.")
    ] = 0.05,
    server: Annotated[ServerModel, typer.Option(help="What the server is assumed to do.")] = ServerModel.SEMI_HONEST,
    json: JsonOption = None,
) -> None:
    """Find the graph and the threshold that are safe for so many parties, colluders and dropouts, and say why.

    Up to 200 parties, and under an active server, every pair shares a mask; above, under a semi-honest one, a random
    k-regular graph does. For many parties under an active server, cohorts are shown beside the one large graph.
    """
    screen = Screen(json)
    colluders, lost = _share(corrupted, clients), _share(dropout, clients)
    large = clients > COMPLETE_GRAPH_LIMIT
    graph = Graph.K_REGULAR if large and server is ServerModel.SEMI_HONEST else Graph.COMPLETE
    chosen = choose(
        clients,
        server,
        max_colluders=colluders,
        dropout=dropout,
        min_survivors=clients - lost if graph is Graph.K_REGULAR else None,
        graph=graph,
    )
    cohorts = _cohorts(clients, colluders, dropout) if large and server is ServerModel.ACTIVE else None
    screen.line(f"{clients} parties, {colluders} colluders, {lost} dropouts, {server} server")
    screen.title(f"{chosen.graph} graph: {chosen.neighbours} neighbours, threshold {chosen.threshold}")
    for reason in chosen.explanation:
        screen.item(reason)
    if cohorts is not None:
        screen.item(
            f"cost: {clients * (clients - 1) // 2} pairs. In {cohorts['cohorts']} cohorts of {cohorts['parties']} "
            f"(securefl.aggregate_cohorts) it is {cohorts['pairs']}; but except with probability 2^-{SIGMA} no cohort holds more than "
            f"{cohorts['max_colluders']} of the colluders, so threshold {cohorts['threshold']} and a floor of "
            f"{cohorts['min_survivors']} in each; the server then learns the sum of each cohort"
        )
    screen.json(
        {
            "graph": chosen.graph.value,
            "neighbours": chosen.neighbours,
            "threshold": chosen.threshold,
            "min_survivors": chosen.min_survivors,
            "max_dropouts": chosen.max_dropouts,
            "clients": clients,
            "colluders": colluders,
            "dropouts": lost,
            "server": server.value,
            "cohorts": cohorts,
            "explanation": list(chosen.explanation),
        }
    )


def _share(fraction: float, parties: int) -> int:
    """floor(fraction * parties), of the fraction as it was written: 0.29 of 100 is 29."""
    return math.floor(Fraction(str(fraction)) * parties)


def _cohorts(clients: int, colluders: int, dropout: float) -> dict[str, int] | None:
    """The same parties in random cohorts of about 200, each a complete graph; None where that is not safe."""
    count = -(-clients // COMPLETE_GRAPH_LIMIT)
    size = clients // count
    within = secure_threshold(clients, colluders, size, SIGMA) - 1
    try:
        chosen = choose(size, ServerModel.ACTIVE, max_colluders=within, dropout=dropout)
    except UnsafePlanError:
        return None
    return {
        "cohorts": count,
        "parties": size,
        "pairs": count * size * (size - 1) // 2,
        "max_colluders": within,
        "threshold": chosen.threshold,
        "min_survivors": chosen.min_survivors,
    }
