"""Paillier encryption of packed integers: keys, ciphertexts that can be added, and slots. No floats, no plan.

`public_key`, `private_key` keys · `jwk` their form in phe · `masks`, `fixed_base`, `pool` randomness · `encryptor` encryption ·
`ciphertexts` sums · `slots`, `packing` many integers in one plaintext · `arithmetic` GMP · `phe_adapter` phe's numbers.

Needs the extra `paillier` (gmpy2); loaded when it is imported, not with `securefl`.
"""

from __future__ import annotations

from securefl.paillier.ciphertexts import Ciphertexts
from securefl.paillier.encryptor import Encryptor
from securefl.paillier.masks import Masks, Randomness
from securefl.paillier.pool import MaskPool
from securefl.paillier.private_key import PrivateKey
from securefl.paillier.public_key import PublicKey, SmallKeyWarning
from securefl.paillier.slots import SlotLayout

__all__ = [
    "Ciphertexts",
    "Encryptor",
    "MaskPool",
    "Masks",
    "PrivateKey",
    "PublicKey",
    "Randomness",
    "SlotLayout",
    "SmallKeyWarning",
]
