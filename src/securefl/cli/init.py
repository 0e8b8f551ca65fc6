"""`securefl init`: files to start from."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from securefl.cli.options import ForceOption
from securefl.cli.screen import Screen
from securefl.errors import ConfigError
from securefl.report.files import make_directory, write

STARTERS = ("securefl.toml", "policy.toml")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: securefl init my-study")(init)


def init(
    directory: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="Made where it is missing.", show_default=False)
    ] = Path(),
    *,
    force: ForceOption = False,
) -> None:
    """Write a commented experiment and a commented policy to start from."""
    targets = {name: directory / name for name in STARTERS}
    if not force and (there := [str(path) for path in targets.values() if path.exists()]):
        raise ConfigError(
            f"{' and '.join(there)} exist already, nothing was written",
            remedy="choose another directory, or give --force to replace them",
        )
    make_directory(directory)
    for name, path in targets.items():
        write(path, files("securefl.cli").joinpath("starter", name).read_text(encoding="utf-8"), overwrite=force)
    experiment, policy = targets.values()
    screen = Screen()
    screen.line("Written:")
    screen.pairs({str(experiment): "the experiment", str(policy): "what a party insists on"})
    screen.title("Next")
    for step in (
        f"securefl plan show {experiment}",
        f"securefl policy check {policy} {experiment}",
        f"securefl run {experiment}",
    ):
        screen.long(f"  {step}")
