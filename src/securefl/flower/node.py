"""Who this node is, by its own configuration: party, roster, policy, identity, and where its state rests."""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flwr.app import Context

from securefl.crypto.random import OS
from securefl.crypto.secret import Redacted, Secret
from securefl.crypto.signing import SigningKey
from securefl.errors import ConfigError
from securefl.plan import Roster
from securefl.policy import ClientPolicy
from securefl.records.used_file import UsedFile

if TYPE_CHECKING:
    from securefl.dp.ledger import PrivacyLedger

PARTY: Final = "securefl-party"
ROSTER: Final = "securefl-roster"
POLICY: Final = "securefl-policy"
IDENTITY: Final = "securefl-identity"
STATE: Final = "securefl-state"
LEDGER: Final = "securefl-ledger"
_KEY_BYTES: Final = 32


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Node(Redacted):
    """One node's side of the agreement.

    Args:
        party: its name on the roster.
        roster: from the node's own disk.
        policy: its floors; None in a simulation, where it is made to match the plan.
        identity: its signing key, where it has one.
        state: a directory of the node's own, for the used-file and the key of what is kept between phases.
        ledger: path of its privacy ledger; None without one.
    """

    party: str
    roster: Roster
    policy: ClientPolicy | None
    identity: SigningKey | None
    state: Path
    ledger: Path | None

    @classmethod
    def of(cls, context: Context) -> Node:
        """The node that a context is of.

        Raises:
            ConfigError: a setting is missing, or a file of it cannot be read; names the setting.
        """
        return _simulated(context) if simulated() else _configured(context)

    @property
    def used(self) -> UsedFile:
        """The record of what left this node."""
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        return UsedFile.open_or_create(self.state / f"{_file_name(self.party)}.used")

    @property
    def lock(self) -> Secret:
        """The key of what is kept between phases: it rests on disk, what it opens in the SuperNode's memory."""
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.state / f"{_file_name(self.party)}.key"
        if not path.exists():
            beside = path.with_name(path.name + f".{os.getpid()}")
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(OS.token(_KEY_BYTES))
            beside.replace(path)
        return Secret(path.read_bytes())

    def open_ledger(self, policy: ClientPolicy) -> PrivacyLedger | None:
        """This node's privacy ledger, with the budget that its policy sets; None where it keeps none.

        Raises:
            ConfigError: a ledger, and no max_epsilon and delta in the policy.
        """
        if self.ledger is None:
            return None
        from securefl.dp.ledger import Budget, PrivacyLedger

        if policy.max_epsilon is None or policy.delta is None:
            raise ConfigError(
                f"{LEDGER} is set, and the policy has no max_epsilon and delta to make a budget of",
                remedy="add max_epsilon and delta to the policy",
            )
        return PrivacyLedger(self.ledger, budget=Budget(epsilon=policy.max_epsilon, delta=policy.delta))


def simulated() -> bool:
    """Whether this process is one of a simulation's workers: then there are no files of a node's own, and nothing to protect."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def _configured(context: Context) -> Node:
    settings = context.node_config
    for name in (POLICY, PARTY, ROSTER, STATE):
        if not isinstance(settings.get(name), str):
            raise ConfigError(
                f"this node's config has no {name}: it takes part in nothing without one",
                remedy=f'start it with flower-supernode --node-config \'{PARTY}="..." {ROSTER}="..." {POLICY}="..." {STATE}="..."\'',
            )
    identity, ledger = settings.get(IDENTITY), settings.get(LEDGER)
    return Node(
        party=str(settings[PARTY]),
        roster=Roster.load(str(settings[ROSTER])),
        policy=ClientPolicy.load(str(settings[POLICY])),
        identity=SigningKey.from_pem(Path(identity).read_bytes(), None) if isinstance(identity, str) else None,
        state=Path(str(settings[STATE])),
        ledger=Path(ledger) if isinstance(ledger, str) else None,
    )


def _simulated(context: Context) -> Node:
    number, count = context.node_config.get("partition-id"), context.node_config.get("num-partitions")
    if not isinstance(number, int) or not isinstance(count, int):
        raise ConfigError("a simulated node without partition-id", remedy="run it by Flower's simulation engine")
    return Node(
        party=f"party-{number}",
        roster=Roster.unsigned(f"party-{i}" for i in range(count)),
        policy=None,
        identity=None,
        state=Path(tempfile.gettempdir()) / f"securefl-simulation-{os.getuid()}-{context.run_id}",
        ledger=None,
    )


def _file_name(party: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in party)
