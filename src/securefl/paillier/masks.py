"""Masks: random n-th residues modulo n^2, by which a ciphertext hides its plaintext. Each is used once."""

from __future__ import annotations

import enum
import functools
import os
import threading
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from securefl.crypto.digest import shake256
from securefl.crypto.random import OS, RandomSource
from securefl.crypto.secret import Redacted
from securefl.errors import CryptoError
from securefl.paillier.arithmetic import gcd, integer, power
from securefl.paillier.fixed_base import FixedBase
from securefl.paillier.private_key import PrivateKey
from securefl.paillier.public_key import PublicKey
from securefl.paillier.threads import share_out

SHORT_BITS: Final = 448
DEFAULT_WINDOW: Final = 8
_H_LABEL: Final = b"securefl/h"
_H_EXTRA_BYTES: Final = 32
"""So many bytes more than n are hashed: their residue modulo n is within 2^-256 of uniform."""

_Power: TypeAlias = Callable[[int], int]


class Randomness(enum.StrEnum):
    """How masks are made."""

    STANDARD = "standard"
    DJN = "djn"
    SHORT = "short"

    @property
    def assumption(self) -> str:
        """What the secrecy of ciphertexts rests on, in words for a report."""
        return _ASSUMPTIONS[self]


_ASSUMPTIONS: Final = {
    Randomness.STANDARD: "decisional composite residuosity (Paillier 1999)",
    Randomness.DJN: "decisional composite residuosity, and factoring: exponents of half the bits of n are "
    "indistinguishable from full ones (Damgard, Jurik, Nielsen 2010; Goldreich, Rosen 2003)",
    Randomness.SHORT: f"decisional composite residuosity, and the short-exponent assumption: powers of h_s with exponents of "
    f"{SHORT_BITS} bits are indistinguishable from those with full ones (no proof from factoring)",
}


class Masks(Redacted):
    """A source of masks under one key.

    `standard` masks are r^n for a uniform unit r. `djn` and `short` ones are h_s^e, from a table: h_s = h^n mod n^2, and
    e is uniform with half the bits of n, or 448. The first one needs the table, which takes a second at 3072 bits.

    Args:
        key: the public key.
        randomness: a `Randomness` or its string.
        window: bits of a table's digit; 10 needs a fifth fewer multiplications than 8 and three times the memory.
        private_key: the key holder's, who makes masks faster: modulo p^2 and q^2.
        random: where r and e come from.

    Raises:
        CryptoError: a fixed base is asked for under a key that is not made for it (`PublicKey.blum`), or the private key is
            another key's.
        ValueError: an unknown randomness, or a window out of range.

    Source: Damgard, Jurik, Nielsen (2010).
    """

    __slots__ = ("_bits", "_lock", "_power", "_private_key", "_process", "_random", "_window", "key", "randomness")

    key: Final[PublicKey]
    randomness: Final[Randomness]

    def __init__(
        self,
        key: PublicKey,
        randomness: Randomness | str = Randomness.DJN,
        *,
        window: int = DEFAULT_WINDOW,
        private_key: PrivateKey | None = None,
        random: RandomSource = OS,
    ) -> None:
        self.key = key
        self.randomness = Randomness(randomness)
        if self.randomness is not Randomness.STANDARD and not key.blum:
            raise CryptoError(
                f"`{self.randomness}` randomness under a key whose primes are not known to be 3 modulo 4",
                remedy='use randomness="standard", or a key that securefl made',
            )
        if private_key is not None and private_key.public_key != key:
            raise CryptoError(f"the private key is not the one of {key.fingerprint}", remedy="give that one, or none")
        self._bits = key.bits // 2 if self.randomness is Randomness.DJN else min(SHORT_BITS, key.bits // 2)
        self._window = window
        self._private_key = private_key
        self._random = random
        self._power: _Power | None = None
        self._lock = threading.Lock()
        self._process = os.getpid()

    def prepare(self) -> None:
        """Make the table now; otherwise the first mask does."""
        self._ready()

    def draw(self, count: int, *, threads: int | None = 1) -> list[int]:
        """Return masks that nobody else will have.

        Args:
            count: how many.
            threads: None means one a core.
        """
        make = self._ready()
        draw = self._unit if self.randomness is Randomness.STANDARD else self._exponent
        return share_out(lambda run: [make(draw()) for _ in run], range(count), threads)

    def _unit(self) -> int:
        n = self.key.n
        while True:
            r = self._random.below(int(n) - 1) + 1
            if gcd(r, n) == 1:
                return r

    def _exponent(self) -> int:
        return int.from_bytes(self._random.token(self._bits // 8), "big")

    def _ready(self) -> _Power:
        if os.getpid() != self._process:  # the lock may have been held at the fork, and its holder is not here
            self._lock, self._process = threading.Lock(), os.getpid()
        with self._lock:
            if self._power is None:
                self._power = self._residue() if self.randomness is Randomness.STANDARD else self._fixed_base()
            return self._power

    def _residue(self) -> _Power:
        if self._private_key is not None:
            return self._private_key.residue
        n, squared = self.key.n, self.key.squared
        return lambda r: power(r, n, squared)

    def _fixed_base(self) -> _Power:
        holder = self._private_key
        if holder is None:
            return _public_table(self.key, self._bits, self._window).power
        h_s = _h_s(self.key)
        at_p, at_q = (FixedBase(h_s, square, bits=self._bits, window=self._window) for square in holder.squares)
        return lambda e: holder.join_squares(at_p.power(e), at_q.power(e))


@functools.lru_cache(maxsize=4)
def _public_table(key: PublicKey, bits: int, window: int) -> FixedBase:
    """The table of h_s, which everybody can make: whoever encrypts in this process shares it, 37 MB at 3072 bits."""
    return FixedBase(_h_s(key), key.squared, bits=bits, window=window)


def _h_s(key: PublicKey) -> int:
    return power(generator(key), key.n, key.squared)


def generator(key: PublicKey) -> int:
    """Return h = -x^2 mod n, where x = SHAKE256("securefl/h" || n) mod n and n has bits / 8 bytes, big-endian.

    Everybody computes it: an h that somebody sends might generate a small group.

    Raises:
        CryptoError: x is no unit, which finds a factor of n.

    Source: Damgard, Jurik, Nielsen (2010); paillier.md, Decisions.
    """
    size = key.bits // 8
    digest = shake256(size + _H_EXTRA_BYTES, _H_LABEL, int(key.n).to_bytes(size, "big"))
    x = integer(int.from_bytes(digest, "big")) % key.n
    if gcd(x, key.n) != 1:
        raise CryptoError("the modulus has a factor that its own hash finds", remedy="make a new key")
    return -x * x % key.n


def apply_masks(plain: Sequence[int], masks: Sequence[int], modulus: int) -> list[int]:
    """Return the products of ciphertexts and masks."""
    return [c * mask % modulus for c, mask in zip(plain, masks, strict=True)]
