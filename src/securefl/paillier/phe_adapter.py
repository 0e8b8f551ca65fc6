"""Keys and encrypted numbers to and from the `phe` library: the only module that imports it (it is under the GPLv3).

phe writes a float as an integer times 16^exponent and leaves the exponent in clear: it depends on the value, and gives much
of it away. So only vectors of one exponent come in, and only integers of one exponent go out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from securefl.errors import ConfigError, CryptoError
from securefl.paillier.ciphertexts import Ciphertexts
from securefl.paillier.private_key import PrivateKey
from securefl.paillier.public_key import PublicKey

try:
    from phe import EncryptedNumber, PaillierPrivateKey, PaillierPublicKey
except ImportError as error:
    raise ConfigError("this needs phe, which is not installed", remedy="pip install 'securefl[phe]'") from error


def public_from_phe(key: PaillierPublicKey, *, insecure_size_for_tests: bool = False) -> PublicKey:
    """Return phe's public key, checked; it serves `standard` randomness only.

    Raises:
        CryptoError: a modulus that is not as it should be.
    """
    return PublicKey(key.n, insecure_size_for_tests=insecure_size_for_tests)


def public_to_phe(key: PublicKey) -> PaillierPublicKey:
    """Return a public key as phe's."""
    return PaillierPublicKey(int(key.n))


def private_from_phe(key: PaillierPrivateKey, *, insecure_size_for_tests: bool = False) -> PrivateKey:
    """Return phe's private key, checked; it serves `standard` randomness only.

    Raises:
        CryptoError: not two different primes of one size, or a size that is refused.
    """
    return PrivateKey(key.p, key.q, blum=False, insecure_size_for_tests=insecure_size_for_tests)


def private_to_phe(key: PrivateKey) -> PaillierPrivateKey:
    """Return a private key as phe's, which neither hides itself in repr nor refuses to be pickled."""
    return PaillierPrivateKey(public_to_phe(key.public_key), *key.primes)


def from_phe(numbers: Sequence[EncryptedNumber], key: PublicKey) -> tuple[Ciphertexts, int]:
    """Return phe's numbers as ciphertexts, and their common exponent: a plaintext m stands for m 16^exponent.

    Args:
        numbers: at least one, under this key. phe re-randomises those that are sums.
        key: the key they must be under.

    Raises:
        CryptoError: none, another key, different exponents, or no ciphertexts.
    """
    exponents = {number.exponent for number in numbers}
    if len(exponents) != 1:
        raise CryptoError(
            f"{len(numbers)} numbers of {len(exponents)} different exponents, needs one",
            remedy="encode with one fixed precision: exponents in clear give the values away",
        )
    if any(number.public_key.n != key.n for number in numbers):
        raise CryptoError(f"a number under another key than {key.fingerprint}")
    return Ciphertexts(key, (number.ciphertext() for number in numbers)), int(exponents.pop())


def to_phe(ciphertexts: Ciphertexts, exponent: int = 0) -> list[EncryptedNumber]:
    """Return ciphertexts as phe's numbers; phe decrypts integers of at most n / 3.

    Args:
        ciphertexts: of integers m.
        exponent: each number stands for m 16^exponent.
    """
    key: Any = public_to_phe(ciphertexts.key)
    return [EncryptedNumber(key, int(c), exponent) for c in ciphertexts.values]
