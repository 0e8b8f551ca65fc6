"""The sum from the partial decryptions of t parties, over all messages of a vector; who sent a wrong one is left out by name."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from securefl.errors import (
    BelowThresholdError,
    CryptoError,
    LocalProtocolError,
    RemoteProtocolError,
    RoundAbortedError,
    SecureFLError,
)
from securefl.paillier.ciphertexts import Ciphertexts
from securefl.paillier.rounds.context import PaillierContext
from securefl.paillier.rounds.decryptor import partials_ctx
from securefl.paillier.rounds.results import words_of
from securefl.paillier.threshold.combining import Combiner
from securefl.types import Step, Words


class Combining:
    """One round's threshold decryption.

    Args:
        context: the round.
        total: the encrypted sum that the share-holders were shown.
        names: party names by index.
        threads: None means one a core.

    Raises:
        LocalProtocolError: a round without a dealing.
    """

    def __init__(
        self, context: PaillierContext, total: Ciphertexts, names: Sequence[str], *, threads: int | None = None
    ) -> None:
        if context.dealing is None:
            raise LocalProtocolError("a threshold round without a dealing", remedy="give the plan's verification keys")
        starts = range(0, max(1, len(total)), context.per_message)
        parts = [total[start : start + context.per_message] for start in starts]
        self._context = context
        self._names = names
        self._threshold = context.dealing.threshold
        self._combiners = [
            Combiner(context.dealing, part, ctx=partials_ctx(context, chunk), threads=threads)
            for chunk, part in enumerate(parts)
        ]
        self._good: list[int] = []
        self._bad: list[int] = []

    @property
    def enough(self) -> bool:
        """Whether t parties' partials hold."""
        return len(self._good) >= self._threshold

    def take(self, party: int, partials: Sequence[bytes]) -> SecureFLError | None:
        """Take in what a party sent, one message after the other; returns why it is left out, where it is."""
        try:
            for combiner, data in zip(self._combiners, partials, strict=True):
                combiner.receive(party, data)
        except (RemoteProtocolError, CryptoError) as wrong:
            # What it sent before may hold: it is believed as a whole, or not at all.
            for combiner in self._combiners:
                combiner.forget(party)
            self._bad.append(party)
            return wrong
        self._good.append(party)
        return None

    def words(self, *, vectors: int, dropped: Collection[int]) -> Words:
        """The sum in the ring.

        Args:
            vectors: how many were added.
            dropped: who left the round, for the error.

        Raises:
            BelowThresholdError: fewer than t parties; names those whose partials were wrong.
            RoundAbortedError: no sum of so many vectors.
        """
        if not self.enough:
            bad = [self._names[party] for party in self._bad]
            missing = [self._names[party] for party in sorted(dropped) if party not in self._bad]
            raise BelowThresholdError(
                f"{len(self._good)} parties decrypted their part, {self._threshold} are needed"
                + (f"; wrong partials came from {', '.join(bad)}" if bad else "")
                + (f"; missing since: {', '.join(missing)}" if missing else ""),
                phase=Step.UNMASK,
                suspects=bad,
                remedy="start a new round when more share-holders are there",
            )
        try:
            return np.concatenate(
                [
                    words_of(self._context, chunk, combiner.plaintexts(), vectors=vectors)
                    for chunk, combiner in enumerate(self._combiners)
                ]
            )
        except CryptoError as error:
            raise RoundAbortedError(error.message, phase=Step.UNMASK, remedy=error.remedy) from error
