"""The public key: a modulus that is checked before anything is encrypted under it."""

from __future__ import annotations

import warnings
from functools import cached_property, lru_cache
from typing import Final

from securefl.crypto.digest import digest
from securefl.errors import CryptoError
from securefl.paillier.arithmetic import gcd, integer, is_perfect_power, power, product_of_primes

DEFAULT_BITS: Final = 3072
MIN_BITS: Final = 2048
MAX_BITS: Final = 16384
"""Bounds what a received key may cost: an encryption under a longer one takes seconds."""

_TEST_BITS: Final = 256
_STEP_BITS: Final = 16
"""Halves of a modulus are whole bytes."""

_MAGIC: Final = b"securefl-paillier-public"
_VERSION: Final = 1
_HEADER_BYTES: Final = len(_MAGIC) + 4
_SMALL_FACTORS: Final = 1 << 16
_FINGERPRINT_BYTES: Final = 16


class SmallKeyWarning(UserWarning):
    """A key of fewer than 3072 bits: below 128 bits of security."""


class PublicKey:
    """A Paillier modulus n, with generator g = n + 1.

    Args:
        n: the modulus: of exact size, odd, composite, no perfect power, without a factor below 2^16.
        blum: whether the key's maker says that n = p q with p = q = 3 mod 4 and gcd(p - 1, q - 1) = 2. Only then can masks
            be made from a fixed base. Nobody without the primes can check it; it is part of the key's id.
        insecure_size_for_tests: accept 256 to 2047 bits. Such keys are broken in minutes to months.

    Attributes:
        n: the modulus.
        bits: its size.
        blum: as given.

    Raises:
        CryptoError: a modulus that is not as it should be; the size is a multiple of 16 in 2048..16384.

    Source: P. Paillier, Public-key cryptosystems based on composite degree residuosity classes (1999), scheme 1.
    """

    __slots__ = ("__dict__", "bits", "blum", "n", "squared")

    n: Final[int]
    bits: Final[int]
    blum: Final[bool]
    squared: Final[int]

    def __init__(self, n: int, *, blum: bool = False, insecure_size_for_tests: bool = False) -> None:
        self.n = integer(n)
        self.bits = int(n).bit_length()
        self.blum = blum
        check_size(self.bits, insecure_size_for_tests=insecure_size_for_tests)
        _check_modulus(self.n)
        self.squared = self.n * self.n

    @cached_property
    def key_id(self) -> bytes:
        """32 bytes that every message under this key bears."""
        return digest("paillier-key", self.to_bytes())

    @property
    def fingerprint(self) -> str:
        """128 bits of the key id as eight groups of four hex digits: compare them over another channel, pin them in policies."""
        text = self.key_id[:_FINGERPRINT_BYTES].hex()
        return " ".join(text[i : i + 4] for i in range(0, len(text), 4))

    @property
    def ciphertext_bytes(self) -> int:
        """Bytes of a ciphertext: those of n^2."""
        return self.bits // 4

    @property
    def max_plaintext(self) -> int:
        """The largest absolute value that can be encrypted, (n - 1) / 2."""
        return int(self.n) // 2

    def to_bytes(self) -> bytes:
        """Return the canonical form: magic, version, blum (a byte each), bits (2 bytes) and n, big-endian."""
        header = _MAGIC + bytes([_VERSION, self.blum]) + self.bits.to_bytes(2, "big")
        return header + int(self.n).to_bytes(self.bits // 8, "big")

    @classmethod
    def from_bytes(cls, data: bytes, *, insecure_size_for_tests: bool = False) -> PublicKey:
        """Read and check what `to_bytes` wrote.

        Raises:
            CryptoError: no public key, of another version, not canonical, or a modulus that is not as it should be.
        """
        if len(data) < _HEADER_BYTES or data[: len(_MAGIC)] != _MAGIC:
            raise CryptoError(
                f"these {len(data)} bytes are no Paillier public key", remedy="give the public key's file"
            )
        version, blum = data[len(_MAGIC) : len(_MAGIC) + 2]
        bits = int.from_bytes(data[_HEADER_BYTES - 2 : _HEADER_BYTES], "big")
        if version != _VERSION or blum > 1:
            raise CryptoError(
                f"a Paillier public key of version {version} and kind {blum}, this library reads version {_VERSION}, kinds 0 and 1",
                remedy="update securefl",
            )
        check_size(bits, insecure_size_for_tests=insecure_size_for_tests, quiet=True)
        if len(data) != _HEADER_BYTES + bits // 8:
            raise CryptoError(
                f"a Paillier public key of {bits} bits has {_HEADER_BYTES + bits // 8} bytes, came {len(data)}",
                remedy="restore the whole file",
            )
        n = int.from_bytes(data[_HEADER_BYTES:], "big")
        if n.bit_length() != bits:
            raise CryptoError(f"the modulus has {n.bit_length()} bits where {bits} are announced")
        return cls(n, blum=bool(blum), insecure_size_for_tests=insecure_size_for_tests)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PublicKey):
            return NotImplemented
        return self.n == other.n and self.blum == other.blum

    def __hash__(self) -> int:
        return hash((self.n, self.blum))

    def __repr__(self) -> str:
        insecure = ", INSECURE" if self.bits < MIN_BITS else ""
        return f"<PublicKey: {self.bits} bits{insecure}, fingerprint {self.fingerprint}>"


def check_size(bits: int, *, insecure_size_for_tests: bool = False, quiet: bool = False) -> None:
    """Accept the size of a key, with a warning below 3072 bits, or raise.

    Raises:
        CryptoError: no multiple of 16 in 2048..16384 (256..16384 in tests).
    """
    least = _TEST_BITS if insecure_size_for_tests else MIN_BITS
    if not least <= bits <= MAX_BITS or bits % _STEP_BITS:
        raise CryptoError(
            f"a Paillier key of {bits} bits, needs a multiple of {_STEP_BITS} in {least}..{MAX_BITS}",
            remedy=f"make one of {DEFAULT_BITS} bits",
        )
    if MIN_BITS <= bits < DEFAULT_BITS and not quiet:
        warnings.warn(
            f"a Paillier key of {bits} bits has less than 128 bits of security; {DEFAULT_BITS} have them",
            SmallKeyWarning,
            stacklevel=3,
        )


@lru_cache(maxsize=64)
def _check_modulus(n: int) -> None:
    """Refuse what no honest maker of keys publishes: under such a modulus others may decrypt, or nobody."""
    if n % 2 == 0:
        raise CryptoError("the Paillier modulus is even", remedy="this is no key: ask its maker")
    factor = gcd(n, product_of_primes(_SMALL_FACTORS) % n)
    if factor != 1:
        raise CryptoError("the Paillier modulus has a factor below 2^16", remedy="this is no key: ask its maker")
    # Fermat's test to one base is passed by every prime, and by a product of two large ones next to never. It takes one exponentiation:
    # tests that make sure take twenty seconds for a prime of 16384 bits, which any server could send.
    if power(2, n - 1, n) == 1 or is_perfect_power(n):
        raise CryptoError("the Paillier modulus is a prime or a perfect power", remedy="this is no key: ask its maker")
