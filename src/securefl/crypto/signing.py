"""Identity signatures: Ed25519, keys as PEM files, fingerprints that people can compare."""

from __future__ import annotations

from typing import Final, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from securefl.crypto.digest import digest
from securefl.crypto.random import OS, RandomSource
from securefl.crypto.secret import Redacted
from securefl.errors import CryptoError

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
_FINGERPRINT_BYTES: Final = 16


class SigningKey(Redacted):
    """A party's long-term identity key.

    Attributes:
        verify_key: the public half, 32 raw bytes.

    Source: RFC 8032, section 5.1.
    """

    __slots__ = ("_key", "verify_key")

    verify_key: Final[bytes]

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.verify_key = key.public_key().public_bytes_raw()

    @classmethod
    def generate(cls, random: RandomSource = OS) -> Self:
        """Make a new key from 32 random bytes."""
        return cls.from_bytes(random.token(KEY_BYTES))

    @classmethod
    def from_bytes(cls, seed: bytes) -> Self:
        """Rebuild the key of a seed.

        Raises:
            CryptoError: the seed has not 32 bytes.
        """
        if len(seed) != KEY_BYTES:
            raise CryptoError(f"an Ed25519 seed has {len(seed)} bytes, needs {KEY_BYTES}")
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def from_pem(cls, data: bytes, password: bytes | None) -> Self:
        """Read a key that `to_pem` wrote.

        Args:
            data: the PEM file's bytes.
            password: its password; None when it is not encrypted.

        Raises:
            CryptoError: wrong, missing or needless password, no private key, or not an Ed25519 one.
        """
        encrypted = b"ENCRYPTED" in data
        if encrypted and not password:
            raise CryptoError("this key file is encrypted and no password was given", remedy="give its password")
        if password is not None and not encrypted and b"PRIVATE KEY" in data:
            raise CryptoError(
                "this key file is not encrypted, yet a password was given",
                remedy="give no password, and ask why the key lies there in clear",
            )
        try:
            key = serialization.load_pem_private_key(data, password)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            if encrypted:
                raise CryptoError(
                    "this key file cannot be decrypted: wrong password, or a damaged file",
                    remedy="check the password, or restore the file",
                ) from error
            raise CryptoError(
                "this is no PEM private key", remedy="give the private key file that `securefl keygen` wrote"
            ) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise CryptoError(
                f"this private key is no Ed25519 key but {type(key).__name__.removesuffix('PrivateKey')}",
                remedy="make an identity key with `securefl keygen`",
            )
        return cls(key)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of a message."""
        return self._key.sign(message)

    def to_pem(self, password: bytes | None) -> bytes:
        """Return the key as PEM (PKCS #8), encrypted unless the password is None.

        Raises:
            ValueError: the password is empty.
        """
        encryption = (
            serialization.NoEncryption() if password is None else serialization.BestAvailableEncryption(password)
        )
        return self._key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def verify(verify_key: bytes, signature: bytes, message: bytes) -> None:
    """Accept a signature silently, or raise.

    Args:
        verify_key: 32 raw bytes, from the verifier's own roster.
        signature: 64 bytes.
        message: what was signed.

    Raises:
        CryptoError: a size is wrong, or the signature is not this key's over this message.

    Source: RFC 8032, section 5.1.7.
    """
    if len(verify_key) != KEY_BYTES:
        raise CryptoError(f"an Ed25519 verify key has {len(verify_key)} bytes, needs {KEY_BYTES}")
    if len(signature) != SIGNATURE_BYTES:
        raise CryptoError(f"an Ed25519 signature has {len(signature)} bytes, needs {SIGNATURE_BYTES}")
    try:
        Ed25519PublicKey.from_public_bytes(verify_key).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise CryptoError(
            f"the signature is not the one of key {fingerprint(verify_key)} over this message",
            remedy="compare the fingerprint with the party's own",
        ) from error


def fingerprint(verify_key: bytes) -> str:
    """Return 128 bits of the key's digest as eight groups of four hex digits, to be read out over the telephone."""
    text = digest("fingerprint", verify_key)[:_FINGERPRINT_BYTES].hex()
    return " ".join(text[i : i + 4] for i in range(0, len(text), 4))
