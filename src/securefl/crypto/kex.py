"""Key agreement: X25519."""

from __future__ import annotations

from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from securefl.crypto.random import OS, RandomSource
from securefl.crypto.secret import Redacted, Secret
from securefl.errors import CryptoError, SecretMisuseError

KEY_BYTES: Final = 32
_FIELD: Final = 2**255 - 19
_SMALL_ORDER: Final = frozenset(
    {
        0,
        1,
        _FIELD - 1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    }
)
"""The u-coordinates of order 1, 2, 4 and 8 on the curve and its twist: whatever the private key, the secret is zero."""


class KeyPair(Redacted):
    """An ephemeral key pair, for one round.

    Attributes:
        public: 32 raw bytes.
        private: 32 raw bytes, wiped with the pair.

    Source: RFC 7748, section 6.1.
    """

    __slots__ = ("_key", "private", "public")

    public: Final[bytes]
    private: Final[Secret]

    def __init__(self, key: X25519PrivateKey) -> None:
        self._key: X25519PrivateKey | None = key
        self.public = key.public_key().public_bytes_raw()
        self.private = Secret(key.private_bytes_raw())

    @classmethod
    def generate(cls, random: RandomSource = OS) -> Self:
        """Make a new pair from 32 random bytes."""
        return cls.from_private(random.token(KEY_BYTES))

    @classmethod
    def from_private(cls, private: bytes) -> Self:
        """Rebuild the pair of a private key.

        Raises:
            CryptoError: it has not 32 bytes.
        """
        _check_size("private", private)
        return cls(X25519PrivateKey.from_private_bytes(private))

    def exchange(self, peer_public: bytes) -> bytes:
        """Return the 32-byte secret shared with the peer; derive keys from it, never use it as one.

        Raises:
            CryptoError: the peer's key has not 32 bytes, or is a point of small order: the secret would be all zero.
            SecretMisuseError: the pair was wiped.
        """
        if self._key is None:
            raise SecretMisuseError("this key pair was wiped", remedy="a key pair serves one round; start a new one")
        _check_size("public", peer_public)
        try:
            return self._key.exchange(X25519PublicKey.from_public_bytes(peer_public))
        except ValueError as error:
            raise CryptoError(
                f"the X25519 public key {peer_public.hex()} is of small order: the shared secret would be all zero",
                remedy="drop the party that sent it",
            ) from error

    def wipe(self) -> None:
        """Forget the private key, best effort; the public key stays."""
        self._key = None
        self.private.wipe()


def is_usable(public: bytes) -> bool:
    """Whether a public key is the one encoding of a point that gives a secret: 32 bytes below 2^255 - 19, not of small order.

    X25519 itself ignores the top bit and reduces (RFC 7748, section 5), so that one key could pass for two.
    """
    value = int.from_bytes(public, "little")
    return len(public) == KEY_BYTES and value < _FIELD and value not in _SMALL_ORDER


def _check_size(kind: str, key: bytes) -> None:
    if len(key) != KEY_BYTES:
        raise CryptoError(f"an X25519 {kind} key has {len(key)} bytes, needs {KEY_BYTES}")
