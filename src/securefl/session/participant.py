"""What the parties of all protocols have in common: a place on the roster, an account, and an update on its way."""

from __future__ import annotations

import abc
from collections.abc import Mapping

from securefl.crypto.random import OS, RandomSource
from securefl.crypto.secret import Redacted
from securefl.crypto.signing import SigningKey
from securefl.dp.ledger import PrivacyLedger
from securefl.errors import ConfigError
from securefl.pipeline import check_update
from securefl.plan import Plan, Roster
from securefl.policy import ClientPolicy
from securefl.records.used_file import UsedFile
from securefl.session.account import Account
from securefl.session.submission import Submission
from securefl.types import Tree


class Participant(Redacted, abc.ABC):
    """One party of a session; see `SecAggClient` and `PaillierClient`.

    Args:
        party: this party's name on the roster.
        roster: from this party's own disk.
        policy: this party's floors; without them it takes part in nothing.
        identity: its signing key.
        used: the record of what left this party, outside snapshots.
        ledger: where this party enters what its vectors cost, before they leave.
        owner: whose data it is about; the party's name unless given.
        random: the source of everything secret.

    Raises:
        ConfigError: not on the roster, no policy, a key that is not the roster's for this party, or a ledger that lacks entries.
    """

    def __init__(
        self,
        party: str,
        *,
        roster: Roster,
        policy: ClientPolicy,
        identity: SigningKey | None,
        used: UsedFile | None,
        ledger: PrivacyLedger | None,
        owner: str | None,
        random: RandomSource = OS,
    ) -> None:
        self.party = party
        self._index = roster.index(party)
        if identity is not None and roster.signed and identity.verify_key != roster.members[self._index].verify_key:
            raise ConfigError(
                f"the identity key is not the one that the roster has for {party!r}",
                remedy="compare `securefl roster show` with the fingerprint that `securefl keygen` printed",
            )
        self._roster = roster
        self._account = Account(party, roster=roster, policy=policy, ledger=ledger, used=used, owner=owner)
        self._identity = identity
        self._used = used
        self._random = random
        self._plan: Plan | None = None
        self._submission: Submission | None = None
        self._latest: dict[bytes, int] = {}
        self._joined = 0
        self.saturated = 0

    @property
    def plan(self) -> Plan | None:
        """The plan that this party accepted; None before an invitation."""
        return self._plan

    @property
    @abc.abstractmethod
    def _awaiting(self) -> object | None:
        """The round that an update is still to come for; None where the next one gets it."""

    def submit(
        self, update: Tree, *, weight: int = 1, metrics: Mapping[str, float] | None = None, model: Tree | None = None
    ) -> None:
        """Hand in an update, any time before it is to be masked or encrypted: for the round that is open, otherwise for the next.

        An update that was meant for a round that died is not used in another: a retry trains again.

        Args:
            update: a tree of the plan's template.
            weight: a whole number, 1..max_weight of the plan.
            metrics: one value for each metric of the plan.
            model: the model that was trained, if the round is for one; it is compared with the round's.

        Raises:
            EncodingError: it does not fit the plan, where the plan is known already.
            PolicyRefusedError: this party's policy refuses such a model; nothing was handed in.
        """
        if model is not None:
            self._account.policy.check_model(model)
        if self._plan is not None:
            check_update(self._plan, update, weight=weight, metrics=metrics)
        self._submission = Submission(update, weight, dict(metrics or {}), model, self._awaiting)
