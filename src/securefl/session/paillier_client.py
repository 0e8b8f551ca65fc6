"""PaillierClient: a party in a session of encrypted aggregation, over any transport. Bytes in, bytes out."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from typing import Final

from securefl.crypto.random import OS, RandomSource
from securefl.crypto.signing import SigningKey
from securefl.dp.ledger import PrivacyLedger
from securefl.errors import LocalProtocolError, RemoteProtocolError, SecureFLError
from securefl.paillier import Encryptor, PrivateKey
from securefl.paillier.rounds import ClientRound, ClientState, Decryptor, PaillierContext
from securefl.paillier.rounds.decryptor import check_key
from securefl.paillier.threads import Progress
from securefl.paillier.threshold import KeyShare
from securefl.plan import Plan, Roster
from securefl.plan.paillier import Paillier
from securefl.policy import ClientPolicy
from securefl.records.used_file import UsedFile
from securefl.session.decryption import Spent, check_held
from securefl.session.invitation import plan_in
from securefl.session.paillier_round import EncodedIntegers, check_roster, context_of
from securefl.session.participant import Participant
from securefl.types import SERVER, KeyModel, Step
from securefl.wire.envelope import Envelope, parse
from securefl.wire.messages import PAILLIER_KINDS, Kind

_SESSIONS_REMEMBERED: Final = 256
_OVER: Final = {ClientState.DONE, ClientState.ABORTED, ClientState.ENCRYPTED}


class PaillierClient(Participant):
    """One party of a session under a Paillier key; it serves one round after the other.

        client = PaillierClient("hospital-3", roster=roster, policy=policy)
        client.submit(update, weight=120)
        for message in messages_of_the_server:
            for data in client.receive(message):
                send(data)

    Args:
        party: this party's name on the roster.
        roster: from this party's own disk.
        policy: this party's floors, with the fingerprint of the key that it encrypts under; without them it takes part in nothing.
        identity: its signing key; needed under an audited plan.
        key: the private key where the clients hold it, this party's share where it was dealt; None otherwise.
        used: the record of the rounds that it encrypted a vector for, of the sums that it helped to decrypt, and of its ledger's head;
            without it a restarted party could be made to do either twice for one round.
        ledger: where this party enters what its vectors cost, before they leave; needed under a private plan.
        owner: whose data it is about; the party's name unless given.
        random: the source of masks, rounding and noise.
        threads: that encrypt and decrypt; None means one a core.
        progress: told how many ciphertexts are made, or decrypted, and of how many.

    Raises:
        ConfigError: not on the roster, no policy, a key that is not the roster's for this party, or a ledger that lacks entries.
    """

    def __init__(
        self,
        party: str,
        *,
        roster: Roster,
        policy: ClientPolicy,
        identity: SigningKey | None = None,
        key: PrivateKey | KeyShare | None = None,
        used: UsedFile | None = None,
        ledger: PrivacyLedger | None = None,
        owner: str | None = None,
        random: RandomSource = OS,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        super().__init__(
            party,
            roster=roster,
            policy=policy,
            identity=identity,
            used=used,
            ledger=ledger,
            owner=owner,
            random=random,
        )
        check_held(key)
        self._key = key
        self._spent = Spent(used)
        self._threads = threads
        self._progress = progress
        self._round: ClientRound | None = None
        self._decryptor: Decryptor | None = None
        self._declined: tuple[bytes, int] | None = None
        self._alone = threading.RLock()

    @property
    def state(self) -> ClientState:
        """Where this party stands in its round."""
        return self._round.state if self._round is not None else ClientState.START

    @property
    def rounds_joined(self) -> int:
        """Rounds that this party accepted since it was made, or encrypted a vector for by its used-file, whichever are more."""
        return self._joined if self._used is None else max(self._joined, self._used.rounds())

    @property
    def _awaiting(self) -> ClientRound | None:
        return None if self.state in _OVER else self._round

    def receive(self, data: bytes) -> list[bytes]:
        """Take one message of the server; returns what is to be sent to it, in order.

        Raises:
            MalformedMessageError: no message, or a damaged one; nothing has changed.
            PolicyRefusedError: this party's policy forbids the plan; nothing was sent.
            RemoteProtocolError: against the protocol.
            SecretMisuseError: it is to help decrypt a round's sum a second time.
            LocalProtocolError: the update is due and was not submitted; submit it and hand in the same message again.
        """
        return list(self.stream(data))

    def stream(self, data: bytes) -> Iterator[bytes]:
        """As `receive`, but messages are made one by one while they are taken: neither the vector nor its ciphertexts exist as a whole."""
        envelope = parse(data, parties=len(self._roster), kinds=PAILLIER_KINDS)
        with self._alone:
            return self._take(envelope)

    def _take(self, envelope: Envelope) -> Iterator[bytes]:
        named = (envelope.session, envelope.round)
        if envelope.kind is Kind.INVITE:
            try:
                self._on_invite(envelope)
            except SecureFLError:
                if envelope.round > self._latest.get(envelope.session, -1):
                    self._declined = named
                raise
            return iter(())
        if envelope.kind is Kind.ENCRYPT and named == self._declined:
            return iter(())  # which came with the invitation that this party has said no to
        if self._round is None:
            raise RemoteProtocolError(
                f"{envelope.kind.name.lower()} came before any invitation", suspects=(SERVER,), remedy="ignore it"
            )
        if envelope.kind is Kind.ENCRYPT:
            return self._on_encrypt(self._round, envelope)
        if self._decryptor is None:
            raise RemoteProtocolError(
                f"{envelope.kind.name.lower()} came to a party that decrypts nothing in this round",
                suspects=(SERVER,),
                remedy="ignore it",
            )
        return self._decryptor.receive(envelope)

    def close(self) -> None:
        """Leave the session, and the round that is open."""
        if self._round is not None:
            self._round.abort()
        self._round = self._decryptor = self._submission = None

    def _on_invite(self, envelope: Envelope) -> None:
        plan = plan_in(envelope, self._roster)
        context = context_of(plan, plan.for_round(envelope.session, envelope.round, roster=self._roster))
        check_roster(plan, self._roster)
        self._check_key(plan, context)
        if envelope.round <= self._latest.get(envelope.session, -1):
            raise RemoteProtocolError(
                f"round {envelope.round} of this session was joined before",
                phase="invite",
                suspects=(SERVER,),
                remedy="ignore it",
            )
        self._account.check_policy(plan, context.round, context.ctx0, self.rounds_joined)
        self._account.require_budget(plan, context.round, context.ctx0)
        protocol = plan.protocol
        if not isinstance(protocol, Paillier):
            raise LocalProtocolError("no Paillier plan", remedy="use SecAggClient")
        following = ClientRound(
            context,
            self._index,
            encryptor=Encryptor(protocol.public_key, protocol.randomness, random=self._random),
            identity=self._identity,
            threads=self._threads,
            progress=self._progress,
        )
        if self._round is not None:
            if self._submission is not None and self._submission.meant_for is self._round:
                self._submission = None  # for a round that died: a retry trains again
            self._round.abort()
        if self._submission is not None:
            self._submission = dataclasses.replace(self._submission, meant_for=following)
        self._latest[envelope.session] = envelope.round
        if len(self._latest) > _SESSIONS_REMEMBERED:
            del self._latest[next(iter(self._latest))]
        self._plan, self._round, self._decryptor = plan, following, None
        self._declined = None
        self._joined += 1
        self.saturated = 0

    def _on_encrypt(self, current: ClientRound, envelope: Envelope) -> Iterator[bytes]:
        if self._submission is None and current.state is ClientState.START:
            raise LocalProtocolError(
                "the update is due now",
                phase=Step.MASKED_INPUT,
                remedy="call submit(update), then hand in this message again",
            )
        current.on_encrypt(envelope)
        submission, plan = self._submission, self._plan
        self._submission = None
        try:
            if submission is None or plan is None:
                raise LocalProtocolError("there is nothing to encrypt", remedy="call submit(update) before")
            submission.check_model(plan, current.context.round.model_digest)
            # Before the ledger is asked: a second vector would find the first one's entry there, and be free.
            self._spent.encrypt(current.context)
            self._account.charge(plan, current.context.round, current.context.ctx)
            parts = EncodedIntegers(plan, current.context, submission, self._random)
            self._decryptor = self._decrypting(current)
            return self._counted(current, parts)
        except BaseException:
            current.abort()
            raise

    def _counted(self, current: ClientRound, parts: EncodedIntegers) -> Iterator[bytes]:
        try:
            yield from current.encrypt(parts)
        finally:
            self.saturated = parts.saturated

    def _check_key(self, plan: Plan, context: PaillierContext) -> None:
        """Check that this party can do its part of the decryption, before it sends or spends anything.

        Raises:
            LocalProtocolError: it has no key, or not the plan's.
        """
        if context.holder is KeyModel.SEPARATE:
            return
        if self._key is None:
            raise LocalProtocolError(
                f"the plan has {'a share of the key' if plan.parameters.threshold > 1 else 'the key'} at each party, and {self.party!r} "
                "has none",
                phase=Step.UNMASK,
                remedy="pass key=, or leave this round",
            )
        check_key(context, self._index, self._key)

    def _decrypting(self, current: ClientRound) -> Decryptor | None:
        """This party as one that decrypts, where the plan has it do so."""
        if current.context.holder is KeyModel.SEPARATE or self._key is None:
            return None
        return Decryptor(
            current.context,
            self._index,
            key=self._key,
            names=self._roster.names,
            verify_keys=self._roster.verify_keys,
            identity=self._identity,
            spend=self._spent.decrypting(current.context),
            threads=self._threads,
            progress=self._progress,
            random=self._random,
        )
