"""Checks of a machine and of files that are to fit together, each with what to do about it."""

from __future__ import annotations

import dataclasses
import enum
import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from securefl.crypto import prg
from securefl.crypto.random import OS
from securefl.crypto.signing import SigningKey, fingerprint
from securefl.errors import ConfigError, PolicyRefusedError, SecureFLError
from securefl.plan import Plan, Roster
from securefl.policy import ClientPolicy
from securefl.report.config import ExperimentConfig
from securefl.report.experiment import Experiment
from securefl.report.key_files import fingerprint_of
from securefl.report.paillier_key import note_fresh_key

if TYPE_CHECKING:
    from securefl.paillier.threshold.safe_primes import Search
    from securefl.report.key_files import Published

T = TypeVar("T")

_EXTRAS = {
    "cli": ("typer", "rich", "matplotlib", "jinja2"),
    "dp": ("dp-accounting", "scipy"),
    "demo": ("scikit-learn",),
    "torch": ("torch", "opacus"),
    "paillier": ("gmpy2",),
}
_IMPORT_SECONDS = 0.3
_MASK_SPEED = 250e6
"""Bytes a second; a core with AES instructions makes several times as many."""
_SAMPLE_WORDS = 1 << 20


class Status(enum.StrEnum):
    """How a thing stands."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """One thing that was examined.

    Args:
        name: the thing.
        status: how it stands.
        finding: what was found.
        remedy: what to do; empty when all is well.
    """

    name: str
    status: Status
    finding: str
    remedy: str = ""

    def to_dict(self) -> dict[str, str]:
        """As JSON has it."""
        return {"name": self.name, "status": self.status.value, "finding": self.finding, "remedy": self.remedy}


def check_machine() -> list[Check]:
    """Python, libraries, extras, entropy, speed of the masks, time of the import."""
    return [_python(), *_requirements(), *_extras(), _entropy(), _mask_speed(), _import_time()]


def check_files(
    *,
    config: Path | None = None,
    policy: Path | None = None,
    roster: Path | None = None,
    key: Callable[[], SigningKey] | None = None,
    paillier_key: Callable[[], Published] | None = None,
    search: Search | None = None,
) -> list[Check]:
    """Whether the files load and fit each other.

    Args:
        config: an experiment.
        policy: a party's policy.
        roster: a roster.
        key: loads a party's private key.
        paillier_key: loads a Paillier key, of which the public half is looked at.
        search: told of the search for safe primes, where the experiment needs a new threshold key.
    """
    checks: list[Check] = []
    plan = floors = members = identity = encrypting = settings = None
    if config:
        settings = _tried(checks, "config", lambda: ExperimentConfig.load(config), lambda _: "loads")
    if settings:
        wanted = settings
        plan = _tried(checks, "plan", lambda: Experiment.prepare(wanted, search).plan, _plan_text)
    if policy:
        floors = _tried(checks, "policy", lambda: ClientPolicy.load(policy), lambda _: "loads")
    if roster:
        members = _tried(checks, "roster", lambda: Roster.load(roster), _roster_text)
    if key:
        identity = _tried(checks, "key", key, lambda found: f"fingerprint {fingerprint(found.verify_key)}")
    if paillier_key:
        encrypting = _tried(checks, "Paillier key", paillier_key, lambda found: f"fingerprint {fingerprint_of(found)}")
    if plan and floors and settings:
        _tried(checks, "policy, plan", lambda: _check_policy(floors, plan, members, settings), _accepted)
    elif plan and members:
        _tried(checks, "roster, plan", lambda: check_roster(plan, members), lambda _: "the roster fits the plan")
    if identity and members:
        _tried(checks, "key, roster", lambda: _owner_of(identity, members), lambda name: f"the key of {name!r}")
    if encrypting and floors:
        _tried(
            checks, "key, policy", lambda: check_pinned(floors, encrypting), lambda _: "the policy has the Paillier key"
        )
    return checks


def check_policy(policy: ClientPolicy, plan: Plan, roster: Roster | None) -> list[str]:
    """Decide on a plan as a party with this policy would; returns what could not be checked without a roster.

    Raises:
        PolicyRefusedError: the floor that the plan misses.
        ConfigError: the roster is not one for this plan.
    """
    if roster is not None:
        check_roster(plan, roster)
        policy.check(plan, roster)
        return []
    anybody = Roster.unsigned(f"party-{number}" for number in range(plan.parameters.parties))
    dataclasses.replace(policy, roster_fingerprint="").check(plan, anybody)
    return ["roster_fingerprint was not checked: give --roster"] if policy.roster_fingerprint else []


def check_pinned(policy: ClientPolicy, key: Published) -> None:
    """Check that a policy accepts a Paillier key.

    Raises:
        ConfigError: its fingerprint is not among the policy's `paillier_keys`.
    """
    found = fingerprint_of(key)
    if _plain(found) not in map(_plain, policy.paillier_keys):
        raise ConfigError(
            f"the policy pins {', '.join(policy.paillier_keys) or 'no Paillier key'}, this one has {found}",
            remedy="compare fingerprints with the key's maker over another channel, then set paillier_keys",
        )


def _plain(text: str) -> str:
    """A fingerprint without what people write between its groups, as a policy compares it."""
    return text.replace(" ", "").lower()


def _check_policy(policy: ClientPolicy, plan: Plan, roster: Roster | None, config: ExperimentConfig) -> list[str]:
    try:
        return check_policy(policy, plan, roster)
    except PolicyRefusedError as refusal:
        note_fresh_key(refusal, config)
        raise


def check_roster(plan: Plan, roster: Roster) -> None:
    """Check that a plan can run with a roster.

    Raises:
        ConfigError: it is for another number of parties, or lacks the identity keys that an active plan needs.
    """
    if len(roster) != plan.parameters.parties:
        raise ConfigError(
            f"the plan is for {plan.parameters.parties} parties, the roster has {len(roster)}",
            remedy="set data.parties to the roster's number, or complete the roster",
        )
    if plan.parameters.active and not roster.signed:
        raise ConfigError(
            "an active plan needs identity keys, the roster has none",
            remedy="add the parties with their keys: `securefl roster add FILE NAME KEY.pub`",
        )


def _tried(checks: list[Check], name: str, act: Callable[[], T], describe: Callable[[T], str]) -> T | None:
    try:
        found = act()
    except SecureFLError as error:
        notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
        checks.append(Check(name, Status.FAIL, error.args[0].partition(". Remedy: ")[0] + notes, error.remedy))
        return None
    checks.append(Check(name, Status.OK, describe(found)))
    return found


def _plan_text(plan: Plan) -> str:
    chosen = plan.parameters
    if plan.slots is not None:
        facts = plan.to_dict()
        return f"{chosen.parties} parties, {chosen.server} server, Paillier key {facts['key_fingerprint']} held {facts['key_holder']}"
    return f"{chosen.parties} parties, {chosen.server} server, threshold {chosen.threshold}"


def _roster_text(roster: Roster) -> str:
    signed = f"signed by {fingerprint(roster.owner)}" if roster.signature else "not signed by an owner"
    return f"version {roster.version}, {len(roster)} parties, {signed}"


def _accepted(open_points: list[str]) -> str:
    return "; ".join(["the policy accepts the plan", *open_points])


def _owner_of(key: SigningKey, roster: Roster) -> str:
    for member in roster.members:
        if member.verify_key == key.verify_key:
            return member.name
    raise ConfigError(
        f"no party on the roster has the key {fingerprint(key.verify_key)}",
        remedy="compare with `securefl roster show`; the owner adds a party with `securefl roster add`",
    )


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    fine = sys.version_info >= (3, 11)
    return Check("Python", Status.OK if fine else Status.FAIL, version, "" if fine else "install Python 3.11 or later")


def _requirements() -> list[Check]:
    """The core's own requirements, as the installed package states them."""
    checks = []
    for line in importlib.metadata.requires("securefl") or ():
        if match := re.fullmatch(r"([\w-]+)>=([\d.]+)", line):
            name, least = match.groups()
            found = importlib.metadata.version(name)
            fine = _numbers(found) >= _numbers(least)
            remedy = "" if fine else f"pip install '{name}>={least}'"
            checks.append(Check(name, Status.OK if fine else Status.FAIL, f"{found} (needs {least})", remedy))
    return checks


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _extras() -> list[Check]:
    checks = []
    for extra, libraries in _EXTRAS.items():
        lacking = [name for name in libraries if not _installed(name)]
        if lacking:
            finding, remedy = f"missing: {', '.join(lacking)}", f"pip install 'securefl[{extra}]'"
            checks.append(Check(f"extra {extra}", Status.WARN, finding, remedy))
        else:
            checks.append(Check(f"extra {extra}", Status.OK, ", ".join(libraries)))
    return checks


def _installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _entropy() -> Check:
    started = time.perf_counter()
    fine = OS.token(32) != OS.token(32) and time.perf_counter() - started < 1
    if fine:
        return Check("OS entropy", Status.OK, "answers at once")
    return Check("OS entropy", Status.FAIL, "slow, or the same twice", "repair the system's random number generator")


def _mask_speed() -> Check:
    vector, fastest = np.zeros(_SAMPLE_WORDS, dtype=np.uint32), float("inf")
    for _ in range(3):
        started = time.perf_counter()
        prg.apply_masks(vector, [(OS.token(prg.KEY_BYTES), 1)], bits=32, threads=1)
        fastest = min(fastest, time.perf_counter() - started)
    speed = vector.nbytes / fastest
    finding = f"{speed / 1e6:.0f} MB/s on one core"
    if speed >= _MASK_SPEED:
        return Check("mask generator", Status.OK, finding)
    return Check(
        "mask generator",
        Status.WARN,
        finding,
        "use a processor with AES instructions; on a busy machine, measure again",
    )


def _import_time() -> Check:
    code = "import time; t = time.perf_counter(); import securefl; print(time.perf_counter() - t)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    if done.returncode:
        return Check(
            "import time", Status.FAIL, "`import securefl` fails in a fresh process", "pip install securefl again"
        )
    seconds = float(done.stdout)
    fine = seconds < _IMPORT_SECONDS
    remedy = "" if fine else "look for a slow disk, or a virus scanner that reads every file"
    return Check("import time", Status.OK if fine else Status.WARN, f"{seconds:.2f} s", remedy)
