"""`securefl demo`: see it work, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from securefl.cli.options import JsonOption, finite
from securefl.cli.screen import Screen
from securefl.cli.training import train
from securefl.report.config import (
    DataConfig,
    ExperimentConfig,
    FaultsConfig,
    PlanConfig,
    PrivacyConfig,
    ReportConfig,
    TrainingConfig,
)
from securefl.types import ServerModel

_DEFAULT = ExperimentConfig()


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: securefl demo --parties 10 --dropout 0.2")(demo)


def demo(
    *,
    parties: Annotated[int, typer.Option(help="How many parties.")] = 100,
    rounds: Annotated[int, typer.Option(min=1, help="How many rounds.")] = 20,
    dropout: Annotated[
        float, typer.Option(min=0.0, max=0.99, callback=finite, help="Share of the parties that leave each round.")
    ] = _DEFAULT.faults.dropout,
    epsilon: Annotated[
        float,
        typer.Option(callback=finite, help="What all private rounds may cost; 0 leaves the private training out."),
    ] = 8.0,
    delta: Annotated[float, typer.Option(callback=finite, help="At this delta.")] = 1e-3,
    server: Annotated[
        ServerModel, typer.Option(help="What the server is assumed to do; active takes about twice as long.")
    ] = ServerModel.SEMI_HONEST,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is no secret.")] = _DEFAULT.data.seed,
    output: Annotated[Path, typer.Option(metavar="DIR", help="Where the report goes.")] = Path(_DEFAULT.report.output),
    json: JsonOption = None,
) -> None:
    """Train on handwritten digits: plainly, securely, and securely with differential privacy; parties drop out; needs no set-up."""
    config = ExperimentConfig(
        data=DataConfig(parties=parties, seed=seed),
        training=TrainingConfig(rounds=rounds, learning_rate=2.0),
        plan=PlanConfig(server=server.value),
        privacy=PrivacyConfig(
            mechanism="distributed-discrete-gaussian" if epsilon else "none", epsilon=epsilon or 8.0, delta=delta
        ),
        faults=FaultsConfig(dropout=dropout),
        report=ReportConfig(output=str(output)),
    )
    train(config, Screen(json), title="securefl demo")
