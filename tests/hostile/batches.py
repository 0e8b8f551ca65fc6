"""Many attempts from one seed, and the smallest recipe that still does the same harm."""

from __future__ import annotations

import random
from collections.abc import Container, Mapping, Sequence

from hostile.attempts import BYTES, HarmError, HighWater, Tally, Target, settle
from hostile.choices import Choices
from hostile.mutator import base, mutate
from hostile.worlds import scenes

RECIPE = 96
"""Bytes of decisions that an attempt is given."""
FOLLOWED, WEIGHED = 40, 50
"""One refusal in so many is followed to the end of its round; one attempt in so many is weighed."""


def from_recipe(number: int, recipe: bytes) -> bytes:
    """The message that a recipe makes in a scene."""
    choices = Choices(recipe)
    return mutate(scenes()[number], base(scenes()[number], choices), choices)


def targets(numbers: Sequence[int], tally: Tally) -> dict[int, Target]:
    """The scenes of these numbers under attack."""
    return {number: Target(number, tally) for number in numbers}


def run(attacked: Mapping[int, Target], seed: int, count: int, tally: Tally, *, known: Container[str] = ()) -> None:
    """Attempts on all scenes in turn.

    Args:
        attacked: the scenes.
        seed: what decides everything.
        count: how many attempts.
        tally: the one that the targets count in.
        known: causes that need not be made smaller again.

    Raises:
        HarmError: the first that did harm, with its smallest recipe; or the process grew beyond the bound during the batch.
    """
    drawn, numbers = random.Random(seed), sorted(attacked)
    first, scale = drawn.randrange(len(numbers)), HighWater()
    for i in range(count):
        number, recipe = numbers[(first + i) % len(numbers)], drawn.randbytes(RECIPE)
        data = from_recipe(number, recipe)
        follow, weigh = (tally.attempts % every == every - 1 for every in (FOLLOWED, WEIGHED))
        try:
            attacked[number].attempt(data, follow=follow, weigh=weigh)
        except HarmError as harm:
            if (
                harm.cause in known or harm.cause == "slow"
            ):  # measured again at every step, a time does not shrink reliably
                raise
            raise smaller(harm, recipe) from harm
    tally.resident = max(tally.resident, scale.growth())
    if tally.resident > BYTES:
        raise HarmError(
            f"the process grew by {tally.resident >> 20} MiB in a batch that ended here", number, data, "resident"
        )


def smaller(harm: HarmError, recipe: bytes) -> HarmError:
    """The same harm from a shorter and plainer recipe."""
    size, least = len(recipe), harm
    while size:
        for start in range(0, len(recipe), size):
            for candidate in (
                recipe[:start] + recipe[start + size :],
                recipe[:start] + bytes(size) + recipe[start + size :],
            ):
                if candidate >= recipe and len(candidate) == len(recipe):
                    continue
                if (found := _same(harm, candidate)) is not None:
                    least, recipe = found, candidate
                    break
        size //= 2
    least.add_note(f"recipe: from_recipe({least.scene}, bytes.fromhex({recipe.hex()!r}))")
    return least


def _same(harm: HarmError, recipe: bytes) -> HarmError | None:
    try:
        data = from_recipe(harm.scene, recipe)
        Target(harm.scene, Tally()).attempt(data, follow=True, weigh=harm.cause == "memory")
    except HarmError as found:
        return found if found.cause == harm.cause else None
    return None


__all__ = ["RECIPE", "from_recipe", "run", "settle", "smaller", "targets"]
