"""SecAggServer: the server of a session, over any transport. Bytes in, bytes out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from securefl.crypto.random import OS, RandomSource
from securefl.crypto.seeded import SeededRandom
from securefl.dp.ledger import Charge, PrivacyLedger
from securefl.errors import ConfigError, LocalProtocolError, RemoteProtocolError, RoundAbortedError, SecureFLError
from securefl.pipeline import decode_private, decode_sum, integer_sum, noisy_sum, without_excess
from securefl.plan import Plan, Roster
from securefl.plan.plan import NO_MODEL
from securefl.records.used_file import UsedFile
from securefl.secagg.context import pre_context
from securefl.secagg.server import Outgoing, RingSum, ServerRound
from securefl.secagg.states import STEP_OF, ServerState
from securefl.session.charging import charge_for, require_anchor, require_ledger
from securefl.session.result import RoundResult, Spent, spent_of
from securefl.session.snapshot import SavedMail, SavedServer, SavedTraffic, check_roster, mark, needed, unseal
from securefl.session.snapshot import seal as seal_snapshot
from securefl.types import Step, Tree
from securefl.wire.envelope import SERVER_INDEX, parse, seal
from securefl.wire.messages import Invite, Kind


class SecAggServer:
    """The server of a secure-aggregation session; it runs one round after the other.

        server = SecAggServer(plan, roster=roster)
        for party, data in server.start_round(model):
            send(party, data)
        while not server.done:
            party, data = next_message()              # or, at the deadline, server.close_phase()
            for party, data in server.receive(data, party=party):
                send(party, data)
        server.result().mean

    Args:
        plan: the agreement.
        roster: the parties, in order; with identity keys under an active plan.
        used: the record of what was decided, outside snapshots; needed to `save`.
        ledger: where the server enters what each party's vector costs, before any is asked to open the sum; needed under a private
            plan.
        random: the source of the session's name, of the order of parties on a k-regular graph, and of a central mechanism's noise.

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
                remedy='make one with `securefl roster`, or plan with SecAgg(server="semi-honest")',
            )
        require_ledger(plan, ledger, "the server")
        require_anchor(ledger, used)
        self.plan = plan
        self.session = random.token(16)
        self._ledger = ledger
        self._noise_seed = b""
        self._result: RoundResult | None = None
        self._roster = roster
        self._round: ServerRound | None = None
        self._used = used
        self._random = random
        self._number = 0
        self._model_digest = NO_MODEL
        self._outbox: list[tuple[int, bytes]] = []
        self._traffic: dict[Step, tuple[int, int]] = {}

    @property
    def done(self) -> bool:
        """Whether the round has ended, with or without a sum."""
        return self._round is not None and self._round.state in {ServerState.DONE, ServerState.ABORTED}

    @property
    def step(self) -> Step | None:
        """The step that is being collected; None between rounds."""
        return None if self._round is None or self.done else Step(self._round.state.value)

    @property
    def waiting_for(self) -> tuple[str, ...]:
        """The parties whose message the current step still waits for."""
        names = self._roster.names
        return () if self._round is None else tuple(names[party] for party in sorted(self._round.waiting_for))

    @property
    def _neighbours(self) -> int:
        return self.plan.parameters.neighbours

    @property
    def binding(self) -> bytes:
        """What this round's messages are sealed under, 32 bytes; no secret.

        Raises:
            LocalProtocolError: no round is open.
        """
        return self._open_round().binding

    def start_round(self, model: Tree | None = None) -> list[tuple[str, bytes]]:
        """Begin a round; a round that is still open is given up. Returns the invitations.

        Under a plan with prefetch only those are invited whose keys did not come with their last answer; when none are missing, the
        key lists are returned at once.

        Args:
            model: the model that the round starts from, whose digest enters every key; None for a one-off sum.
        """
        following = self._result.next_plan if self._result is not None else None
        plan = following or self.plan
        # Everything that can fail comes before anything changes: plan, number and seed belong to the sum that was opened, and with
        # another seed the same sum would be released twice.
        model_digest = plan.model_digest(model)
        self._require_budget(plan, self._number + 1)
        by_server = plan.release is not None and plan.release.noise_by_server
        noise_seed = self._random.token(32) if by_server else b""
        former = self._round
        if former is not None and not self.done:
            former.abort()
        self.plan, self._number, self._model_digest = plan, self._number + 1, model_digest
        self._noise_seed, self._result = noise_seed, None
        prefetched = former.prefetched if former is not None else {}
        self._round = self._new_round()
        self._round.start()
        context = self._round.context
        self._traffic = dict.fromkeys(Step, (0, 0))
        if not context.active:
            del self._traffic[Step.CONSISTENCY]
        invite = seal(
            Kind.INVITE,
            Invite(self.plan.to_bytes(), self._roster.digest()),
            session=self.session,
            round_number=self._number,
            sender=SERVER_INDEX,
            binding=pre_context(context),
        )
        key_lists = self._use_prefetched(self._round, prefetched)
        return self._sent(key_lists or [(party, invite) for party in sorted(self._round.waiting_for)])

    def _new_round(self) -> ServerRound:
        context = self.plan.for_round(self.session, self._number, roster=self._roster, model_digest=self._model_digest)
        return ServerRound(
            context,
            names=self._roster.names,
            verify_keys=self._roster.verify_keys,
            release=self._charge if self.plan.private else None,
            agree=self._agree if self._used is not None else None,
            random=self._random,
        )

    def _charges(self, plan: Plan, number: int, parties: Iterable[int], ctx: bytes) -> list[Charge]:
        names = self._roster.names
        return [
            charge_for(plan, names[party], session=self.session, round_number=number, ctx=ctx)
            for party in sorted(parties)
        ]

    def check_budget(self) -> None:
        """Raise where the next round would overspend anybody's budget: nobody is invited to it.

        Raises:
            PrivacyBudgetError: it would; names the party.
        """
        following = self._result.next_plan if self._result is not None else None
        self._require_budget(following or self.plan, self._number + 1)

    def _require_budget(self, plan: Plan, number: int) -> None:
        if (ledger := require_ledger(plan, self._ledger, "the server")) is not None:
            ledger.check(*self._charges(plan, number, range(len(self._roster)), bytes(32)))

    def charge_ahead(self) -> None:
        """Enter what the vectors that are due now will cost, all at once: for an engine whose parties share the server's ledger.

        Each of them finds its entry there, which saves it a sync of its own.

        Raises:
            PrivacyBudgetError, ConfigError: as `PrivacyLedger.charge_all`.
        """
        current = self._open_round()
        if self.step is Step.MASKED_INPUT and (ledger := require_ledger(self.plan, self._ledger, "the server")):
            ledger.charge_all(self._charges(self.plan, self._number, current.waiting_for, current.binding))

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

    def _use_prefetched(self, current: ServerRound, prefetched: Mapping[int, bytes]) -> Outgoing:
        """Take the keys that came with the last round's answers; whose keys are refused is invited like a newcomer."""
        for party, data in sorted(prefetched.items()):
            try:
                envelope = parse(data, parties=len(self._roster), neighbours=self._neighbours)
                if envelope.sender != party:
                    continue
                if key_lists := current.receive(envelope):
                    return key_lists
            except RoundAbortedError:
                raise
            except RemoteProtocolError:
                continue
        return []

    def receive(self, data: bytes, *, party: str | None = None) -> list[tuple[str, bytes]]:
        """Take one message; returns what is to be sent, as (party, bytes), when it completes a step.

        Args:
            data: the message.
            party: its sender by the transport's own authentication, if that has one; compared with what the message says.

        Raises:
            MalformedMessageError, RemoteProtocolError: the message is refused and its sender named; the round goes on without it.
            RoundAbortedError: the round has ended without a sum.
            LocalProtocolError: no round is open.
        """
        current = self._open_round()
        envelope = parse(
            data,
            parties=len(self._roster),
            neighbours=self._neighbours,
            noise_labels=current.context.noise_labels,
        )
        if party is not None and (envelope.sender >= len(self._roster) or self._roster.names[envelope.sender] != party):
            raise RemoteProtocolError(
                f"{party} sent a message in the name of party {envelope.sender}",
                phase=STEP_OF.get(envelope.kind, ""),
                suspects=(party,),
                remedy="ignore it, and look into who holds that connection",
            )
        step = STEP_OF.get(envelope.kind)
        if step in self._traffic:
            up, down = self._traffic[step]
            self._traffic[step] = (up + len(data), down)
        return self._sent(current.receive(envelope))

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
        return self._sent(self._open_round().close_phase())

    def result(self) -> RoundResult:
        """The sum, the mean and who is in them; the same object however often it is asked for, so that noise is drawn once.

        Raises:
            LocalProtocolError: the round has no sum (yet).
            RoundAbortedError: the sum is one that no honest parties could have.
        """
        if self._round is None:
            raise LocalProtocolError("no round was started", remedy="call start_round()")
        ring_sum = self._round.result()
        if self._result is None:
            self._result = self._decoded(ring_sum)
        return self._result

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
            next_plan=next_plan,
            spent=self._spent(),
        )

    def _spent(self) -> Spent | None:
        return (
            None
            if self._ledger is None or not self.plan.private
            else spent_of(self._ledger, anchored=self._used is not None)
        )

    def save(self, password: str | bytes) -> bytes:
        """Where the server stands, sealed under a password; between any two messages.

        Raises:
            LocalProtocolError: this server has no used-file.
        """
        used = needed(self._used)
        saved = SavedServer(
            version=1,
            used=mark(used),
            roster_digest=self._roster.digest(),
            plan=self.plan.to_bytes(),
            session=self.session,
            number=self._number,
            model_digest=self._model_digest,
            traffic=[SavedTraffic(step.value, up, down) for step, (up, down) in self._traffic.items()],
            current=self._round.save() if self._round is not None else None,
            noise_seed=self._noise_seed,
            outbox=[SavedMail(party, data) for party, data in self._outbox],
        )
        return seal_snapshot(saved, password, self._random)

    @classmethod
    def restore(
        cls,
        snapshot: bytes,
        password: str | bytes,
        *,
        roster: Roster,
        used: UsedFile,
        ledger: PrivacyLedger | None = None,
        random: RandomSource = OS,
    ) -> SecAggServer:
        """The server as it was when `save` was called; then `resend()`, for messages may have been lost with it.

        Args:
            snapshot: what `save` returned.
            password: its password.
            roster: the parties.
            used: the used-file that the server had, opened with `UsedFile.open`.
            ledger: as for a new server.
            random: as for a new server.

        Raises:
            CryptoError: a wrong password, or no server's snapshot.
            SecretMisuseError: another used-file, or one that was rolled back.
            ConfigError: another roster.
        """
        saved = unseal(SavedServer, snapshot, password, used)
        check_roster(saved, roster.digest())
        server = cls(Plan.from_bytes(saved.plan), roster=roster, used=used, ledger=ledger, random=random)
        server.session = saved.session
        server._noise_seed = saved.noise_seed
        server._number = saved.number
        server._model_digest = saved.model_digest
        server._traffic = {Step(item.step): (item.up, item.down) for item in saved.traffic}
        server._outbox = [(item.party, item.data) for item in saved.outbox]
        if saved.current is not None:
            server._round = server._new_round()
            server._round.resume(saved.current)
        return server

    def resend(self) -> list[tuple[str, bytes]]:
        """The last messages again, the same bytes, for those whose answer is still missing."""
        if self._round is None or self.done:
            return []
        waiting = self._round.waiting_for
        return [(self._roster.names[party], data) for party, data in self._outbox if party in waiting]

    def _open_round(self) -> ServerRound:
        if self._round is None or self.done:
            raise LocalProtocolError("no round is open", remedy="call start_round()")
        return self._round

    def _sent(self, outgoing: Outgoing) -> list[tuple[str, bytes]]:
        # The round has moved on by now: what goes out asks for the step that is being collected.
        if outgoing:
            self._outbox = outgoing
        if outgoing and self.step is not None:
            up, down = self._traffic[self.step]
            self._traffic[self.step] = (up, down + sum(len(data) for _, data in outgoing))
        return [(self._roster.names[party], data) for party, data in outgoing]
