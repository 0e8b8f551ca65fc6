"""A party's side of one round: it walks the state table, and each step's own module does the work."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from securefl.crypto.digest import digest
from securefl.crypto.random import OS, RandomSource
from securefl.crypto.secret import Redacted, Secret
from securefl.crypto.signing import SigningKey
from securefl.errors import LocalProtocolError
from securefl.secagg.advertise import advertise
from securefl.secagg.consistency import accept_survivors, sign_survivors
from securefl.secagg.context import pre_context
from securefl.secagg.incoming import check_server_header
from securefl.secagg.kept import Kept, SavedKept, SecretMessage
from securefl.secagg.key_list import accept_roster
from securefl.secagg.masked_input import accept_ciphertexts, check_vector, chunks, mask_vector
from securefl.secagg.share_keys import share_secrets
from securefl.secagg.states import STEP_OF, ClientState, client_receives, client_sends
from securefl.secagg.unmask import accept_unmask, answer
from securefl.types import SERVER, RoundContext, Step, Words
from securefl.wire import bitmap, codec
from securefl.wire.envelope import Envelope, body_limit, check_seal, seal
from securefl.wire.messages import (
    Bytes32,
    Ciphertexts,
    Consistency,
    Kind,
    MaskedInput,
    Message,
    Roster,
    Survivors,
    Unmask,
)

MessageT = TypeVar("MessageT", bound=Message)
T = TypeVar("T")


def _there(value: T | None) -> T:
    """A value that the state table guarantees to be there."""
    if value is None:
        raise LocalProtocolError("the round is over for this party", remedy="start a new round")
    return value


class SavedClientRound(SecretMessage, frozen=True):
    """A `ClientRound` in bytes."""

    state: str
    model_digest: Bytes32
    own_key: bytes
    kept: SavedKept


class ClientRound(Redacted):
    """One party in one round.

    Args:
        context: the round as this party knows it; its model digest is learned from the key list.
        party: this party's index on the roster.
        names: party names by index.
        identity: this party's signing key; needed under an active server.
        verify_keys: everybody's identity keys by index, from this party's own disk; needed under an active server.
        admit: called with the round and the number of parties that advertised, before anything is dealt; raises to leave.
        next_keys: gives the Advertise message of the round that follows, under a plan with prefetch; empty for none.
        spend: called with a step and the digest of this party's key before anything of that step leaves; raises where a party that
            was rolled back would take the step a second time.
        random: the source of keys, seeds and nonces.

    Raises:
        LocalProtocolError: no identity or no identity keys under an active server.
    """

    def __init__(
        self,
        context: RoundContext,
        party: int,
        *,
        names: Sequence[str],
        identity: SigningKey | None = None,
        verify_keys: Sequence[bytes] | None = None,
        admit: Callable[[RoundContext, int], None] | None = None,
        next_keys: Callable[[], bytes] | None = None,
        spend: Callable[[Step, bytes], None] | None = None,
        random: RandomSource = OS,
    ) -> None:
        if context.active and (identity is None or verify_keys is None):
            raise LocalProtocolError(
                "an active server needs signed identities, this party has no key or no roster of keys",
                remedy="make a key with `securefl keygen` and a roster with `securefl roster`",
            )
        self.context = context
        self.state = ClientState.START
        self._party = party
        self._names = tuple(names)
        self._identity = identity if context.active else None
        self._verify_keys = verify_keys if context.active else None
        self._admit = admit
        self._next_keys = next_keys if context.prefetch else None
        self._random = random
        self._busy = threading.Lock()
        self._ctx0 = pre_context(context)
        self._spend = spend
        self._own_key = b""
        self._sending = False
        self._kept = Kept()

    @property
    def attending(self) -> int:
        """How many parties advertised keys; 0 before the key list is accepted."""
        return self._kept.keys.attending if self._kept.keys else 0

    @property
    def neighbours(self) -> frozenset[int]:
        """A_u, the parties whose shares this one holds or held; empty before they arrived."""
        return self._kept.holder.neighbours if self._kept.holder else frozenset()

    @property
    def survivors(self) -> frozenset[int]:
        """U3 as this party was told; empty before."""
        return self._kept.told or self._kept.signed or frozenset()

    @property
    def model_digest(self) -> bytes:
        """The digest of the model that the server says this round starts from; known once the key list is."""
        return self.context.model_digest

    def advertise(self) -> bytes:
        """R0: make the round's keys and publish them."""
        following = client_sends(self.context.server, self.state, Kind.ADVERTISE)
        self._kept.advertised, message = advertise(
            self._ctx0, self._party, identity=self._identity, random=self._random
        )
        self._own_key = digest("own key", message.mask_key)
        self._record(Step.ADVERTISE)
        self.state = following
        return self._seal(Kind.ADVERTISE, message, self._ctx0)

    def receive(self, envelope: Envelope) -> list[bytes]:
        """Take one message of the server and return the answers to it.

        A message that is damaged or may not come now leaves everything as it was. One that breaks a rule of the protocol ends the
        round for this party: its secrets are wiped, and it answers nothing more.

        Raises:
            MalformedMessageError: damaged, or no message of its kind.
            RemoteProtocolError: out of order, repeated, or against a rule.
            RoundAbortedError: the round cannot go on for this party.
        """
        with self._alone():
            return self._receive(envelope)

    def _receive(self, envelope: Envelope) -> list[bytes]:
        check_server_header(self.context, envelope)
        following = client_receives(self.context.server, self.state, envelope.kind)
        if self._sending:
            raise LocalProtocolError(
                "this party's masked vector has not left whole yet",
                phase=STEP_OF[envelope.kind],
                remedy="take all messages of `stream` first, then hand in this one again",
            )
        check_seal(envelope, binding=self.binding, verify_key=None, suspect=SERVER)
        handler = {
            Kind.ROSTER: self._on_roster,
            Kind.CIPHERTEXTS: self._on_ciphertexts,
            Kind.SURVIVORS: self._on_survivors,
            Kind.UNMASK: self._on_unmask,
        }[envelope.kind]
        # The state moves first: a step that was begun is never begun again, by another thread or after an error nobody foresaw.
        self.state = following
        try:
            answers = list(handler(envelope.body))
        except BaseException:
            self.abort()
            raise
        if following is ClientState.DONE:
            self._kept.wipe()
        return answers

    @property
    def binding(self) -> bytes:
        """What messages are sealed under: ctx0 until the key list is accepted, ctx afterwards. No secret."""
        return self._kept.keys.ctx if self._kept.keys else self._ctx0

    def noise_seeds(self) -> tuple[Secret, ...]:
        """The seeds of the noise that may be taken off again, in the order of their numbers; none where the round has none.

        They belong to the one vector that is masked next, and are wiped when it is.

        Raises:
            LocalProtocolError: shares have not arrived, the vector was masked, or they were asked for before.
        """
        with self._alone():
            client_sends(self.context.server, self.state, Kind.MASKED_INPUT)
            return _there(self._kept.dealer).give_noise()

    def mask(self, vector: Words) -> Iterator[bytes]:
        """R2: the messages that carry y_u.

        Args:
            vector: the encoded vector over Z_{2^b}; overwritten.

        Raises:
            LocalProtocolError: shares have not arrived, the vector was masked before, or it does not fit the plan.
        """
        check_vector(self.context, vector)  # all of it, before a mask is spent on a part
        return self.mask_parts(vector[part] for part in chunks(self.context.length))

    def mask_parts(self, parts: Iterable[Words]) -> Iterator[bytes]:
        """R2 for a vector that nobody holds whole: a message a part, made when it is asked for.

        Args:
            parts: the encoded vector over Z_{2^b} in pieces of CHUNK_VALUES, the last one shorter; each is overwritten.

        Raises:
            LocalProtocolError: shares have not arrived or the vector was masked before; while iterating, a part that does not fit.
        """
        with self._alone():
            return self._mask(parts)

    def _mask(self, parts: Iterable[Words]) -> Iterator[bytes]:
        following = client_sends(self.context.server, self.state, Kind.MASKED_INPUT)
        keys, dealer, holder = _there(self._kept.keys), _there(self._kept.dealer), _there(self._kept.holder)
        # The state moves before a single masked word exists: whatever happens next, these masks are never used again.
        self.state, self._sending = following, True
        try:
            self._record(Step.MASKED_INPUT)
            messages = mask_vector(keys, self._party, dealer, holder, parts, names=self._names)
        except BaseException:
            self.abort()
            raise
        return self._sealed(messages, keys.ctx)

    def _sealed(self, messages: Iterator[MaskedInput], ctx: bytes) -> Iterator[bytes]:
        try:
            for message in messages:
                if self.state is not ClientState.MASKED:
                    raise LocalProtocolError(
                        "the round is over for this party, and the rest of its vector stays here",
                        phase=Step.MASKED_INPUT,
                        remedy="start a new round",
                    )
                yield self._seal(Kind.MASKED_INPUT, message, ctx)
        except BaseException:
            self.abort()  # part of y_u has left, and the rest never will
            raise
        self._sending = False

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one thread at a time take a step: two answers to one question is what the protocol must never give."""
        if not self._busy.acquire(blocking=False):
            raise LocalProtocolError(
                "two calls at once on one party's round", remedy="hand in messages one after the other, from one thread"
            )
        try:
            yield
        finally:
            self._busy.release()

    def abort(self) -> None:
        """Leave the round and forget its secrets."""
        self.state = ClientState.ABORTED
        self._kept.wipe()

    def save(self) -> SavedClientRound:
        """Where this party stands, its secrets in clear: for an encrypted snapshot.

        Raises:
            LocalProtocolError: a step is being taken.
        """
        with self._alone():
            return SavedClientRound(self.state.value, self.model_digest, self._own_key, self._kept.save())

    def resume(self, saved: SavedClientRound) -> None:
        """Stand where `save` was called; on a new object of the same session and round.

        Raises:
            LocalProtocolError: this round has begun.
        """
        if self.state is not ClientState.START:
            raise LocalProtocolError("the round has begun", remedy="resume on a new object")
        context = dataclasses.replace(self.context, model_digest=saved.model_digest)
        self._kept = Kept.restore(saved.kept, context)
        self.context = self._kept.keys.context if self._kept.keys else context
        self._own_key = saved.own_key
        self.state = ClientState(saved.state)

    def _on_roster(self, body: bytes) -> Iterator[bytes]:
        message = self._decode(Roster, Kind.ROSTER, body)
        own = _there(self._kept.advertised)
        keys = accept_roster(self.context, self._party, own, message, verify_keys=self._verify_keys, names=self._names)
        if self._admit is not None:
            self._admit(keys.context, keys.attending)
        self._record(Step.SHARE_KEYS)
        self._kept.dealer, shares = share_secrets(keys, self._party, own, random=self._random, names=self._names)
        self._kept.keys = keys
        self.context = keys.context
        yield self._seal(Kind.SHARES, shares, keys.ctx)

    def _on_ciphertexts(self, body: bytes) -> Iterator[bytes]:
        message = self._decode(Ciphertexts, Kind.CIPHERTEXTS, body)
        keys, dealer = _there(self._kept.keys), _there(self._kept.dealer)
        self._kept.holder = accept_ciphertexts(keys, self._party, dealer, message, names=self._names)
        yield from ()

    def _on_survivors(self, body: bytes) -> Iterator[bytes]:
        message = self._decode(Survivors, Kind.SURVIVORS, body)
        keys, holder = _there(self._kept.keys), _there(self._kept.holder)
        survivors = bitmap.unpack(message.survivors, self.context.parties, phase=Step.CONSISTENCY, suspect=SERVER)
        accept_survivors(keys, self._party, holder.neighbours, survivors, phase=Step.CONSISTENCY)
        self._kept.signed = survivors
        self._record(Step.CONSISTENCY)
        signature = sign_survivors(keys.ctx, survivors, _there(self._identity))
        yield self._seal(Kind.CONSISTENCY, Consistency(signature), keys.ctx)

    def _on_unmask(self, body: bytes) -> Iterator[bytes]:
        message = self._decode(Unmask, Kind.UNMASK, body)
        keys, holder = _there(self._kept.keys), _there(self._kept.holder)
        survivors = accept_unmask(
            keys,
            self._party,
            holder.neighbours,
            message,
            signed=self._kept.signed,
            verify_keys=self._verify_keys,
        )
        self._kept.told = survivors
        # Before the shares are given out: a party that cannot make its next keys has still answered nothing.
        next_keys = self._next_keys() if self._next_keys else b""
        self._record(Step.UNMASK)
        shares = answer(self.context, holder, survivors, next_keys=next_keys)
        yield self._seal(Kind.UNMASK_SHARES, shares, keys.ctx)

    def _decode(self, struct: type[MessageT], kind: Kind, body: bytes) -> MessageT:
        limit = body_limit(kind, self.context.parties, self.context.degree(self.context.parties))
        return codec.decode(struct, body, limit=limit, phase=STEP_OF[kind], suspect=SERVER)

    def _record(self, step: Step) -> None:
        if self._spend is not None:
            self._spend(step, self._own_key)

    def _seal(self, kind: Kind, body: Message, binding: bytes) -> bytes:
        return seal(
            kind,
            body,
            session=self.context.session,
            round_number=self.context.round,
            sender=self._party,
            binding=binding,
            identity=self._identity,
        )
