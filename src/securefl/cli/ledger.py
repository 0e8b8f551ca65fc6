"""`securefl ledger`: what was released about each data owner, what it cost, and whether the record is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeAlias

import msgspec
import typer

from securefl.cli.options import HeadOption, JsonOption
from securefl.cli.screen import Screen
from securefl.cli.text import printable
from securefl.dp.accounting.floats import printed
from securefl.dp.ledger.chain import parse_head, verify_file
from securefl.dp.ledger.entry import Entry
from securefl.dp.ledger.spending import Accounts, epsilon_by_round, require_kept
from securefl.records.receipt_chain import Head

app = typer.Typer(
    name="ledger",
    help="What was released about each data owner, and what it cost.",
    epilog="Example: securefl ledger verify ledger.jsonl --head 30:5f3c...",
    no_args_is_help=True,
)

LedgerArgument: TypeAlias = Annotated[
    Path, typer.Argument(metavar="FILE", help="The ledger, as PrivacyLedger keeps it.", show_default=False)
]
DeltaOption: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--delta", metavar="DELTA", help="State epsilons at this delta.", show_default="that of the last entry's budget"
    ),
]


def register(root: typer.Typer) -> None:
    """Add the verbs."""
    root.add_typer(app)


@app.command(epilog="Example: securefl ledger show ledger.jsonl")
def show(file: LedgerArgument, *, delta: DeltaOption = None, json: JsonOption = None) -> None:
    """Print each charge and what every owner has spent; all else with --json."""
    screen = Screen(json)
    entries = verify_file(file)
    found = _head(entries)
    accounts = _accounts(entries, delta)
    spent = _spent(accounts)
    screen.table("no.", "time (UTC)", "owner", "party", "session", "ctx", "released", rows=[*map(_row, entries)])
    if accounts is not None:
        screen.title(f"Spent, as epsilon at delta {accounts.delta:g}")
        screen.table("owner", "epsilon", rows=[(printable(o), printed(e)) for o, e in spent.items()], numbers=True)
        charge, budget = entries[-1].charge, entries[-1].budget.budget()
        screen.line(
            f"The most any owner has spent is {printed(max(spent.values()))}, the last budget was {budget}; per "
            f"{charge.unit} under {charge.relation}, by the accountant rdp."
        )
    screen.long(f"head {found}")
    screen.json(
        {
            "head": str(found),
            **_terms(entries, accounts),
            "budget": msgspec.to_builtins(entries[-1].budget) if entries else None,
            "epsilon": max(spent.values(), default=0.0),
            "owners": spent,
            "epsilon_by_round": list(epsilon_by_round(entries, accounts.delta, order=accounts.order))
            if accounts
            else [],
            "entries": [_facts(entry) for entry in entries],
        }
    )


@app.command(epilog="Example: securefl ledger verify ledger.jsonl --head 30:5f3c...")
def verify(
    file: LedgerArgument,
    *,
    head: HeadOption = None,
    json: JsonOption = None,
) -> None:
    """Check that a ledger is a whole chain within its budgets; exit 1 at the first line that is not as it was written."""
    screen = Screen(json)
    anchor = parse_head(head) if head is not None else None
    entries = verify_file(file, head=anchor)
    require_kept(entries)
    found = _head(entries)
    accounts = _accounts(entries, None)
    spent = _spent(accounts)
    screen.long(f"Whole: {len(entries)} entries about {len(spent)} owners, within their budgets")
    screen.long(f"head {found}")
    if anchor is not None and anchor.number:
        truncation = f"excluded up to entry {anchor.number}"
        screen.line(f"Truncation {truncation}.")
    else:
        truncation = "not excluded"
        screen.line(
            f"Truncation {truncation}: a chain whose end was cut off, or that was written anew, is whole, too. Note this head "
            "down elsewhere, and give --head next time.",
            style="yellow",
        )
    screen.json(
        {
            "entries": len(entries),
            "head": str(found),
            "expected": anchor is not None,
            "truncation": truncation,
            **_terms(entries, accounts),
            "epsilon": max(spent.values(), default=0.0),
            "owners": spent,
        }
    )


def _accounts(entries: tuple[Entry, ...], delta: float | None) -> Accounts | None:
    if not entries:
        return None
    budget = entries[-1].budget.budget()
    accounts = Accounts(entries[0].charge.relation, budget.delta if delta is None else delta, budget.order)
    for entry in entries:
        accounts.enter(entry)
    return accounts


def _spent(accounts: Accounts | None) -> dict[str, float]:
    return {} if accounts is None else {owner: accounts.spent(owner) for owner in accounts.owners}


def _terms(entries: tuple[Entry, ...], accounts: Accounts | None) -> dict[str, Any]:
    charge = entries[0].charge if entries else None
    return {
        "accountant": "rdp",
        "delta": accounts.delta if accounts else None,
        "relation": charge.relation if charge else None,
        "unit": charge.unit if charge else None,
    }


def _head(entries: tuple[Entry, ...]) -> Head:
    return entries[-1].head if entries else Head()


def _row(entry: Entry) -> tuple[str, ...]:
    charge = entry.charge
    return (
        str(entry.number),
        entry.time.rstrip("Z").replace("T", " "),
        printable(charge.owner),
        printable(charge.party),
        charge.session[:8],
        charge.ctx[:8],
        type(charge.released).__name__,
    )


def _facts(entry: Entry) -> dict[str, Any]:
    facts: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(entry))
    return {**facts, "digest": entry.digest().hex()}
