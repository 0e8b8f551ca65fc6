"""Paillier keys whose primes are published in tests/conformance/keys.json, and serve nowhere else."""

import functools
import json
from pathlib import Path

from securefl.crypto.signing import SigningKey
from securefl.paillier import PrivateKey
from securefl.paillier.threshold import TrustedDealing, deal

_STORED = Path(__file__).parents[2] / "conformance" / "keys.json"
PARTIES = ("a", "b", "c")


@functools.cache
def ordinary() -> PrivateKey:
    return _stored("ordinary")


@functools.cache
def safe() -> PrivateKey:
    return _stored("safe")


@functools.cache
def dealing() -> TrustedDealing:
    """Any two of a, b and c decrypt."""
    return deal(safe(), PARTIES, threshold=2, dealer=SigningKey.generate())


def _stored(name: str) -> PrivateKey:
    return PrivateKey(*(int(prime, 16) for prime in json.loads(_STORED.read_text())[name]))
