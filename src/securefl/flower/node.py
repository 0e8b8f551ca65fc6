"""Who this node is, by its own configuration: party, roster, policy, identity, and where its state rests."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flwr.app import Context

from securefl.crypto.random import OS
from securefl.crypto.secret import Redacted, Secret
from securefl.crypto.signing import SigningKey
from securefl.errors import ConfigError, CryptoError
from securefl.plan import Roster
from securefl.policy import ClientPolicy
from securefl.records.used_file import UsedFile
from securefl.types import KEY_HOLDER

if TYPE_CHECKING:
    from securefl.dp.ledger import PrivacyLedger

PARTY: Final = "securefl-party"
ROSTER: Final = "securefl-roster"
POLICY: Final = "securefl-policy"
IDENTITY: Final = "securefl-identity"
STATE: Final = "securefl-state"
LEDGER: Final = "securefl-ledger"
IDENTITY_OPENED_BY: Final = "securefl-identity-password-file"
KEY: Final = "securefl-key-holder"
KEY_OPENED_BY: Final = "securefl-key-holder-password-file"
EPSILON: Final = "securefl-budget-epsilon"
DELTA: Final = "securefl-budget-delta"
_PREFIX: Final = "securefl-"
_KEY_BYTES: Final = 32
_SIMULATED_BUDGET: Final = (1e6, 0.5)
"""Epsilon and delta; at a small delta a mechanism may have no finite epsilon."""


@dataclasses.dataclass(frozen=True, repr=False)
class Node(Redacted):
    """One node's side of the agreement.

    Args:
        party: its name on the roster.
        roster: from the node's own disk.
        policy: its floors; None in a simulation, where it is made to match the plan.
        identity: its signing key, where it has one.
        state: a directory of the node's own, for the used-file and the key of what is kept between phases.
        ledger: path of its privacy ledger; None without one.
        key: the sealed private key and its password, where the node is a Paillier key holder and no party.
        budget: epsilon and delta of the ledger, where the policy sets none.
    """

    party: str
    roster: Roster
    policy: ClientPolicy | None
    identity: SigningKey | None
    state: Path
    ledger: Path | None
    key: tuple[bytes, str] | None = None
    budget: tuple[float, float] | None = None

    @classmethod
    def of(cls, context: Context) -> Node:
        """The node that a context is of.

        Raises:
            ConfigError: a setting is missing, or a file of it cannot be read; names the setting.
        """
        # A node with settings of its own never goes by a simulation's rules, whatever its app has imported.
        configured = any(name.startswith(_PREFIX) for name in context.node_config)
        return _configured(context) if configured or not simulated() else _simulated(context)

    @functools.cached_property
    def used(self) -> UsedFile:
        """The record of what left this node."""
        return UsedFile.open_or_create(self._file("used"))

    @property
    def lock(self) -> Secret:
        """The key of what is kept between phases: it rests on disk, what it opens in the SuperNode's memory.

        Raises:
            ConfigError: its file is damaged.
        """
        path = self._file("key")
        if not path.exists():
            descriptor, beside = tempfile.mkstemp(dir=path.parent)
            with os.fdopen(descriptor, "wb") as file:
                file.write(OS.token(_KEY_BYTES))
            with contextlib.suppress(FileExistsError):  # another process of this node was faster
                os.link(beside, path)
            Path(beside).unlink()
        key = _read(path, STATE)
        if len(key) != _KEY_BYTES:
            raise ConfigError(
                f"{path} has {len(key)} bytes, a key has {_KEY_BYTES}",
                remedy="remove it: this node joins the next round with fresh keys",
            )
        return Secret(key)

    def _file(self, suffix: str) -> Path:
        try:
            self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigError(
                f"{STATE} is {self.state}, which cannot be made: {error.strerror}", remedy="name a directory"
            ) from error
        return self.state / f"{_file_name(self.party)}.{suffix}"

    def open_ledger(self, policy: ClientPolicy) -> PrivacyLedger | None:
        """This node's privacy ledger, with the budget that its policy sets, or else its config; None where it keeps none.

        In a simulation of a private plan it is made in the node's state directory, with a budget that nothing exhausts.

        A policy with max_epsilon takes part under noise of the parties only; where the server's is accepted, the config has the budget.

        Raises:
            ConfigError: a ledger, and no budget, or one that cannot be.
        """
        if self.ledger is None and (self.policy is not None or policy.noise_by == "none"):
            return None
        from securefl.dp.ledger import Budget, PrivacyLedger

        if (
            self.ledger is None
        ):  # a simulation of privacy: the charges are entered as ever, and nobody's owner sets a limit
            return PrivacyLedger(self._file("ledger"), budget=Budget(*_SIMULATED_BUDGET))

        if policy.max_epsilon is not None and policy.delta is not None:
            return PrivacyLedger(self.ledger, budget=Budget(epsilon=policy.max_epsilon, delta=policy.delta))
        if self.budget is None:
            raise ConfigError(
                f"{LEDGER} is set, and nothing says how much may be spent",
                remedy=f"add max_epsilon and delta to the policy; or, to accept noise of the server, {EPSILON} and {DELTA} to this "
                "node's config",
            )
        return PrivacyLedger(self.ledger, budget=Budget(epsilon=self.budget[0], delta=self.budget[1]))


def simulated() -> bool:
    """Whether this process is one of a simulation's workers: then there are no files of a node's own, and nothing to protect."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def _configured(context: Context) -> Node:
    settings = context.node_config
    holder = KEY in settings
    if holder and PARTY in settings:
        raise ConfigError(
            f"this node's config has {PARTY} and {KEY}: who holds the key is no party of the sum",
            remedy="give the key to a node of its own",
        )
    needed = (POLICY, KEY, KEY_OPENED_BY, ROSTER, STATE) if holder else (POLICY, PARTY, ROSTER, STATE)
    for name in needed:
        if not isinstance(settings.get(name), str):
            raise ConfigError(
                f"this node's config has no {name}: it takes part in nothing without one",
                remedy="start it with flower-supernode --node-config '"
                + " ".join(f'{each}="..."' for each in needed)
                + "'",
            )
    ledger, epsilon, delta = settings.get(LEDGER), settings.get(EPSILON), settings.get(DELTA)
    return Node(
        party=KEY_HOLDER if holder else str(settings[PARTY]),
        roster=Roster.load(str(settings[ROSTER])),
        policy=ClientPolicy.load(str(settings[POLICY])),
        identity=None if holder else _identity(settings),
        state=Path(str(settings[STATE])),
        ledger=Path(ledger) if isinstance(ledger, str) and not holder else None,
        budget=(epsilon, delta) if isinstance(epsilon, int | float) and isinstance(delta, int | float) else None,
        key=(_read(str(settings[KEY]), KEY), _password(settings, KEY_OPENED_BY)) if holder else None,
    )


def _identity(settings: Mapping[str, object]) -> SigningKey | None:
    path = settings.get(IDENTITY)
    if not isinstance(path, str):
        return None
    password = _password(settings, IDENTITY_OPENED_BY).encode() if IDENTITY_OPENED_BY in settings else None
    try:
        return SigningKey.from_pem(_read(path, IDENTITY), password)
    except CryptoError as error:
        raise ConfigError(f"{IDENTITY}, {path}: {error.message}", remedy=error.remedy) from error


def _password(settings: Mapping[str, object], name: str) -> str:
    path = str(settings[name])
    try:
        password = _read(path, name).decode().rstrip("\r\n")
    except UnicodeDecodeError:
        password = ""
    if not password:
        raise ConfigError(f"{name}: {path} holds no password", remedy="name a text file with the password")
    return password


def _read(path: str | Path, name: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{name}: {path} cannot be read: {error.strerror}", remedy="name a file that this node may read"
        ) from error


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
