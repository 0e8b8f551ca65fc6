"""A party's side of one round: it encrypts its vector, once, and sends it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from securefl.crypto.digest import equal
from securefl.crypto.secret import Redacted
from securefl.crypto.signing import SigningKey
from securefl.errors import LocalProtocolError, RemoteProtocolError
from securefl.paillier.encryptor import Encryptor
from securefl.paillier.rounds.context import PaillierContext
from securefl.paillier.rounds.incoming import check_server_message
from securefl.paillier.rounds.states import CLIENT, STEP_OF, ClientState
from securefl.paillier.threads import Progress
from securefl.types import SERVER, Step
from securefl.wire import codec
from securefl.wire.envelope import Envelope, seal
from securefl.wire.messages import Encrypt, EncryptedInput, Kind

Values = npt.NDArray[np.int64]


class ClientRound(Redacted):
    """A party in one round.

    Args:
        context: the round; its model becomes known when the server asks for the vector.
        party: this party's index.
        encryptor: under the round's key.
        identity: signs, in an audited round.
        threads: that encrypt; None means one a core.
        progress: told after each chunk how many ciphertexts are made, and of how many.

    Raises:
        LocalProtocolError: an audited round, and no identity.
    """

    def __init__(
        self,
        context: PaillierContext,
        party: int,
        *,
        encryptor: Encryptor,
        identity: SigningKey | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        if context.audited and identity is None:
            raise LocalProtocolError(
                "an audited plan needs this party's identity key", remedy="pass identity=SigningKey.load(...)"
            )
        encryptor.key.key_id  # noqa: B018 - computed once, before threads ask for it
        self.context = context
        self.state = ClientState.START
        self._party = party
        self._encryptor = encryptor
        self._identity = identity if context.audited else None
        self._threads = threads
        self._progress = progress
        self._alone = threading.Lock()

    def on_encrypt(self, envelope: Envelope) -> None:
        """Take the server's request for the vector: from here on the round's model is known.

        Raises:
            RemoteProtocolError: out of order, of another round, or for another plan.
            MalformedMessageError: damaged.
        """
        with self._alone:
            following = self._following(Kind.ENCRYPT)
            check_server_message(self.context.round, envelope, binding=self.context.ctx0)
            message = codec.decode(Encrypt, envelope.body, limit=256, phase=Step.MASKED_INPUT, suspect=SERVER)
            if not equal(message.plan_digest, self.context.round.plan_digest):
                raise RemoteProtocolError(
                    "the vector is asked for under another plan than the one that this party accepted",
                    phase=Step.MASKED_INPUT,
                    suspects=(SERVER,),
                    remedy="leave this server",
                )
            self.context = self.context.with_model(message.model_digest)
            self.state = following

    def encrypt(self, parts: Iterable[Values]) -> Iterator[bytes]:
        """Encrypt a vector; yields the messages that take it to the server, made one by one.

        Args:
            parts: int64, together of the round's length, cut as `PaillierContext.values_in` says; every part within the slots' bound.

        Raises:
            LocalProtocolError: a second vector in this round, or one of another length.
            EncodingError: while iterating: a value beyond the bound; nothing of its part was encrypted.
        """
        with self._alone:
            self.state = self._following(Kind.ENCRYPTED_INPUT)
        return self._messages(parts)

    def abort(self) -> None:
        """Leave the round."""
        self.state = ClientState.ABORTED

    def _messages(self, parts: Iterable[Values]) -> Iterator[bytes]:
        context, rest = self.context, iter(parts)
        try:
            for chunk in range(context.messages):
                part = next(rest, np.zeros(0, dtype=np.int64))
                if part.shape != (max(0, context.values_in(chunk)),):
                    raise LocalProtocolError(
                        f"part {chunk} of the vector has shape {part.shape}, needs ({context.values_in(chunk)},)",
                        phase=Step.MASKED_INPUT,
                        remedy="encode the update with the plan's own encoding",
                    )
                plaintexts = context.slots.pack(part)
                encrypted = self._encryptor.encrypt(plaintexts, threads=self._threads, progress=self._told(chunk))
                yield self._seal(EncryptedInput(chunk, encrypted.to_bytes()))
        except BaseException:
            self.abort()
            raise

    def _told(self, chunk: int) -> Progress | None:
        progress, before = self._progress, chunk * self.context.per_message
        if progress is None:
            return None
        return lambda done, _: progress(before + done, self.context.ciphertexts)

    def _seal(self, message: EncryptedInput) -> bytes:
        return seal(
            Kind.ENCRYPTED_INPUT,
            message,
            session=self.context.round.session,
            round_number=self.context.round.round,
            sender=self._party,
            binding=self.context.ctx,
            identity=self._identity,
        )

    def _following(self, kind: Kind) -> ClientState:
        following = CLIENT.get((self.state, kind))
        if following is not None:
            return following
        if kind is Kind.ENCRYPT:
            raise RemoteProtocolError(
                f"the vector was asked for in state {self.state}: out of order, or a repetition",
                phase=STEP_OF[kind],
                suspects=(SERVER,),
                remedy="ignore it; this party answers each message once",
            )
        raise LocalProtocolError(
            f"a vector was to be encrypted in state {self.state}; one is sent in each round",
            phase=STEP_OF[kind],
            remedy="start a new round",
        )
