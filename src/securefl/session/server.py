"""SecAggServer: the server of a session of pairwise-mask secure aggregation, over any transport. Bytes in, bytes out."""

from __future__ import annotations

from collections.abc import Mapping

from securefl.crypto.random import OS, RandomSource
from securefl.dp.ledger import PrivacyLedger
from securefl.errors import LocalProtocolError, RemoteProtocolError, RoundAbortedError
from securefl.plan import Plan, Roster
from securefl.plan.protocol import SecAgg, require_protocol
from securefl.records.used_file import UsedFile
from securefl.secagg.context import pre_context
from securefl.secagg.server import Outgoing, RingSum, ServerRound
from securefl.secagg.states import STEP_OF
from securefl.session.serving import ServerSession
from securefl.session.snapshot import SavedMail, SavedServer, SavedTraffic, check_roster, mark, needed, unseal
from securefl.session.snapshot import seal as seal_snapshot
from securefl.types import Step, Tree
from securefl.wire.envelope import parse


class SecAggServer(ServerSession):
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
        ConfigError: plan and roster do not fit each other, or the plan is for another protocol.
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
        require_protocol(plan, SecAgg)
        super().__init__(plan, roster=roster, used=used, ledger=ledger, random=random)
        self._round: ServerRound | None = None

    @property
    def _current(self) -> ServerRound | None:
        return self._round

    @property
    def _neighbours(self) -> int:
        return self.plan.parameters.neighbours

    def start_round(self, model: Tree | None = None) -> list[tuple[str, bytes]]:
        """Begin a round; a round that is still open is given up. Returns the invitations.

        Under a plan with prefetch only those are invited whose keys did not come with their last answer; when none are missing, the
        key lists are returned at once.

        Args:
            model: the model that the round starts from, whose digest enters every key; None for a one-off sum.
        """
        former = self._round
        self._renew(model)
        prefetched = former.prefetched if former is not None else {}
        self._round = self._new_round()
        self._round.start()
        context = self._round.context
        invite = self._invitation(pre_context(context))
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
        step = STEP_OF.get(envelope.kind)
        self._check_sender(envelope, party, step)
        self._count_up(step, len(data))
        return self._sent(current.receive(envelope))

    def _sum(self) -> RingSum:
        if self._round is None:
            raise LocalProtocolError("no round was started", remedy="call start_round()")
        return self._round.result()

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
