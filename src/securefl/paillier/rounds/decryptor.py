"""Whoever holds the key, or a share of it, in one round: decrypts one sum, once, and only one that enough parties are in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

from securefl.crypto.digest import digest
from securefl.crypto.random import OS, RandomSource
from securefl.crypto.secret import Redacted
from securefl.crypto.signing import SigningKey
from securefl.encoding.words import pack
from securefl.errors import CryptoError, LocalProtocolError, RemoteProtocolError
from securefl.paillier.ciphertexts import Ciphertexts
from securefl.paillier.private_key import PrivateKey
from securefl.paillier.rounds.chunks import Arriving, check_order, read_chunk
from securefl.paillier.rounds.context import PaillierContext
from securefl.paillier.rounds.incoming import check_round, check_server_message, name_of
from securefl.paillier.rounds.results import words_of
from securefl.paillier.threads import Progress
from securefl.paillier.threshold.share import KeyShare
from securefl.types import SERVER, KeyModel, Step
from securefl.wire import bitmap, codec
from securefl.wire.envelope import HOLDER_INDEX, Envelope, body_limit, check_seal, seal
from securefl.wire.messages import Decrypt, Decrypted, EncryptedInput, Kind, Message, PartialDecryption


class Decryptor(Redacted):
    """The holder of a key, or of a share, in one round whose model is known.

    Args:
        context: the round.
        index: its own index on the roster, or HOLDER_INDEX.
        key: the private key, or a share of it.
        names: party names by index.
        verify_keys: identity keys by index, in an audited round.
        identity: signs what a party sends, in an audited round.
        spend: called before anything is decrypted; raises where this round's sum was decrypted before.
        threads: None means one a core.
        progress: told how many ciphertexts are decrypted, and of how many.
        random: of the proofs.

    Raises:
        LocalProtocolError: the key is not the one that the plan has here, or an audited round and no identity keys.
    """

    def __init__(
        self,
        context: PaillierContext,
        index: int,
        *,
        key: PrivateKey | KeyShare,
        names: Sequence[str],
        verify_keys: Sequence[bytes] | None = None,
        identity: SigningKey | None = None,
        spend: Callable[[], None] | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
        random: RandomSource = OS,
    ) -> None:
        check_key(context, index, key)
        if context.audited and verify_keys is None:
            raise LocalProtocolError(
                "an audited round needs a roster with identity keys: without them anybody's ciphertexts would be believed",
                phase=Step.UNMASK,
                remedy="make a roster with `securefl roster`",
            )
        self.context = context
        self.done = False
        self.survivors: frozenset[int] = frozenset()
        self._index = index
        self._key = key
        self._names = tuple(names)
        self._verify_keys = verify_keys if context.audited else None
        self._identity = identity if context.audited else None
        self._spend = spend
        self._threads = threads
        self._progress = progress
        self._random = random
        self._arriving: dict[int, Arriving] = {}
        self._next = 0
        self._alone = threading.Lock()

    def receive(self, envelope: Envelope) -> Iterator[bytes]:
        """Take one message; yields what is to be sent to the server, made one by one.

        Raises:
            MalformedMessageError: damaged.
            RemoteProtocolError: of another round, out of order, from too few parties, wrongly signed, or no sum of their vectors.
            SecretMisuseError: this round's sum was decrypted before.
        """
        # Two threads with two sums of one round: the second must find that the first was here.
        with self._alone:
            return self._receive(envelope)

    def _receive(self, envelope: Envelope) -> Iterator[bytes]:
        if envelope.kind is Kind.ENCRYPTED_INPUT and self.context.audited:
            self._take(envelope)
            return iter(())
        if envelope.kind is not Kind.DECRYPT or self.done:
            raise RemoteProtocolError(
                f"{envelope.kind.name.lower()} may not come now: it is out of order, a repetition or not the server's to send",
                phase=Step.UNMASK,
                suspects=(SERVER,),
                remedy="ignore it; the sum of a round is decrypted once",
            )
        check_server_message(self.context.round, envelope, binding=self.context.ctx)
        limit = body_limit(Kind.DECRYPT, self.context.round.parties)
        message = codec.decode(Decrypt, envelope.body, limit=limit, phase=Step.UNMASK, suspect=SERVER)
        return self._decrypt(message)

    def _take(self, envelope: Envelope) -> None:
        """A party's own ciphertexts, as it signed them."""
        name = name_of(envelope.sender, self._names)
        check_round(self.context.round, envelope, name)
        if self._next:
            raise RemoteProtocolError(
                f"ciphertexts of {name} came after the sum was fixed", phase=Step.UNMASK, suspects=(SERVER,)
            )
        if self._verify_keys is None or envelope.sender == HOLDER_INDEX:
            raise self._refuse(f"{name} is no party that could have signed ciphertexts")
        verify_key = self._verify_keys[envelope.sender]
        check_seal(envelope, binding=self.context.ctx, verify_key=verify_key, suspect=name)
        limit = body_limit(Kind.ENCRYPTED_INPUT, self.context.round.parties)
        message = codec.decode(EncryptedInput, envelope.body, limit=limit, phase=Step.UNMASK, suspect=name)
        arriving = self._arriving.setdefault(envelope.sender, Arriving(self.context, name))
        arriving.add(message.chunk, message.ciphertexts)

    def _decrypt(self, message: Decrypt) -> Iterator[bytes]:
        context = self.context
        survivors = bitmap.unpack(message.survivors, context.round.parties, phase=Step.UNMASK, suspect=SERVER)
        check_order(context, message.chunk, self._next, SERVER, step=Step.UNMASK)
        if not self._next:
            self._check_survivors(survivors)
        elif survivors != self.survivors:
            raise self._refuse("the survivors changed within one sum")
        if context.audited:
            if message.ciphertexts:
                raise self._refuse("the server sent a sum of its own in an audited round")
            total = self._added(survivors)
            parts = [total[start : start + context.per_message] for start in self._starts()]
        else:
            parts = [read_chunk(context, message.chunk, message.ciphertexts, SERVER, step=Step.UNMASK)]
        if not self._next and self._spend is not None:
            self._spend()
        self.survivors = survivors
        first, self._next = self._next, self._next + len(parts)
        self.done = self._next == context.messages
        self._arriving = {}
        return self._answers(first, parts, len(survivors))

    def _answers(self, first: int, parts: Sequence[Ciphertexts], vectors: int) -> Iterator[bytes]:
        for chunk, part in enumerate(parts, first):
            yield self._answer(chunk, part, vectors)

    def _answer(self, chunk: int, part: Ciphertexts, vectors: int) -> bytes:
        context, progress = self.context, self._told(chunk)
        if isinstance(self._key, KeyShare):
            partials = self._key.partials(
                part, ctx=partials_ctx(context, chunk), threads=self._threads, progress=progress, random=self._random
            )
            return self._seal(Kind.PARTIAL_DECRYPTION, PartialDecryption(chunk, partials.to_bytes()))
        plaintexts = self._key.decrypt(part, threads=self._threads, progress=progress)
        try:
            words = words_of(context, chunk, plaintexts, vectors=vectors)
        except CryptoError as error:
            raise self._refuse(error.message) from error
        return self._seal(Kind.DECRYPTED, Decrypted(chunk, pack(words, context.round.ring_bits)))

    def _check_survivors(self, survivors: frozenset[int]) -> None:
        if len(survivors) < self.context.round.min_survivors:
            raise self._refuse(
                f"a sum of {len(survivors)} vectors, at least {self.context.round.min_survivors} are agreed"
            )

    def _added(self, survivors: frozenset[int]) -> Ciphertexts:
        missing = [
            self._names[party]
            for party in sorted(survivors)
            if party not in self._arriving or not self._arriving[party].complete
        ]
        if missing:
            raise self._refuse(f"the ciphertexts of {', '.join(missing[:8])} are to be in the sum and did not come")
        return Ciphertexts.total([self._arriving[party].whole for party in sorted(survivors)], threads=self._threads)

    def _starts(self) -> range:
        return range(0, max(1, self.context.ciphertexts), self.context.per_message)

    def _told(self, chunk: int) -> Progress | None:
        progress, before = self._progress, chunk * self.context.per_message
        if progress is None:
            return None
        return lambda done, _: progress(before + done, self.context.ciphertexts)

    def _seal(self, kind: Kind, message: Message) -> bytes:
        return seal(
            kind,
            message,
            session=self.context.round.session,
            round_number=self.context.round.round,
            sender=self._index,
            binding=self.context.ctx,
            identity=self._identity,
        )

    def _refuse(self, reason: str) -> RemoteProtocolError:
        return RemoteProtocolError(
            f"nothing is decrypted: {reason}", phase=Step.UNMASK, suspects=(SERVER,), remedy="start a new round"
        )


def check_key(context: PaillierContext, index: int, key: PrivateKey | KeyShare) -> None:
    """Check that a key, or a share, is what the round has its owner decrypt with.

    Args:
        context: the round.
        index: the owner's on the roster, or HOLDER_INDEX.
        key: the private key, or a share.

    Raises:
        LocalProtocolError: a whole key for a share or the other way round, of another key or dealing, or another party's.
    """
    dealt = context.holder is KeyModel.THRESHOLD
    if isinstance(key, KeyShare) != dealt:
        reason = (
            "a whole private key is held here, the plan has a share of one"
            if dealt
            else "a share of a key is held here, the plan has the whole key"
        )
    elif isinstance(key, KeyShare):
        if context.dealing is not None and key.keys.dealing_id == context.dealing.dealing_id and key.party == index:
            return
        reason = f"the share held here is number {key.party} of dealing {key.keys.dealing_id.hex()[:16]}, not number {index} of the plan's"
    elif key.public_key == context.key:
        return
    else:
        reason = f"the key held here is {key.public_key.fingerprint}, the plan's is {context.key.fingerprint}"
    raise LocalProtocolError(
        reason, phase=Step.UNMASK, remedy="compare fingerprints, and take the key that the plan names"
    )


def partials_ctx(context: PaillierContext, chunk: int) -> bytes:
    """What a share-holder's proof of one message is bound to, 32 bytes."""
    return digest("paillier partials", context.ctx, chunk)
