"""The private key: two primes, decryption by the Chinese remainder theorem, and its encrypted file."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from securefl.crypto.password import open_with_password, seal_with_password
from securefl.crypto.random import OS, RandomSource
from securefl.crypto.secret import Redacted
from securefl.errors import CryptoError
from securefl.paillier.arithmetic import gcd, integer, inverse, is_prime, power, power_secret
from securefl.paillier.ciphertexts import Ciphertexts
from securefl.paillier.primes import prime_pair
from securefl.paillier.public_key import DEFAULT_BITS, PublicKey, check_size
from securefl.paillier.threads import Progress, in_chunks

_Power: TypeAlias = Callable[[int, int, int], int]

_PURPOSE: Final = b"securefl paillier private key"
_MAGIC: Final = b"securefl-paillier-private"
_VERSION: Final = 1
_HEADER_BYTES: Final = len(_MAGIC) + 4


class PrivateKey(Redacted):
    """A Paillier key pair.

    Args:
        p: one prime.
        q: the other one, of as many bits.
        blum: whether both are 3 modulo 4 with gcd(p - 1, q - 1) = 2; checked.
        insecure_size_for_tests: accept 256 to 2047 bits.

    Attributes:
        public_key: the public half.

    Raises:
        CryptoError: not two different primes of as many bits each, or not as `blum` says, or a size that is refused.

    Source: P. Paillier (1999), section 7, Decryption using Chinese-remaindering.
    """

    __slots__ = ("_halves", "_p_inverse", "_p_squared_inverse", "public_key")

    public_key: Final[PublicKey]

    def __init__(self, p: int, q: int, *, blum: bool = True, insecure_size_for_tests: bool = False) -> None:
        p, q = integer(min(p, q)), integer(max(p, q))
        n = p * q
        if p == q or int(p).bit_length() != int(q).bit_length() or not (is_prime(p) and is_prime(q)):
            raise CryptoError("a Paillier key needs two different primes of the same size", remedy="make a new key")
        if blum and not (p % 4 == q % 4 == 3 and gcd(p - 1, q - 1) == 2):
            raise CryptoError(
                "these primes are not 3 modulo 4 with gcd(p - 1, q - 1) = 2",
                remedy="make a new key, or use this one with `standard` randomness only",
            )
        self.public_key = PublicKey(n, blum=blum, insecure_size_for_tests=insecure_size_for_tests)
        self._halves = (_Half(p, q), _Half(q, p))
        self._p_inverse = inverse(p, q)
        self._p_squared_inverse = inverse(p * p, q * q)

    @classmethod
    def generate(
        cls, bits: int = DEFAULT_BITS, *, random: RandomSource = OS, insecure_size_for_tests: bool = False
    ) -> PrivateKey:
        """Make a new key; at 3072 bits this takes about a second.

        Args:
            bits: of n: 3072, or more; from 2048 with a warning.
            random: where the primes come from.
            insecure_size_for_tests: accept 256 to 2047 bits.

        Raises:
            CryptoError: a size that is refused.
        """
        check_size(bits, insecure_size_for_tests=insecure_size_for_tests, quiet=True)
        p, q = prime_pair(bits, random)
        return cls(p, q, insecure_size_for_tests=insecure_size_for_tests)

    def decrypt(
        self,
        ciphertexts: Ciphertexts,
        *,
        threads: int | None = None,
        progress: Progress | None = None,
        constant_time: bool = True,
    ) -> list[int]:
        """Return the signed integers that were encrypted, in -(n - 1)/2..(n - 1)/2.

        Whoever may choose what is decrypted learns everything: what is decrypted must be a sum that the holder of the key has
        reason to believe in.

        Args:
            ciphertexts: under this key.
            threads: None means one a core.
            progress: told after each chunk.
            constant_time: exponentiate in a time and with memory accesses that do not depend on the primes. Without this,
                which is a third faster, nobody else may run on the machine or measure the time.

        Raises:
            CryptoError: ciphertexts under another key.
        """
        ciphertexts.check_key(self.public_key)
        work = functools.partial(self._decrypt, raise_to=power_secret if constant_time else power)
        chunks = in_chunks(work, ciphertexts.values, threads=threads, progress=progress)
        return [plaintext for chunk in chunks for plaintext in chunk]

    @property
    def primes(self) -> tuple[int, int]:
        """The two primes p < q: the whole secret, for writing it in another form."""
        (p, q) = self._halves
        return int(p.prime), int(q.prime)

    def to_bytes(self, password: str | bytes) -> bytes:
        """Return the key sealed under a password.

        Inside: magic, version, blum (a byte each), bits (2 bytes), p and q big-endian.

        Raises:
            CryptoError: the password is empty.
        """
        key = self.public_key
        header = _MAGIC + bytes([_VERSION, key.blum]) + key.bits.to_bytes(2, "big")
        plain = header + b"".join(prime.to_bytes(key.bits // 16, "big") for prime in self.primes)
        return seal_with_password(plain, password, purpose=_PURPOSE)

    @classmethod
    def from_bytes(cls, data: bytes, password: str | bytes, *, insecure_size_for_tests: bool = False) -> PrivateKey:
        """Open and check what `to_bytes` sealed.

        Raises:
            CryptoError: wrong password, altered, of another version, or a size that is refused.
        """
        plain = open_with_password(data, password, purpose=_PURPOSE)
        if plain[: len(_MAGIC)] != _MAGIC or len(plain) < _HEADER_BYTES:
            raise CryptoError("what was sealed here is no Paillier private key", remedy="give the private key's file")
        version, blum = plain[len(_MAGIC) : len(_MAGIC) + 2]
        half = int.from_bytes(plain[_HEADER_BYTES - 2 : _HEADER_BYTES], "big") // 16
        if version != _VERSION or blum > 1 or len(plain) != _HEADER_BYTES + 2 * half:
            raise CryptoError(
                f"a Paillier private key of version {version}, kind {blum} and {len(plain)} bytes, which this library does not read",
                remedy="update securefl",
            )
        p, q = (int.from_bytes(plain[start : start + half], "big") for start in (_HEADER_BYTES, _HEADER_BYTES + half))
        return cls(p, q, blum=bool(blum), insecure_size_for_tests=insecure_size_for_tests)

    def residue(self, r: int) -> int:
        """Return r^n mod n^2, in less time than without the primes.

        r^n mod p^2 is (r^q mod p)^p, because what is equal modulo p has equal p-th powers modulo p^2.
        """
        halves = (
            power_secret(power_secret(r % at.prime, at.other, at.prime), at.prime, at.squared) for at in self._halves
        )
        return self.join_squares(*halves)

    @property
    def squares(self) -> tuple[int, int]:
        """p^2 and q^2, moduli of the two halves of a mask; secret."""
        p, q = self._halves
        return p.squared, q.squared

    def join_squares(self, at_p: int, at_q: int) -> int:
        """Return the residue modulo n^2 of which these are the residues modulo p^2 and q^2."""
        p, q = self._halves
        return at_p + (at_q - at_p) * self._p_squared_inverse % q.squared * p.squared

    def _decrypt(self, values: Sequence[int], raise_to: _Power) -> list[int]:
        (p, q), half = self._halves, self.public_key.n // 2
        plaintexts = []
        for c in values:
            at_p, at_q = p.decrypt(c, raise_to), q.decrypt(c, raise_to)
            m = at_p + (at_q - at_p) * self._p_inverse % q.prime * p.prime
            plaintexts.append(int(m if m <= half else m - self.public_key.n))
        return plaintexts


class _Half(Redacted):
    """Decryption modulo one prime."""

    __slots__ = ("factor", "other", "prime", "squared")

    def __init__(self, prime: int, other: int) -> None:
        self.prime = prime
        self.other = other
        self.squared = prime * prime
        # L((n + 1)^(p - 1) mod p^2) = (p - 1) q = -q modulo p.
        self.factor = inverse(-other, prime)

    def decrypt(self, c: int, raise_to: _Power) -> int:
        """Return the plaintext modulo the prime: L(c^(p - 1) mod p^2) times the factor, with L(x) = (x - 1) / p."""
        x = raise_to(c % self.squared, self.prime - 1, self.squared)
        return (x - 1) // self.prime * self.factor % self.prime
