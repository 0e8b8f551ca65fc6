"""What a party sends: its partial decryption of each ciphertext, and one proof that all are right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from securefl.crypto.digest import DIGEST_BYTES, equal
from securefl.errors import CryptoError, MalformedMessageError, RemoteProtocolError
from securefl.paillier.ciphertexts import Ciphertexts
from securefl.paillier.threshold.equality import CHALLENGE_BYTES, Proof, Statement, response_bytes
from securefl.paillier.threshold.verification import VerificationKeys, first_non_unit, joined, split
from securefl.wire import codec

_VERSION: Final = 1
_OVERHEAD: Final = 128
"""More than what is in a message beside its values and its response."""


class WrongPartialError(RemoteProtocolError):
    """Partials that are malformed, or whose proof does not hold: whoever sent them is at fault, or an active attacker on the way.

    Args:
        message: what is wrong.
        party: index of the sender.
        name: its name.

    Attributes:
        party: as given; the name is the one of `suspects`.
    """

    def __init__(self, message: str, *, party: int, name: str) -> None:
        self.party = party
        super().__init__(
            f"partials of party {party} ({name!r}): {message}",
            suspects=[name],
            remedy="go on without that party, as long as enough others are left",
        )


class PartialsMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """P->C: `Partials` as they travel."""

    version: Annotated[int, msgspec.Meta(ge=_VERSION, le=_VERSION)]
    dealing: Annotated[bytes, msgspec.Meta(min_length=DIGEST_BYTES, max_length=DIGEST_BYTES)]
    party: int
    values: bytes
    challenge: Annotated[bytes, msgspec.Meta(min_length=CHALLENGE_BYTES, max_length=CHALLENGE_BYTES)]
    response: bytes


class Partials:
    """p_j = c_j^(2 Delta s_i) mod n^2 for each ciphertext c_j, and the proof; not believed before `verify`.

    Args:
        keys: the dealing.
        party: whose they are.
        values: p_j.
        proof: of them all.

    Raises:
        CryptoError: an index that is nobody's.
        WrongPartialError: a value that is not in 1..n^2 - 1, or that has a factor in common with n.
    """

    __slots__ = ("keys", "party", "proof", "values")

    keys: Final[VerificationKeys]
    party: Final[int]
    values: Final[tuple[int, ...]]
    proof: Final[Proof]

    def __init__(self, keys: VerificationKeys, party: int, values: Sequence[int], proof: Proof) -> None:
        name, bad = keys.name(party), first_non_unit(keys.key, values)
        if bad is not None:
            raise WrongPartialError(f"number {bad} is no unit modulo n^2", party=party, name=name)
        self.keys = keys
        self.party = party
        self.values = tuple(values)
        self.proof = proof

    def verify(self, ciphertexts: Ciphertexts, *, ctx: bytes, threads: int | None = None) -> None:
        """Accept the partials as the party's own of these ciphertexts in this context, or raise.

        Args:
            ciphertexts: what was to be decrypted.
            ctx: what the decryption belongs to.
            threads: None means one a core.

        Raises:
            CryptoError: ciphertexts under another key.
            WrongPartialError: they are not, or nothing shows it.
        """
        ciphertexts.check_key(self.keys.key)
        name = self.keys.name(self.party)
        if len(self.values) != len(ciphertexts):
            raise WrongPartialError(
                f"{len(self.values)} of them for {len(ciphertexts)} ciphertexts", party=self.party, name=name
            )
        try:
            Statement(self.keys, self.party, ctx, ciphertexts, self.values, threads).verify(self.proof)
        except CryptoError as error:
            raise WrongPartialError(error.message, party=self.party, name=name) from error

    def to_bytes(self) -> bytes:
        """Return the canonical form: MessagePack of version, dealing, party, the values one after the other, challenge, response."""
        response = int(self.proof.response).to_bytes(response_bytes(self.keys), "big")
        values = joined(self.keys.key, self.values)
        return codec.encode(
            PartialsMessage(_VERSION, self.keys.dealing_id, self.party, values, self.proof.challenge, response)
        )

    @classmethod
    def from_bytes(cls, data: bytes, *, keys: VerificationKeys, party: int, count: int) -> Partials:
        """Read what `to_bytes` wrote, and check all but the proof.

        Args:
            data: bytes off the wire.
            keys: the dealing.
            party: who sent them, as the channel says.
            count: how many ciphertexts there are: never taken from the sender.

        Raises:
            CryptoError: an index that is nobody's.
            WrongPartialError: not canonical, of another dealing, party or number, or no units; it names the sender.
        """
        name, size = keys.name(party), response_bytes(keys)
        try:
            message = codec.decode(PartialsMessage, data, limit=count * keys.key.ciphertext_bytes + size + _OVERHEAD)
            values = split(keys.key, message.values, count)
        except (MalformedMessageError, CryptoError) as error:
            raise WrongPartialError(_reason(error), party=party, name=name) from error
        if not equal(message.dealing, keys.dealing_id):
            raise WrongPartialError("they are of another dealing", party=party, name=name)
        if message.party != party:
            raise WrongPartialError(f"they claim to be party {message.party}'s", party=party, name=name)
        if len(message.response) != size:
            raise WrongPartialError(
                f"a response of {len(message.response)} bytes, needs {size}", party=party, name=name
            )
        return cls(keys, party, values, Proof(message.challenge, int.from_bytes(message.response, "big")))

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        return f"<Partials: {len(self)} of party {self.party} ({self.keys.names[self.party]!r})>"


def _reason(error: MalformedMessageError | CryptoError) -> str:
    return error.reason if isinstance(error, MalformedMessageError) else error.message
