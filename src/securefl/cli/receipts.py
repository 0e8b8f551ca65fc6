"""`securefl receipts`: what a party accepted, sent and opened, and whether its receipts are whole."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import msgspec
import typer

from securefl.cli.options import HeadOption, JsonOption
from securefl.cli.screen import Screen
from securefl.cli.text import printable
from securefl.crypto.signing import fingerprint
from securefl.errors import ConfigError
from securefl.plan import Roster
from securefl.records.receipt import ACCEPTED, SignedReceipt
from securefl.records.receipt_book import verify_file
from securefl.records.receipt_chain import Head

app = typer.Typer(
    name="receipts",
    help="What a party accepted, sent and opened, round by round.",
    epilog="Example: securefl receipts verify hospital-3.receipts --roster roster.toml --party hospital-3",
    no_args_is_help=True,
)

ReceiptsArgument: TypeAlias = Annotated[
    Path, typer.Argument(metavar="FILE", help="The receipts, as a party keeps them.", show_default=False)
]


def register(root: typer.Typer) -> None:
    """Add the verbs."""
    root.add_typer(app)


@app.command(epilog="Example: securefl receipts show hospital-3.receipts")
def show(file: ReceiptsArgument, *, json: JsonOption = None) -> None:
    """Print each round: how it ended and why, survivors, bytes sent; all else with --json. Signatures are not checked."""
    screen = Screen(json)
    receipts = verify_file(file)
    screen.table("no.", "time (UTC)", "session", "round", "outcome", "in sum", "sent", rows=[*map(_row, receipts)])
    for signed in receipts:
        receipt = signed.receipt
        said = [text for text in (receipt.decision, receipt.reason) if text not in {ACCEPTED, ""}]
        if said:
            screen.line(f"{receipt.number}: {printable('; '.join(said))}", indent=2)
    head = _head(receipts)
    screen.long(f"head {head}")
    screen.json({"head": str(head), "receipts": [_facts(signed) for signed in receipts]})


@app.command(epilog="Example: securefl receipts verify hospital-3.receipts --roster roster.toml --party hospital-3")
def verify(
    file: ReceiptsArgument,
    *,
    roster: Annotated[
        Path | None, typer.Option(metavar="ROSTER.toml", help="Your own roster, which has the party's key.")
    ] = None,
    party: Annotated[str | None, typer.Option(metavar="NAME", help="The party, as on the roster.")] = None,
    verify_key: Annotated[str | None, typer.Option(metavar="HEX", help="The party's public key.")] = None,
    head: HeadOption = None,
    json: JsonOption = None,
) -> None:
    """Check that receipts are a whole chain, signed by their party; exit 1 at the first that is not."""
    screen = Screen(json)
    if (roster is None) != (party is None):
        raise typer.BadParameter("--roster and --party go together")
    if roster is not None and verify_key is not None:
        raise typer.BadParameter("--roster and --verify-key exclude each other")
    key = _key_on(roster, party) if roster is not None and party is not None else _key_in(verify_key)
    receipts = verify_file(file, key, party=party, head=Head.parse(head) if head is not None else None)
    found = _head(receipts)
    name = receipts[0].receipt.party if receipts else party
    screen.long(f"Whole: {len(receipts)} receipts" + (f" of {printable(name)}" if name else ""))
    if key is None:
        screen.line(
            "No key was given: the links were checked, the signatures not. Whoever holds the file could have written it anew.",
            style="yellow",
        )
    else:
        screen.long(f"signed by {fingerprint(key)}")
    screen.long(f"head {found}")
    if head is None:
        screen.line("What was cut off at the end is not seen: note this head elsewhere, and give --head next time.")
    screen.json(
        {
            "receipts": len(receipts),
            "party": name,
            "signed_by": fingerprint(key) if key is not None else None,
            "head": str(found),
            "expected": head is not None,
        }
    )


def _key_on(path: Path, party: str) -> bytes:
    roster = Roster.load(path)
    key = roster.members[roster.index(party)].verify_key
    if not key:
        raise ConfigError(f"the roster {path} has no keys", remedy="give one with identities, or --verify-key")
    return key


def _key_in(text: str | None) -> bytes | None:
    if text is None:
        return None
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise ConfigError("--verify-key is no public key of 64 hex digits", remedy="copy it from the party's .pub file")
    return bytes.fromhex(text)


def _head(receipts: list[SignedReceipt]) -> Head:
    return Head(receipts[-1].receipt.number, receipts[-1].receipt.digest()) if receipts else Head()


def _row(signed: SignedReceipt) -> tuple[str, ...]:
    receipt = signed.receipt
    sent = sum(answer.size for answer in receipt.answered)
    return (
        str(receipt.number),
        receipt.time.rstrip("Z").replace("T", " "),
        receipt.session[:8],
        str(receipt.round),
        receipt.outcome,
        str(len(receipt.survivors)),
        f"{sent} B",
    )


def _facts(signed: SignedReceipt) -> dict[str, Any]:
    facts: dict[str, Any] = msgspec.to_builtins(signed.receipt)
    return {**facts, "digest": signed.receipt.digest().hex(), "signature": signed.signature}
