"""A party's share of the private key: it decrypts partially, and rests encrypted under a password."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from securefl.crypto.digest import DIGEST_BYTES, equal
from securefl.crypto.password import open_with_password, seal_with_password
from securefl.crypto.random import OS, RandomSource
from securefl.crypto.secret import Redacted
from securefl.errors import CryptoError, MalformedMessageError
from securefl.paillier.arithmetic import integer, power_secret
from securefl.paillier.ciphertexts import Ciphertexts
from securefl.paillier.threads import Progress, share_out
from securefl.paillier.threshold.equality import Statement
from securefl.paillier.threshold.partials import Partials
from securefl.paillier.threshold.verification import VerificationKeys, raised
from securefl.wire import codec

_PURPOSE: Final = b"securefl paillier threshold share"
_VERSION: Final = 1
_CHUNK: Final = 64
"""Partials made between two calls of `Progress`; at 3072 bits some four seconds on two cores."""


class ShareFile(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What is sealed under the password."""

    version: Annotated[int, msgspec.Meta(ge=_VERSION, le=_VERSION)]
    dealing: Annotated[bytes, msgspec.Meta(min_length=DIGEST_BYTES, max_length=DIGEST_BYTES)]
    party: int
    share: bytes


class KeyShare(Redacted):
    """s_i = f(i + 1), one party's share of d; a share that is not the one whose v_i the dealer signed is refused.

    Args:
        keys: the dealing.
        party: index of the party whose share it is.
        share: s_i, in 1..n^2 - 1.

    Attributes:
        keys: as given.
        party: as given.

    Raises:
        CryptoError: an index that is nobody's, or a share out of range or other than the dealer published v_i of; it names the
            party.
    """

    __slots__ = ("_share", "keys", "party")

    keys: Final[VerificationKeys]
    party: Final[int]

    def __init__(self, keys: VerificationKeys, party: int, share: int) -> None:
        name = keys.name(party)
        if (
            not 0 < share < keys.key.squared
            or raised(keys.key, integer(share), parties=len(keys.names)) != keys.values[party]
        ):
            raise CryptoError(
                f"the share of party {party} ({name!r}) is not the one of its verification key",
                remedy="restore the file, or have the dealer deal anew",
            )
        self._share = integer(share)
        self.keys = keys
        self.party = party

    def partials(
        self,
        ciphertexts: Ciphertexts,
        *,
        ctx: bytes,
        threads: int | None = None,
        progress: Progress | None = None,
        random: RandomSource = OS,
    ) -> Partials:
        """Return this party's partial decryption of each ciphertext, with a proof.

        t parties that do this for a ciphertext reveal what is in it: do it only for a sum that this party has reason to believe
        in, and once for a context. Secret exponents take a time and memory accesses that depend on sizes only.

        Args:
            ciphertexts: under the key of the dealing.
            ctx: what the decryption belongs to (session, round, plan): the proof holds nowhere else.
            threads: None means one a core.
            progress: told after each chunk of 64.
            random: where the proof's nonce comes from, in part.

        Raises:
            CryptoError: ciphertexts under another key, or an empty context.
        """
        ciphertexts.check_key(self.keys.key)
        if not ctx:
            raise CryptoError("the context of a decryption is empty", remedy="give what names session, round and plan")
        values: list[int] = []
        for start in range(0, len(ciphertexts), _CHUNK):
            values += share_out(self._raise, ciphertexts.values[start : start + _CHUNK], threads)
            if progress is not None:
                progress(len(values), len(ciphertexts))
        statement = Statement(self.keys, self.party, ctx, ciphertexts, values, threads)
        return Partials(self.keys, self.party, values, statement.prove(self._exponent, random=random))

    def to_bytes(self, password: str | bytes) -> bytes:
        """Return the share sealed under a password: MessagePack of version, dealing, party and s_i of bits / 4 bytes, big-endian.

        Raises:
            CryptoError: the password is empty.
        """
        share = int(self._share).to_bytes(self.keys.key.ciphertext_bytes, "big")
        plain = codec.encode(ShareFile(_VERSION, self.keys.dealing_id, self.party, share))
        return seal_with_password(plain, password, purpose=_PURPOSE)

    @classmethod
    def from_bytes(cls, data: bytes, password: str | bytes, *, keys: VerificationKeys) -> KeyShare:
        """Open what `to_bytes` sealed and check it against the dealing.

        Raises:
            CryptoError: wrong password, altered, of another version or dealing, or a share that is not as the dealer published.
        """
        plain = open_with_password(data, password, purpose=_PURPOSE)
        try:
            kept = codec.decode(ShareFile, plain, limit=len(plain))
        except MalformedMessageError as error:
            raise CryptoError(
                f"what was sealed here is no share of a threshold key of version {_VERSION}",
                remedy="give the share's file, or update securefl",
            ) from error
        if not equal(kept.dealing, keys.dealing_id):
            raise CryptoError("a share of another dealing than these verification keys", remedy="give those of its own")
        if len(kept.share) != keys.key.ciphertext_bytes:
            raise CryptoError(f"a share of {len(kept.share)} bytes, needs {keys.key.ciphertext_bytes}")
        return cls(keys, kept.party, int.from_bytes(kept.share, "big"))

    @property
    def _exponent(self) -> int:
        return integer(self.keys.delta) * self._share

    def _raise(self, values: Sequence[int]) -> list[int]:
        exponent, squared = 2 * self._exponent, self.keys.key.squared
        return [power_secret(c, exponent, squared) for c in values]
