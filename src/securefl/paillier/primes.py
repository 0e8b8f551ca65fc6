"""Random primes for a Paillier key."""

from __future__ import annotations

from securefl.crypto.random import OS, RandomSource
from securefl.paillier.arithmetic import gcd, integer, is_prime

_MIN_DISTANCE_BITS = 100


def prime_pair(bits: int, random: RandomSource = OS) -> tuple[int, int]:
    """Return primes p < q of bits / 2 each, whose product has exactly `bits`.

    Both are 3 modulo 4 and gcd(p - 1, q - 1) = 2: then n is a Blum integer and -x^2 generates the elements of Jacobi symbol
    1, as the DJN variant of the encryption needs.

    Args:
        bits: of the product; a multiple of 16.
        random: where the candidates come from.

    Source: Damgard, Jurik, Nielsen, A generalization of Paillier's public-key system with applications to electronic voting
    (2010); FIPS 186-5, appendix A.1.3 (distance of the primes).
    """
    half = bits // 2
    p = _prime(half, random)
    while True:
        q = _prime(half, random)
        if abs(p - q) >> (half - _MIN_DISTANCE_BITS) and gcd(p - 1, q - 1) == 2:
            return (p, q) if p < q else (q, p)


def _prime(bits: int, random: RandomSource) -> int:
    # Every candidate is drawn afresh: the next prime after a random number favours those that follow large gaps.
    top = 3 << (bits - 2)  # two bits, so that the product of two primes has all its bits
    while True:
        drawn = int.from_bytes(random.token(bits // 8), "big")
        candidate = integer(drawn | top | 3)
        if is_prime(candidate):
            return candidate
