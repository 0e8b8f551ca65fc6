"""`securefl run`: an experiment from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from securefl.cli.options import ConfigArgument, JsonOption
from securefl.cli.screen import Screen
from securefl.cli.training import train
from securefl.errors import ConfigError
from securefl.report.checkpoints import Checkpoints
from securefl.report.config import ExperimentConfig


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: securefl run examples/digits.toml --json -")(run)


def run(
    config: ConfigArgument,
    *,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the report goes, instead of where the file says.")
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep all that is needed to go on here, after each round. It holds parties' own models.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from --checkpoint, where an earlier run was stopped.")
    ] = False,
    json: JsonOption = None,
) -> None:
    """Run the experiment in a TOML file and write its report."""
    if resume and checkpoint is None:
        raise ConfigError("--resume needs the file to go on from", remedy="give it with --checkpoint FILE")
    experiment = ExperimentConfig.load(config)
    if output is not None:
        report = msgspec.structs.replace(experiment.report, output=str(output))
        experiment = msgspec.structs.replace(experiment, report=report)
    train(
        experiment,
        Screen(json),
        title=f"securefl run {config}",
        checkpoints=None if checkpoint is None else Checkpoints(checkpoint, resume),
    )
