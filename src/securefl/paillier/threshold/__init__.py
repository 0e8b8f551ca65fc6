"""Threshold Paillier: a trusted dealer shares the key, and any t of n parties decrypt together, fewer do not.

`safe_primes` the modulus · `dealing` the trusted dealer · `verification` what it publishes · `share` what a party keeps ·
`partials` what a party sends, with its proof (`equality`) · `combining` plaintexts from t of them.

The dealer knows the whole key while it deals: whoever is not ready to trust it for that moment has no use for this package.
"""

from __future__ import annotations

from securefl.paillier.threshold.combining import Combiner
from securefl.paillier.threshold.dealing import TrustedDealing, deal, safe_private_key
from securefl.paillier.threshold.partials import Partials, WrongPartialError
from securefl.paillier.threshold.share import KeyShare
from securefl.paillier.threshold.verification import MAX_PARTIES, VerificationKeys

__all__ = [
    "MAX_PARTIES",
    "Combiner",
    "KeyShare",
    "Partials",
    "TrustedDealing",
    "VerificationKeys",
    "WrongPartialError",
    "deal",
    "safe_private_key",
]
