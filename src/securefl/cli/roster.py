"""`securefl roster`: who takes part, under which keys, vouched for by whom."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated

import typer

from securefl.cli.options import ForceOption, JsonOption, PasswordFileOption, RosterArgument
from securefl.cli.passwords import load_key
from securefl.cli.screen import Screen
from securefl.crypto.signing import fingerprint
from securefl.errors import ConfigError, CryptoError
from securefl.plan import Member, Roster
from securefl.report.files import read_text, write

app = typer.Typer(
    name="roster",
    help="Who takes part, under which identity keys.",
    epilog="Example: securefl roster show roster.toml",
    no_args_is_help=True,
)

_EMPTY = """\
# securefl roster, still empty. Add the parties: securefl roster add FILE NAME KEY.pub
# Compare fingerprints with the parties themselves, not with the server.
"""


@app.command(epilog="Example: securefl roster new roster.toml")
def new(file: RosterArgument, *, force: ForceOption = False) -> None:
    """Begin an empty roster."""
    write(file, _EMPTY, overwrite=force)
    Screen().long(f"Written: {file}. Next: securefl roster add {file} NAME KEY.pub")


@app.command(epilog="Example: securefl roster add roster.toml hospital-3 hospital-3.pub")
def add(
    file: RosterArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The party.", show_default=False)],
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="Its .pub file, or the public key in hex.", show_default=False)
    ],
) -> None:
    """Add a party at the end; the version counts up, and the owner has to sign again."""
    text = read_text(file, what="roster", remedy="begin one with `securefl roster new`")
    member = Member(name, _public_key(key))
    before = None if _is_empty(text) else Roster.from_toml(text, source=str(file))
    after = Roster((member,)) if before is None else before.with_member(member)
    write(file, after.to_toml())
    screen = Screen()
    screen.long(f"Added {name}, fingerprint {member.fingerprint}")
    screen.long(f"Roster version {after.version}, {len(after)} parties, fingerprint {after.fingerprint}")
    if before is not None and before.signature:
        screen.line("The owner's signature was of the version before and is gone: sign again.", style="yellow")


@app.command(epilog="Example: securefl roster sign roster.toml --key owner.pem")
def sign(
    file: RosterArgument,
    *,
    key: Annotated[Path, typer.Option(metavar="OWNER.pem", help="The owner's private key.", show_default=False)],
    password_file: PasswordFileOption = None,
) -> None:
    """Vouch for a roster as its owner."""
    roster = Roster.load(file)
    signed = roster.sign(load_key(key, password_file))
    write(file, signed.to_toml())
    screen = Screen()
    screen.long(f"Signed version {signed.version}, {len(signed)} parties, fingerprint {signed.fingerprint}")
    screen.long(f"by owner {fingerprint(signed.owner)}")


@app.command(epilog='Example: securefl roster verify roster.toml --owner "7d0c 4a1e ..."')
def verify(
    file: RosterArgument,
    *,
    owner: Annotated[
        str | None, typer.Option(metavar="FINGERPRINT", help="Of the owner's key, as the owner told it.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Check the owner's signature, and that the owner is the one expected; exit 1 when not."""
    screen = Screen(json)
    roster = Roster.load(file)
    if not roster.signature:
        raise CryptoError(f"{file} is not signed", remedy="ask its owner to run `securefl roster sign`")
    signer = fingerprint(roster.owner)
    if owner is not None and _squeezed(owner) != _squeezed(signer):
        raise CryptoError(
            f"{file} is signed by {signer}, not by {owner}",
            remedy="get the roster, or the fingerprint, from its owner again",
        )
    screen.long(f"Signed: version {roster.version}, {len(roster)} parties, fingerprint {roster.fingerprint}")
    screen.long(f"by owner {signer}")
    if owner is None:
        screen.line("Anybody can sign: compare this fingerprint with the owner's, or give --owner.", style="yellow")
    screen.json(
        {"owner": signer, "expected": owner is not None, "version": roster.version, "roster": roster.fingerprint}
    )


@app.command(epilog="Example: securefl roster show roster.toml")
def show(file: RosterArgument, *, json: JsonOption = None) -> None:
    """Print names and fingerprints, version, and who signed."""
    screen = Screen(json)
    roster = Roster.load(file)
    signer = fingerprint(roster.owner) if roster.signature else ""
    screen.pairs(
        {
            "version": str(roster.version),
            "parties": str(len(roster)),
            "fingerprint": roster.fingerprint,
            "signed by": signer or "nobody; `securefl roster sign`",
        }
    )
    screen.table("name", "fingerprint", rows=[(member.name, member.fingerprint) for member in roster.members])
    screen.json(
        {
            "version": roster.version,
            "fingerprint": roster.fingerprint,
            "owner": signer or None,
            "parties": [
                {"name": member.name, "fingerprint": member.fingerprint, "key": member.verify_key.hex()}
                for member in roster.members
            ],
        }
    )


def _is_empty(text: str) -> bool:
    try:
        return not tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False  # `Roster.from_toml` says where


def _public_key(given: str) -> bytes:
    text = given
    if not re.fullmatch(r"[0-9a-fA-F]{64}", given):
        text = read_text(given, what="public key", remedy="give a .pub file, or 64 hex digits").strip()
    if "PRIVATE KEY" in text:
        raise ConfigError(f"{given} is a private key, which nobody but its party may hold", remedy="give the .pub file")
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise ConfigError(
            f"{given} holds no public key of 64 hex digits", remedy="give the .pub file of `securefl keygen`"
        )
    return bytes.fromhex(text)


def _squeezed(text: str) -> str:
    return re.sub(r"[\s:]", "", text).lower()
