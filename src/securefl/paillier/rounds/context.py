"""What all sides know of a round, and the value that ties every message of it together."""

from __future__ import annotations

import dataclasses
from functools import cached_property

from securefl.crypto.digest import digest
from securefl.encoding.ring import Ring
from securefl.paillier.public_key import PublicKey
from securefl.paillier.slots import SlotLayout
from securefl.paillier.threshold.verification import VerificationKeys
from securefl.types import KeyModel, RoundContext
from securefl.wire.messages import CHUNK_CIPHERTEXT_BYTES, CHUNK_VALUES, VERSION


@dataclasses.dataclass(frozen=True)
class PaillierContext:
    """A round under a Paillier key.

    Args:
        round: session, number, digests, n, floor, ring and length; `threshold` is how many key holders decrypt together.
        key: everybody's public key.
        slots: how the integers of a vector lie in plaintexts.
        holder: who holds the key.
        dealing: what the trusted dealer published, where shares were dealt.
    """

    round: RoundContext
    key: PublicKey
    slots: SlotLayout
    holder: KeyModel
    dealing: VerificationKeys | None = None

    @cached_property
    def ctx0(self) -> bytes:
        """H(version, session, round, roster digest), 32 bytes: what the request to encrypt is sealed under."""
        context = self.round
        return digest("ctx0", VERSION, context.session, context.round, context.roster_digest)

    @cached_property
    def ctx(self) -> bytes:
        """H(ctx0, plan digest, model digest, key id, slot layout), 32 bytes: everything later is sealed under it.

        Ciphertexts from another session, round, plan, model, key or layout come under another seal, and are no part of the sum.
        """
        context = self.round
        dealt = self.dealing.dealing_id if self.dealing is not None else b""
        return digest(
            "paillier ctx",
            self.ctx0,
            context.plan_digest,
            context.model_digest,
            self.key.key_id,
            dealt,
            self.slots.digest(),
        )

    @property
    def ring(self) -> Ring:
        """The ring that the sum is reduced in."""
        return Ring(self.round.ring_bits)

    @property
    def audited(self) -> bool:
        """Whether parties sign, and the holder adds their ciphertexts itself."""
        return self.round.active

    @cached_property
    def ciphertexts(self) -> int:
        """Ciphertexts of a vector."""
        return self.slots.plaintexts(self.round.length)

    @cached_property
    def per_message(self) -> int:
        """Ciphertexts in one message, but for the last, which has the rest."""
        return max(1, min(CHUNK_CIPHERTEXT_BYTES // self.key.ciphertext_bytes, CHUNK_VALUES // self.slots.slots))

    @property
    def messages(self) -> int:
        """Messages that a vector's ciphertexts take; an empty vector takes an empty one."""
        return max(1, -(-self.ciphertexts // self.per_message))

    def ciphertexts_in(self, chunk: int) -> int:
        """How many ciphertexts message number `chunk` has."""
        return min(self.per_message, self.ciphertexts - chunk * self.per_message)

    def values_in(self, chunk: int) -> int:
        """How many of the vector's values message number `chunk` has."""
        each = self.per_message * self.slots.slots
        return min(each, self.round.length - chunk * each)

    def with_model(self, model_digest: bytes) -> PaillierContext:
        """The round for this model."""
        return dataclasses.replace(self, round=dataclasses.replace(self.round, model_digest=model_digest))
