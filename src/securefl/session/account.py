"""What a party holds against every proposal, whatever the protocol: its policy, its privacy ledger, its used-file."""

from __future__ import annotations

import functools

from securefl.dp.ledger import Charge, PrivacyLedger
from securefl.dp.ledger.charge import account_of
from securefl.errors import ConfigError
from securefl.plan import Plan, Roster
from securefl.policy import ClientPolicy
from securefl.records.used_file import UsedFile
from securefl.session.charging import charge_for, require_anchor, require_ledger
from securefl.types import RoundContext


class Account:
    """One party's floors and budget, asked before anything is sent and again before its vector leaves.

    Args:
        party: its name on the roster.
        roster: from its own disk.
        policy: its floors.
        ledger: where it enters what its vectors cost.
        used: where the ledger's head is noted.
        owner: whose data it is about; the party's unless given.

    Raises:
        ConfigError: no policy, or a ledger that lacks entries or is about somebody else.
    """

    def __init__(
        self,
        party: str,
        *,
        roster: Roster,
        policy: ClientPolicy,
        ledger: PrivacyLedger | None = None,
        used: UsedFile | None = None,
        owner: str | None = None,
    ) -> None:
        if not isinstance(policy, ClientPolicy):
            raise ConfigError(
                f"{party!r} has no policy, and takes part in nothing without one",
                remedy="load one with ClientPolicy.load, write one with `securefl init`",
            )
        require_anchor(ledger, used)
        self.policy = policy
        self._party = party
        self._roster = roster
        self._ledger = ledger
        self._used = used
        self._owner = _owner_in(ledger, party) if owner is None else owner

    def check_policy(self, plan: Plan, context: RoundContext, binding: bytes, rounds_before: int) -> None:
        """Ask the policy; what was spent is the ledger's to say, whatever plans that was under.

        Raises:
            PolicyRefusedError: it forbids the plan.
        """
        ledger = self._ledger
        spent = None
        if ledger is not None and plan.private:
            charge = self._charge(plan, context, binding)
            spent = functools.partial(ledger.projected, charge)
        self.policy.check(plan, self._roster, rounds_before=rounds_before, spent=spent, has_ledger=ledger is not None)

    def require_budget(self, plan: Plan, context: RoundContext, binding: bytes) -> None:
        """Raise where the ledger would not allow this party's vector: it is asked before anything is sent.

        Raises:
            PrivacyBudgetError: it would be overspent.
            ConfigError: a private plan, and no ledger. What a ledger says to a plan without privacy, the policy decides.
        """
        if plan.private and (ledger := require_ledger(plan, self._ledger, repr(self._party))) is not None:
            ledger.check(self._charge(plan, context, binding))

    def charge(self, plan: Plan, context: RoundContext, binding: bytes) -> None:
        """Enter what this party's vector costs, on disk before the vector exists, and never taken back: it may have been seen.

        Raises:
            PrivacyBudgetError: it would be overspent.
        """
        if not plan.private or (ledger := require_ledger(plan, self._ledger, repr(self._party))) is None:
            return
        head = ledger.charge(self._charge(plan, context, binding))
        if self._used is not None:
            self._used.anchor(context.session, context.round, ledger.path, head)

    def _charge(self, plan: Plan, context: RoundContext, binding: bytes) -> Charge:
        return charge_for(
            plan, self._party, owner=self._owner, session=context.session, round_number=context.round, ctx=binding
        )


def _owner_in(ledger: PrivacyLedger | None, party: str) -> str:
    """The party's name, unless its ledger is about somebody else: another name must not open another budget."""
    if ledger is not None and (owners := ledger.owners) and account_of(party) not in map(account_of, owners):
        raise ConfigError(
            f"this ledger is about {', '.join(map(repr, owners[:3]))}, and the party is called {party!r}",
            remedy=f"pass owner={owners[0]!r} if it is the same, and a ledger of its own if it is not",
        )
    return party
