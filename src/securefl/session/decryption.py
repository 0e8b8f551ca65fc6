"""What was done for a round: its sum is decrypted once, and a vector encrypted for it once, also after a restart."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Final

from securefl.errors import ConfigError, SecretMisuseError
from securefl.paillier import PrivateKey
from securefl.paillier.rounds import PaillierContext
from securefl.paillier.threshold import KeyShare
from securefl.records.used_file import UsedFile
from securefl.types import Step

_DECRYPT: Final = "decrypt"


class Spent:
    """The rounds for which this object, or another with its used-file, encrypted a vector or decrypted the sum.

    A second decryption for one round, of a sum without one party, would give that party's vector away by subtraction. A second vector
    for one round has new noise, and the entry that the privacy ledger has for the round already pays for one.

    Args:
        used: on a disk that is not rolled back; None remembers only as long as this object lives.
    """

    def __init__(self, used: UsedFile | None) -> None:
        self._used = used
        self._taken: set[tuple[str, bytes]] = set()
        self._alone = threading.Lock()

    def decrypting(self, context: PaillierContext) -> Callable[[], None]:
        """What records, or refuses, the decryption of a round's sum."""
        return functools.partial(
            self._spend, _DECRYPT, context, "sum was decrypted", "two sums differ by somebody's vector"
        )

    def encrypt(self, context: PaillierContext) -> None:
        """Record that a vector is encrypted for a round.

        Raises:
            SecretMisuseError: one was before.
        """
        # Recorded as keys are under masks: by this step a used-file counts the rounds that its party joined, under any protocol.
        self._spend(Step.ADVERTISE, context, "vector was encrypted", "the ledger's entry pays for one vector")

    def _spend(self, step: str, context: PaillierContext, what: str, why: str) -> None:
        round_number, session = context.round.round, context.round.session
        try:
            with self._alone:
                if (step, context.ctx) in self._taken:
                    raise SecretMisuseError("in this object")
                if self._used is not None:
                    self._used.spend(session, round_number, step, context.ctx)
                self._taken.add((step, context.ctx))
        except SecretMisuseError as error:
            raise SecretMisuseError(
                f"the {what} before in round {round_number} of session {session.hex()[:8]}",
                remedy=f"start a new round: {why}",
            ) from error


def check_held(key: PrivateKey | KeyShare | None) -> None:
    """Check that what is to be decrypted with is a key or a share.

    Raises:
        ConfigError: it is something else.
    """
    if key is not None and not isinstance(key, PrivateKey | KeyShare):
        raise ConfigError(
            f"a {type(key).__name__} decrypts nothing", remedy="pass a PrivateKey, or this party's KeyShare"
        )
