"""`securefl bench`: run a benchmark of the checkout, in a process of its own."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

import securefl
from securefl.cli.options import JsonOption
from securefl.cli.screen import Screen
from securefl.errors import ConfigError

_USAGE = 2


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        epilog="Example: securefl bench secagg --case complete --json secagg.json",
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )(bench)


def bench(
    context: typer.Context,
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which one; without it they are listed.")] = "",
    json: JsonOption = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the figures: FILE ends in .png, .svg or .pdf.")
    ] = None,
    repeats: Annotated[int | None, typer.Option(min=1, help="Runs, repetitions or seeds for a figure.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes, to see that it works; no figures to quote.")
    ] = False,
) -> None:
    """Measure ours against its peers and against what cannot be avoided, on this machine; a ratio above 1 means that ours is better.

    Needs a checkout of the sources. Options that are not listed here go to the benchmark, which lists them itself:
    `python benchmarks/speed/secagg.py --help`.
    """
    screen = Screen(json)
    there = _benchmarks()
    if not name:
        screen.pairs({known: _summary(script) for known, script in there.items()})
        return
    if name not in there:
        raise typer.BadParameter(f"there is no benchmark {name!r}, only {', '.join(there)}", param_hint="NAME")
    options = {"--json": json, "--plot": plot, "--repeats": repeats}
    given = [text for option, value in options.items() if value is not None for text in (option, str(value))]
    given += ["--quick"] * quick + context.args
    # Progress goes straight to stderr; the figures come when they are all there.
    done = subprocess.run([sys.executable, str(there[name]), *given], check=False, stdout=subprocess.PIPE, text=True)  # noqa: S603
    sys.stdout.write(done.stdout)
    if done.returncode == _USAGE:
        raise typer.Exit(_USAGE)
    if done.returncode:
        raise ConfigError(
            f"the benchmark {name} failed with code {done.returncode}", remedy="see what it printed above"
        )


def _benchmarks() -> Mapping[str, Path]:
    """The scripts by name: of the checkout that this package is imported from, else of the one that this is run in."""
    for root in (Path(securefl.__file__).parents[2], Path.cwd()):
        if (root / "benchmarks" / "harness.py").is_file():
            return {script.stem: script for script in sorted((root / "benchmarks").glob("*/*.py"))}
    raise ConfigError(
        "the benchmarks are not part of the installed package",
        remedy="run `securefl bench` in a checkout of the sources",
    )


def _summary(script: Path) -> str:
    """The first line of a benchmark's docstring."""
    return (ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or "").partition("\n")[0]
