"""A plan's Paillier round in the protocol's own terms: integers and bytes, a key and slots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from securefl.crypto.random import OS, RandomSource
from securefl.errors import ConfigError, UnsafePlanError
from securefl.paillier.rounds import PaillierContext
from securefl.pipeline import EncodedParts, check_update, private_integers
from securefl.plan import Plan, Roster
from securefl.plan.paillier import Paillier
from securefl.plan.protocol import require_protocol
from securefl.types import KeyModel, RoundContext

if TYPE_CHECKING:
    from securefl.session.submission import Submission


def context_of(plan: Plan, context: RoundContext) -> PaillierContext:
    """The round as `securefl.paillier` knows it.

    Raises:
        ConfigError: the plan is for another protocol.
        UnsafePlanError: a draft.
    """
    require_protocol(plan, Paillier)
    protocol, slots = plan.protocol, plan.slots
    if not isinstance(protocol, Paillier) or slots is None:
        raise UnsafePlanError(
            "a draft has no slots yet", value=None, bound="a plan with its noise", remedy="securefl.dp.calibrate"
        )
    return PaillierContext(
        context, protocol.public_key, slots, KeyModel(protocol.holder or "separate"), protocol.verification_keys
    )


def check_roster(plan: Plan, roster: Roster) -> None:
    """Check that a roster has what a plan needs: keys to verify signatures with, and the parties that a key was dealt to, in its order.

    Raises:
        ConfigError: it has not.
    """
    if plan.parameters.active and not roster.signed:
        raise ConfigError(
            "an audited plan needs a roster with identity keys: without them nobody can tell whose ciphertexts are in the sum",
            remedy="make one with `securefl roster`, or plan without audited=True",
        )
    keys = plan.protocol.verification_keys if isinstance(plan.protocol, Paillier) else None
    if keys is not None and keys.names != roster.names:
        raise ConfigError(
            f"the key was dealt to {', '.join(keys.names[:8])}, the roster names {', '.join(roster.names[:8])}",
            remedy="have it dealt to the parties of the roster, in its order",
        )


class EncodedIntegers(Iterator[npt.NDArray[np.int64]]):
    """A party's integers as they are packed, part by part: each message's own.

    Args:
        plan: of the round.
        context: its round.
        submission: the update, its weight and metrics.
        random: randomness of rounding and noise.

    Attributes:
        saturated: values outside the encoding's bound so far; under privacy whether the vector was clipped.

    Raises:
        EncodingError: the update does not fit the plan.
    """

    def __init__(self, plan: Plan, context: PaillierContext, submission: Submission, random: RandomSource = OS) -> None:
        each = context.per_message * context.slots.slots
        self.saturated = 0
        self._ring = plan.ring
        self._words: EncodedParts | None = None
        self._values: Iterator[npt.NDArray[np.int64]] = iter(())
        if plan.private:
            self._values = self._noisy(plan, context, submission, each, random)
            return
        self._words = EncodedParts(
            plan,
            submission.update,
            values_per_part=each,
            weight=submission.weight,
            metrics=submission.metrics,
            random=random,
        )

    def __next__(self) -> npt.NDArray[np.int64]:
        """The next message's integers."""
        if self._words is None:
            return next(self._values)
        words = next(self._words)
        self.saturated = self._words.saturated
        # The ring holds the whole sum, so a centred word is the integer itself.
        return self._ring.centre(words)

    def _noisy(
        self, plan: Plan, context: PaillierContext, submission: Submission, each: int, random: RandomSource
    ) -> Iterator[npt.NDArray[np.int64]]:
        check_update(plan, submission.update, weight=submission.weight, metrics=submission.metrics)
        encoded = private_integers(
            plan,
            submission.update,
            plan.rotation_seed(context.round.session, context.round.round),
            weight=submission.weight,
            random=random,
        )
        self.saturated = int(encoded.clipped)
        return (encoded.values[start : start + each] for start in range(0, len(encoded.values), each))
