"""Safe primes p = 2 p' + 1, whose squares modulo n^2 form a cyclic group without small subgroups."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, TypeAlias

from securefl.crypto.random import OS, RandomSource
from securefl.paillier.arithmetic import gcd, integer, inverse, is_prime, power, product_of_primes

Search: TypeAlias = Callable[[int, int], None]
"""Told now and then how many of the two primes are found, and how many candidates were looked at."""

_MIN_DISTANCE_BITS: Final = 100
_FREE_BITS: Final = 64
_TRIAL_LIMIT: Final = 1 << 16
_TOLD_EVERY: Final = 64


def is_safe_prime(p: int) -> bool:
    """Return whether p and (p - 1) / 2 are odd primes."""
    return p % 4 == 3 and is_prime(p // 2) and is_prime(p)


def safe_prime_pair(bits: int, random: RandomSource = OS, *, progress: Search | None = None) -> tuple[int, int]:
    """Return safe primes p < q of bits / 2 each, whose product has exactly `bits`.

    Takes some ten seconds at 3072 bits, sometimes a minute: one odd number in 400 000 is such a prime.

    Args:
        bits: of the product; a multiple of 16, at least 256.
        random: where the candidates come from.
        progress: told after every 64 candidates, and at each prime.

    Source: Damgard, Jurik, Nielsen (2010), threshold variant; FIPS 186-5, appendix A.1.3 (distance of the primes).
    """
    half, tried = bits // 2, 0
    candidates = _Candidates(half)
    found: list[int] = []
    while len(found) < 2:
        tried += 1
        p = candidates.draw(random)
        if _passes(p, candidates.small_primes) and all(abs(p - q) >> (half - _MIN_DISTANCE_BITS) for q in found):
            found.append(p)
        elif tried % _TOLD_EVERY:
            continue
        if progress is not None:
            progress(len(found), tried)
    return min(found), max(found)


def _passes(p: int, small_primes: int) -> bool:
    """Return whether p is a safe prime; cheap tests, which nearly all composites fail, come first."""
    half = p // 2
    both = p * half
    return (
        gcd(both, small_primes % both) == 1
        and power(2, half - 1, half) == 1
        and power(2, p - 1, p) == 1
        and is_safe_prime(p)
    )


class _Candidates:
    """Numbers p = 2 p' + 1 of which neither p nor p' has a small factor, all equally likely.

    p' is made of its residues modulo small primes l, each any but 0 and (l - 1) / 2, where l divides p' or p. Every candidate is
    drawn afresh: a sieve over neighbours favours primes that follow large gaps.

    Args:
        bits: of p; the two highest are set.

    Source: M. Joye, P. Paillier, Fast generation of prime numbers on portable devices (2006): units modulo a product of
        primes, here by the Chinese remainder theorem.
    """

    def __init__(self, bits: int) -> None:
        low, high = 3 << (bits - 3), 1 << (bits - 1)  # bounds of p'
        self._modulus, small = integer(2), []
        prime = 3
        while self._modulus * prime << _FREE_BITS <= high - low:
            small.append(prime)
            self._modulus *= prime
            prime = next(x for x in range(prime + 2, 2 * prime, 2) if is_prime(x))
        self._idempotents = [(x, self._idempotent(x)) for x in small]
        self._odd = self._idempotent(2)
        self._choices = math.prod(x - 2 for x in small)
        self._start = -(-low // self._modulus) * self._modulus
        self._blocks = int((high - self._start) // self._modulus)
        self.small_primes = product_of_primes(_TRIAL_LIMIT)

    def draw(self, random: RandomSource) -> int:
        """Return a candidate p."""
        rest, residue = random.below(self._choices), self._odd
        for prime, idempotent in self._idempotents:
            rest, choice = divmod(rest, prime - 2)
            allowed = choice + 1 if choice + 1 < prime // 2 else choice + 2
            residue += allowed * idempotent
        block = integer(random.below(self._blocks))
        return 2 * (self._start + block * self._modulus + residue % self._modulus) + 1

    def _idempotent(self, prime: int) -> int:
        """Return what is 1 modulo this prime and 0 modulo all others."""
        others = self._modulus // prime
        return others * inverse(others, prime)
