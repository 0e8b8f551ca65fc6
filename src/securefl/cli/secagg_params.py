"""`securefl secagg-params`: threshold and graph for a number of parties, with the reasons."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Annotated, Any

import typer

from securefl.cli.options import JsonOption, finite
from securefl.cli.screen import Screen
from securefl.plan.protocol import COMPLETE_GRAPH_LIMIT
from securefl.secagg.k_regular import ETA, SIGMA, choose_degree
from securefl.secagg.parameters import choose
from securefl.types import ServerModel

_K_REGULAR = "k-regular"


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
    """Find the graph and the threshold that are safe for so many parties, colluders and dropouts.

    Up to 200 parties, and under an active server, every pair shares a mask; above, under a semi-honest one, a random
    k-regular graph will do. This version runs the complete graph; the k-regular numbers serve for planning.
    """
    screen = Screen(json)
    colluders, lost = _share(corrupted, clients), _share(dropout, clients)
    if server is ServerModel.ACTIVE or clients <= COMPLETE_GRAPH_LIMIT:
        found, reasons = _complete(clients, colluders, dropout, server)
    else:
        found, reasons = _k_regular(clients, colluders, lost)
    screen.line(f"{clients} parties, {colluders} colluders, {lost} dropouts, {server} server")
    screen.title(f"{found['graph']} graph: {found['neighbours']} neighbours, threshold {found['threshold']}")
    for reason in reasons:
        screen.item(reason)
    screen.json({**found, "clients": clients, "colluders": colluders, "dropouts": lost, "server": server.value})


def _share(fraction: float, parties: int) -> int:
    """floor(fraction * parties), of the fraction as it was written: 0.29 of 100 is 29."""
    return math.floor(Fraction(str(fraction)) * parties)


def _complete(clients: int, colluders: int, dropout: float, server: ServerModel) -> tuple[dict[str, Any], list[str]]:
    chosen = choose(clients, server, max_colluders=colluders, dropout=dropout)
    found = {
        "graph": chosen.graph.value,
        "neighbours": clients - 1,
        "threshold": chosen.threshold,
        "min_survivors": chosen.min_survivors,
    }
    return found, list(chosen.explanation)


def _k_regular(clients: int, colluders: int, lost: int) -> tuple[dict[str, Any], list[str]]:
    degree = choose_degree(clients, colluders, lost)
    reasons = [
        f"{degree.neighbours} neighbours: the fewest, in even numbers, for which a threshold is both secure and live",
        (
            f"threshold {degree.threshold}: with fewer than {degree.least} some party has that many colluding neighbours "
            f"with probability above 2^-{SIGMA}"
        ),
        f"liveness: up to {degree.most} every party keeps that many neighbours that stay, but with probability 2^-{ETA}",
        "this version runs the complete graph only: numbers for planning",
    ]
    return {"graph": _K_REGULAR, "neighbours": degree.neighbours, "threshold": degree.threshold}, reasons
