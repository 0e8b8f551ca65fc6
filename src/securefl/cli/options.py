"""Options that several verbs share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, TypeAlias

import typer


def finite(value: float) -> float:
    """Refuse NaN as wrong usage: it passes every range."""
    if not math.isfinite(value):
        raise typer.BadParameter(f"{value} is no number to reckon with")
    return value


JsonOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE", help="Write the result as JSON to FILE, or to stdout with -."),
]
PasswordFileOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--password-file", metavar="FILE", help="Read the key's password from FILE, not the terminal."),
]
ForceOption: TypeAlias = Annotated[bool, typer.Option("--force", help="Replace files that exist.")]
ConfigArgument: TypeAlias = Annotated[
    Path, typer.Argument(metavar="CONFIG.toml", help="An experiment, as `securefl init` writes it.", show_default=False)
]
HeadOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--head", metavar="NUMBER:DIGEST", help="A head noted down before; shows what was cut off since."),
]
RosterArgument: TypeAlias = Annotated[
    Path, typer.Argument(metavar="ROSTER.toml", help="The roster.", show_default=False)
]
