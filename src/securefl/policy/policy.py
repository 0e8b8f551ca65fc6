"""ClientPolicy: what a party insists on, whatever the server proposes.

It is read from the party's own disk and checked on the invitation, before anything is sent, and again when the key list is there.
A party without a policy takes part in nothing.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt

from securefl.crypto.digest import digest
from securefl.dp.accounting.composition import Repeated
from securefl.dp.accounting.epsilon import rdp_epsilon
from securefl.dp.accounting.floats import printed
from securefl.dp.accounting.relations import Relation
from securefl.errors import ConfigError, PolicyRefusedError
from securefl.plan import Plan, Roster
from securefl.plan.paillier import Paillier
from securefl.plan.toml_file import line_of, read_table
from securefl.policy.key_check import check_key, floors_of
from securefl.policy.model_check import ModelFloors
from securefl.types import Graph, KeyModel, ServerModel, Tree

_NOISE_BY: Final = ("parties", "server", "none")
"""Whose noise a release may have, from the strictest on."""

_RANDOMNESS: Final = ("standard", "djn", "short")
"""As `securefl.paillier.Randomness`, whose module needs an extra that a policy does without."""

_KEYS: dict[str, Any] = {
    "server": str,
    "graphs": list,
    "min_parties": int,
    "min_survivors": int,
    "min_threshold": int,
    "min_colluders": int,
    "max_rounds": int,
    "purposes": list,
    "expires": dt.date,
    "roster_fingerprint": str,
    "roster_owner": str,
    "min_noise_multiplier": (int, float),
    "noise_by": str,
    "max_epsilon": (int, float),
    "delta": (int, float),
    "paillier_keys": list,
    "key_models": list,
    "randomness": list,
    "model": dict,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClientPolicy:
    """A party's floors. By default only plans against an active server are accepted; the numbers are the least that any plan has.

    Args:
        server: the weakest server model accepted: "active" accepts only plans that hold against an active server.
        graphs: the mask graphs accepted.
        min_parties: the least number of parties invited, and advertised.
        min_survivors: the least number of vectors in a sum.
        min_threshold: the least threshold.
        min_colluders: the number of colluders that a plan must at least bear.
        max_rounds: rounds that one client object joins, aborted ones included; with a used-file, all that stand in it. None for no
            limit.
        purposes: the purposes accepted; empty for any.
        expires: the last day on which the policy holds; None for no end.
        roster_fingerprint: the only roster accepted, as `securefl roster show` prints it; empty for the one on disk.
        roster_owner: fingerprint of the key that must have signed the roster; empty for any, or none.
        min_noise_multiplier: the least differentially private noise, as `Release.effective_multiplier` counts it; None for none
            demanded.
        noise_by: what a party that keeps a privacy ledger takes part in: only noise of the "parties", the "server"'s too, or sums
            with "none" as well. Without a ledger it says nothing.
        max_epsilon: the most privacy loss after the next round. Where this party keeps a `PrivacyLedger`, that decides: all that it
            charged to the owner, under any plan and in any session, and the round to come. Without one all rounds that this client
            object joined are counted as this plan's. None for no demand.
        delta: at which `max_epsilon` is meant; needed with it.
        paillier_keys: fingerprints of the Paillier keys, or dealings of one, that this party encrypts under; empty for none at all.
        key_models: who may hold such a key: by default not the "clients", one of whom could open every vector with the server.
        randomness: how ciphertexts may be randomised: by default not "short", which rests on an assumption more.
        model: what the model must be like that this party is sent; on by default, see `ModelFloors`.
        simulated: made by a simulation to match its plan; it protects nobody, and reports say so.
        source: the text that it was read from, so that a refusal can quote its line.

    Raises:
        ConfigError: a floor that is out of bounds.
    """

    server: ServerModel | str = ServerModel.ACTIVE
    graphs: tuple[Graph | str, ...] = (Graph.COMPLETE,)
    min_parties: int = 3
    min_survivors: int = 3
    min_threshold: int = 2
    min_colluders: int = 0
    max_rounds: int | None = None
    purposes: tuple[str, ...] = ()
    expires: dt.date | None = None
    roster_fingerprint: str = ""
    roster_owner: str = ""
    min_noise_multiplier: float | None = None
    noise_by: str = "parties"
    max_epsilon: float | None = None
    delta: float | None = None
    paillier_keys: tuple[str, ...] = ()
    key_models: tuple[KeyModel | str, ...] = (KeyModel.SEPARATE, KeyModel.THRESHOLD)
    randomness: tuple[str, ...] = ("djn", "standard")
    model: ModelFloors = dataclasses.field(default_factory=ModelFloors)
    simulated: bool = False
    source: str = dataclasses.field(default="", repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, low in (("min_parties", 3), ("min_survivors", 3), ("min_threshold", 2), ("min_colluders", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise self._bad(name, value, f"a whole number from {low}")
        rounds = self.max_rounds
        if rounds is not None and (isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1):
            raise self._bad("max_rounds", rounds, "a whole number from 1, or none")
        for name in ("roster_fingerprint", "roster_owner"):
            if not isinstance(getattr(self, name), str):
                raise self._bad(name, getattr(self, name), "a fingerprint in quotes")
        for name in ("purposes", "graphs", "paillier_keys", "key_models", "randomness"):
            listed = getattr(self, name)
            if not isinstance(listed, tuple | list) or not all(isinstance(item, str) for item in listed):
                raise self._bad(name, listed, "a list of strings")
        if not isinstance(self.model, ModelFloors):
            raise self._bad("model", self.model, "a ModelFloors, or a table [model]")
        if self.expires is not None and (
            not isinstance(self.expires, dt.date) or isinstance(self.expires, dt.datetime)
        ):
            raise self._bad("expires", self.expires, "a date, such as 2030-12-31")
        for name in ("min_noise_multiplier", "max_epsilon"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
                raise self._bad(name, value, "a number above 0, or none")
        if self.noise_by not in _NOISE_BY:
            raise self._bad("noise_by", self.noise_by, 'one of "parties", "server", "none"')
        if self.delta is not None and (
            isinstance(self.delta, bool) or not isinstance(self.delta, int | float) or not 0 < self.delta < 1
        ):
            raise self._bad("delta", self.delta, "a number between 0 and 1, or none")
        if self.max_epsilon is not None and self.delta is None:
            raise ConfigError(
                f"policy: max_epsilon without delta, in `{line_of(self.source, 'max_epsilon')}`",
                remedy="set delta, well below one over the number of parties",
            )
        try:
            object.__setattr__(self, "server", ServerModel(self.server))
        except ValueError:
            raise self._bad("server", self.server, '"active" or "semi-honest"') from None
        try:
            object.__setattr__(self, "graphs", tuple(Graph(graph) for graph in self.graphs))
        except ValueError:
            raise self._bad("graphs", self.graphs, 'a list of "complete" or "k-regular"') from None
        try:
            object.__setattr__(self, "key_models", tuple(KeyModel(model) for model in self.key_models))
        except ValueError as error:
            raise ConfigError(f"policy: {error}", remedy=f"key_models lists some of {', '.join(KeyModel)}") from None
        if unknown := set(self.randomness) - set(_RANDOMNESS):
            raise self._bad("randomness", min(unknown), f"some of {', '.join(_RANDOMNESS)}")
        for name in ("purposes", "paillier_keys", "randomness"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def _bad(self, name: str, value: object, needs: str) -> ConfigError:
        return ConfigError(f"policy: {name} is {value!r} in `{line_of(self.source, name)}`", remedy=f"give {needs}")

    @classmethod
    def matching(cls, plan: Plan, model: ModelFloors | None = None) -> ClientPolicy:
        """The policy that accepts just what `plan` offers, for simulations in one process; reports call it simulated.

        Args:
            plan: the agreement.
            model: the floors on the model; the default ones unless given, as a plan says nothing of it.
        """
        chosen = plan.parameters
        return cls(
            server=chosen.server,
            graphs=(chosen.graph,),
            min_parties=3,
            min_survivors=chosen.min_survivors,
            min_threshold=max(2, chosen.threshold),
            min_colluders=chosen.max_colluders,
            min_noise_multiplier=_noise_of(plan),
            noise_by="none" if plan.release is None else "server" if plan.release.noise_by_server else "parties",
            purposes=(plan.purpose,) if plan.purpose else (),
            **floors_of(plan.protocol),
            model=ModelFloors() if model is None else model,
            simulated=True,
        )

    @classmethod
    def from_toml(cls, text: str, *, source: str = "policy") -> ClientPolicy:
        """The policy in a TOML text.

        Raises:
            ConfigError: not TOML, an unknown key, or a value out of bounds; the message quotes the line.
        """
        table = read_table(text, source=source, known=_KEYS)
        if not table:
            raise ConfigError(
                f"{source} sets no floor: it is empty, or was cut off",
                remedy="write one with `securefl init`, and keep its floors",
            )
        for key in ("graphs", "purposes", "paillier_keys", "key_models", "randomness"):
            if key in table and not all(isinstance(item, str) for item in table[key]):
                raise ConfigError(
                    f"{source}: {key!r} in `{line_of(text, key)}` holds what is no string", remedy="quote each"
                )
        if "model" in table:
            table["model"] = ModelFloors.from_table(table["model"], text, source=source)
        if isinstance(table.get("expires"), dt.datetime):
            table["expires"] = table["expires"].date()
        return cls(**{**table, "source": text})

    @classmethod
    def load(cls, path: str | Path) -> ClientPolicy:
        """The policy in a file.

        Raises:
            ConfigError: it cannot be read, or as `from_toml`.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise ConfigError(
                f"the policy {path} cannot be read: {why}", remedy="write one with `securefl init`"
            ) from error
        return cls.from_toml(text, source=str(path))

    def digest(self) -> bytes:
        """SHA-256 of every floor, 32 bytes."""
        fields = [field for field in dataclasses.fields(self) if field.name not in {"source", "simulated"}]
        return digest("policy", *(f"{field.name}={getattr(self, field.name)!s}" for field in fields))

    def check(
        self,
        plan: Plan,
        roster: Roster,
        *,
        rounds_before: int = 0,
        spent: Callable[[float], float] | None = None,
        has_ledger: bool = False,
        today: dt.date | None = None,
    ) -> None:
        """Decide on an invitation.

        Args:
            plan: what the server proposes.
            roster: this party's own.
            rounds_before: rounds that this party has joined so far.
            spent: what its ledger would say after this round, at a delta; without it all rounds before count as this plan's.
            has_ledger: whether it keeps one.
            today: the date, UTC; by default now.

        Raises:
            PolicyRefusedError: the first floor that the plan misses, with the line that sets it.
        """
        chosen = plan.parameters
        if self.expires is not None:
            date = today or dt.datetime.now(dt.UTC).date()
            if date > self.expires:
                raise self._refuse("expires", f"this policy ended on {self.expires}, today is {date}")
        if self.server is ServerModel.ACTIVE and chosen.server is not ServerModel.ACTIVE:
            raise self._refuse("server", f"the plan assumes a {chosen.server} server, this party demands {self.server}")
        if isinstance(plan.protocol, Paillier):
            check_key(self, plan.protocol, self._refuse)
        elif chosen.graph not in self.graphs:
            raise self._refuse(
                "graphs", f"the plan masks on a {chosen.graph} graph, this party accepts {', '.join(self.graphs)}"
            )
        floors: list[tuple[str, int, int]] = [
            ("min_parties", chosen.parties, self.min_parties),
            ("min_survivors", chosen.min_survivors, self.min_survivors),
            ("min_colluders", chosen.max_colluders, self.min_colluders),
        ]
        if not isinstance(plan.protocol, Paillier) or plan.protocol.holder == KeyModel.THRESHOLD:
            floors.insert(2, ("min_threshold", chosen.threshold, self.min_threshold))
        for floor, offered, needed in floors:
            if offered < needed:
                raise self._refuse(
                    floor, f"the plan offers {floor.removeprefix('min_')} = {offered}, this party demands {needed}"
                )
        if self.max_rounds is not None and rounds_before >= self.max_rounds:
            raise self._refuse(
                "max_rounds", f"this party has joined {rounds_before} rounds, it joins {self.max_rounds}"
            )
        if self.purposes and plan.purpose not in self.purposes:
            raise self._refuse(
                "purposes", f"the plan's purpose is {plan.purpose!r}, this party accepts {', '.join(self.purposes)}"
            )
        if self.roster_fingerprint and roster.fingerprint != self.roster_fingerprint:
            raise self._refuse(
                "roster_fingerprint",
                f"the roster is {roster.fingerprint}, this party accepts {self.roster_fingerprint}",
            )
        if self.roster_owner and roster.owner_fingerprint != self.roster_owner:
            raise self._refuse(
                "roster_owner",
                f"the roster is signed by {roster.owner_fingerprint or 'nobody'}, this party accepts {self.roster_owner}",
            )
        self._check_privacy(plan, rounds_before, spent, has_ledger=has_ledger)
        if plan.policy_digest and plan.policy_digest != self.digest():
            raise self._refuse("policy_digest", "the plan was agreed on under another policy than this party's")

    def _check_privacy(
        self, plan: Plan, rounds_before: int, spent: Callable[[float], float] | None, *, has_ledger: bool
    ) -> None:
        """The floors on noise; a budget of this party's ledger is the ledger's to hold."""
        offered = "none" if plan.release is None else "server" if plan.release.noise_by_server else "parties"
        if has_ledger and _NOISE_BY.index(offered) > _NOISE_BY.index(self.noise_by):
            what = {
                "none": "the plan adds no noise, and its exact sum would be in no ledger",
                "server": "the plan's noise is the server's, who sees the sum without it",
            }[offered]
            raise self._refuse("noise_by", f"{what}; this party accepts noise by {self.noise_by}")
        demanded = [name for name in ("min_noise_multiplier", "max_epsilon") if getattr(self, name) is not None]
        if not demanded:
            return
        release = plan.release
        if release is None:
            raise self._refuse(demanded[0], "the plan adds no noise, this party demands differential privacy")
        if release.noise_by_server:
            raise self._refuse(
                demanded[0],
                "the noise is the server's, who sees the sum without it; this party demands noise of the parties",
            )
        if self.min_noise_multiplier is not None and release.effective_multiplier < self.min_noise_multiplier:
            raise self._refuse(
                "min_noise_multiplier",
                f"the plan's noise multiplier is worth {release.effective_multiplier:.6g}, this party demands "
                f"{self.min_noise_multiplier:g}",
            )
        if self.max_epsilon is not None:
            rounds, delta = rounds_before + 1, self.delta or 0.0
            if spent is not None:
                cost, what = spent(delta), "with this round all of them"
            else:
                what = f"{rounds} rounds of this plan"
                cost = rdp_epsilon(
                    Repeated(release.event, rounds),
                    delta,
                    Relation.parse(release.mechanism.relation),
                    draws=release.draws * rounds,
                )
            if not cost <= self.max_epsilon:
                raise self._refuse(
                    "max_epsilon",
                    f"{what} cost epsilon {printed(cost)} at delta {delta:g}, this party allows {self.max_epsilon:g}",
                )

    def check_model(self, model: Tree, examples: npt.NDArray[Any] | None = None) -> None:
        """Decide on a model before training on it; the sessions ask again of the model that an update is handed in with.

        Args:
            model: its parameters, a tree of arrays.
            examples: this party's own inputs, (n, ...), where they are at hand; they stay here.

        Raises:
            PolicyRefusedError: the first floor of `model` that it misses; names the tensor.
        """
        self.model.check(model, examples, source=self.source)

    def check_attendance(self, attending: int) -> None:
        """Decide again, once it is known how many parties are really there.

        Raises:
            PolicyRefusedError: fewer than `min_parties`.
        """
        if attending < self.min_parties:
            raise self._refuse(
                "min_parties", f"{attending} parties advertised keys, this party demands {self.min_parties}"
            )

    def _refuse(self, floor: str, message: str) -> PolicyRefusedError:
        return PolicyRefusedError(message, floor=floor, line=line_of(self.source, floor) or f"{floor} (default)")


def _noise_of(plan: Plan) -> float | None:
    """The noise multiplier that parties themselves see to; none where the server adds the noise."""
    release = plan.release
    return None if release is None or release.noise_by_server else release.effective_multiplier
