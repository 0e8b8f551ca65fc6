"""The server's side of one round: it collects ciphertexts, adds them, and has the sum decrypted. It never has a key.

It keeps no clock. A step ends when everybody due has answered, or when its owner calls `close_phase`; who has not answered by then is
left out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import numpy as np

from securefl.crypto.digest import digest, u32
from securefl.encoding.words import unpack
from securefl.errors import (
    BelowThresholdError,
    EncodingError,
    LocalProtocolError,
    RemoteProtocolError,
    RoundAbortedError,
    SecretMisuseError,
    SecureFLError,
)
from securefl.paillier.ciphertexts import Ciphertexts
from securefl.paillier.encryptor import Encryptor
from securefl.paillier.rounds.chunks import Arriving, check_order
from securefl.paillier.rounds.combining import Combining
from securefl.paillier.rounds.context import PaillierContext
from securefl.paillier.rounds.incoming import check_round, name_of
from securefl.paillier.rounds.states import STEP_OF, ServerState, collected
from securefl.types import KEY_HOLDER, SERVER, KeyModel, Step, Words
from securefl.wire import bitmap, codec
from securefl.wire.envelope import HOLDER_INDEX, SERVER_INDEX, Envelope, body_limit, check_seal, seal
from securefl.wire.messages import Decrypt, Decrypted, Encrypt, EncryptedInput, Kind, Message, PartialDecryption

MessageT = TypeVar("MessageT", bound=Message)
Outgoing = list[tuple[int, bytes]]


class ServerRound:
    """The server in one round.

    Args:
        context: the round, with its model.
        names: party names by index.
        encryptor: under the round's key: the sum is re-randomised before anybody else sees it.
        verify_keys: identity keys by index, in an audited round.
        release: called with the survivors and ctx before the sum is sent out to be decrypted; raises where it may not be.
        agree: called with a step and the digest of what closing it fixed; raises where a server that was rolled back had fixed
            something else.
        threads: None means one a core.
    """

    def __init__(
        self,
        context: PaillierContext,
        *,
        names: Sequence[str],
        encryptor: Encryptor,
        verify_keys: Sequence[bytes] | None = None,
        release: Callable[[frozenset[int], bytes], None] | None = None,
        agree: Callable[[Step, bytes], None] | None = None,
        threads: int | None = None,
    ) -> None:
        if context.audited and verify_keys is None:
            raise LocalProtocolError(
                "an audited plan needs a roster with identity keys", remedy="pass a roster made with `securefl roster`"
            )
        self.context = context
        self.state = ServerState.START
        self.survivors: frozenset[int] = frozenset()
        self.dropped: dict[int, Step] = {}
        self.refusals: list[SecureFLError] = []
        self._names = tuple(names)
        self._verify_keys = verify_keys if context.audited else None
        self._encryptor = encryptor
        self._release = release
        self._agree = agree
        self._threads = threads
        self._waiting: set[int] = set()
        self._answered: set[int] = set()
        self._arriving: dict[int, Arriving] = {}
        self._signed: dict[int, list[bytes]] = {}
        self._sum: Ciphertexts | None = None
        self._opening: dict[int, list[bytes]] = {}
        self._asked: set[int] = set()
        self._parts: list[Words] = []
        self._total: Words | None = None
        self._alone = threading.RLock()

    @property
    def binding(self) -> bytes:
        """What this round's messages are sealed under; no secret."""
        return self.context.ctx

    @property
    def waiting_for(self) -> frozenset[int]:
        """The parties, or the key holder, whose message the current step still waits for."""
        return frozenset(self._waiting)

    def start(self) -> Outgoing:
        """Ask everybody on the roster for its vector, and tell a separate key holder of the round."""
        if self.state is not ServerState.START:
            raise LocalProtocolError("the round has begun", remedy="start a new round")
        self.state = ServerState.MASKED_INPUT
        parties = range(self.context.round.parties)
        self._waiting = set(parties)
        request = seal(
            Kind.ENCRYPT,
            Encrypt(self.context.round.plan_digest, self.context.round.model_digest),
            session=self.context.round.session,
            round_number=self.context.round.round,
            sender=SERVER_INDEX,
            binding=self.context.ctx0,
        )
        told = [*parties, HOLDER_INDEX] if self.context.holder is KeyModel.SEPARATE else [*parties]
        return [(index, request) for index in told]

    def receive(self, envelope: Envelope, data: bytes) -> Outgoing:
        """Take one message; returns what is to be sent, as (index, bytes), when it was the last one due.

        A message that is refused changes nothing: its sender counts as not having answered.

        Args:
            envelope: the message, parsed.
            data: its bytes, which an audited round forwards.

        Raises:
            MalformedMessageError: damaged, or no message of its kind.
            RemoteProtocolError: late, repeated, out of order, wrongly signed, or against a rule; names the sender.
            RoundAbortedError: the step is complete and the round cannot go on.
        """
        # Two threads that add to one sum lose a summand, and name it a survivor all the same.
        with self._alone:
            return self._receive(envelope, data)

    def _receive(self, envelope: Envelope, data: bytes) -> Outgoing:
        sender, name = envelope.sender, self._check_header(envelope)
        keys = self._verify_keys
        verify_key = keys[sender] if keys is not None and sender != HOLDER_INDEX else None
        check_seal(envelope, binding=self.binding, verify_key=verify_key, suspect=name)
        handler = {
            Kind.ENCRYPTED_INPUT: self._on_encrypted_input,
            Kind.DECRYPTED: self._on_decrypted,
            Kind.PARTIAL_DECRYPTION: self._on_partials,
        }[envelope.kind]
        if handler(sender, name, envelope.body, data):
            self._answered.add(sender)
            self._waiting.discard(sender)
        return [] if self._waiting else self.close_phase()

    def close_phase(self) -> Outgoing:
        """End the current step: who has not answered is left out; returns what is to be sent, as (index, bytes).

        Raises:
            BelowThresholdError: too few parties, or key holders, are left.
            RoundAbortedError: the sum may not be released.
            LocalProtocolError: no step is open.
        """
        with self._alone:
            return self._close()

    def _close(self) -> Outgoing:
        if self.state not in {ServerState.MASKED_INPUT, ServerState.UNMASK}:
            raise LocalProtocolError(f"no phase is open in state {self.state}", remedy="start a new round")
        step = Step(self.state.value)
        for party in sorted(self._waiting - {HOLDER_INDEX}):
            self.dropped.setdefault(party, step)
        try:
            outgoing = self._close_input() if step is Step.MASKED_INPUT else self._close_decrypt()
        except RoundAbortedError:
            self.abort()
            raise
        return outgoing

    def abort(self) -> None:
        """End the round without a sum and forget what it collected."""
        self.state = ServerState.ABORTED
        self._waiting = set()
        self._forget()

    @property
    def total(self) -> Words:
        """The sum of the survivors' vectors mod 2^b, once the round is done.

        Raises:
            LocalProtocolError: the round is not done.
        """
        if self.state is not ServerState.DONE or self._total is None:
            raise LocalProtocolError(
                f"there is no sum in state {self.state}",
                phase=self.state.value,
                remedy="deliver messages until the server is done",
            )
        return self._total

    # What each message must satisfy. A handler says whether its sender has now answered the step in full.

    def _on_encrypted_input(self, party: int, name: str, body: bytes, data: bytes) -> bool:
        message = self._decode(EncryptedInput, Kind.ENCRYPTED_INPUT, body, name)
        arriving = self._arriving.setdefault(party, Arriving(self.context, name))
        arriving.add(message.chunk, message.ciphertexts)
        if self.context.audited:
            self._signed.setdefault(party, []).append(data)
        if not arriving.complete:
            return False
        if not self.context.audited:
            whole = arriving.whole
            self._sum = whole if self._sum is None else Ciphertexts.total([self._sum, whole], threads=self._threads)
        del self._arriving[party]
        return True

    def _on_decrypted(self, _sender: int, name: str, body: bytes, _data: bytes) -> bool:
        message = self._decode(Decrypted, Kind.DECRYPTED, body, name)
        check_order(self.context, message.chunk, len(self._parts), name, step=Step.UNMASK)
        try:
            words = unpack(message.words, self.context.round.ring_bits, max(0, self.context.values_in(message.chunk)))
        except EncodingError as error:
            raise RemoteProtocolError(
                f"what {name} decrypted does not fit the plan: {error.message}", phase=Step.UNMASK, suspects=(name,)
            ) from error
        self._parts.append(words)
        return len(self._parts) == self.context.messages

    def _on_partials(self, party: int, name: str, body: bytes, _data: bytes) -> bool:
        message = self._decode(PartialDecryption, Kind.PARTIAL_DECRYPTION, body, name)
        received = self._opening.setdefault(party, [])
        check_order(self.context, message.chunk, len(received), name, step=Step.UNMASK)
        received.append(message.partials)
        return len(received) == self.context.messages

    # What closing each step leads to.

    def _close_input(self) -> Outgoing:
        answered = frozenset(self._answered)
        self._need(answered, self.context.round.min_survivors, Step.MASKED_INPUT)
        if self.context.holder is KeyModel.THRESHOLD:
            self._need(answered, self.context.round.threshold, Step.MASKED_INPUT)
        self._fix(Step.MASKED_INPUT, sorted(answered))
        if self._release is not None:
            self._release(answered, self.context.ctx)
        self.survivors = answered
        self._arriving = {}
        self.state = ServerState.UNMASK
        self._answered = set()
        if self._sum is not None:
            self._sum = self._encryptor.rerandomise(self._sum, threads=self._threads)
        if self.context.holder is KeyModel.THRESHOLD:
            return self._ask(sorted(answered))
        return self._ask([self._next_holder()])

    def _close_decrypt(self) -> Outgoing:
        if self.context.holder is KeyModel.THRESHOLD:
            self._total = self._combined()
        elif self._answered:
            self._total = np.concatenate(self._parts)
        elif self.context.holder is KeyModel.CLIENTS and self.survivors - self._asked:
            self._parts = []
            return self._ask([self._next_holder()])
        else:
            who = KEY_HOLDER if self.context.holder is KeyModel.SEPARATE else "none of the parties that hold the key"
            raise BelowThresholdError(
                f"{who} decrypted the sum" if who != KEY_HOLDER else "the key holder did not decrypt the sum",
                phase=Step.UNMASK,
                suspects=(KEY_HOLDER,) if who == KEY_HOLDER else (),
                remedy="see what it refused, and start a new round",
            )
        self.state = ServerState.DONE
        self._waiting = set()
        self._forget()
        return []

    def _combined(self) -> Words:
        """The sum from the first t parties whose partials all hold; whose do not is left out, by name."""
        combining = Combining(self.context, self._summed(), self._names, threads=self._threads)
        for party in sorted(self._answered):
            if combining.enough:
                break
            if (wrong := combining.take(party, self._opening[party])) is not None:
                self.refusals.append(wrong)
                self.dropped.setdefault(party, Step.UNMASK)
        return combining.words(vectors=len(self.survivors), dropped=self.dropped)

    def _summed(self) -> Ciphertexts:
        """The sum that share-holders decrypt: in an audited round they add the same ciphertexts themselves."""
        if self._sum is not None:
            return self._sum
        vectors = []
        for party in sorted(self.survivors):
            arriving = Arriving(self.context, self._names[party])
            for data in self._signed[party]:
                message = codec.decode(
                    EncryptedInput, codec.decode(Envelope, data, limit=len(data)).body, limit=len(data)
                )
                arriving.add(message.chunk, message.ciphertexts)
            vectors.append(arriving.whole)
        return Ciphertexts.total(vectors, threads=self._threads)

    def _next_holder(self) -> int:
        if self.context.holder is KeyModel.SEPARATE:
            return HOLDER_INDEX
        return min(self.survivors - self._asked)

    def _ask(self, holders: Sequence[int]) -> Outgoing:
        self._waiting = set(holders)
        self._asked |= set(holders)
        members = bitmap.pack(self.survivors, self.context.round.parties)
        if self.context.audited:
            forwarded = [data for party in sorted(self.survivors) for data in self._signed[party]]
            messages = [*forwarded, self._seal(Kind.DECRYPT, Decrypt(members, 0, b""))]
        else:
            total = self._summed()
            each = self.context.per_message
            messages = [
                self._seal(Kind.DECRYPT, Decrypt(members, chunk, total[chunk * each : (chunk + 1) * each].to_bytes()))
                for chunk in range(self.context.messages)
            ]
        return [(holder, message) for holder in holders for message in messages]

    def _check_header(self, envelope: Envelope) -> str:
        name = name_of(envelope.sender, self._names)
        check_round(self.context.round, envelope, name)
        step = STEP_OF.get(envelope.kind, "")
        if envelope.kind is not collected(self.state, self.context.holder):
            raise RemoteProtocolError(
                f"{name} sent {envelope.kind.name.lower()} in state {self.state}: it is late, early or not its to send",
                phase=step,
                suspects=(name,),
                remedy="ignore it; a late message is never used",
            )
        if envelope.sender not in self._waiting:
            reason = "again" if envelope.sender in self._answered else "after it was left out, or unasked"
            raise RemoteProtocolError(
                f"{name} sent {envelope.kind.name.lower()} {reason}",
                phase=step,
                suspects=(name,),
                remedy="ignore it; the first message counts",
            )
        return name

    def _need(self, present: frozenset[int], needed: int, step: Step) -> None:
        if len(present) >= needed:
            return
        missing = [self._names[party] for party in sorted(self.dropped)]
        raise BelowThresholdError(
            f"{len(present)} parties completed {step}, {needed} are needed; missing since: {', '.join(missing) or 'nobody'}",
            phase=step,
            remedy="start a new round when more parties are there, or agree on a plan with a lower floor",
        )

    def _fix(self, step: Step, parties: Iterable[int]) -> None:
        """Commit to the survivors before anybody is told: a holder that is told otherwise after a rollback would open two sums."""
        if self._agree is None:
            return
        try:
            self._agree(step, digest("closed", step.value, self.context.ctx, b"".join(map(u32, parties))))
        except SecretMisuseError as error:
            raise RoundAbortedError(error.message, phase=step, suspects=(SERVER,), remedy=error.remedy) from error

    def _seal(self, kind: Kind, message: Message) -> bytes:
        return seal(
            kind,
            message,
            session=self.context.round.session,
            round_number=self.context.round.round,
            sender=SERVER_INDEX,
            binding=self.context.ctx,
        )

    def _decode(self, struct: type[MessageT], kind: Kind, body: bytes, name: str) -> MessageT:
        limit = body_limit(kind, self.context.round.parties)
        return codec.decode(struct, body, limit=limit, phase=STEP_OF[kind], suspect=name)

    def _forget(self) -> None:
        self._arriving, self._signed, self._opening, self._parts, self._sum = {}, {}, {}, [], None
