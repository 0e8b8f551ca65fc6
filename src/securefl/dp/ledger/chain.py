"""Entries as a chain, and the laws that hold for all of them together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from securefl.dp.accounting.relations import Relation, Unit
from securefl.dp.ledger.entry import ALTERED, Charged, Entry
from securefl.errors import ConfigError, CryptoError
from securefl.records.receipt_chain import Head


class LedgerChain:
    """Entries checked one after the other: linked, about one relation and unit, each attempt once.

    Args:
        anchor: a head noted down where the file is not; None leaves truncation unseen.

    Attributes:
        head: the last entry accepted.
        relation: of all entries; None before any. So is `unit`.

    Raises:
        ConfigError: an anchor that no chain has.
    """

    def __init__(self, anchor: Head | None = None) -> None:
        if anchor is not None and not anchor.number and anchor != Head():
            raise ConfigError(f"{anchor} is no head of a ledger", remedy="copy it from `securefl ledger verify`")
        self.head = Head()
        self.relation: Relation | None = None
        self.unit: Unit | None = None
        self._anchor = anchor
        self._entered: dict[tuple[str, bytes, bytes], tuple[Head, bytes]] = {}

    def entered(self, key: tuple[str, bytes, bytes]) -> tuple[Head, bytes] | None:
        """Head and charge digest of the entry of a party, ctx and attempt; None where there is none."""
        return self._entered.get(key)

    def require_same_account(self, charged: Charged) -> None:
        """Raise unless the charge can be composed with what is there.

        Raises:
            ConfigError: it is about another relation or unit.
        """
        if self.relation in {None, charged.relation} and self.unit in {None, charged.unit}:
            return
        raise ConfigError(
            f"this ledger accounts per {self.unit} under {self.relation}, and epsilons per {charged.unit} under "
            f"{charged.relation} cannot be composed with that",
            remedy="keep a ledger of its own for each relation and unit",
        )

    def accept(self, line: bytes) -> Entry:
        """Read a line, check that it comes next, and go on from it.

        Raises:
            CryptoError: it does not; the message says what is wrong.
        """
        entry, number = Entry.from_line(line), self.head.number + 1
        if entry.number != number:
            raise CryptoError(
                f"entry {number} is missing or out of order: number {entry.number} stands in its place", remedy=ALTERED
            )
        if entry.previous != self.head.digest.hex():
            raise CryptoError(f"entry {number} continues another chain", remedy=ALTERED)
        try:
            self.require_same_account(entry.charge)
        except ConfigError as error:
            raise CryptoError(error.message, remedy=ALTERED) from error
        if entry.charge.key in self._entered:
            raise CryptoError(f"entry {number} charges an attempt that was charged before", remedy=ALTERED)
        head = entry.head
        if self._anchor is not None and number == self._anchor.number and head != self._anchor:
            raise CryptoError(
                f"entry {number} is not the one whose head was noted down",
                remedy="the chain was written anew from there: bring back the right file, and keep this one for your auditor",
            )
        self.head, self.relation, self.unit = head, entry.charge.relation, entry.charge.unit
        self._entered[entry.charge.key] = head, entry.charge.digest()
        return entry

    def require_anchor(self) -> None:
        """Raise if the chain ends before the anchor.

        Raises:
            CryptoError: entries were cut off.
        """
        if self._anchor is not None and self.head.number < self._anchor.number:
            raise CryptoError(
                f"entry {self.head.number + 1} is missing: the chain ends at {self.head.number}, the head noted down is "
                f"{self._anchor.number}",
                remedy="entries were cut off at the end: bring back the whole file",
            )


def parse_head(text: str) -> Head:
    """Return the head of a ledger in the form number:digest.

    Raises:
        ConfigError: another form.
    """
    try:
        return Head.parse(text)
    except ConfigError as error:
        raise ConfigError(
            f"{text!r} is no head of a ledger", remedy="give number:digest, as `securefl ledger verify` prints it"
        ) from error


def verify_file(path: str | Path, *, head: Head | None = None) -> tuple[Entry, ...]:
    """Check that a file is a whole ledger, without changing it; returns its entries.

    Entries cut off at the end leave a chain that is whole, and whoever can write the file can write another one: only
    `head`, noted down elsewhere before, excludes that, up to the entry it names.

    Args:
        path: the file.
        head: an entry that is known to have been written.

    Raises:
        ConfigError: it cannot be read.
        CryptoError: the first line that is no link of the chain, by number.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the privacy ledger {path} cannot be read: {error.strerror or error}",
            remedy="give the file of a PrivacyLedger",
        ) from error
    chain = LedgerChain(head)
    try:
        entries = tuple(_read(chain, data))
        chain.require_anchor()
    except CryptoError as error:
        error.add_note(str(path))
        raise
    return entries


def _read(chain: LedgerChain, data: bytes) -> Iterator[Entry]:
    *lines, torn = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            yield chain.accept(line)
        except CryptoError as error:
            raise CryptoError(f"line {number}: {error.message}", remedy=error.remedy) from error
    if torn:
        raise CryptoError(
            f"line {len(lines) + 1} is torn: the file ends within it",
            remedy="a crash while writing does this, and opening the PrivacyLedger mends it; or it was cut off",
        )
