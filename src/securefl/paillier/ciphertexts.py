"""Ciphertexts under one key: checked where they come in, added, scaled, and written as bytes."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Final

from securefl.crypto.digest import equal
from securefl.errors import CryptoError
from securefl.paillier.arithmetic import gcd, integer, inverse, power
from securefl.paillier.public_key import PublicKey
from securefl.paillier.threads import share_out

_KEY_ID_BYTES: Final = 32


class Ciphertexts:
    """A vector of ciphertexts. Addition is that of the plaintexts, coordinate by coordinate, modulo n.

    Sums and multiples are as random as what they are made of: `Encryptor.rerandomise` them before anybody sees them who
    saw the summands.

    Args:
        key: the key that they are under.
        values: integers c, each checked: 0 < c < n^2 and gcd(c, n) = 1.

    Attributes:
        key: as given.
        values: the integers.

    Raises:
        CryptoError: an integer that is no ciphertext under this key, by its index.
    """

    __slots__ = ("key", "values")

    key: Final[PublicKey]
    values: Final[tuple[int, ...]]

    def __init__(self, key: PublicKey, values: Iterable[int]) -> None:
        self.key = key
        self.values = tuple(self._checked(values))

    @classmethod
    def trusted(cls, key: PublicKey, values: Iterable[int]) -> Ciphertexts:
        """Return what this library computed itself, unchecked."""
        made = cls.__new__(cls)
        made.key = key  # type: ignore[misc]
        made.values = tuple(values)  # type: ignore[misc]
        return made

    @classmethod
    def total(cls, vectors: Sequence[Ciphertexts], *, threads: int | None = None) -> Ciphertexts:
        """Return the encrypted sum of many vectors.

        Args:
            vectors: at least one, all under one key and of one length.
            threads: None means one a core.

        Raises:
            CryptoError: no vectors, or different keys or lengths.
        """
        if not vectors:
            raise CryptoError("no ciphertexts to add: needs at least one vector")
        first = vectors[0]
        for vector in vectors[1:]:
            first.check_addable(vector)
        modulus = first.key.squared

        def work(columns: Sequence[tuple[int, ...]]) -> list[int]:
            return [functools.reduce(lambda acc, c: acc * c % modulus, column) for column in columns]

        return cls.trusted(first.key, share_out(work, list(zip(*(v.values for v in vectors), strict=True)), threads))

    def __add__(self, other: Ciphertexts) -> Ciphertexts:
        self.check_addable(other)
        modulus = self.key.squared
        return self.trusted(self.key, (a * b % modulus for a, b in zip(self.values, other.values, strict=True)))

    def scaled(self, factor: int) -> Ciphertexts:
        """Return the ciphertexts of factor times the plaintexts.

        Takes time that depends on the factor, which whoever sees the ciphertexts before and after can find by trying: weights
        that are secret are multiplied before encryption.

        Args:
            factor: an integer of at most (n - 1) / 2, of either sign.

        Raises:
            CryptoError: the factor is no integer or too large.
        """
        if type(factor) is not int or abs(factor) > self.key.max_plaintext:
            raise CryptoError("the factor is no integer of at most (n - 1) / 2", remedy="give a Python int")
        modulus = self.key.squared
        bases = self.values if factor >= 0 else tuple(inverse(c, modulus) for c in self.values)
        return self.trusted(self.key, (power(c, abs(factor), modulus) for c in bases))

    def check_key(self, key: PublicKey) -> None:
        """Accept ciphertexts under a key, or raise.

        Raises:
            CryptoError: they are under another one.
        """
        if self.key != key:
            raise CryptoError(
                f"ciphertexts under key {self.key.fingerprint}, needs {key.fingerprint}",
                remedy="all parties encrypt under the key that the plan names",
            )

    def check_addable(self, other: Ciphertexts) -> None:
        """Accept another vector as a summand, or raise.

        Raises:
            CryptoError: it is under another key, or of another length.
        """
        other.check_key(self.key)
        if len(other) != len(self):
            raise CryptoError(f"{len(other)} ciphertexts added to {len(self)}", remedy="use one slot layout")

    def to_bytes(self) -> bytes:
        """Return the key id (32 bytes), then each ciphertext: bits / 4 bytes, big-endian."""
        size = self.key.ciphertext_bytes
        return self.key.key_id + b"".join(int(c).to_bytes(size, "big") for c in self.values)

    @classmethod
    def from_bytes(cls, data: bytes | memoryview, *, key: PublicKey, count: int) -> Ciphertexts:
        """Read and check what `to_bytes` wrote.

        Args:
            data: bytes off the wire.
            key: the key that they must be under.
            count: how many there must be: never taken from the sender.

        Raises:
            CryptoError: another key or number, or an integer that is no ciphertext.
        """
        size = key.ciphertext_bytes
        if len(data) != _KEY_ID_BYTES + count * size:
            raise CryptoError(
                f"{count} ciphertexts under a key of {key.bits} bits take {_KEY_ID_BYTES + count * size} bytes, came {len(data)}"
            )
        if not equal(bytes(data[:_KEY_ID_BYTES]), key.key_id):
            raise CryptoError(
                f"ciphertexts under a key of another id than {key.fingerprint}",
                remedy="all parties encrypt under the key that the plan names",
            )
        starts = range(_KEY_ID_BYTES, len(data), size)
        return cls(key, (int.from_bytes(data[start : start + size], "big") for start in starts))

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, where: slice) -> Ciphertexts:
        return self.trusted(self.key, self.values[where])

    def __repr__(self) -> str:
        return f"<Ciphertexts: {len(self)} under {self.key!r}>"

    def _checked(self, values: Iterable[int]) -> list[int]:
        n, squared = self.key.n, self.key.squared
        product = integer(1)
        checked = []
        for index, c in enumerate(values):
            if type(c) is not int or not 0 < c < squared:
                raise CryptoError(f"ciphertext {index} is no integer in 1..n^2 - 1", remedy="its sender is at fault")
            checked.append(integer(c))
            product = product * checked[-1] % n
        # A product is a unit just when all its factors are: one gcd serves them all.
        if gcd(product, n) != 1:
            index = next(i for i, c in enumerate(checked) if gcd(c, n) != 1)
            raise CryptoError(f"ciphertext {index} has a factor in common with n", remedy="its sender is at fault")
        return checked
