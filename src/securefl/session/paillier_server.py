"""PaillierServer: the server of a session of encrypted aggregation, over any transport. Bytes in, bytes out; it has no key."""

from __future__ import annotations

from securefl.crypto.random import OS, RandomSource
from securefl.dp.ledger import PrivacyLedger
from securefl.errors import LocalProtocolError
from securefl.paillier import Encryptor
from securefl.paillier.rounds import ServerRound
from securefl.paillier.rounds.states import STEP_OF
from securefl.plan import Plan, Roster
from securefl.plan.paillier import Paillier
from securefl.plan.protocol import require_protocol
from securefl.records.used_file import UsedFile
from securefl.secagg.server import RingSum
from securefl.session.paillier_round import check_roster, context_of
from securefl.session.serving import ServerSession
from securefl.types import KeyModel, Tree
from securefl.wire.envelope import HOLDER_INDEX, parse
from securefl.wire.messages import PAILLIER_KINDS


class PaillierServer(ServerSession):
    """The server of a session under a Paillier key; it runs one round after the other.

        server = PaillierServer(plan, roster=roster)
        for name, data in server.start_round(model):
            send(name, data)                          # to a party, or to "key-holder"
        while not server.done:
            name, data = next_message()               # or, at the deadline, server.close_phase()
            for name, data in server.receive(data, party=name):
                send(name, data)
        server.result().mean

    Args:
        plan: the agreement.
        roster: the parties, in order; with identity keys under an audited plan.
        used: the record of what was decided: a server that was rolled back names no other survivors.
        ledger: where the server enters what each party's vector costs, before the sum is decrypted; needed under a private plan.
        random: the source of the session's name, of the masks on the sum, and of a central mechanism's noise.
        threads: None means one a core.

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
        threads: int | None = None,
    ) -> None:
        require_protocol(plan, Paillier)
        super().__init__(plan, roster=roster, used=used, ledger=ledger, random=random)
        check_roster(plan, roster)
        self._threads = threads
        self._round: ServerRound | None = None

    @property
    def _current(self) -> ServerRound | None:
        return self._round

    def start_round(self, model: Tree | None = None) -> list[tuple[str, bytes]]:
        """Begin a round; a round that is still open is given up. Returns invitations and the requests for vectors, which may go together.

        Args:
            model: the model that the round starts from, whose digest enters what everything is sealed under; None for a one-off sum.
        """
        self._renew(model)
        protocol = self.plan.protocol
        if not isinstance(protocol, Paillier):
            raise LocalProtocolError("no Paillier plan", remedy="use SecAggServer")
        context = self.plan.for_round(self.session, self._number, roster=self._roster, model_digest=self._model_digest)
        self._round = ServerRound(
            context_of(self.plan, context),
            names=self._roster.names,
            encryptor=Encryptor(protocol.public_key, protocol.randomness, random=self._random),
            verify_keys=self._roster.verify_keys,
            release=self._charge if self.plan.private else None,
            agree=self._agree if self._used is not None else None,
            threads=self._threads,
        )
        requests = self._round.start()
        invitation = self._invitation(self._round.context.ctx0)
        told = [*range(len(self._roster))]
        if self._round.context.holder is KeyModel.SEPARATE:
            told.append(HOLDER_INDEX)
        return self._sent([*((index, invitation) for index in told), *requests])

    def receive(self, data: bytes, *, party: str | None = None) -> list[tuple[str, bytes]]:
        """Take one message of a party or of the key holder; returns what is to be sent when it completes a step.

        Args:
            data: the message.
            party: its sender by the transport's own authentication, if that has one; compared with what the message says.

        Raises:
            MalformedMessageError, RemoteProtocolError: the message is refused and its sender named; the round goes on without it.
            RoundAbortedError: the round has ended without a sum.
            LocalProtocolError: no round is open.
        """
        current = self._open_round()
        envelope = parse(data, parties=len(self._roster), kinds=PAILLIER_KINDS)
        step = STEP_OF.get(envelope.kind)
        self._check_sender(envelope, party, step)
        self._count_up(step, len(data))
        return self._sent(current.receive(envelope, data))

    def _sum(self) -> RingSum:
        if self._round is None:
            raise LocalProtocolError("no round was started", remedy="call start_round()")
        current = self._round
        return RingSum(current.total, current.survivors, dict(current.dropped), refusals=tuple(current.refusals))

    def _open_round(self) -> ServerRound:
        if self._round is None or self.done:
            raise LocalProtocolError("no round is open", remedy="call start_round()")
        return self._round
