"""A round of encrypted aggregation whose messages move one at a time, under keys that are small enough to be quick."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

import attacks.harness  # noqa: F401 - which sees to it that the copy under test is what is imported
from securefl import SecureFLError
from securefl.crypto.signing import SigningKey
from securefl.paillier import Ciphertexts, Encryptor, PrivateKey, SlotLayout
from securefl.paillier.rounds import ClientRound, Decryptor, PaillierContext, ServerRound
from securefl.paillier.rounds.states import ServerState
from securefl.paillier.threshold import deal, safe_private_key
from securefl.types import KeyModel, RoundContext, ServerModel
from securefl.wire import bitmap, codec
from securefl.wire import messages as wire
from securefl.wire.envelope import HOLDER_INDEX, SERVER_INDEX, parse, seal
from securefl.wire.messages import PAILLIER_KINDS, Kind

TEST = {"insecure_size_for_tests": True}
SEPARATE, CLIENTS, THRESHOLD = KeyModel.SEPARATE, KeyModel.CLIENTS, KeyModel.THRESHOLD
DEALER = SigningKey.generate()


class InParts(PaillierContext):
    """As a round of long vectors: one ciphertext a message."""

    per_message = 1


@functools.cache
def private(which: int) -> PrivateKey:
    del which
    return PrivateKey.generate(512, **TEST)


@functools.cache
def dealt(threshold: int, parties: int, which: int):
    del which
    return deal(_safe(), [f"party-{i}" for i in range(parties)], threshold=threshold, dealer=DEALER)


@functools.cache
def _safe() -> PrivateKey:
    return safe_private_key(256, **TEST)


@functools.cache
def encryptor(key) -> Encryptor:
    return Encryptor(key, window=4)


class Table:
    """A round: honest parties, an honest server, honest holders, and the pens of whoever is not.

    Args:
        holder: who holds the key.
        audited: whether parties sign.
        n: parties.
        threshold: t where the key is dealt.
        parts: messages of a vector.
        keys: identities, when they must be those of another table.
        which: another number is another key, or dealing.
        most: Q of the slots.
        release, agree, spend: hooks of server and holders.
        changes: other fields of the context.
    """

    def __init__(
        self,
        holder: KeyModel = SEPARATE,
        *,
        audited: bool = False,
        n: int = 5,
        threshold: int = 4,
        parts: int = 1,
        keys: Any = None,
        which: int = 0,
        most: int = 1000,
        release: Any = None,
        agree: Any = None,
        spend: Any = None,
        **changes: Any,
    ) -> None:
        self.which = which
        self.dealing = dealt(threshold, n, which) if holder is THRESHOLD else None
        self.key = self.dealing.keys.key if self.dealing else private(which).public_key
        slots = SlotLayout(self.key.bits, n, most)
        fields: dict[str, Any] = {
            "session": b"s" * 16,
            "round": 7,
            "roster_digest": b"r" * 32,
            "plan_digest": b"p" * 32,
            "model_digest": b"m" * 32,
            "min_survivors": 3,
        }
        common = RoundContext(
            **{**fields, **changes},
            parties=n,
            threshold=threshold if self.dealing else 1,
            max_colluders=0,
            server=ServerModel.ACTIVE if audited else ServerModel.SEMI_HONEST,
            ring_bits=20,
            length=slots.slots * parts - 3,
        )
        kind = InParts if parts > 1 else PaillierContext
        self.n = n
        self.context = kind(common, self.key, slots, holder, self.dealing.keys if self.dealing else None)
        self.names = tuple(f"party-{i}" for i in range(n))
        self.keys = tuple(keys or (SigningKey.generate() for _ in range(n))) if audited else ()
        self.verify_keys = [key.verify_key for key in self.keys] or None
        rng = np.random.default_rng(n)
        self.vectors = rng.integers(-most, most, (n, common.length), endpoint=True)
        self.server = ServerRound(
            self.context,
            names=self.names,
            encryptor=encryptor(self.key),
            verify_keys=self.verify_keys,
            release=release,
            agree=agree,
            threads=1,
        )
        self.requests = dict(self.server.start())
        indices = [HOLDER_INDEX] if holder is SEPARATE else range(n)
        self.holders = {index: self.decryptor(index, spend=spend) for index in indices}
        self.sent: dict[int, list[bytes]] = {}
        self.refusals: list[SecureFLError] = []

    def decryptor(self, index: int = HOLDER_INDEX, **options: Any) -> Decryptor:
        """A holder that knows nothing of what was decrypted before, as after a restart."""
        key = self.dealing.shares[index] if self.dealing else private(self.which)
        given = {
            "key": key,
            "verify_keys": self.verify_keys,
            "identity": self.keys[index] if self.keys and index < self.n else None,
        }
        return Decryptor(self.context, index, names=self.names, threads=1, **{**given, **options})

    def client(self, party: int) -> ClientRound:
        identity = self.keys[party] if self.keys else None
        return ClientRound(self.context, party, encryptor=encryptor(self.key), identity=identity, threads=1)

    # The honest round.

    def encrypted(self, party: int, values: Any = None) -> list[bytes]:
        """What a party sends."""
        client = self.client(party)
        client.on_encrypt(parse(self.requests[party], parties=self.n, kinds=PAILLIER_KINDS))
        vector = self.vectors[party] if values is None else values
        each = self.context.per_message * self.context.slots.slots
        return list(client.encrypt(vector[start : start + each] for start in range(0, len(vector), each)))

    def give(self, data: bytes) -> list[tuple[int, bytes]]:
        """Give the server one message."""
        return self.server.receive(parse(data, parties=self.n, kinds=PAILLIER_KINDS), data)

    def hand(self, data: bytes, holder: int | Decryptor | None = None) -> list[bytes]:
        """Give a holder one message; returns its answers."""
        which = (
            holder if isinstance(holder, Decryptor) else self.holders[min(self.holders) if holder is None else holder]
        )
        return list(which.receive(parse(data, parties=self.n, kinds=PAILLIER_KINDS)))

    def inputs(self, parties: Iterable[int] | None = None) -> list[tuple[int, bytes]]:
        """Have the parties send their vectors; returns what the server sends to the holders."""
        mail: list[tuple[int, bytes]] = []
        for party in range(self.n) if parties is None else parties:
            self.sent.setdefault(party, self.encrypted(party))
            for data in self.sent[party]:
                mail = self.give(data)
        return mail or self.server.close_phase()

    def finish(self, mail: list[tuple[int, bytes]]) -> None:
        """Have the holders answer."""
        for index, data in mail:
            for answer in self.hand(data, index):
                if self.server.state is not ServerState.DONE:
                    self.give(answer)
        if self.server.state is not ServerState.DONE:
            self.server.close_phase()

    def assert_exact(self) -> None:
        """The server has the exact sum over the survivors."""
        expected = self.vectors[sorted(self.server.survivors)].sum(axis=0)
        assert self.context.ring.centre(self.server.total).tolist() == expected.tolist()

    # Pens.

    def forge(self, body: Any, *, kind: Kind | None = None, binding: bytes | None = None, **header: Any) -> bytes:
        """A message with any body, by default the server's."""
        kinds = {wire.Decrypt: Kind.DECRYPT, wire.Encrypt: Kind.ENCRYPT, wire.EncryptedInput: Kind.ENCRYPTED_INPUT}
        kinds |= {wire.Decrypted: Kind.DECRYPTED, wire.PartialDecryption: Kind.PARTIAL_DECRYPTION}
        return seal(
            kinds[type(body)] if kind is None else kind,
            body,
            session=header.get("session", self.context.round.session),
            round_number=header.get("round_number", self.context.round.round),
            sender=header.get("sender", SERVER_INDEX),
            binding=self.context.ctx if binding is None else binding,
            identity=header.get("identity"),
        )

    def write_as(self, party: int, body: Any, **header: Any) -> bytes:
        """A message of a party, signed in an audited round."""
        return self.forge(body, **{"sender": party, "identity": self.keys[party] if self.keys else None, **header})

    def decrypt(self, survivors: Iterable[int], ciphertexts: Ciphertexts | bytes = b"", chunk: int = 0) -> bytes:
        """The server's request."""
        data = ciphertexts if isinstance(ciphertexts, bytes) else ciphertexts.to_bytes()
        return self.forge(wire.Decrypt(bitmap.pack(survivors, self.n), chunk, data))

    def ciphertexts(self, data: bytes) -> Ciphertexts:
        """The ciphertexts in a party's message."""
        body = self.body(data, wire.EncryptedInput)
        return Ciphertexts.from_bytes(body.ciphertexts, key=self.key, count=self.context.ciphertexts_in(body.chunk))

    def total(self, weights: Mapping[int, int], chunk: int = 0) -> Ciphertexts:
        """A sum of the server's own making."""
        parts = [self.ciphertexts(self.sent[party][chunk]) for party, times in weights.items() for _ in range(times)]
        return Ciphertexts.total(parts, threads=1)

    def body(self, data: bytes, struct: Any) -> Any:
        inner = parse(data, parties=self.n, kinds=PAILLIER_KINDS).body
        return codec.decode(struct, inner, limit=len(inner))
