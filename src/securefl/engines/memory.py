"""The embedded engine: n parties and the server in one process, with real keys and real bytes between them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from securefl.crypto.random import OS, RandomSource
from securefl.crypto.signing import SigningKey
from securefl.dp.ledger import PrivacyLedger
from securefl.engines.actors import Actors, Casting
from securefl.engines.faults import Fault, collect
from securefl.engines.network import Mail, Network
from securefl.errors import ConfigError, EncodingError, MalformedMessageError, RoundAbortedError, SecureFLError
from securefl.pipeline import check_update
from securefl.plan import Plan, Roster
from securefl.policy import ClientPolicy, ModelFloors
from securefl.session import RoundResult
from securefl.types import Step, Tree
from securefl.wire.envelope import parse
from securefl.wire.messages import PAILLIER_KINDS, SECAGG_KINDS, Kind

if TYPE_CHECKING:
    from securefl.engines.actors import KeyHolder

_CLIENTS: Final = 0
_SERVER: Final = 1

T = TypeVar("T")


class MemorySession:
    """A session whose parties all live here; it serves one round after the other.

    Args:
        plan: the agreement.
        parties: their names, in order.
        roster: identities, where they exist already; otherwise made here when the plan needs them.
        identities: signing keys by name, with `roster`.
        ledger: the server's, under a private plan; parties enter their charges in it too, unless they have their own.
        ledgers: each party's own, by name.
        key_holder: under a Paillier plan the private key, or the dealing whose shares the parties have.
        policies: policies by name; by default each party accepts just what the plan offers, and reports say "simulated".
        random: the source of everything secret.
        floors: what the parties demand of the model, where their policies match the plan; see `ModelFloors`.

    Raises:
        ConfigError: plan, parties, roster, identities and policies do not fit each other.
    """

    def __init__(
        self,
        plan: Plan,
        parties: Sequence[str],
        *,
        roster: Roster | None = None,
        identities: Mapping[str, SigningKey] | None = None,
        policies: Mapping[str, ClientPolicy] | None = None,
        ledger: PrivacyLedger | None = None,
        ledgers: Mapping[str, PrivacyLedger] | None = None,
        key_holder: KeyHolder | None = None,
        random: RandomSource = OS,
        floors: ModelFloors | None = None,
    ) -> None:
        if len(parties) != plan.parties:
            raise ConfigError(
                f"there are {len(parties)} parties, the plan is for {plan.parties}",
                remedy="give one update a party, or make the plan with Plan.for_updates",
            )
        if roster is None:
            made, keys = Roster.generate(parties) if plan.parameters.active else (Roster.unsigned(parties), {})
        else:
            made, keys = roster, dict(identities or {})
        if made.names != tuple(parties):
            raise ConfigError(
                f"the roster names {', '.join(made.names[:8])}, the parties are {', '.join(parties[:8])}",
                remedy="use the roster's names, in its order",
            )
        self._shared_ledger = ledger is not None and ledgers is None
        self.parties = made.names
        self.simulated = policies is None
        self._actors = Casting(
            plan,
            made,
            keys,
            policies=policies,
            ledger=ledger,
            ledgers=ledgers,
            key_holder=key_holder,
            random=random,
            floors=floors,
        ).actors()

    @property
    def plan(self) -> Plan:
        """The agreement of the latest round; an adaptive clip makes a new one each round."""
        return self._actors.server.plan

    def check_budget(self) -> None:
        """Raise where a private round would overspend anybody's budget, by the server's ledger.

        Raises:
            PrivacyBudgetError: it would; names the party.
        """
        self._actors.server.check_budget()

    def round(
        self,
        updates: Mapping[str, Tree],
        *,
        weights: Mapping[str, int] | None = None,
        metrics: Mapping[str, Mapping[str, float]] | None = None,
        model: Tree | None = None,
        drop: Mapping[str, Step | str] | None = None,
        faults: Iterable[Fault] = (),
    ) -> RoundResult:
        """Run one round. Nothing is sent before every update, weight and metric has been checked.

        Args:
            updates: one a party, of the plan's template.
            weights: one a party; all 1 by default.
            metrics: the plan's metrics, by party.
            model: the model that the updates were trained from; binds the round to it.
            drop: the step that a party does not complete, by party. Whose keys were prefetched has advertised: to drop it at `advertise`
                leaves it out of the sum as ever, and is reported as `share_keys`.
            faults: whatever else goes wrong.

        Raises:
            EncodingError: an update, weight or metric that does not fit the plan; names the party.
            ConfigError: updates, weights or faults of others than the parties.
            RoundAbortedError: the round ended without a sum.
        """
        weights = dict.fromkeys(self.parties, 1) if weights is None else weights
        metrics = {name: {} for name in self.parties} if metrics is None else metrics
        for what, given in (("updates", updates), ("weights", weights), ("metrics", metrics)):
            if set(given) != set(self.parties):
                odd = sorted(set(given) ^ set(self.parties))
                raise ConfigError(
                    f"{what} are not those of the parties: {', '.join(odd[:8])}", remedy="give one entry for each party"
                )
        network = Network(
            collect(faults, drop, self.parties, steps=self.plan.steps),
            self.parties,
            binding=lambda: self._actors.server.binding,
        )
        for name in self.parties:
            check_party(name, self.plan, updates[name], weights[name], metrics[name])
        return _Exchange(self._actors, network, shared_ledger=self._shared_ledger).run(
            updates, weights, metrics, model, simulated=self.simulated
        )


def check_party(name: str, plan: Plan, update: Tree, weight: int, metrics: Mapping[str, float]) -> None:
    """Check one party's update, weight and metrics; see `check_update`. Errors name the party."""
    try:
        check_update(plan, update, weight=weight, metrics=metrics)
    except EncodingError as error:
        raise type(error)(f"party {name!r}: {error.message}", tensor=error.tensor, remedy=error.remedy) from error


class _Exchange:
    """One round's messages back and forth, timed."""

    def __init__(self, actors: Actors, network: Network, *, shared_ledger: bool) -> None:
        self._shared_ledger = shared_ledger
        self._server = actors.server
        self._actors = actors
        self._network = network
        self._refusals: list[SecureFLError] = []
        self._seconds = {step: [0.0, 0.0] for step in Step}

    def run(
        self,
        updates: Mapping[str, Tree],
        weights: Mapping[str, int],
        metrics: Mapping[str, Mapping[str, float]],
        model: Tree | None,
        *,
        simulated: bool,
    ) -> RoundResult:
        def submit() -> None:
            for name, client in self._actors.parties.items():
                client.submit(updates[name], weight=weights[name], metrics=metrics[name], model=model)

        try:
            self._until_done(self._server.start_round(model), submit)
            result = self._timed(Step.UNMASK, _SERVER, self._server.result)
        except RoundAbortedError as aborted:
            # Its reader will want to know what led to it.
            raise aborted from (self._refusals[0] if self._refusals else None)
        return dataclasses.replace(
            result,
            seconds_by_step={
                step: (self._seconds[step][_CLIENTS], self._seconds[step][_SERVER]) for step in result.bytes_by_step
            },
            refusals=(*result.refusals, *self._refusals),
            saturated={name: client.saturated for name, client in self._actors.parties.items()} if simulated else {},
            simulated=simulated,
        )

    def _until_done(self, outbox: Mail, submit: Callable[[], None]) -> None:
        if self._server.step is not Step.ADVERTISE:  # everybody's keys were prefetched
            submit()
        while not self._server.done:
            step = self._server.step or Step.ADVERTISE
            mail = self._network.down(step, outbox)
            answers: Mail = []
            if self._shared_ledger:
                # Invitations first: who is invited asks the ledger, and must not find this very round in it, under a later context.
                answers = self._ask(step, [letter for letter in mail if self._invites(letter[1])])
                mail = [letter for letter in mail if not self._invites(letter[1])]
                self._server.charge_ahead()
            answers += self._ask(step, mail)
            if step is Step.ADVERTISE:
                submit()
            outbox = []
            for name, data in self._network.up(step, answers):
                outbox += self._give(step, name, data)
            if not outbox and not self._server.done:
                outbox = self._timed(step, _SERVER, self._server.close_phase)
            for name, data in self._network.late():
                self._give(step, name, data)

    def _invites(self, data: bytes) -> bool:
        try:
            kinds = SECAGG_KINDS | PAILLIER_KINDS
            return parse(data, parties=len(self._actors.parties), kinds=kinds).kind is Kind.INVITE
        except MalformedMessageError:
            return False  # a fault spoiled it

    def _ask(self, step: Step, mail: Mail) -> Mail:
        """Deliver the server's messages; returns the answers. A party that refuses falls silent, as a real one would."""
        answers: Mail = []
        for name, data in mail:
            try:
                replies = self._timed(step, _CLIENTS, self._actors[name].receive, data)
            except SecureFLError as refusal:
                self._refusals.append(refusal)
                continue
            answers += [(name, reply) for reply in replies]
        return answers

    def _give(self, step: Step, name: str, data: bytes) -> Mail:
        """Hand the server one message; what it refuses is noted, and the round goes on without it."""
        try:
            return self._timed(step, _SERVER, self._server.receive, data, party=name)
        except RoundAbortedError:
            raise
        except SecureFLError as refusal:
            self._refusals.append(refusal)
            return []

    def _timed(self, step: Step, side: int, act: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        started = time.perf_counter()
        try:
            return act(*args, **kwargs)
        finally:
            self._seconds[step][side] += time.perf_counter() - started
