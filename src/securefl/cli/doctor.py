"""`securefl doctor`: is this machine ready, and do these files fit together?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from securefl.cli.options import JsonOption, PasswordFileOption
from securefl.cli.passwords import load_key
from securefl.cli.screen import Screen
from securefl.cli.searching import told
from securefl.report.doctor import Status, check_files, check_machine
from securefl.report.doctor_flower import check_flower
from securefl.report.key_files import load_public

_STYLES = {Status.OK: "green", Status.WARN: "yellow", Status.FAIL: "bold red"}


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: securefl doctor --config securefl.toml --policy policy.toml")(doctor)


def doctor(
    *,
    config: Annotated[Path | None, typer.Option(metavar="CONFIG.toml", help="An experiment.")] = None,
    policy: Annotated[Path | None, typer.Option(metavar="POLICY.toml", help="A party's policy.")] = None,
    roster: Annotated[Path | None, typer.Option(metavar="ROSTER.toml", help="A roster.")] = None,
    key: Annotated[Path | None, typer.Option(metavar="KEY.pem", help="A party's private key.")] = None,
    paillier_key: Annotated[
        Path | None,
        typer.Option(
            metavar="NAME.paillier.pub", help="A Paillier key or dealing, compared with the policy's paillier_keys."
        ),
    ] = None,
    password_file: PasswordFileOption = None,
    flower: Annotated[bool, typer.Option("--flower", help="Also check what a Flower node needs.")] = False,
    node_config: Annotated[
        str | None, typer.Option(metavar="'KEY=VALUE ...'", help="As `flower-supernode --node-config` gets it.")
    ] = None,
    root_certificates: Annotated[
        Path | None, typer.Option(metavar="CA.crt", help="As `flower-supernode --root-certificates` gets it.")
    ] = None,
    trusted_entities: Annotated[
        Path | None, typer.Option(metavar="FILE", help="As `flower-supernode --trusted-entities` gets it.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Check this machine, and that the files given load and fit each other; exit 1 when something fails."""
    screen = Screen(json)
    with told(screen) as search:
        checks = check_machine() + check_files(
            config=config,
            policy=policy,
            roster=roster,
            key=None if key is None else lambda: load_key(key, password_file),
            paillier_key=None if paillier_key is None else lambda: load_public(paillier_key),
            search=search,
        )
    if flower or node_config is not None or root_certificates is not None:
        checks += check_flower(node_config, root_certificates=root_certificates, trusted_entities=trusted_entities)
    for check in checks:
        screen.check(check.status.value, _STYLES[check.status], check.name, check.finding, check.remedy)
    failed = any(check.status is Status.FAIL for check in checks)
    screen.json({"ok": not failed, "checks": [check.to_dict() for check in checks]})
    if failed:
        raise typer.Exit(1)
