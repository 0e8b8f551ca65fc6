"""`securefl keygen`: a party's identity."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from securefl.cli.options import ForceOption, PasswordFileOption
from securefl.cli.passwords import new_password
from securefl.cli.screen import Screen
from securefl.crypto.signing import SigningKey
from securefl.errors import ConfigError
from securefl.plan import Member, Roster
from securefl.report.files import make_directory, write

_FILE_NAME = re.compile(r"[\w][\w .+@-]*")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: securefl keygen hospital-3 --output keys --password-file secret.txt")(keygen)


def keygen(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The party's name, as on the roster.", show_default=False)
    ],
    *,
    output: Annotated[Path, typer.Option(metavar="DIR", help="Where NAME.pem and NAME.pub go.")] = Path(),
    password_file: PasswordFileOption = None,
    no_password: Annotated[bool, typer.Option("--no-password", help="Leave the private key in clear.")] = False,
    force: ForceOption = False,
) -> None:
    """Make an Ed25519 identity: a private key for this machine, a public key for the roster."""
    if not _FILE_NAME.fullmatch(name):
        raise ConfigError(f"{name!r} cannot be the name of a key", remedy="use letters, digits, spaces and . _ - + @")
    if no_password and password_file:
        raise typer.BadParameter("--password-file and --no-password exclude each other")
    private, public = (output / f"{name}{suffix}" for suffix in (".pem", ".pub"))
    for path in (private, public):
        if path.exists() and not force:
            raise ConfigError(f"{path} exists already and was left as it is", remedy="choose another name or --output")
    password = None if no_password else new_password(password_file)
    make_directory(output)
    key = SigningKey.generate()
    member = Roster((Member(name, key.verify_key),)).members[0]
    write(private, key.to_pem(password), mode=0o600, overwrite=force)
    write(public, key.verify_key.hex() + "\n", overwrite=force)
    screen = Screen()
    screen.long(
        f"private key  {private}  (mode 0600, {'in clear' if password is None else 'encrypted'}; never leaves you)"
    )
    screen.long(f"public key   {public}")
    screen.long(f"             {key.verify_key.hex()}")
    screen.long(f"fingerprint  {member.fingerprint}")
    screen.line()
    screen.line("Send the public key to the roster's owner, and read the fingerprint to them over another channel.")
