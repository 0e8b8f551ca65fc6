"""The server's side of one round: it collects, forwards, sums and removes masks, and names whoever breaks the protocol.

It keeps no clock. A phase ends when everybody due has answered, or when its owner calls `close_phase`; who has not answered by then
is left out for the rest of the round.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from securefl.crypto.digest import digest, u32
from securefl.crypto.random import OS, RandomSource
from securefl.crypto.signing import verify
from securefl.encoding.ring import Ring
from securefl.errors import (
    BelowThresholdError,
    CryptoError,
    LocalProtocolError,
    RemoteProtocolError,
    RoundAbortedError,
    SecretMisuseError,
    SecureFLError,
)
from securefl.secagg.advertise import check_entry, entry_of
from securefl.secagg.collected import Collected, SavedCollected
from securefl.secagg.consistency import survivors_data
from securefl.secagg.context import bind, pre_context
from securefl.secagg.dealing import Dealt, labels_of
from securefl.secagg.graph import draw
from securefl.secagg.incoming import check_party_header
from securefl.secagg.kept import SecretMessage
from securefl.secagg.key_list import fit, publish
from securefl.secagg.masked_input import Arriving
from securefl.secagg.share_keys import check_shares
from securefl.secagg.states import SERVER as NEXT
from securefl.secagg.states import SERVER_COLLECTS, STEP_OF, ServerState
from securefl.secagg.unmask import check_answer, remove_masks
from securefl.types import SERVER, Graph, RoundContext, Step, Words
from securefl.wire import bitmap, codec
from securefl.wire.envelope import SERVER_INDEX, Envelope, body_limit, check_seal, seal
from securefl.wire.messages import (
    Advertise,
    Ciphertexts,
    Consistency,
    Kind,
    MaskedInput,
    Message,
    SealedShares,
    Shares,
    Survivors,
    SurvivorSignature,
    Unmask,
    UnmaskShares,
)

MessageT = TypeVar("MessageT", bound=Message)
Outgoing = list[tuple[int, bytes]]


@dataclasses.dataclass(frozen=True, slots=True)
class RingSum:
    """What the server ends up with.

    Args:
        total: sum of the survivors' vectors mod 2^b.
        survivors: indices of the parties in it (U3).
        dropped: for every other party the step that it did not complete; also for survivors who left after their vector counted.
        seeds: of each survivor the seeds that were opened, by number: their noise is still in the sum, and comes off. Empty where none
            were dealt, or as many parties are missing as there may be.
        refusals: what was refused without ending the round, beside what `receive` raised.
    """

    total: Words
    survivors: frozenset[int]
    dropped: dict[int, Step]
    seeds: Mapping[int, Mapping[int, bytes]] = dataclasses.field(default_factory=dict, repr=False)
    refusals: tuple[SecureFLError, ...] = ()


class SavedServerRound(SecretMessage, frozen=True):
    """A `ServerRound` in bytes."""

    state: str
    threshold: int
    collected: SavedCollected


class ServerRound:
    """The server in one round.

    Args:
        context: the round, with its model digest.
        names: party names by index.
        verify_keys: identity keys by index, under an active server.
        random: the source of the order in which parties stand on the k-regular graph.
        release: called with the survivors and ctx before parties are asked to open the sum; raises where it may not be opened.
        agree: called with a step and the digest of what closing it fixed, before anybody is told; raises where a server that was
            rolled back had fixed something else.
    """

    def __init__(
        self,
        context: RoundContext,
        *,
        names: Sequence[str],
        verify_keys: Sequence[bytes] | None = None,
        release: Callable[[frozenset[int], bytes], None] | None = None,
        agree: Callable[[Step, bytes], None] | None = None,
        random: RandomSource = OS,
    ) -> None:
        if context.active and verify_keys is None:
            raise LocalProtocolError(
                "an active plan needs a roster with identity keys", remedy="pass a roster made with `securefl roster`"
            )
        self.context = context
        self.state = ServerState.START
        self._names = tuple(names)
        self._verify_keys = verify_keys if context.active else None
        self._random = random
        self._agree = agree
        self._release = release
        self._ctx0 = pre_context(context)
        self._ctx = b""
        self._got = Collected(Ring(context.ring_bits).zeros(context.length))

    @property
    def dropped(self) -> Mapping[int, Step]:
        """The step that each party that left did not complete."""
        return self._got.dropped

    @property
    def prefetched(self) -> Mapping[int, bytes]:
        """Advertise messages of the round that follows, by party; nobody has checked them yet."""
        return self._got.prefetched

    @property
    def waiting_for(self) -> frozenset[int]:
        """The parties whose message the current phase still waits for."""
        return frozenset(self._got.waiting)

    @property
    def binding(self) -> bytes:
        """What messages are sealed under: ctx0 until the key list is fixed, ctx afterwards. No secret."""
        return self._ctx or self._ctx0

    def start(self) -> None:
        """Begin to collect keys from everybody on the roster."""
        if self.state is not ServerState.START:
            raise LocalProtocolError("the round has begun", remedy="start a new round")
        self.state = NEXT[self.context.server][self.state]
        self._got.waiting = set(range(self.context.parties))

    def receive(self, envelope: Envelope) -> Outgoing:
        """Take one message of a party; returns what is to be sent, as (index, bytes), when it was the last one due.

        A message that is refused changes nothing: its sender counts as not having answered.

        Raises:
            MalformedMessageError: damaged, or no message of its kind.
            RemoteProtocolError: late, repeated, out of order, wrongly signed, or against a rule; names the party.
            RoundAbortedError: the phase is complete and the round cannot go on.
        """
        party = check_party_header(
            self.context,
            envelope,
            state=self.state,
            waiting=self._got.waiting,
            answered=self._got.answered,
            names=self._names,
        )
        name = self._names[party]
        verify_key = self._verify_keys[party] if self._verify_keys is not None else None
        check_seal(envelope, binding=self.binding, verify_key=verify_key, suspect=name)
        handler = {
            Kind.ADVERTISE: self._on_advertise,
            Kind.SHARES: self._on_shares,
            Kind.MASKED_INPUT: self._on_masked_input,
            Kind.CONSISTENCY: self._on_consistency,
            Kind.UNMASK_SHARES: self._on_unmask_shares,
        }[envelope.kind]
        if handler(party, name, envelope.body):
            self._got.answered.add(party)
            self._got.waiting.discard(party)
        return [] if self._got.waiting else self.close_phase()

    def close_phase(self) -> Outgoing:
        """End the current phase: who has not answered is left out; returns what is to be sent, as (index, bytes).

        Raises:
            BelowThresholdError: too few parties are left.
            RoundAbortedError: parties disagree, or a dealer's shares cannot be used.
            LocalProtocolError: no phase is open.
        """
        if self.state not in SERVER_COLLECTS:
            raise LocalProtocolError(f"no phase is open in state {self.state}", remedy="start a new round")
        step = Step(self.state.value)
        for party in sorted(self._got.waiting):
            self._got.dropped.setdefault(party, step)
        close = {
            ServerState.ADVERTISE: self._close_advertise,
            ServerState.SHARE_KEYS: self._close_share_keys,
            ServerState.MASKED_INPUT: self._close_masked_input,
            ServerState.CONSISTENCY: self._close_consistency,
            ServerState.UNMASK: self._close_unmask,
        }[self.state]
        answered = frozenset(self._got.answered)
        try:
            outgoing = close(answered, step)
        except RoundAbortedError:
            self.abort()
            raise
        self.state = NEXT[self.context.server][self.state]
        self._got.waiting = {party for party, _ in outgoing}
        self._got.answered = set()
        return outgoing

    def abort(self) -> None:
        """End the round without a sum and forget what it collected."""
        self.state = ServerState.ABORTED
        self._got.forget()

    def result(self) -> RingSum:
        """The sum, once the round is done.

        Raises:
            LocalProtocolError: the round is not done.
        """
        if self.state is not ServerState.DONE:
            raise LocalProtocolError(
                f"there is no sum in state {self.state}",
                phase=self.state.value,
                remedy="deliver messages until the server is done",
            )
        return RingSum(self._got.total, self._got.survivors, dict(self._got.dropped), dict(self._got.seeds))

    # What each message must satisfy. A handler says whether its party has now answered the phase in full.

    def _on_advertise(self, party: int, name: str, body: bytes) -> bool:
        entry = entry_of(party, self._decode(Advertise, Kind.ADVERTISE, body, name))
        verify_key = self._verify_keys[party] if self._verify_keys is not None else None
        check_entry(self._ctx0, entry, verify_key=verify_key, name=name)
        published = {entry.mask_key, entry.share_key}
        if copied := [self._got.published[key] for key in published if key in self._got.published]:
            raise RemoteProtocolError(
                f"{name} advertised a key that {self._names[copied[0]]} advertised before: one of them copied the other's",
                phase=Step.ADVERTISE,
                suspects=(name, self._names[copied[0]]),
                remedy="go on without it, and ask both; whoever listens to a party can be quicker than it",
            )
        self._got.published.update(dict.fromkeys(published, party))
        self._got.entries[party] = entry
        return True

    def _on_shares(self, party: int, name: str, body: bytes) -> bool:
        message = self._decode(Shares, Kind.SHARES, body, name)
        neighbours, noise = self._got.graph.of(party), self.context.noise_labels
        check_shares(message, party=party, name=name, neighbours=neighbours, noise_labels=noise)
        self._got.messages[party] = message
        return True

    def _on_masked_input(self, party: int, name: str, body: bytes) -> bool:
        message = self._decode(MaskedInput, Kind.MASKED_INPUT, body, name)
        arriving = self._got.arriving.get(party)
        if arriving is None:
            arriving = Arriving(self.context, name, self._got.graph.of(party) & self._got.dealt.keys())
        arriving.add(message)
        self._got.arriving[party] = arriving
        if not arriving.complete:
            return False
        # Modulo the word; modulo 2^b once at the end, when the masks come off.
        np.add(self._got.total, arriving.vector, out=self._got.total)
        self._got.reported[party] = arriving.neighbours
        del self._got.arriving[party]
        return True

    def _on_consistency(self, party: int, name: str, body: bytes) -> bool:
        message = self._decode(Consistency, Kind.CONSISTENCY, body, name)
        keys = self._verify_keys
        try:
            verify(keys[party] if keys else b"", message.signature, survivors_data(self._ctx, self._got.survivors))
        except CryptoError as error:
            raise RemoteProtocolError(
                f"the signature of {name} is not of the survivor set",
                phase=Step.CONSISTENCY,
                suspects=(name,),
                remedy="go on without it",
            ) from error
        self._got.signatures[party] = message.signature
        return True

    def _on_unmask_shares(self, party: int, name: str, body: bytes) -> bool:
        message = self._decode(UnmaskShares, Kind.UNMASK_SHARES, body, name)
        if message.next_keys and not self.context.prefetch:
            raise RemoteProtocolError(
                f"{name} sent keys ahead under a plan without prefetch",
                phase=Step.UNMASK,
                suspects=(name,),
                remedy="go on without its shares",
            )
        self._got.answers[party] = check_answer(
            self.context,
            self._ctx,
            party,
            message,
            neighbours=self._got.reported[party],
            survivors=self._got.survivors,
            dealt=self._got.dealt,
            name=name,
        )
        if message.next_keys:
            self._got.prefetched[party] = message.next_keys
        return True

    # What closing each phase leads to.

    def _close_advertise(self, answered: frozenset[int], step: Step) -> Outgoing:
        self._need(answered, self.context.quorum, step)
        try:
            self.context = fit(self.context, len(answered))
        except RemoteProtocolError as error:
            raise RoundAbortedError(error.reason, phase=step, remedy=error.remedy) from error
        self._got.graph = draw(self.context, answered, self._random)
        self._got.root, part = publish(self.context, self._got.entries, self._got.graph)
        self._ctx = bind(self.context, self._got.root)
        self._fix(step, self._got.graph.order)
        if self.context.graph is Graph.COMPLETE:
            return self._send_all(answered, Kind.ROSTER, part(min(answered)), self._ctx0)
        return self._send(answered, Kind.ROSTER, part, self._ctx0)

    def _close_share_keys(self, answered: frozenset[int], step: Step) -> Outgoing:
        self._need(answered, self.context.quorum, step)
        self._fix(step, sorted(answered))
        labels = labels_of(self.context.noise_labels)
        self._got.dealt = {party: Dealt.of(self._got.messages[party], labels) for party in answered}
        inbox: dict[int, list[SealedShares]] = {party: [] for party in answered}
        for source in sorted(answered):
            for item in self._got.messages[source].sealed:
                if item.party in inbox:
                    inbox[item.party].append(SealedShares(source, item.ciphertext, item.share_digests))
        self._got.messages.clear()
        return self._send(answered, Kind.CIPHERTEXTS, lambda party: Ciphertexts(inbox[party]), self._ctx)

    def _close_masked_input(self, answered: frozenset[int], step: Step) -> Outgoing:
        self._got.arriving.clear()
        self._need(answered, self.context.quorum, step)
        self._need(answered, self.context.noise_floor, step)
        self._got.survivors = answered
        self._fix(step, sorted(answered))
        if self._release is not None:
            self._release(answered, self._ctx)
        members = bitmap.pack(answered, self.context.parties)
        if self.context.active:
            return self._send_all(answered, Kind.SURVIVORS, Survivors(members), self._ctx)
        return self._send_all(answered, Kind.UNMASK, Unmask(members, []), self._ctx)

    def _close_consistency(self, answered: frozenset[int], step: Step) -> Outgoing:
        # t signatures convince the parties, but the secrets of those who answer are held by the others: t + 1 are needed to open.
        self._need(answered, self.context.threshold + 1, step)
        members = bitmap.pack(self._got.survivors, self.context.parties)
        signatures = [SurvivorSignature(party, self._got.signatures[party]) for party in sorted(answered)]
        return self._send_all(answered, Kind.UNMASK, Unmask(members, signatures), self._ctx)

    def _close_unmask(self, answered: frozenset[int], step: Step) -> Outgoing:
        self._need(answered, self.context.threshold + 1, step)
        seeds = remove_masks(
            self.context,
            self._ctx,
            self._got.total,
            reported=self._got.reported,
            entries=self._got.entries,
            dealt=self._got.dealt,
            answers=self._got.answers,
            names=self._names,
        )
        total, survivors = self._got.total, self._got.survivors
        self._got.forget()
        self._got.total, self._got.survivors, self._got.seeds = total, survivors, seeds
        return []

    def _fix(self, step: Step, parties: Iterable[int]) -> None:
        """Commit to what a step was closed with, before anybody is told: told otherwise after a rollback, parties would open too much."""
        if self._agree is None:
            return
        try:
            self._agree(step, digest("closed", step.value, self._ctx, b"".join(map(u32, parties))))
        except SecretMisuseError as error:
            raise RoundAbortedError(error.message, phase=step, suspects=(SERVER,), remedy=error.remedy) from error

    def save(self) -> SavedServerRound:
        """Where the server stands: for an encrypted snapshot."""
        return SavedServerRound(self.state.value, self.context.threshold, self._got.save(self.context))

    def resume(self, saved: SavedServerRound) -> None:
        """Stand where `save` was called; on a new object of the same session, round and model.

        Raises:
            LocalProtocolError: this round has begun.
        """
        if self.state is not ServerState.START:
            raise LocalProtocolError("the round has begun", remedy="resume on a new object")
        self.context = dataclasses.replace(self.context, threshold=saved.threshold)
        self._got = Collected.restore(saved.collected, self.context)
        self._ctx = bind(self.context, saved.collected.root) if saved.collected.root else b""
        self.state = ServerState(saved.state)

    def _need(self, present: frozenset[int], needed: int, step: Step) -> None:
        if len(present) >= needed:
            return
        missing = [self._names[party] for party in sorted(self._got.dropped)]
        raise BelowThresholdError(
            f"{len(present)} parties completed {step}, {needed} are needed; missing since: {', '.join(missing) or 'nobody'}",
            phase=step,
            remedy="start a new round when more parties are there, or agree on a plan with a lower threshold",
        )

    def _send(self, to: frozenset[int], kind: Kind, message: Callable[[int], Message], binding: bytes) -> Outgoing:
        return [(party, self._seal(kind, message(party), binding)) for party in sorted(to)]

    def _send_all(self, to: frozenset[int], kind: Kind, message: Message, binding: bytes) -> Outgoing:
        data = self._seal(kind, message, binding)
        return [(party, data) for party in sorted(to)]

    def _seal(self, kind: Kind, message: Message, binding: bytes) -> bytes:
        return seal(
            kind,
            message,
            session=self.context.session,
            round_number=self.context.round,
            sender=SERVER_INDEX,
            binding=binding,
        )

    def _decode(self, struct: type[MessageT], kind: Kind, body: bytes, name: str) -> MessageT:
        degree = self.context.degree(self.context.parties)
        limit = body_limit(kind, self.context.parties, degree, self.context.noise_labels)
        return codec.decode(struct, body, limit=limit, phase=STEP_OF[kind], suspect=name)
