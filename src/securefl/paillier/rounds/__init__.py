"""One round of encrypted aggregation, message by message: bytes in, bytes out, no clock, no floats, no plan.

`context` what all sides know · `chunks` a vector's ciphertexts in messages · `client` a party encrypts · `server` adds ·
`decryptor` whoever holds the key, or a share of it, decrypts once · `results` words from what was decrypted.
"""

from __future__ import annotations

from securefl.paillier.rounds.client import ClientRound
from securefl.paillier.rounds.context import PaillierContext
from securefl.paillier.rounds.decryptor import Decryptor
from securefl.paillier.rounds.server import ServerRound
from securefl.paillier.rounds.states import ClientState, ServerState

__all__ = ["ClientRound", "ClientState", "Decryptor", "PaillierContext", "ServerRound", "ServerState"]
