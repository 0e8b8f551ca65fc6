"""What each owner's entries cost together, by Renyi differential privacy, without going through them again.

Curves at the same orders add up, so an account is how often each distinct event was charged: a round more costs one
vector addition for each of these, however many entries there are.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from securefl.dp.accounting.bounds import Floats
from securefl.dp.accounting.composition import Composed, Repeated, is_central
from securefl.dp.accounting.curves import orders_for, rdp_curve
from securefl.dp.accounting.epsilon import epsilon_from_rdp, epsilon_with_draws
from securefl.dp.accounting.events import Event
from securefl.dp.accounting.floats import SLACK, open_delta, printed
from securefl.dp.accounting.relations import Relation
from securefl.dp.ledger.charge import account_of
from securefl.dp.ledger.entry import Entry
from securefl.dp.ledger.errors import PrivacyBudgetError

_KEPT: Final = 4096


@dataclasses.dataclass(frozen=True, slots=True)
class Account:
    """What was released about one owner.

    Args:
        owner: the name, as it was first spelt.
        releases: distinct events, each with the number of its charges, in the order of the first.
        draws: integers drawn from the samplers.
        floor: epsilon at the time when an event of another kind changed the orders; less is never shown again.
    """

    owner: str
    releases: tuple[tuple[Event, int], ...] = ()
    draws: int = 0
    floor: float = 0.0

    @property
    def event(self) -> Event:
        """All of it, as one event; for any accountant.

        Raises:
            UnsafePlanError: nothing was released.
        """
        return Composed(tuple(Repeated(event, count) for event, count in self.releases))


@functools.lru_cache(_KEPT)
def _curve(event: Event, orders: tuple[float, ...], relation: Relation) -> Floats:
    curve = rdp_curve(event, orders, relation)
    curve.flags.writeable = False
    return curve


class Accounts:
    """The accounts of all owners, under one relation and at one delta.

    Args:
        relation: which datasets are neighbours.
        delta: in (0, 1).
        order: the one Renyi order to account at; None for the best of `orders_for`.

    Raises:
        UnsafePlanError: delta is out of range.
    """

    def __init__(self, relation: Relation, delta: float, order: float | None = None) -> None:
        open_delta(delta)
        self.relation = relation
        self.delta = delta
        self.order = order
        self._accounts: dict[str, Account] = {}
        self._epsilon = functools.lru_cache(_KEPT)(self._epsilon_of)

    @property
    def owners(self) -> tuple[str, ...]:
        """Names, in the order of their first charges."""
        return tuple(account.owner for account in self._accounts.values())

    @property
    def central(self) -> bool:
        """Whether a curator added any of the noise, and so saw a sum without it."""
        return any(is_central(event) for account in self._accounts.values() for event, _ in account.releases)

    def of(self, owner: str) -> Account:
        """The account of an owner; an empty one where nothing was charged."""
        return self._accounts.get(account_of(owner)) or Account(owner)

    def epsilon(self, account: Account) -> float:
        """Return a bound on what an account cost, at delta.

        Raises:
            UnsafePlanError: an event has no bound at the order or under the relation.
            ConfigError: the `dp` extra is not installed.
        """
        if not account.releases:
            return 0.0
        return max(account.floor, self._epsilon(account.releases, account.draws))

    def spent(self, owner: str) -> float:
        """The epsilon of one owner; errors as in `epsilon`."""
        return self.epsilon(self.of(owner))

    def largest(self) -> tuple[str, float]:
        """The owner who spent most, and how much; "" and 0 where nothing was charged."""
        spent = [(account.owner, self.epsilon(account)) for account in self._accounts.values()]
        return max(spent, key=lambda pair: pair[1], default=("", 0.0))

    def charged(self, account: Account, event: Event, draws: int) -> Account:
        """Return the account with one release more; `put` keeps it."""
        counts = dict(account.releases)
        floor = account.floor
        if event not in counts and counts and self._orders((*counts, event)) != self._orders(tuple(counts)):
            # Other orders may give a lower bound for what was there; who was told the higher one is not told less.
            floor = self.epsilon(account)
        counts[event] = counts.get(event, 0) + 1
        return Account(account.owner, tuple(counts.items()), account.draws + draws, floor)

    def put(self, account: Account) -> None:
        """Keep an account."""
        self._accounts[account_of(account.owner)] = account

    def enter(self, entry: Entry) -> str:
        """Charge what an entry says; returns its owner.

        Raises:
            CryptoError: its event cannot be read.
        """
        charge = entry.charge
        self.put(self.charged(self.of(charge.owner), charge.released, charge.draws))
        return charge.owner

    def require_bound(self, event: Event) -> None:
        """Raise unless the event has a bound; what was computed is kept.

        Raises:
            UnsafePlanError: it has none under the relation or at the order.
            ConfigError: the `dp` extra is not installed.
        """
        _curve(event, self._orders((event,)), self.relation)

    def _orders(self, events: tuple[Event, ...]) -> tuple[float, ...]:
        return orders_for(Composed(events)) if self.order is None else (self.order,)

    def _epsilon_of(self, releases: tuple[tuple[Event, int], ...], draws: int) -> float:
        orders = self._orders(tuple(event for event, _ in releases))
        total = np.zeros(len(orders))
        for event, count in releases:
            total = total + count * _curve(event, orders, self.relation)
        # Each curve carries all of the slack for rounding. Half of it is enough for these few additions; the other half is
        # given back, so that rounds charged one by one never cost more than the same rounds planned at once.
        total = total * (1.0 - SLACK / 2.0)
        found = epsilon_with_draws(lambda delta: epsilon_from_rdp(orders, total, delta), self.delta, draws)
        return math.inf if found is None else found


def epsilon_by_round(
    entries: Iterable[Entry], delta: float, *, owner: str | None = None, order: float | None = None
) -> tuple[float, ...]:
    """Return what had been spent after each round: the maximum over owners, or one owner's.

    Rounds are the distinct ctx in the order of their first charges; a retry counts to the latest round begun.

    Args:
        entries: of one ledger, from the first.
        delta: in (0, 1).
        owner: whose; None for the maximum.
        order: as in `Accounts`.

    Raises:
        UnsafePlanError, ConfigError: as `Accounts.epsilon`.
    """
    accounts: Accounts | None = None
    rounds: set[str] = set()
    spent: list[float] = []
    for entry in entries:
        accounts = accounts or Accounts(entry.charge.relation, delta, order)
        charged = accounts.enter(entry)
        if owner is not None and account_of(owner) != account_of(charged):
            continue
        if entry.charge.ctx not in rounds:
            rounds.add(entry.charge.ctx)
            spent.append(spent[-1] if spent else 0.0)
        spent[-1] = max(spent[-1], accounts.spent(charged))
    return tuple(spent)


def require_kept(entries: Sequence[Entry]) -> None:
    """Raise if an owner's last charge overspent the budget that it was held against.

    Args:
        entries: of one ledger, from the first.

    Raises:
        PrivacyBudgetError: an entry that no PrivacyLedger would have written, by number.
        UnsafePlanError, ConfigError: as `Accounts.epsilon`.
    """
    last = {account_of(entry.charge.owner): entry for entry in entries}
    for terms in {_terms(entry) for entry in last.values()}:
        accounts = Accounts(entries[0].charge.relation, *terms)
        for entry in entries:
            accounts.enter(entry)
        for entry in last.values():
            owner, budget = entry.charge.owner, entry.budget.budget()
            if _terms(entry) == terms and accounts.spent(owner) > budget.epsilon:
                spent = accounts.spent(owner)
                raise PrivacyBudgetError(
                    f"entry {entry.number} overspends: {owner!r} had a budget of {budget}, and spent {printed(spent)}",
                    owner=owner,
                    spent=spent,
                    needed=spent,
                    budget=budget.epsilon,
                    remedy="no PrivacyLedger writes this: ask who made the file",
                )


def _terms(entry: Entry) -> tuple[float, float | None]:
    budget = entry.budget.budget()
    return budget.delta, budget.order
