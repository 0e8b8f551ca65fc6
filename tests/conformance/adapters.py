"""What the conformance suite needs to know of a protocol; a new one joins by adding its adapter to `ADAPTERS`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import securefl as sfl
from securefl.errors import RoundAbortedError, SecureFLError
from securefl.types import Step

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
    """

    name: str
    protocol: Any
    signed: bool
    steps: tuple[Step, ...]
    summed: frozenset[Step]

    def plan(self, template: Any, **fields: Any) -> sfl.Plan:
        return sfl.Plan(template=template, parties=len(PARTIES), protocol=self.protocol, **fields)

    def session(self, plan: sfl.Plan, **options: Any) -> Session:
        return Session(self, plan, **options)

    def server(self, plan: sfl.Plan, roster: sfl.Roster) -> sfl.SecAggServer:
        return sfl.SecAggServer(plan, roster=roster)

    def client(self, party: str, **options: Any) -> sfl.SecAggClient:
        return sfl.SecAggClient(party, **options)


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
        self.up: list[tuple[Step, str, bytes]] = []
        self.down: list[tuple[Step, str, bytes]] = []
        self.refusals: dict[str, SecureFLError] = {}

    def client(self, party: str, policy: sfl.ClientPolicy | None = None) -> sfl.SecAggClient:
        return self.adapter.client(
            party,
            roster=self.roster,
            policy=policy or sfl.ClientPolicy.matching(self.plan),
            identity=self.identities.get(party),
        )

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
        while not self.server.done:
            step = self.server.step
            assert step in self.adapter.steps
            self.down += [(step, party, data) for party, data in outbox]
            answers = [
                (party, data) for party, mail in outbox for data in self._ask(party, mail, drop, step, twice=twice)
            ]
            if not submitted:
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
            answers = self.clients[party].receive(mail)
        except SecureFLError as refusal:
            self.refusals[party] = refusal
            return []
        if twice:
            self._refused(lambda: self.clients[party].receive(mail))
        return answers

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
