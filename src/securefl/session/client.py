"""SecAggClient: a party in a session, over any transport. Bytes in, bytes out."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from securefl.crypto.digest import equal, sha256
from securefl.crypto.random import OS, RandomSource
from securefl.crypto.signing import SigningKey
from securefl.dp.ledger import PrivacyBudgetError, PrivacyLedger
from securefl.errors import (
    LocalProtocolError,
    PolicyRefusedError,
    RemoteProtocolError,
    SecureFLError,
)
from securefl.plan import Plan, Roster
from securefl.policy import ClientPolicy
from securefl.records.receipt import Answered
from securefl.records.receipt_book import ReceiptBook
from securefl.records.used_file import UsedFile
from securefl.secagg.client import ClientRound
from securefl.secagg.context import pre_context
from securefl.secagg.states import ClientState
from securefl.session.diary import Diary
from securefl.session.invitation import plan_in
from securefl.session.masking import masked
from securefl.session.participant import Participant
from securefl.session.snapshot import (
    Lock,
    SavedClient,
    SavedRound,
    check_not_left,
    check_roster,
    mark,
    needed,
    seal,
    unseal,
)
from securefl.types import SERVER, RoundContext, Step
from securefl.wire.envelope import Envelope, check_seal, parse
from securefl.wire.messages import MAX_ROUNDS, Kind

_REFUSALS_REMEMBERED: Final = 4096
_SESSIONS_REMEMBERED: Final = 256
"""Sessions whose last round is remembered, so that an invitation is not taken twice; keys are fresh in any case."""


class SecAggClient(Participant):
    """One party of a secure-aggregation session; it serves one round after the other.

    Feed it what the server sends and send what it returns:

        client = SecAggClient(party="hospital-3", roster=roster, policy=policy, identity=key)
        client.submit(update, weight=120)
        for data in client.receive(message):
            send(data)

    Args:
        party: this party's name on the roster.
        roster: from this party's own disk.
        policy: this party's floors; without them it takes part in nothing.
        identity: its signing key; needed under an active server.
        used: the record of what left this party, outside snapshots; needed to `save`. With it a message that the server repeats is
            answered with the same bytes again, which are kept until the next.
        receipts: where this party keeps its signed account of each round; None keeps none.
        ledger: where this party enters what its vectors cost, before they leave; needed under a private plan. With a used-file, its
            head is noted there: one that was cut off or written anew is refused.
        owner: whose data it is about, for the budget, the same whatever this party is called on a roster; the party's name unless
            given.
        random: the source of keys, masks, rounding and noise.

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
        used: UsedFile | None = None,
        receipts: ReceiptBook | None = None,
        ledger: PrivacyLedger | None = None,
        owner: str | None = None,
        random: RandomSource = OS,
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
        self._round: ClientRound | None = None
        self._next: ClientRound | None = None
        self._receipts = receipts
        self._refused: set[tuple[bytes, str]] = set()
        self._diary = self._new_diary()
        self._asked = b""
        self._answers: list[bytes] = []

    @property
    def state(self) -> ClientState:
        """Where this party stands in its round."""
        return self._round.state if self._round else ClientState.START

    @property
    def has_keys_ahead(self) -> bool:
        """Whether keys for the next round were sent ahead, and wait for it."""
        return self._next is not None

    @property
    def rounds_joined(self) -> int:
        """Rounds that this party sent keys for: since it was made, or since its used-file was."""
        return self._joined if self._used is None else self._used.rounds()

    @property
    def _awaiting(self) -> ClientRound | None:
        return self._round if self.state in {ClientState.ADVERTISED, ClientState.SHARED} else None

    def receive(self, data: bytes) -> list[bytes]:
        """Take one message of the server; returns what is to be sent to it, in order.

        Raises:
            MalformedMessageError: no message, or a damaged one; nothing has changed.
            PolicyRefusedError: this party's policy forbids the plan; nothing was sent.
            RemoteProtocolError: against the protocol; see `ClientRound.receive`.
            RoundAbortedError: the round cannot go on for this party.
            LocalProtocolError: the update is due and was not submitted; submit it and hand in the same message again.
        """
        return list(self.stream(data))

    def stream(self, data: bytes) -> Iterator[bytes]:
        """As `receive`, but the messages of a masked vector are made one by one while they are taken: it never exists as a whole.

        Take them all: who stops in between has left the round. With a used-file they are made at once, to be kept.
        """
        if self._used is None:
            return self._noted(data)
        # A server that lost the answer may ask again, and gets the same bytes; to any other question there is no second answer.
        if not (self._asked and equal(sha256(data), self._asked)):
            try:
                answers = list(self._noted(data))
            finally:
                if self.state is ClientState.ABORTED:
                    self._asked, self._answers = b"", []
            self._asked, self._answers = sha256(data), answers
        return iter(self._answers)

    def _noted(self, data: bytes) -> Iterator[bytes]:
        try:
            answers = self._answer(data)
            current = self._round
            if current is None:
                return answers
            noted = self._diary.note(current, answers)
            if current.state is ClientState.DONE:
                noted = iter(list(noted))
                self._diary.close(current)
        except SecureFLError as error:
            self._note_end(error)
            raise
        return self._to_the_end(noted)

    def _to_the_end(self, messages: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from messages
        except SecureFLError as error:  # while the vector was encoded or masked
            self._note_end(error)
            raise

    def _note_end(self, error: SecureFLError) -> None:
        if self._round is not None and self._round.state is ClientState.ABORTED:
            self._diary.close(self._round, error)

    def _answer(self, data: bytes) -> Iterator[bytes]:
        envelope = parse(data, parties=len(self._roster))
        if envelope.kind is Kind.INVITE:
            return iter(self._on_invite(envelope))
        if envelope.kind is Kind.ROSTER and self._next is not None and _is_for(self._next, envelope):
            # Bytes damaged on the way begin no round.
            check_seal(envelope, binding=pre_context(self._next.context), verify_key=None, suspect=SERVER)
            self._enter_prefetched(self._next)
        if self._round is None:
            raise RemoteProtocolError(
                f"{envelope.kind.name.lower()} came before any invitation", suspects=(SERVER,), remedy="ignore it"
            )
        if envelope.kind is Kind.CIPHERTEXTS and self._submission is None and self.state is ClientState.SHARED:
            raise LocalProtocolError(
                "the update is due now",
                phase=Step.MASKED_INPUT,
                remedy="call submit(update), then hand in this message again",
            )
        answers = self._round.receive(envelope)
        return self._mask(self._round) if self._round.state is ClientState.READY else iter(answers)

    def _on_invite(self, envelope: Envelope) -> list[bytes]:
        plan = plan_in(envelope, self._roster)
        context = plan.for_round(envelope.session, envelope.round, roster=self._roster)
        if envelope.round <= self._latest.get(envelope.session, -1):
            raise RemoteProtocolError(
                f"round {envelope.round} of this session was joined before",
                phase="invite",
                suspects=(SERVER,),
                remedy="ignore it",
            )
        following = self._new_round(context)
        try:
            self._account.check_policy(plan, context, pre_context(context), self.rounds_joined)
        except PolicyRefusedError as refusal:
            self._note_refusal(following, refusal)
            raise
        self._account.require_budget(plan, context, pre_context(context))
        self._enter(following)
        self._plan = plan
        return [following.advertise()]

    def _new_round(self, context: RoundContext) -> ClientRound:
        return ClientRound(
            context,
            self._index,
            names=self._roster.names,
            identity=self._identity,
            verify_keys=self._roster.verify_keys,
            admit=self._admit,
            next_keys=self._prefetch,
            spend=self._spender(context),
            random=self._random,
        )

    def _spender(self, context: RoundContext) -> Callable[[Step, bytes], None] | None:
        return None if self._used is None else functools.partial(self._used.spend, context.session, context.round)

    def _enter(self, following: ClientRound) -> None:
        """Leave the round that was, and be in this one from here on."""
        self._leave_round()
        if self._submission is not None:
            # It belongs to this round from here on: should the round die, a retry trains again.
            self._submission = dataclasses.replace(self._submission, meant_for=following)
        context = following.context
        self._latest[context.session] = context.round
        if len(self._latest) > _SESSIONS_REMEMBERED:
            del self._latest[next(iter(self._latest))]
        self._joined += 1
        self.saturated = 0
        if self._next is not None and self._next is not following:
            self._next.abort()
        self._round, self._next = following, None
        self._diary = self._new_diary()

    def _new_diary(self, noted: Iterable[Answered] = ()) -> Diary:
        return Diary(
            self._receipts,
            party=self.party,
            names=self._roster.names,
            policy=self._account.policy.digest(),
            noted=noted,
        )

    def _prefetch(self) -> bytes:
        """The keys of the round that follows, made while this one ends; none where the policy would not join it."""
        current, plan = self._round, self._plan
        if current is None or plan is None or current.context.round + 1 >= MAX_ROUNDS:
            return b""
        context = plan.for_round(current.context.session, current.context.round + 1, roster=self._roster)
        try:
            self._account.check_policy(plan, context, pre_context(context), self.rounds_joined)
            self._account.require_budget(plan, context, pre_context(context))
        except (PolicyRefusedError, PrivacyBudgetError):
            return b""
        self._next = self._new_round(context)
        return self._next.advertise()

    def _enter_prefetched(self, following: ClientRound) -> None:
        """Join the round whose keys this party sent ahead; its policy is asked again, for days may have passed."""
        plan = self._plan
        if plan is None:
            raise LocalProtocolError("keys were sent ahead without a plan", remedy="start a new client")
        counted = self._used is not None  # when its keys were sent
        context, binding = following.context, pre_context(following.context)
        try:
            self._account.check_policy(plan, context, binding, self.rounds_joined - counted)
        except PolicyRefusedError as refusal:
            self._note_refusal(following, refusal)
            raise
        self._account.require_budget(plan, context, binding)
        self._enter(following)

    def _note_refusal(self, following: ClientRound, refusal: PolicyRefusedError) -> None:
        """A receipt for a refusal; one for each plan and floor, lest whoever can invite fills this party's disk."""
        reason = (following.context.plan_digest, refusal.floor)
        if reason not in self._refused:
            self._new_diary().close(following, refusal)
            self._refused.add(reason)
            if len(self._refused) > _REFUSALS_REMEMBERED:
                self._refused.clear()

    def _admit(self, _context: RoundContext, attending: int) -> None:
        self._account.policy.check_attendance(attending)

    def _mask(self, current: ClientRound) -> Iterator[bytes]:
        submission, plan = self._submission, self._plan
        self._submission = None
        try:
            if submission is None or plan is None:
                raise LocalProtocolError("there is nothing to mask", remedy="call submit(update) before")
            submission.check_model(plan, current.model_digest)
            self._account.charge(plan, current.context, current.binding)
            return masked(plan, current, submission, saturated=self._note_saturated, random=self._random)
        except BaseException:
            current.abort()
            raise

    def _note_saturated(self, count: int) -> None:
        self.saturated = count

    def close(self) -> None:
        """Leave the session: a round that is open is left, with a receipt, and every secret of it is forgotten."""
        try:
            self._leave_round()
        finally:
            if self._next is not None:
                self._next.abort()
            self._round = self._next = self._submission = None
            self._asked, self._answers = b"", []

    def save(self, password: Lock) -> bytes:
        """Where this party stands, sealed, between any two messages. The update is not in it: submit it again.

        Args:
            password: or a `Secret` of 32 random bytes, which is the key itself.

        Raises:
            LocalProtocolError: this party has no used-file.
        """
        used = needed(self._used)
        saved = SavedClient(
            version=1,
            used=mark(used),
            party=self.party,
            roster_digest=self._roster.digest(),
            plan=self._plan.to_bytes() if self._plan is not None else b"",
            latest=list(self._latest.items()),
            current=_saved(self._round),
            following=_saved(self._next),
            asked=self._asked,
            answers=self._answers,
            noted=self._diary.noted,
        )
        return seal(saved, password, self._random)

    @classmethod
    def restore(
        cls,
        snapshot: bytes,
        password: Lock,
        *,
        roster: Roster,
        policy: ClientPolicy,
        used: UsedFile,
        identity: SigningKey | None = None,
        receipts: ReceiptBook | None = None,
        ledger: PrivacyLedger | None = None,
        owner: str | None = None,
        random: RandomSource = OS,
    ) -> SecAggClient:
        """The party as it was when `save` was called; what it sent since, it will not send again.

        The update is submitted again: it goes to the round that was open, unless that has passed its masking.

        Args:
            snapshot: what `save` returned.
            password: its password.
            roster: as for a new client.
            policy: as for a new client; it is asked again.
            used: the used-file that the party had, opened with `UsedFile.open`.
            identity: as for a new client.
            receipts: as for a new client.
            ledger: as for a new client.
            owner: as for a new client.
            random: as for a new client.

        Raises:
            CryptoError: a wrong password, or no party's snapshot.
            SecretMisuseError: another used-file, one that was rolled back, or a snapshot of a round that this party has left since.
            ConfigError: another roster.
            PolicyRefusedError: the policy no longer allows the plan.
        """
        saved = unseal(SavedClient, snapshot, password, used)
        check_roster(saved, roster.digest())
        client = cls(
            saved.party,
            roster=roster,
            policy=policy,
            identity=identity,
            used=used,
            receipts=receipts,
            ledger=ledger,
            owner=owner,
            random=random,
        )
        client._diary = client._new_diary(saved.noted)
        client._latest = dict(saved.latest)
        client._asked, client._answers = saved.asked, saved.answers
        if saved.plan:
            client._plan = Plan.from_bytes(saved.plan)
            policy.check(client._plan, roster, has_ledger=ledger is not None)
        check_not_left(saved, used)
        client._round, client._next = client._resumed(saved.current), client._resumed(saved.following)
        if client.state in {ClientState.DONE, ClientState.ABORTED}:
            client._diary.written()
        return client

    def _resumed(self, saved: SavedRound | None) -> ClientRound | None:
        if saved is None or self._plan is None:
            return None
        current = self._new_round(self._plan.for_round(saved.session, saved.number, roster=self._roster))
        current.resume(saved.saved)
        return current

    def _leave_round(self) -> None:
        if self._round is None:
            return
        if self._submission is not None and self._submission.meant_for is self._round:
            self._submission = None
        if self._round.state is not ClientState.DONE:
            try:
                self._diary.close(self._round)
            finally:
                self._round.abort()


def _is_for(current: ClientRound, envelope: Envelope) -> bool:
    return (envelope.session, envelope.round) == (current.context.session, current.context.round)


def _saved(current: ClientRound | None) -> SavedRound | None:
    return SavedRound(current.context.session, current.context.round, current.save()) if current is not None else None
