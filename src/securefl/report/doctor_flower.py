"""What a Flower node needs to take part: versions, its config's files, certificates, and whose code it runs."""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.metadata
import os
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from securefl.crypto.certificates import validity
from securefl.crypto.signing import SigningKey
from securefl.errors import ConfigError, CryptoError, SecureFLError
from securefl.plan import Roster
from securefl.policy import ClientPolicy
from securefl.report.doctor import Check, Status
from securefl.types import ServerModel

FoundT = TypeVar("FoundT")

_FLWR: Final = (1, 41)
_SOON: Final = dt.timedelta(days=14)
_KEYS: Final = {
    "securefl-party": "the name of this party on the roster",
    "securefl-roster": "path of the roster",
    "securefl-policy": "path of this party's policy",
    "securefl-state": "a directory of this node's own",
}
_HOLDER_KEYS: Final = {
    "securefl-key-holder": "path of the sealed Paillier key",
    "securefl-key-holder-password-file": "path of the file with its password",
    **{name: _KEYS[name] for name in ("securefl-roster", "securefl-policy", "securefl-state")},
}
_INSTALL: Final = "pip install 'securefl[flower]'"


def check_flower(
    node_config: str | None, *, root_certificates: Path | None = None, trusted_entities: Path | None = None
) -> list[Check]:
    """Examine what a node would be started with.

    Args:
        node_config: as it is given to `flower-supernode --node-config`; None for a server, or a simulation.
        root_certificates: the file of `--root-certificates`.
        trusted_entities: the file of `--trusted-entities`, whose signers' apps alone the node runs.
    """
    checks = [_version("flwr", _FLWR, Status.FAIL), _version("ray", (2, 0), Status.WARN)]
    if root_certificates is not None:
        checks.append(_certificate(root_certificates))
    if node_config is None:
        checks.append(Check("node config", Status.WARN, "not given", "pass --node-config as flower-supernode gets it"))
        return checks
    try:
        settings = parse(node_config)
    except ConfigError as error:
        return [*checks, Check("node config", Status.FAIL, error.message, error.remedy)]
    return [*checks, *_node(settings), _code(settings, trusted_entities)]


def parse(node_config: str) -> dict[str, str]:
    """The settings in a node config: key=value, values in quotes where they are text.

    Raises:
        ConfigError: a word that is no key=value.
    """
    settings = {}
    try:
        words = shlex.split(node_config.replace(",", " "))
    except ValueError as error:
        raise ConfigError(f"the node config cannot be read: {error}", remedy="close every quote") from error
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not re.fullmatch(r"[\w.-]+", key):
            raise ConfigError(f"{word!r} is no key=value", remedy="separate settings by spaces, put text into quotes")
        settings[key] = value
    return settings


def _node(settings: Mapping[str, str]) -> list[Check]:
    holder = "securefl-key-holder" in settings
    needed = _HOLDER_KEYS if holder else _KEYS
    missing = [name for name in needed if not settings.get(name)]
    checks = [
        Check(name, Status.FAIL, "missing", f"set it to {needed[name]}; without it the node takes part in nothing")
        for name in missing
    ]
    roster: Roster | None = None
    policy: ClientPolicy | None = None
    if settings.get("securefl-roster"):
        read, check = _tried("roster", settings["securefl-roster"], Roster.load, _about_roster)
        roster, checks = read, [*checks, check]
    if settings.get("securefl-policy"):
        decided, check = _tried("policy", settings["securefl-policy"], ClientPolicy.load, _about_policy)
        policy, checks = decided, [*checks, check]
    party = settings.get("securefl-party", "")
    if holder and party:
        checks.append(
            Check("party", Status.FAIL, "the config has a key holder's key, too", "give the key to a node of its own")
        )
    if holder and not missing:
        checks.append(_key(settings))
    if roster is not None and party and not holder:
        on_it = party in roster.names
        checks.append(
            Check(
                "party",
                Status.OK if on_it else Status.FAIL,
                f"{party!r} is {'' if on_it else 'not '}on the roster",
                "" if on_it else f"the roster names {', '.join(roster.names[:6])}",
            )
        )
        checks.append(_identity(settings, roster, party))
    if path := settings.get("securefl-state"):
        checks.append(_state(Path(path)))
    if policy is not None and settings.get("securefl-ledger") and (policy.max_epsilon is None or policy.delta is None):
        checks.append(
            Check("ledger", Status.FAIL, "the policy sets no budget for it", "add max_epsilon and delta to the policy")
        )
    return checks


def _identity(settings: Mapping[str, str], roster: Roster, party: str) -> Check:
    path = settings.get("securefl-identity")
    if not roster.signed:
        return Check("identity", Status.WARN, "the roster has no identity keys", "an active plan needs them")
    if not path:
        return Check("identity", Status.WARN, "not set", "set securefl-identity, which an active plan needs")
    key, check = _tried("identity", path, lambda at: _identity_in(at, settings), lambda _: "loads")
    if key is None or party not in roster.names:
        return check
    if key.verify_key != roster.members[roster.index(party)].verify_key:
        return Check("identity", Status.FAIL, f"not the key that the roster has for {party!r}", "compare fingerprints")
    if os.name == "posix" and Path(path).stat().st_mode & 0o077:
        return Check("identity", Status.WARN, "others on this machine can read it", f"chmod 600 {path}")
    return Check("identity", Status.OK, "the roster's key for this party", "")


def _identity_in(path: str, settings: Mapping[str, str]) -> SigningKey:
    opened_by = settings.get("securefl-identity-password-file")
    password = Path(opened_by).read_bytes().rstrip(b"\r\n") if opened_by else None
    return SigningKey.from_pem(Path(path).read_bytes(), password)


def _key(settings: Mapping[str, str]) -> Check:
    from securefl.paillier import PrivateKey

    def opened(path: str) -> PrivateKey:
        password = Path(settings["securefl-key-holder-password-file"]).read_text(encoding="utf-8").rstrip("\r\n")
        return PrivateKey.from_bytes(Path(path).read_bytes(), password)

    return _tried("key holder", settings["securefl-key-holder"], opened, lambda key: key.public_key.fingerprint)[1]


def _about_roster(roster: Roster) -> str:
    return f"{len(roster)} parties, {roster.fingerprint}"


def _about_policy(policy: ClientPolicy) -> str:
    return f"demands a server that is at worst {policy.server}"


def _state(path: Path) -> Check:
    place = path if path.exists() else path.parent
    if not place.is_dir() or not os.access(place, os.W_OK):
        return Check("state", Status.FAIL, f"{path} cannot be written", "give a directory of this node's own")
    return Check("state", Status.OK, f"{path}; keep it out of backups that are restored", "")


def _code(settings: Mapping[str, str], trusted_entities: Path | None) -> Check:
    if trusted_entities is not None and trusted_entities.exists():
        return Check("app", Status.OK, "only apps of signers that this party chose are run", "")
    active = False
    with contextlib.suppress(SecureFLError, KeyError):
        active = ClientPolicy.load(settings["securefl-policy"]).server is ServerModel.ACTIVE
    return Check(
        "app",
        Status.FAIL if active else Status.WARN,
        "the SuperLink ships the app to this node, mod and policy check included: what is claimed holds against a server that follows "
        "the protocol (semi-honest)",
        "start the SuperNode with --trusted-entities",
    )


def _certificate(path: Path) -> Check:
    try:
        begins, ends = validity(path.read_bytes())
    except (OSError, CryptoError) as error:
        return Check("certificates", Status.FAIL, f"{path}: {error}", "give the file of --root-certificates")
    now = dt.datetime.now(dt.UTC)
    if not begins <= now <= ends:
        return Check("certificates", Status.FAIL, f"{path} holds from {begins:%Y-%m-%d} to {ends:%Y-%m-%d}", "renew it")
    if ends - now < _SOON:
        return Check("certificates", Status.WARN, f"{path} ends on {ends:%Y-%m-%d}", "renew it soon")
    return Check("certificates", Status.OK, f"{path} holds until {ends:%Y-%m-%d}", "")


def _version(distribution: str, least: tuple[int, int], otherwise: Status) -> Check:
    try:
        version = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return Check(distribution, otherwise, "not installed", _INSTALL)
    found = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if found < least:
        return Check(distribution, otherwise, f"{version} is too old", _INSTALL)
    return Check(distribution, Status.OK, version, "")


def _tried(
    name: str, path: str, load: Callable[[str], FoundT], describe: Callable[[Any], str]
) -> tuple[FoundT | None, Check]:
    try:
        found = load(path)
    except (OSError, SecureFLError) as error:
        return None, Check(name, Status.FAIL, f"{path}: {error}", "")
    return found, Check(name, Status.OK, f"{path}: {describe(found)}", "")
