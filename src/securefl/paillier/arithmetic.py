"""Integers of thousands of bits, by GMP: the only module that imports gmpy2.

To type checkers these integers are `int`; at run time they are gmpy2's, which behave alike in arithmetic and comparison.
What leaves this package is converted to Python's own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from securefl.errors import ConfigError

try:
    import gmpy2
except ImportError as error:
    raise ConfigError(
        "Paillier encryption needs gmpy2, which is not installed", remedy="pip install 'securefl[paillier]'"
    ) from error

_PRIMALITY_ROUNDS = 64


def integer(value: int) -> int:
    """Return a value as GMP's integer."""
    made: int = gmpy2.mpz(value)
    return made


def power(base: int, exponent: int, modulus: int) -> int:
    """Return base^exponent modulo an integer; for public exponents, because its time depends on the exponent."""
    result: int = gmpy2.powmod(base, exponent, modulus)
    return result


def power_secret(base: int, exponent: int, modulus: int) -> int:
    """Return base^exponent modulo an odd integer, in a time and with memory accesses that depend on sizes only.

    Args:
        base: in 0..modulus - 1.
        exponent: above 0, secret.
        modulus: odd.

    Source: GMP manual, mpz_powm_sec.
    """
    result: int = gmpy2.powmod_sec(base, exponent, modulus)
    return result


def inverse(value: int, modulus: int) -> int:
    """Return the inverse of a unit.

    Raises:
        ZeroDivisionError: the value has none.
    """
    result: int = gmpy2.invert(value, modulus)
    return result


def gcd(a: int, b: int) -> int:
    """Return the greatest common divisor."""
    result: int = gmpy2.gcd(a, b)
    return result


def is_prime(value: int) -> bool:
    """Return whether a value is prime, with an error of at most 4^-40 for a composite that is chosen to deceive.

    Source: GMP manual, mpz_probab_prime_p: Baillie-PSW, then `reps - 24` rounds of Miller-Rabin with random bases.
    """
    return bool(gmpy2.is_prime(value, _PRIMALITY_ROUNDS))


def is_perfect_power(value: int) -> bool:
    """Return whether a value is a^b with b > 1."""
    return bool(gmpy2.is_power(value))


def product_of_primes(limit: int) -> int:
    """Return the product of all primes up to a limit."""
    result: int = gmpy2.primorial(limit)
    return result


@contextlib.contextmanager
def releasing_the_interpreter() -> Iterator[None]:
    """Let other threads run while this one computes: GMP's operations give up Python's lock for their time."""
    with gmpy2.context(gmpy2.get_context(), allow_release_gil=True):
        yield
