"""An entry: a charge as it stands in the file, chained to the one before it."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Final, Literal, Self, TypeAlias

import msgspec

from securefl.crypto.digest import digest
from securefl.dp.accounting.events import Event
from securefl.dp.accounting.relations import Relation, Unit
from securefl.dp.ledger.budget import Budget
from securefl.dp.ledger.charge import Charge
from securefl.dp.ledger.event_json import event_from_json, event_to_json, real, real_text
from securefl.errors import CryptoError, UnsafePlanError
from securefl.records.receipt import Hex16, Hex32
from securefl.records.receipt_chain import Head

OPENING: Final = b'{"entry":{"version":1,"number":1,'
"""How every ledger begins."""
ALTERED: Final = (
    "it was changed after it was written: bring back the right file, and keep this one for your auditor; what was "
    "released stays spent, so do not begin anew"
)
"""The remedy for a line that is not as it was written."""

_Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]
_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class NotedBudget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The budget that a charge was held against; numbers as texts, see `event_json`."""

    epsilon: str
    delta: str
    order: str | None

    @classmethod
    def of(cls, budget: Budget) -> Self:
        """A budget, to be written down."""
        order = None if budget.order is None else real_text(budget.order)
        return cls(real_text(budget.epsilon), real_text(budget.delta), order)

    def budget(self) -> Budget:
        """The budget.

        Raises:
            CryptoError: none can have these numbers.
        """
        try:
            return Budget(real(self.epsilon), real(self.delta), None if self.order is None else real(self.order))
        except UnsafePlanError as error:
            raise CryptoError(f"an impossible budget: {error.message}", remedy=ALTERED) from error


class Charged(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A charge as JSON: bytes in hex, the event as in `event_json`; all else as in `Charge`."""

    owner: _Name
    party: _Name
    session: Hex16
    ctx: Hex32
    attempt: Annotated[str, msgspec.Meta(pattern=r"\A([0-9a-f]{2}){1,32}\Z")]
    plan: Hex32
    event: msgspec.Raw
    relation: Relation
    unit: Unit
    sampler: _Name
    floor: _Count
    colluders: _Count
    draws: _Count

    @classmethod
    def of(cls, charge: Charge) -> Self:
        """A charge, to be written down.

        Raises:
            UnsafePlanError: its event cannot be.
        """
        return cls(
            owner=charge.owner,
            party=charge.party,
            session=charge.session.hex(),
            ctx=charge.ctx.hex(),
            attempt=charge.attempt.hex(),
            plan=charge.plan.hex(),
            event=msgspec.Raw(event_to_json(charge.event)),
            relation=charge.relation,
            unit=charge.unit,
            sampler=charge.sampler,
            floor=charge.floor,
            colluders=charge.colluders,
            draws=charge.draws,
        )

    @property
    def key(self) -> tuple[str, bytes, bytes]:
        """Party, ctx, attempt: what a ledger holds once."""
        return (self.party, bytes.fromhex(self.ctx), bytes.fromhex(self.attempt))

    @property
    def released(self) -> Event:
        """The event.

        Raises:
            CryptoError: it is none.
        """
        return event_from_json(bytes(self.event))

    def digest(self) -> bytes:
        """32 bytes over everything in it: whether a charge is the same again."""
        return digest("ledger charge", msgspec.json.encode(self))


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line of a ledger.

    Args:
        version: of this format.
        number: its place in the chain, from 1.
        previous: digest of the entry before it, in hex; zeros for the first.
        time: when it was written, UTC, in seconds, by the writer's own clock.
        budget: what the charge was held against.
        charge: what was released.
    """

    version: Literal[1] = 1
    number: Annotated[int, msgspec.Meta(ge=1)]
    previous: Hex32
    time: Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z")]
    budget: NotedBudget
    charge: Charged

    @classmethod
    def after(cls, head: Head, charged: Charged, budget: NotedBudget, now: dt.datetime) -> Self:
        """The entry that follows a head."""
        return cls(
            number=head.number + 1,
            previous=head.digest.hex(),
            time=now.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            budget=budget,
            charge=charged,
        )

    @property
    def head(self) -> Head:
        """The chain's head when it ends here."""
        return Head(self.number, self.digest())

    def digest(self) -> bytes:
        """SHA-256 under the label "ledger entry" over its JSON as in the file, 32 bytes: what is chained."""
        return digest("ledger entry", msgspec.json.encode(self))

    def to_line(self) -> bytes:
        """Its line, with its digest, so that what is altered is named where it stands; without the newline."""
        return msgspec.json.encode(_Line(self, self.digest().hex()))

    @classmethod
    def from_line(cls, line: bytes) -> Entry:
        """The entry of a line.

        Raises:
            CryptoError: no entry, one whose digest is another, or not in the one form that `to_line` gives it.
        """
        try:
            read = msgspec.json.decode(line, type=_Line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise CryptoError(f"this is no entry of a privacy ledger: {error}", remedy=ALTERED) from error
        entry = read.entry
        if entry.digest().hex() != read.digest:
            raise CryptoError("this entry was altered: its digest is another", remedy=ALTERED)
        if entry.to_line() != line:
            raise CryptoError("this entry is not in the form in which entries are written", remedy=ALTERED)
        entry.budget.budget()
        _ = entry.charge.released
        return entry


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    entry: Entry
    digest: Hex32
