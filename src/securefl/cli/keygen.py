"""`securefl keygen`: a party's identity, or a Paillier key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from securefl.cli.keygen_paillier import FILE_NAME, paillier_dealing, paillier_key, refuse_existing
from securefl.cli.options import ForceOption, PasswordFileOption
from securefl.cli.passwords import new_password
from securefl.cli.screen import Screen
from securefl.crypto.signing import SigningKey
from securefl.errors import ConfigError
from securefl.plan import Member, Roster
from securefl.report.files import make_directory, write


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
    paillier: Annotated[
        bool,
        typer.Option("--paillier", help="Make a Paillier key instead: NAME.paillier (sealed) and NAME.paillier.pub."),
    ] = False,
    bits: Annotated[int | None, typer.Option(help="Of a Paillier key; 3072 unless given.", show_default=False)] = None,
    dealt_to: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C",
            help="Deal a Paillier key to these parties, in the roster's order, as a trusted dealer: THIS PROCESS KNOWS THE WHOLE KEY "
            "while it runs, and whoever controls it can open every vector. The key itself is not written.",
        ),
    ] = None,
    threshold: Annotated[
        int | None, typer.Option(help="With --dealt-to: how many parties decrypt together.", show_default=False)
    ] = None,
    password_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="With --dealt-to: each share is sealed under a password of its own, in DIR/PARTY.password; what is not there is made up.",
        ),
    ] = None,
    force: ForceOption = False,
) -> None:
    """Make an Ed25519 identity: a private key for this machine, a public key for the roster. Or a Paillier key."""
    if not FILE_NAME.fullmatch(name):
        raise ConfigError(f"{name!r} cannot be the name of a key", remedy="use letters, digits, spaces and . _ - + @")
    if no_password and password_file:
        raise typer.BadParameter("--password-file and --no-password exclude each other")
    if not paillier and {bits, dealt_to, threshold, password_dir} != {None}:
        raise typer.BadParameter("--bits, --dealt-to, --threshold and --password-dir go with --paillier")
    if paillier:
        if no_password:
            raise typer.BadParameter("a Paillier key opens every party's vector: it is not written without a password")
        if dealt_to is None and (threshold is not None or password_dir is not None):
            raise typer.BadParameter("--threshold and --password-dir go with --dealt-to")
        if dealt_to is None:
            paillier_key(name, output, bits, password_file, force=force)
            return
        if threshold is None or password_file is not None:
            raise typer.BadParameter(
                "--dealt-to needs --threshold, and no --password-file: each share has a password of its own"
            )
        paillier_dealing(name, output, bits, dealt_to.split(","), threshold, password_dir, force=force)
        return
    private, public = (output / f"{name}{suffix}" for suffix in (".pem", ".pub"))
    refuse_existing(private, public, force=force)
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
