"""The verbs, put together."""

from __future__ import annotations

from typing import Annotated

import typer

import securefl
from securefl.cli import (
    bench,
    calibrate,
    demo,
    doctor,
    epsilon,
    init,
    keygen,
    ledger,
    plan,
    policy,
    receipts,
    roster,
    run,
    secagg_params,
    watermark,
)

app = typer.Typer(
    name="securefl",
    help="Secure aggregation for federated learning: sums of vectors from parties who trust neither each other nor the "
    "server.",
    epilog="Start with `securefl demo`, then `securefl init`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"securefl {securefl.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.")] = False,
) -> None:
    """Options before the verb; `--debug` is read by `securefl.cli.main.entry`."""


for verb in (demo, run, init, keygen, receipts, ledger, secagg_params, epsilon, calibrate, bench, doctor):
    verb.register(app)
for family in (plan, policy, roster, watermark):
    app.add_typer(family.app)
