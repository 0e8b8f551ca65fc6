"""`securefl run`: an experiment from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from securefl.cli.options import ConfigArgument, JsonOption
from securefl.cli.screen import Screen
from securefl.cli.training import train
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
    json: JsonOption = None,
) -> None:
    """Run the experiment in a TOML file and write its report."""
    experiment = ExperimentConfig.load(config)
    if output is not None:
        report = msgspec.structs.replace(experiment.report, output=str(output))
        experiment = msgspec.structs.replace(experiment, report=report)
    train(experiment, Screen(json), title=f"securefl run {config}")
