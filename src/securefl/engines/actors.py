"""The sessions of one simulated round: the server, the parties, and a key holder where the plan has one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol, TypeAlias

from securefl.crypto.random import OS, RandomSource
from securefl.crypto.signing import SigningKey
from securefl.dp.ledger import PrivacyLedger
from securefl.errors import ConfigError
from securefl.plan import Plan, Roster
from securefl.plan.paillier import Paillier
from securefl.policy import ClientPolicy, ModelFloors
from securefl.session import SecAggClient, SecAggServer
from securefl.session.serving import ServerSession
from securefl.types import KEY_HOLDER, KeyModel, Tree

if TYPE_CHECKING:
    from securefl.paillier import PrivateKey
    from securefl.paillier.threshold import KeyShare, TrustedDealing

    KeyHolder: TypeAlias = PrivateKey | TrustedDealing | Mapping[str, KeyShare]


class Actor(Protocol):
    """Whoever answers the server."""

    def receive(self, data: bytes) -> list[bytes]:
        """Take one message; returns the answers."""


class Party(Actor, Protocol):
    """A party, of any protocol."""

    saturated: int

    def submit(
        self, update: Tree, *, weight: int = 1, metrics: Mapping[str, float] | None = None, model: Tree | None = None
    ) -> None:
        """Hand in an update."""


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Actors:
    """Who plays in a session.

    Args:
        server: adds.
        parties: by name, in the order of the roster.
        others: who answers the server and is no party.
    """

    server: ServerSession
    parties: Mapping[str, Party]
    others: Mapping[str, Actor]

    def __getitem__(self, name: str) -> Actor:
        return self.parties[name] if name in self.parties else self.others[name]


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Casting:
    """What actors are made with.

    Args:
        plan: the agreement.
        roster: the parties.
        identities: signing keys by name.
        policies: by name; None for those that match the plan.
        ledger: the server's.
        ledgers: each party's own; None for the server's.
        key_holder: the key of a Paillier plan: the private key, or the dealt shares.
        random: the source of everything secret.
        floors: on the model, of policies that match the plan.
    """

    plan: Plan
    roster: Roster
    identities: Mapping[str, SigningKey]
    policies: Mapping[str, ClientPolicy] | None = None
    ledger: PrivacyLedger | None = None
    ledgers: Mapping[str, PrivacyLedger] | None = None
    key_holder: KeyHolder | None = None
    random: RandomSource = OS
    floors: ModelFloors | None = None

    def actors(self) -> Actors:
        """Make them.

        Raises:
            ConfigError: no policy for a party, or not the key that the plan needs.
        """
        if isinstance(self.plan.protocol, Paillier):
            return self._under_a_key(self.plan.protocol)
        if self.key_holder is not None:
            raise ConfigError(
                "a key holder, and a plan without a key", remedy="plan with Paillier, or leave key_holder out"
            )
        server = SecAggServer(self.plan, roster=self.roster, ledger=self.ledger, random=self.random)
        parties = {
            name: SecAggClient(
                name,
                roster=self.roster,
                policy=policy,
                identity=self.identities.get(name),
                ledger=self._ledger_of(name),
                owner=name,
                random=self.random,
            )
            for name, policy in self._policies()
        }
        return Actors(server, parties, {})

    def _under_a_key(self, protocol: Paillier) -> Actors:
        from securefl.paillier import PrivateKey
        from securefl.paillier.threshold import TrustedDealing
        from securefl.session.key_holder import PaillierKeyHolder
        from securefl.session.paillier_client import PaillierClient
        from securefl.session.paillier_server import PaillierServer

        given = self.key_holder
        names = self.roster.names
        whole = given if isinstance(given, PrivateKey) else None
        shares: Mapping[str, KeyShare] = {}
        if isinstance(given, TrustedDealing):
            shares = dict(zip(names, given.shares, strict=False))
        elif isinstance(given, Mapping):
            shares = given
        dealt = protocol.holder == KeyModel.THRESHOLD
        if (dealt and not shares) or (not dealt and whole is None):
            needed = "the shares that were dealt" if dealt else "the private key"
            raise ConfigError(
                f"the plan is under a Paillier key held {protocol.holder}, and key_holder is not {needed}",
                remedy=f"pass key_holder={'dealing' if dealt else 'private_key'}; real parties keep theirs to themselves",
            )
        _check_held(protocol, whole, shares)
        own = dict.fromkeys(names, whole) if protocol.holder == KeyModel.CLIENTS else shares
        server = PaillierServer(self.plan, roster=self.roster, ledger=self.ledger, random=self.random)
        parties = {
            name: PaillierClient(
                name,
                roster=self.roster,
                policy=policy,
                identity=self.identities.get(name),
                key=own.get(name),
                ledger=self._ledger_of(name),
                owner=name,
                random=self.random,
            )
            for name, policy in self._policies()
        }
        others: dict[str, Actor] = {}
        if whole is not None and protocol.holder == KeyModel.SEPARATE:
            others[KEY_HOLDER] = PaillierKeyHolder(whole, roster=self.roster, policy=ClientPolicy.matching(self.plan))
        return Actors(server, parties, others)

    def _ledger_of(self, name: str) -> PrivacyLedger | None:
        return self.ledger if self.ledgers is None else self.ledgers.get(name)

    def _policies(self) -> Iterable[tuple[str, ClientPolicy]]:
        accepting = ClientPolicy.matching(self.plan, self.floors)
        return [
            (name, accepting if self.policies is None else _policy_of(self.policies, name))
            for name in self.roster.names
        ]


def _check_held(protocol: Paillier, whole: PrivateKey | None, shares: Mapping[str, KeyShare]) -> None:
    """Check that what is held goes with the plan's key: in one process nobody has to find out during the round.

    Raises:
        ConfigError: a key, or shares, of another one.
    """
    keys = protocol.verification_keys
    if keys is None:
        right = whole is not None and whole.public_key == protocol.public_key
    else:
        right = all(
            getattr(share, "keys", None) and share.keys.dealing_id == keys.dealing_id for share in shares.values()
        )
    if not right:
        raise ConfigError(
            f"the plan is under the Paillier key {protocol.fingerprint}, and key_holder is of another one",
            remedy="compare fingerprints, and pass the key whose public half the plan has",
        )


def _policy_of(policies: Mapping[str, ClientPolicy], name: str) -> ClientPolicy:
    if name not in policies:
        raise ConfigError(f"{name!r} has no policy, and takes part in nothing without one", remedy="give one a party")
    return policies[name]
