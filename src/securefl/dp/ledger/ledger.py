"""The ledger itself: a file that grows before anything leaves, and that nothing resets.

Each party charges itself before y_u leaves, and the server charges every owner before it asks for unmasking. What was
charged stays charged: a round that aborts refunds nothing, and a retry, which has fresh noise, is charged again. Sending
the very bytes of before again, after a crash, is the same attempt and costs nothing more.
"""

from __future__ import annotations

import datetime as dt
import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from securefl.dp.accounting.composition import Composed
from securefl.dp.accounting.epsilon import epsilons, rdp_epsilon
from securefl.dp.accounting.floats import printed
from securefl.dp.accounting.relations import Relation
from securefl.dp.ledger.budget import Budget
from securefl.dp.ledger.chain import LedgerChain, verify_file
from securefl.dp.ledger.charge import Charge, account_of
from securefl.dp.ledger.entry import ALTERED, OPENING, Charged, Entry, NotedBudget
from securefl.dp.ledger.errors import PrivacyBudgetError
from securefl.dp.ledger.spending import Account, Accounts, epsilon_by_round
from securefl.errors import ConfigError, CryptoError, LocalProtocolError
from securefl.records.journal import Journal
from securefl.records.receipt_chain import Head

_STOP: Final = "stop here: what was released stays within the budget; a larger budget is the owner's to grant"


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class PrivacyLedger:
    """The durable record of every release about every owner, held against one budget each.

        ledger = PrivacyLedger("ledger.jsonl", budget=Budget(epsilon=8.0, delta=1e-6))
        ledger.charge(charge)                 # on disk when this returns; raises when it would overspend
        send(masked)

    A file of JSON lines, mode 0600, without secrets. Each line is chained to the one before it. Objects, threads and
    processes may share a file; see `Journal` for systems without file locks. Epsilons are bounds by Renyi differential
    privacy, rounded up; `epsilons` has a tighter one where there is one, which does not enlarge the budget.

    A chain whose tail was cut off is still a chain: note `head` down where the file is not (the party's store, the next
    plan) and give it back when opening.

    Args:
        path: the file, made when missing, unless `head` says that there was one.
        budget: what each owner's releases may cost together.
        head: a head noted down before.
        clock: the time now.

    Raises:
        ConfigError: the file cannot be read or written, or a line is no entry of a whole chain; file and line are named.
        PrivacyBudgetError: some owner has spent more than this budget already; the owner is named.
    """

    def __init__(
        self,
        path: str | Path,
        budget: Budget,
        *,
        head: Head | None = None,
        clock: Callable[[], dt.datetime] = _now,
    ) -> None:
        self.budget = budget
        self._clock = clock
        self._chain = LedgerChain(head)
        self._accounts: Accounts | None = None
        self._journal = Journal(path, what="privacy ledger", opening=OPENING, take=self._take)
        with self._journal.held(0 if head is not None and head.number else os.O_CREAT):
            try:
                self._chain.require_anchor()
            except CryptoError as error:
                raise ConfigError(f"the privacy ledger {path}: {error.message}", remedy=error.remedy) from error
            owner, spent = self._accounts.largest() if self._accounts else ("", 0.0)
        if spent > budget.epsilon:
            raise PrivacyBudgetError(
                f"the budget, {budget}, is below what {owner!r} has spent already: epsilon {printed(spent)}",
                owner=owner,
                spent=spent,
                needed=spent,
                budget=budget.epsilon,
                remedy="what was released cannot be taken back: open the ledger with the budget that was granted",
            )

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._journal.path

    @property
    def head(self) -> Head:
        """Number and digest of the last entry, to be noted down elsewhere.

        Raises:
            ConfigError: the file cannot be read, or was rolled back or altered.
        """
        with self._journal.held():
            return self._chain.head

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All entries, read from the file and verified.

        Raises:
            ConfigError, CryptoError: as `verify_file`.
        """
        with self._journal.held():
            return verify_file(self.path, head=self._chain.head)

    def charge(self, charge: Charge) -> Head:
        """Enter a charge, unless that attempt was entered before; it is on disk when this returns, and only then may y_u leave.

        Returns:
            Number and digest of its entry.

        Raises:
            PrivacyBudgetError: it would overspend its owner's budget; nothing was written.
            UnsafePlanError: its event has no bound, under its relation or at the budget's order.
            ConfigError: it is about another relation or unit than the ledger; or the file cannot be written, or was rolled
                back or altered. Nothing may leave.
            LocalProtocolError: that attempt was charged for something else.
        """
        return self.charge_all((charge,))[0]

    def charge_all(self, charges: Iterable[Charge]) -> tuple[Head, ...]:
        """Enter the charges of a round, as a server does: all of them, or none where one is refused.

        A crash may leave the first few; the same call then enters the rest. Returns and errors as in `charge`, in order.
        """
        given = [(charge, Charged.of(charge)) for charge in charges]
        self._price(charged for _, charged in given)
        noted = NotedBudget.of(self.budget)
        with self._journal.held() as append:
            for charged in self._to_enter(given):
                append(_line(Entry.after(self._chain.head, charged, noted, self._clock())))
            found = [self._chain.entered(charge.key) for charge, _ in given]
        return tuple(known[0] for known in found if known is not None)

    def check(self, *charges: Charge) -> None:
        """Raise as `charge_all` would, and enter nothing: for a party that asks before it takes part.

        Raises:
            PrivacyBudgetError, UnsafePlanError, ConfigError, LocalProtocolError: as `charge`.
        """
        given = [(charge, Charged.of(charge)) for charge in charges]
        self._price(charged for _, charged in given)
        with self._journal.held():
            self._to_enter(given)

    def require(self, head: Head) -> None:
        """Raise unless the entry whose head was noted down elsewhere is there, as it was: nothing was cut off before it.

        Raises:
            ConfigError: the chain is shorter, or was written anew.
        """
        try:
            verify_file(self.path, head=head)
        except CryptoError as error:
            raise ConfigError(f"the privacy ledger {self.path}: {error.message}", remedy=error.remedy) from error

    def charged(self, party: str, ctx: bytes, attempt: bytes) -> Head | None:
        """Number and digest of the entry of an attempt, which may be resent as it is; None where there is none.

        Raises:
            ConfigError: the file cannot be read, or was rolled back or altered.
        """
        with self._journal.held():
            known = self._chain.entered((party, ctx, attempt))
        return known[0] if known else None

    def spent(self, owner: str | None = None) -> float:
        """Epsilon at the budget's delta, rounded up: one owner's, or the maximum over owners.

        Raises:
            ConfigError: the file cannot be read, or was rolled back or altered.
        """
        with self._journal.held():
            if self._accounts is None:
                return 0.0
            return self._accounts.largest()[1] if owner is None else self._accounts.spent(owner)

    @property
    def noise_by_server(self) -> bool:
        """Whether any release had noise that a curator added, who saw the sum without it: nothing bounds what that curator learnt.

        Raises:
            ConfigError: as `spent`.
        """
        with self._journal.held():
            return self._accounts is not None and self._accounts.central

    @property
    def owners(self) -> tuple[str, ...]:
        """Whose data the entries are about, in the order of the first of each.

        Raises:
            ConfigError: as `spent`.
        """
        with self._journal.held():
            return self._accounts.owners if self._accounts is not None else ()

    def projected(self, charge: Charge, delta: float) -> float:
        """Epsilon at delta of all that was released about a charge's owner, and of the charge; nothing is entered.

        Raises:
            UnsafePlanError, ConfigError: as `charge`.
        """
        with self._journal.held():
            accounts = self._accounts
            account = accounts.of(charge.owner) if accounts else Account(charge.owner)
        before = (account.event,) if account.releases else ()
        event = Composed((*before, charge.event))
        return rdp_epsilon(event, delta, charge.relation, draws=account.draws + charge.draws)

    def remaining(self, owner: str | None = None) -> float:
        """The budget's epsilon less what was spent, rounded down; what a further release costs is no simple difference.

        Raises:
            ConfigError: as `spent`.
        """
        return max(0.0, math.nextafter(self.budget.epsilon - self.spent(owner), -math.inf))

    def epsilons(self, owner: str) -> dict[str, float | None]:
        """Return `{"rdp": ..., "pld": ...}` of one owner by each accountant, from scratch; pld is None where it is no bound.

        Raises:
            ConfigError: as `spent`.
        """
        with self._journal.held():
            accounts = self._accounts
            account = accounts.of(owner) if accounts else Account(owner)
        if accounts is None or not account.releases:
            return {"rdp": 0.0, "pld": 0.0}
        return epsilons(account.event, self.budget.delta, accounts.relation, draws=account.draws)

    def epsilon_by_round(self, owner: str | None = None) -> tuple[float, ...]:
        """What had been spent after each round, for plots; see the function of that name.

        Raises:
            ConfigError, CryptoError: as `entries`.
        """
        return epsilon_by_round(self.entries, self.budget.delta, owner=owner, order=self.budget.order)

    def _price(self, charges: Iterable[Charged]) -> None:
        """Compute what new kinds of event cost while others may still use the file."""
        for charged in charges:
            self._fresh(charged.relation).require_bound(charged.released)

    def _to_enter(self, given: Iterable[tuple[Charge, Charged]]) -> list[Charged]:
        """Return the charges that are new; raise if any is refused."""
        new: dict[tuple[str, bytes, bytes], Charged] = {}
        accounts, after = self._accounts, dict[str, Account]()
        first: Charged | None = None
        for charge, charged in given:
            known = self._chain.entered(charge.key)
            before = known[1] if known else new[charge.key].digest() if charge.key in new else None
            if before is not None:
                if before != charged.digest():
                    raise LocalProtocolError(
                        f"this attempt of {charge.party!r} was charged for something else before",
                        remedy="a retry needs fresh noise and a new attempt id; to resume, resend the stored bytes as they are",
                    )
                continue
            self._chain.require_same_account(charged)
            first = first or charged
            if (charged.relation, charged.unit) != (first.relation, first.unit):
                raise ConfigError(
                    f"charges per {first.unit} under {first.relation} and per {charged.unit} under {charged.relation} cannot "
                    "be composed",
                    remedy="keep a ledger of its own for each relation and unit",
                )
            accounts = accounts or self._fresh(charged.relation)
            owner = account_of(charge.owner)
            account = after.get(owner) or accounts.of(charge.owner)
            after[owner] = accounts.charged(account, charged.released, charge.draws)
            self._require_room(accounts, account, after[owner])
            new[charge.key] = charged
        return list(new.values())

    def _require_room(self, accounts: Accounts, before: Account, after: Account) -> None:
        needed = accounts.epsilon(after)
        if not needed <= self.budget.epsilon:
            spent = accounts.epsilon(before)
            raise PrivacyBudgetError(
                f"the budget of {before.owner!r}, {self.budget}, does not allow this: spent epsilon {printed(spent)}, with it "
                f"{printed(needed)}",
                owner=before.owner,
                spent=spent,
                needed=needed,
                budget=self.budget.epsilon,
                remedy=_STOP,
            )

    def _take(self, line: bytes, number: int) -> None:
        try:
            entry = self._chain.accept(line)
        except CryptoError as error:
            raise ConfigError(
                f"line {number} of the privacy ledger {self._journal.path}: {error.message}",
                remedy=error.remedy or ALTERED,
            ) from error
        self._accounts = self._accounts or self._fresh(entry.charge.relation)
        self._accounts.enter(entry)

    def _fresh(self, relation: Relation) -> Accounts:
        return Accounts(relation, self.budget.delta, self.budget.order)


def _line(entry: Entry) -> bytes:
    line = entry.to_line()
    try:
        # An entry that could not be read again would end the ledger: it is tried before it is written.
        Entry.from_line(line)
    except CryptoError as error:
        raise LocalProtocolError(f"no entry can say this: {error.message}", remedy="correct the charge") from error
    return line
