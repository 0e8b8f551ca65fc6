"""The trusted dealer: makes the key, shares it, publishes what partials are checked against, and forgets it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from securefl.crypto.random import OS, RandomSource
from securefl.crypto.secret import Redacted
from securefl.crypto.signing import SigningKey
from securefl.errors import CryptoError
from securefl.paillier.arithmetic import integer, inverse
from securefl.paillier.private_key import PrivateKey
from securefl.paillier.public_key import DEFAULT_BITS, check_size
from securefl.paillier.threshold.safe_primes import Search, is_safe_prime, safe_prime_pair
from securefl.paillier.threshold.share import KeyShare
from securefl.paillier.threshold.verification import VerificationKeys, check_parties, raised


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class TrustedDealing(Redacted):
    """What a dealer hands out, who knew the whole key when it did: everybody gets `keys`, and party i only `shares[i]`."""

    keys: VerificationKeys
    shares: tuple[KeyShare, ...]


def safe_private_key(
    bits: int = DEFAULT_BITS,
    *,
    random: RandomSource = OS,
    progress: Search | None = None,
    insecure_size_for_tests: bool = False,
) -> PrivateKey:
    """Make a key of safe primes, which can be dealt; at 3072 bits this takes some ten seconds, sometimes a minute.

    Args:
        bits: of n: 3072, or more; from 2048 with a warning.
        random: where the primes come from.
        progress: told how many of the two primes are found and how many candidates were looked at.
        insecure_size_for_tests: accept 256 to 2047 bits.

    Raises:
        CryptoError: a size that is refused.
    """
    check_size(bits, insecure_size_for_tests=insecure_size_for_tests, quiet=True)
    p, q = safe_prime_pair(bits, random, progress=progress)
    return PrivateKey(p, q, insecure_size_for_tests=insecure_size_for_tests)


def deal(
    private_key: PrivateKey, names: Sequence[str], *, threshold: int, dealer: SigningKey, random: RandomSource = OS
) -> TrustedDealing:
    """Share a key among parties, any `threshold` of whom can decrypt. Whoever runs this knows the key: a trusted dealer.

    d is 0 modulo p' q' and 1 modulo n; the shares are the values at 1..n of a random polynomial of degree t - 1 modulo n p' q' whose
    value at 0 is d. Afterwards the dealer keeps neither the key nor any share: delete both, and their files.

    Args:
        private_key: of safe primes; see `safe_private_key`.
        names: of the parties, in the order of their indices; see `VerificationKeys`.
        threshold: t, in 2..n.
        dealer: the dealer's identity, which signs the verification keys.
        random: where the polynomial comes from.

    Raises:
        CryptoError: primes that are not safe, or t or names that are refused.

    Source: Damgard, Jurik (2001), section 4.1: key generation, with s = 1.
    """
    check_parties(threshold, names)
    p, q = (integer(prime) for prime in private_key.primes)
    if not (is_safe_prime(p) and is_safe_prime(q)):
        raise CryptoError("the primes of this key are not safe primes", remedy="make a key with `safe_private_key`")
    key, m = private_key.public_key, (p // 2) * (q // 2)
    order = key.n * m
    # Highest degree first. A leading zero is as likely as any value: excluding it would tell t - 1 parties something.
    coefficients = [*(integer(random.below(int(order))) for _ in range(threshold - 1)), m * inverse(m, key.n)]
    shares = [_evaluate(coefficients, point, order) for point in range(1, len(names) + 1)]
    values = [raised(key, share, parties=len(names)) for share in shares]
    keys = VerificationKeys.signed(key, threshold, names, values, dealer=dealer)
    return TrustedDealing(keys, tuple(KeyShare(keys, party, share) for party, share in enumerate(shares)))


def _evaluate(coefficients: Sequence[int], x: int, order: int) -> int:
    value = integer(0)
    for coefficient in coefficients:
        value = (value * x + coefficient) % order
    return value
