"""PaillierKeyHolder: who holds the key and is neither the server nor a party. Bytes in, bytes out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Final

from securefl.crypto.digest import equal
from securefl.crypto.secret import Redacted
from securefl.errors import ConfigError, RemoteProtocolError
from securefl.paillier import PrivateKey
from securefl.paillier.rounds import Decryptor, PaillierContext
from securefl.paillier.rounds.incoming import check_server_message
from securefl.paillier.threads import Progress
from securefl.plan import Plan, Roster
from securefl.policy import ClientPolicy
from securefl.records.used_file import UsedFile
from securefl.session.account import Account
from securefl.session.decryption import Spent, check_held
from securefl.session.invitation import plan_in
from securefl.session.paillier_round import check_roster, context_of
from securefl.types import KEY_HOLDER, SERVER, KeyModel, Step
from securefl.wire import codec
from securefl.wire.envelope import HOLDER_INDEX, Envelope, parse
from securefl.wire.messages import PAILLIER_KINDS, Encrypt, Kind

_SESSIONS_REMEMBERED: Final = 256
"""Sessions whose last round is remembered, so that an invitation is not taken twice; what was decrypted is remembered for ever."""


class PaillierKeyHolder(Redacted):
    """The key holder of a session; it decrypts one sum a round, and nothing else.

        holder = PaillierKeyHolder(key, roster=roster, policy=policy, used=UsedFile.open_or_create("used"))
        for message in messages_of_the_server:
            for data in holder.receive(message):
                send(data)

    Under an audited plan it adds the parties' signed ciphertexts itself. Otherwise it takes the server's word that what it is sent is
    the sum over the survivors: a server that lies has any ciphertext decrypted that looks like such a sum.

    Args:
        key: the private key.
        roster: from the holder's own disk.
        policy: its floors.
        used: the record of what was decrypted; without it a restarted holder could be made to decrypt a round twice.
        threads: None means one a core.
        progress: told how many ciphertexts are decrypted, and of how many.

    Raises:
        ConfigError: no policy, or no key.
    """

    def __init__(
        self,
        key: PrivateKey,
        *,
        roster: Roster,
        policy: ClientPolicy,
        used: UsedFile | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        check_held(key)
        if not isinstance(key, PrivateKey):
            raise ConfigError(
                "a separate key holder has the whole key", remedy="pass a PrivateKey; shares are the parties'"
            )
        self._account = Account(KEY_HOLDER, roster=roster, policy=policy)
        self._key = key
        self._roster = roster
        self._spent = Spent(used)
        self._threads = threads
        self._progress = progress
        self._plan: Plan | None = None
        self._context: PaillierContext | None = None
        self._decryptor: Decryptor | None = None
        self._latest: dict[bytes, int] = {}
        self._joined = 0
        self._alone = threading.RLock()

    @property
    def plan(self) -> Plan | None:
        """The plan that was accepted; None before an invitation."""
        return self._plan

    def receive(self, data: bytes) -> list[bytes]:
        """Take one message of the server; returns what is to be sent to it, in order.

        Raises:
            MalformedMessageError: no message, or a damaged one; nothing has changed.
            PolicyRefusedError: the holder's policy forbids the plan.
            RemoteProtocolError: against the protocol, from too few parties, wrongly signed, or no sum of their vectors.
            SecretMisuseError: the round's sum was decrypted before.
        """
        return list(self.stream(data))

    def stream(self, data: bytes) -> Iterator[bytes]:
        """As `receive`, but messages are made one by one while they are taken."""
        envelope = parse(data, parties=len(self._roster), kinds=PAILLIER_KINDS)
        with self._alone:
            return self._take(envelope)

    def _take(self, envelope: Envelope) -> Iterator[bytes]:
        if envelope.kind is Kind.INVITE:
            self._on_invite(envelope)
        elif self._context is None or self._plan is None:
            raise RemoteProtocolError(
                f"{envelope.kind.name.lower()} came before any invitation", suspects=(SERVER,), remedy="ignore it"
            )
        elif envelope.kind is Kind.ENCRYPT and self._decryptor is None:
            self._on_encrypt(self._context, envelope)
        elif self._decryptor is not None and envelope.kind is not Kind.ENCRYPT:
            return self._decryptor.receive(envelope)
        else:
            raise RemoteProtocolError(
                f"{envelope.kind.name.lower()} came before the round's model was named, or names it again",
                suspects=(SERVER,),
                remedy="ignore it",
            )
        return iter(())

    def _on_invite(self, envelope: Envelope) -> None:
        plan = plan_in(envelope, self._roster)
        context = context_of(plan, plan.for_round(envelope.session, envelope.round, roster=self._roster))
        if context.holder is not KeyModel.SEPARATE or context.key != self._key.public_key:
            raise RemoteProtocolError(
                f"the plan is under key {context.key.fingerprint}, held {context.holder}; this holder has "
                f"{self._key.public_key.fingerprint}",
                phase="invite",
                suspects=(SERVER,),
                remedy="compare fingerprints with the plan's owner",
            )
        if envelope.round <= self._latest.get(envelope.session, -1):
            raise RemoteProtocolError(
                f"round {envelope.round} of this session was joined before",
                phase="invite",
                suspects=(SERVER,),
                remedy="ignore it",
            )
        check_roster(plan, self._roster)
        self._account.check_policy(plan, context.round, context.ctx0, self._joined)
        self._latest[envelope.session] = envelope.round
        if len(self._latest) > _SESSIONS_REMEMBERED:
            del self._latest[next(iter(self._latest))]
        self._plan, self._context, self._decryptor = plan, context, None
        self._joined += 1

    def _on_encrypt(self, context: PaillierContext, envelope: Envelope) -> None:
        check_server_message(context.round, envelope, binding=context.ctx0)
        message = codec.decode(Encrypt, envelope.body, limit=256, phase=Step.UNMASK, suspect=SERVER)
        if not equal(message.plan_digest, context.round.plan_digest):
            raise RemoteProtocolError(
                "the round is under another plan than the one that was accepted",
                phase=Step.UNMASK,
                suspects=(SERVER,),
                remedy="leave this server",
            )
        named = context.with_model(message.model_digest)
        self._decryptor = Decryptor(
            named,
            HOLDER_INDEX,
            key=self._key,
            names=self._roster.names,
            verify_keys=self._roster.verify_keys,
            spend=self._spent.decrypting(named),
            threads=self._threads,
            progress=self._progress,
        )
