"""From what a party submitted to the messages of its masked vector: encoded, noised where the plan is private, masked."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from securefl.crypto.random import RandomSource
from securefl.pipeline import EncodedParts, check_update, encode_private, private_parts
from securefl.plan import Plan
from securefl.secagg.client import ClientRound
from securefl.session.submission import Submission
from securefl.wire.messages import CHUNK_VALUES


def masked(
    plan: Plan, current: ClientRound, submission: Submission, *, saturated: Callable[[int], None], random: RandomSource
) -> Iterator[bytes]:
    """The messages that carry a submission.

    Args:
        plan: the round's.
        current: the round, ready to mask.
        submission: what to mask.
        saturated: told how many values were clipped on the way, once that is known.
        random: the source of rounding and noise.

    Returns:
        the messages; without privacy they are made one by one while they are taken.

    Raises:
        EncodingError: an update that is not as the plan says.
    """
    if plan.private:
        return _privately(plan, current, submission, saturated, random)
    parts = EncodedParts(
        plan,
        submission.update,
        values_per_part=CHUNK_VALUES,
        weight=submission.weight,
        metrics=submission.metrics,
        random=random,
    )
    messages = current.mask_parts(parts if plan.length else [plan.ring.zeros(0)])

    def counted() -> Iterator[bytes]:
        try:
            yield from messages
        finally:
            saturated(parts.saturated)

    return counted()


def _privately(
    plan: Plan, current: ClientRound, submission: Submission, saturated: Callable[[int], None], random: RandomSource
) -> Iterator[bytes]:
    check_update(plan, submission.update, weight=submission.weight, metrics=submission.metrics)
    context = current.context
    encoded = encode_private(
        plan,
        submission.update,
        plan.rotation_seed(context.session, context.round),
        weight=submission.weight,
        noise_seeds=[seed.reveal() for seed in current.noise_seeds()],
        random=random,
    )
    saturated(int(encoded.clipped))
    return iter(current.mask_parts(private_parts(encoded.words, CHUNK_VALUES)))
