"""What the servers of all protocols have in common: rounds, charges to the ledger, traffic, and the sum decoded."""

from __future__ import annotations

import abc
from collections.abc import Iterable
from typing import Protocol

from securefl.crypto.random import OS, RandomSource
from securefl.crypto.seeded import SeededRandom
from securefl.dp.ledger import Charge, PrivacyLedger
from securefl.errors import ConfigError, LocalProtocolError, RemoteProtocolError, RoundAbortedError, SecureFLError
from securefl.pipeline import decode_private, decode_sum, integer_sum, noisy_sum, without_excess
from securefl.plan import Plan, Roster
from securefl.plan.plan import NO_MODEL
from securefl.records.used_file import UsedFile
from securefl.secagg.server import Outgoing, RingSum
from securefl.session.charging import charge_for, require_anchor, require_ledger
from securefl.session.result import RoundResult, Spent, spent_of
from securefl.session.snapshot import needed
from securefl.types import KEY_HOLDER, Step, Tree
from securefl.wire.envelope import HOLDER_INDEX, SERVER_INDEX, Envelope, seal
from securefl.wire.messages import Invite, Kind


class _Round(Protocol):
    """A round of some protocol, as its server sees it."""

    @property
    def state(self) -> str:
        """Its state; while messages are collected the name of the step."""

    @property
    def binding(self) -> bytes:
        """What its messages are sealed under."""

    @property
    def waiting_for(self) -> frozenset[int]:
        """Whose message is due."""

    def close_phase(self) -> Outgoing:
        """End the step."""

    def abort(self) -> None:
        """End the round."""


class ServerSession(abc.ABC):
    """The server of a session, over any transport; it runs one round after the other. See `SecAggServer` and `PaillierServer`.

    Args:
        plan: the agreement.
        roster: the parties, in order; with identity keys under an active plan.
        used: the record of what was decided, outside snapshots.
        ledger: where the server enters what each party's vector costs, before any is asked to open the sum; needed under a private
            plan.
        random: the source of the session's name and of a central mechanism's noise.

    Raises:
        ConfigError: plan and roster do not fit each other.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        roster: Roster,
        used: UsedFile | None = None,
        ledger: PrivacyLedger | None = None,
        random: RandomSource = OS,
    ) -> None:
        if plan.parties != len(roster):
            raise ConfigError(
                f"the plan is for {plan.parties} parties, the roster has {len(roster)}",
                remedy="use Plan(parties=roster)",
            )
        if plan.parameters.active and not roster.signed:
            raise ConfigError(
                "an active plan needs a roster with identity keys",
                remedy="make one with `securefl roster`, or plan for a semi-honest server",
            )
        require_ledger(plan, ledger, "the server")
        require_anchor(ledger, used)
        self.plan = plan
        self.session = random.token(16)
        self._ledger = ledger
        self._noise_seed = b""
        self._result: RoundResult | None = None
        self._roster = roster
        self._used = used
        self._random = random
        self._number = 0
        self._model_digest = NO_MODEL
        self._outbox: list[tuple[int, bytes]] = []
        self._traffic: dict[Step, tuple[int, int]] = {}

    @property
    @abc.abstractmethod
    def _current(self) -> _Round | None:
        """The round that runs, or that ran last."""

    @abc.abstractmethod
    def start_round(self, model: Tree | None = None) -> list[tuple[str, bytes]]:
        """Begin a round; a round that is still open is given up. Returns what is to be sent, as (party, bytes)."""

    @abc.abstractmethod
    def receive(self, data: bytes, *, party: str | None = None) -> list[tuple[str, bytes]]:
        """Take one message; returns what is to be sent, as (party, bytes), when it completes a step."""

    @abc.abstractmethod
    def _sum(self) -> RingSum:
        """The round's sum.

        Raises:
            LocalProtocolError: there is none (yet).
        """

    @property
    def done(self) -> bool:
        """Whether the round has ended, with or without a sum."""
        current = self._current
        return current is not None and current.state in {"done", "aborted"}

    @property
    def step(self) -> Step | None:
        """The step that is being collected; None between rounds."""
        current = self._current
        return None if current is None or self.done else Step(str(current.state))

    @property
    def waiting_for(self) -> tuple[str, ...]:
        """The parties whose message the current step still waits for."""
        current = self._current
        return () if current is None else tuple(self._name(index) for index in sorted(current.waiting_for))

    @property
    def binding(self) -> bytes:
        """What this round's messages are sealed under, 32 bytes; no secret.

        Raises:
            LocalProtocolError: no round is open.
        """
        return self._open().binding

    def check_budget(self) -> None:
        """Raise where the next round would overspend anybody's budget: nobody is invited to it.

        Raises:
            PrivacyBudgetError: it would; names the party.
        """
        self._require_budget(self._following_plan, self._number + 1)

    def charge_ahead(self) -> None:
        """Enter what the vectors that are due now will cost, all at once: for an engine whose parties share the server's ledger.

        Each of them finds its entry there, which saves it a sync of its own.

        Raises:
            PrivacyBudgetError, ConfigError: as `PrivacyLedger.charge_all`.
        """
        current = self._open()
        if self.step is not Step.MASKED_INPUT:
            return
        if (ledger := require_ledger(self.plan, self._ledger, "the server")) is not None:
            ledger.charge_all(self._charges(self.plan, self._number, current.waiting_for, current.binding))

    def close_phase(self, step: Step | None = None) -> list[tuple[str, bytes]]:
        """End the current step: who has not answered is left out. Returns what is to be sent.

        Args:
            step: the step whose deadline has passed; nothing happens where the round has moved on from it, so that a deadline that
                races the last message never closes the next step.

        Raises:
            RoundAbortedError: the round has ended without a sum.
            LocalProtocolError: no round is open.
        """
        if step is not None and step != self.step:
            return []
        return self._sent(self._open().close_phase())

    def result(self) -> RoundResult:
        """The sum, the mean and who is in them; the same object however often it is asked for, so that noise is drawn once.

        Raises:
            LocalProtocolError: the round has no sum (yet).
            RoundAbortedError: the sum is one that no honest parties could have.
        """
        if self._current is None:
            raise LocalProtocolError("no round was started", remedy="call start_round()")
        ring_sum = self._sum()
        if self._result is None:
            self._result = self._decoded(ring_sum)
        return self._result

    @property
    def _following_plan(self) -> Plan:
        """The plan of the next round: an adaptive clip makes a new one."""
        following = self._result.next_plan if self._result is not None else None
        return following or self.plan

    def _renew(self, model: Tree | None) -> None:
        """Be in the next round, with its plan, number, model and seed; a round that is open is given up.

        Everything that can fail comes before anything changes: plan, number and seed belong to the sum that was opened, and with
        another seed the same sum would be released twice.
        """
        plan = self._following_plan
        model_digest = plan.model_digest(model)
        self._require_budget(plan, self._number + 1)
        by_server = plan.release is not None and plan.release.noise_by_server
        noise_seed = self._random.token(32) if by_server else b""
        former = self._current
        if former is not None and not self.done:
            former.abort()
        self.plan, self._number, self._model_digest = plan, self._number + 1, model_digest
        self._noise_seed, self._result = noise_seed, None
        self._traffic = dict.fromkeys(plan.steps, (0, 0))

    def _invitation(self, binding: bytes) -> bytes:
        return seal(
            Kind.INVITE,
            Invite(self.plan.to_bytes(), self._roster.digest()),
            session=self.session,
            round_number=self._number,
            sender=SERVER_INDEX,
            binding=binding,
        )

    def _charges(self, plan: Plan, number: int, parties: Iterable[int], ctx: bytes) -> list[Charge]:
        names = self._roster.names
        return [
            charge_for(plan, names[party], session=self.session, round_number=number, ctx=ctx)
            for party in sorted(parties)
        ]

    def _require_budget(self, plan: Plan, number: int) -> None:
        if (ledger := require_ledger(plan, self._ledger, "the server")) is not None:
            ledger.check(*self._charges(plan, number, range(len(self._roster)), bytes(32)))

    def _charge(self, survivors: frozenset[int], ctx: bytes) -> None:
        """Enter what the sum costs each party in it, before any of them is asked to open it."""
        if (ledger := require_ledger(self.plan, self._ledger, "the server")) is None:
            return
        try:
            heads = ledger.charge_all(self._charges(self.plan, self._number, survivors, ctx))
            if self._used is not None and heads:
                self._used.anchor(self.session, self._number, ledger.path, max(heads, key=lambda head: head.number))
        except SecureFLError as error:
            raise RoundAbortedError(
                f"the sum is not opened: {error.message}", phase=Step.MASKED_INPUT, remedy=error.remedy
            ) from error

    def _agree(self, step: Step, what: bytes) -> None:
        needed(self._used).agree(self.session, self._number, step, what)

    def _check_sender(self, envelope: Envelope, party: str | None, step: Step | None) -> None:
        """Compare what a message says about its sender with what the transport knows.

        Raises:
            RemoteProtocolError: they differ.
        """
        if party is None or self._name(envelope.sender) == party:
            return  # a transport without names of its own leaves this to the seal
        raise RemoteProtocolError(
            f"{party} sent a message in the name of party {envelope.sender}",
            phase=step or "",
            suspects=(party,),
            remedy="ignore it, and look into who holds that connection",
        )

    def _count_up(self, step: Step | None, size: int) -> None:
        if step in self._traffic:
            up, down = self._traffic[step]
            self._traffic[step] = (up + size, down)

    def _decoded(self, ring_sum: RingSum) -> RoundResult:
        names, plan = self._roster.names, self.plan
        count = len(ring_sum.survivors)
        bits, next_plan = None, None
        if plan.release is None:
            integers = integer_sum(plan, ring_sum.total, count)
            decoded = decode_sum(plan, integers, count)
        else:
            words = without_excess(plan, ring_sum.total, ring_sum.seeds.values())
            random = SeededRandom(self._noise_seed) if plan.release.noise_by_server else self._random
            integers = noisy_sum(plan, words, random)
            seed = plan.rotation_seed(self.session, self._number)
            decoded, bits = decode_private(plan, integers, seed, count)
            next_plan = None if bits is None else plan.with_next_clip(bits, count)
        return RoundResult(
            plan=plan,
            mean=decoded.mean,
            sum=decoded.total,
            integers=integers,
            weight_sum=decoded.weight_sum,
            metrics=decoded.metrics,
            survivors=tuple(names[party] for party in sorted(ring_sum.survivors)),
            dropped={names[party]: step for party, step in sorted(ring_sum.dropped.items())},
            bytes_by_step=dict(self._traffic),
            refusals=ring_sum.refusals,
            next_plan=next_plan,
            spent=self._spent(),
        )

    def _spent(self) -> Spent | None:
        return (
            None
            if self._ledger is None or not self.plan.private
            else spent_of(self._ledger, anchored=self._used is not None)
        )

    def _open(self) -> _Round:
        if self._current is None or self.done:
            raise LocalProtocolError("no round is open", remedy="call start_round()")
        return self._current

    def _name(self, index: int) -> str:
        """The name behind an index; of an index that is nobody's, one that nobody bears."""
        if index == HOLDER_INDEX:
            return KEY_HOLDER
        return self._roster.names[index] if index < len(self._roster) else ""

    def _sent(self, outgoing: Outgoing) -> list[tuple[str, bytes]]:
        # The round has moved on by now: what goes out asks for the step that is being collected.
        if outgoing:
            self._outbox = outgoing
        if outgoing and self.step is not None:
            up, down = self._traffic[self.step]
            self._traffic[self.step] = (up, down + sum(len(data) for _, data in outgoing))
        return [(self._name(party), data) for party, data in outgoing]
