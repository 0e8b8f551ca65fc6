"""From decrypted plaintexts to the sum in the ring: refused where no honest vectors can have this sum."""

from __future__ import annotations

from securefl.paillier.rounds.context import PaillierContext
from securefl.types import Words


def words_of(context: PaillierContext, chunk: int, plaintexts: list[int], *, vectors: int) -> Words:
    """The words of one message's plaintexts, reduced in the ring: of how often the sum wrapped nothing is left.

    Args:
        context: the round.
        chunk: number of the message.
        plaintexts: decrypted.
        vectors: how many were added.

    Raises:
        CryptoError: no sum of so many vectors.
    """
    total = context.slots.unpack(plaintexts, max(0, context.values_in(chunk)), vectors=vectors)
    return context.ring.reduce(total)
