"""What the conformance suite needs to know of a protocol; a new one joins by adding its adapter to `ADAPTERS`."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import securefl as sfl
from securefl.errors import RoundAbortedError, SecureFLError
from securefl.paillier.threshold import deal
from securefl.types import KEY_HOLDER, Step
from securefl.wire.codec import decode
from securefl.wire.envelope import parse
from securefl.wire.messages import PAILLIER_KINDS, SECAGG_KINDS, EncryptedInput, MaskedInput

PARTIES = tuple(f"party-{i}" for i in range(6))


@dataclasses.dataclass(frozen=True)
class Adapter:
    """One protocol behind the session interface.

    Args:
        name: for test ids.
        protocol: what the plan asks for, with room for one of six parties to leave.
        signed: whether it needs identities.
        steps: the steps of a party in a round, in order.
        summed: the steps at which a party can leave with its vector in the sum.
        unmissed: the steps that parties, however many of them leave, are not needed for.
        kinds: of its messages.
    """

    name: str
    protocol: Any
    signed: bool
    steps: tuple[Step, ...]
    summed: frozenset[Step]
    unmissed: frozenset[Step] = frozenset()
    kinds = SECAGG_KINDS

    def plan(self, template: Any, **fields: Any) -> sfl.Plan:
        return sfl.Plan(template=template, parties=len(PARTIES), protocol=self.protocol, **fields)

    def for_seven(self, template: Any) -> sfl.Plan:
        """A plan for one party more."""
        return sfl.Plan(
            template=template, parties=7, protocol=sfl.SecAgg(server="active" if self.signed else "semi-honest")
        )

    def session(self, plan: sfl.Plan, **options: Any) -> Session:
        return Session(self, plan, **options)

    def server(self, plan: sfl.Plan, roster: sfl.Roster) -> Any:
        return sfl.SecAggServer(plan, roster=roster)

    def client(self, party: str, **options: Any) -> Any:
        return sfl.SecAggClient(party, **options)

    def others(self, plan: sfl.Plan, roster: sfl.Roster) -> dict[str, Any]:
        """Who answers the server and is no party."""
        return {}

    def vector_of(self, data: bytes) -> bytes:
        """What hides a party's vector in its message."""
        body = parse(data, parties=len(PARTIES)).body
        return decode(MaskedInput, body, limit=len(body)).words


@functools.cache
def private_key() -> sfl.paillier.PrivateKey:
    """The key of these tests: its primes are published, and serve nowhere else."""
    return _stored("ordinary")


@functools.cache
def dealing() -> Any:
    """Any four of the six decrypt."""
    return deal(_stored("safe"), PARTIES, threshold=4, dealer=sfl.SigningKey.generate())


def _stored(name: str) -> sfl.paillier.PrivateKey:
    primes = json.loads(Path(__file__).with_name("keys.json").read_text())[name]
    return sfl.paillier.PrivateKey(*(int(prime, 16) for prime in primes))


@dataclasses.dataclass(frozen=True)
class UnderAKey(Adapter):
    """Encrypted aggregation: two steps, and somebody who has the key."""

    kinds = PAILLIER_KINDS

    def for_seven(self, template):
        protocol = self.protocol
        if protocol.holder == "threshold":
            dealt = deal(_stored("safe"), [*PARTIES, "another"], threshold=5, dealer=sfl.SigningKey.generate())
            protocol = dataclasses.replace(protocol, key=dealt.keys)
        return sfl.Plan(template=template, parties=7, protocol=protocol)

    def vector_of(self, data):
        body = parse(data, parties=len(PARTIES), kinds=PAILLIER_KINDS).body
        return decode(EncryptedInput, body, limit=len(body)).ciphertexts[32:]  # behind the key's id

    def server(self, plan, roster):
        return sfl.PaillierServer(plan, roster=roster)

    def client(self, party, **options):
        key = {"clients": private_key, "threshold": lambda: dealing().shares[PARTIES.index(party)]}.get(
            self.protocol.holder, lambda: None
        )()
        return sfl.PaillierClient(party, key=key, **options)

    def others(self, plan, roster):
        if self.protocol.holder != "separate":
            return {}
        policy = sfl.ClientPolicy.matching(plan)
        return {KEY_HOLDER: sfl.PaillierKeyHolder(private_key(), roster=roster, policy=policy)}


def under_a_key(name: str, protocol: Any, *, signed: bool = False) -> UnderAKey:
    unmissed = frozenset() if protocol.holder == "threshold" else frozenset({Step.UNMASK})
    return UnderAKey(name, protocol, signed, (Step.MASKED_INPUT, Step.UNMASK), frozenset({Step.UNMASK}), unmissed)


ADAPTERS = (
    Adapter(
        "secagg-semi-honest",
        sfl.SecAgg(server="semi-honest", threshold=3, max_colluders=1),
        signed=False,
        steps=(Step.ADVERTISE, Step.SHARE_KEYS, Step.MASKED_INPUT, Step.UNMASK),
        summed=frozenset({Step.UNMASK}),
    ),
    Adapter(
        "secagg-active",
        sfl.SecAgg(server="active", threshold=4, max_colluders=1),
        signed=True,
        steps=tuple(Step),
        summed=frozenset({Step.CONSISTENCY, Step.UNMASK}),
    ),
    Adapter(
        "secagg-k-regular",  # four neighbours of five
        sfl.SecAgg(server="semi-honest", graph="k-regular", max_colluders=1, min_survivors=5),
        signed=False,
        steps=(Step.ADVERTISE, Step.SHARE_KEYS, Step.MASKED_INPUT, Step.UNMASK),
        summed=frozenset({Step.UNMASK}),
    ),
    Adapter(
        "secagg-k-regular-prefetch",
        sfl.SecAgg(server="semi-honest", graph="k-regular", max_colluders=1, min_survivors=5, prefetch=True),
        signed=False,
        steps=(Step.ADVERTISE, Step.SHARE_KEYS, Step.MASKED_INPUT, Step.UNMASK),
        summed=frozenset({Step.UNMASK}),
    ),
    Adapter(
        "secagg-active-prefetch",
        sfl.SecAgg(server="active", threshold=4, max_colluders=1, prefetch=True),
        signed=True,
        steps=tuple(Step),
        summed=frozenset({Step.CONSISTENCY, Step.UNMASK}),
    ),
    under_a_key("paillier", sfl.Paillier(private_key().public_key, min_survivors=3)),
    under_a_key("paillier-audited", sfl.Paillier(private_key().public_key, audited=True, min_survivors=3), signed=True),
    under_a_key("paillier-clients", sfl.Paillier(private_key().public_key, "clients", min_survivors=3)),
    under_a_key("paillier-threshold", sfl.Paillier(dealing().keys, min_survivors=3)),
    under_a_key("paillier-threshold-audited", sfl.Paillier(dealing().keys, audited=True, min_survivors=3), signed=True),
)


class Session:
    """A session over a transport that keeps what it carried."""

    def __init__(self, adapter: Adapter, plan: sfl.Plan, *, policies: Mapping[str, Any] | None = None) -> None:
        self.adapter = adapter
        self.plan = plan
        self.roster, self.identities = (
            sfl.Roster.generate(PARTIES) if adapter.signed else (sfl.Roster.unsigned(PARTIES), {})
        )
        self.server = adapter.server(plan, self.roster)
        self.clients = {party: self.client(party, (policies or {}).get(party)) for party in PARTIES}
        self.answering = {**self.clients, **adapter.others(plan, self.roster)}
        self.up: list[tuple[Step, str, bytes]] = []
        self.down: list[tuple[Step, str, bytes]] = []
        self.refusals: dict[str, SecureFLError] = {}
        self.due: dict[str, Any] = {}

    def client(self, party: str, policy: sfl.ClientPolicy | None = None) -> Any:
        return self.adapter.client(
            party,
            roster=self.roster,
            policy=policy or sfl.ClientPolicy.matching(self.plan),
            identity=self.identities.get(party),
        )

    def begin(self, updates=None, **options) -> dict[str, list[bytes]]:
        """Begin a round with everybody; returns the first answers. A protocol that asks for vectors at once has them from `updates`."""
        mail = self.server.start_round()
        if updates is not None:
            self.submit(updates, **options)
        answers: dict[str, list[bytes]] = {party: [] for party in PARTIES}
        for party, data in mail:
            try:
                answers.setdefault(party, []).extend(self.answering[party].receive(data))
            except sfl.LocalProtocolError as due:
                assert "due now" in str(due)  # noqa: PT017 - the vector, which nobody has handed in
        return answers

    def submit(self, updates, *, weights=None, metrics=None, models=None) -> None:
        for party, update in updates.items():
            self.clients[party].submit(
                update,
                weight=(weights or {}).get(party, 1),
                metrics=(metrics or {}).get(party),
                model=(models or {}).get(party),
            )

    def round(
        self, updates, *, weights=None, metrics=None, model=None, models=None, drop=None, twice=False
    ) -> sfl.RoundResult:
        """One round; a party in `drop` sends nothing from that step on. `twice`: every message is delivered again."""
        self.up.clear()
        self.down.clear()
        self.refusals.clear()
        models = dict.fromkeys(updates, model) if models is None else models
        drop = {party: Step(step) for party, step in (drop or {}).items()}
        outbox = self.server.start_round(model)
        submitted = False
        handed = {"updates": updates, "weights": weights, "metrics": metrics, "models": models}
        self.due = {} if Step.ADVERTISE in self.adapter.steps else handed
        while not self.server.done:
            step = self.server.step
            assert step in self.adapter.steps
            self.down += [(step, party, data) for party, data in outbox]
            answers = [
                (party, data) for party, mail in outbox for data in self._ask(party, mail, drop, step, twice=twice)
            ]
            if not submitted and not self.due:
                self.submit(updates, weights=weights, metrics=metrics, models=models)
                submitted = True
            outbox = []
            for party, data in answers:
                self.up.append((step, party, data))
                outbox += self._give(party, data, twice=twice)
            if self.server.step is step:
                outbox = self.server.close_phase()
        return self.server.result()

    def _ask(self, party, mail, drop, step, *, twice) -> list[bytes]:
        order = list(Step)
        if party in drop and order.index(drop[party]) <= order.index(step):
            return []
        try:
            answers = self._receive(party, mail)
        except SecureFLError as refusal:
            self.refusals[party] = refusal
            return []
        if twice:
            self._refused(lambda: self.answering[party].receive(mail))
        return answers

    def _receive(self, party, mail) -> list[bytes]:
        """What a party answers; whose vector is asked for at once hands it in when it is told that it is due."""
        try:
            return self.answering[party].receive(mail)
        except sfl.LocalProtocolError as due:
            if "due now" not in str(due) or party not in self.due.get("updates", ()):
                raise
        own = {name: {party: given[party]} for name, given in self.due.items() if given and party in given}
        self.submit(**own)
        return self.answering[party].receive(mail)

    def _give(self, party, data, *, twice) -> list[tuple[str, bytes]]:
        outgoing = self.server.receive(data, party=party)
        if twice:
            self._refused(lambda: self.server.receive(data, party=party))
        return outgoing

    @staticmethod
    def _refused(act) -> None:
        try:
            act()
        except RoundAbortedError:
            raise
        except sfl.ProtocolError:
            return
        raise AssertionError("a message was taken twice")
