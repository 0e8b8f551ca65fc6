"""update -> flatten -> clip -> rotate -> scale and round -> noise -> Z_{2^b}, and back from the sum.

One way for all mechanisms; they differ in who draws the noise. Nothing but the noisy vector leaves this module: how often rounding
was drawn again and whether the vector was clipped depend on the update, and stay with the party.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from securefl.crypto.random import OS, RandomSource
from securefl.dp.clipping import Clipped, LayerClip
from securefl.dp.conditional_rounding import round_conditionally
from securefl.dp.mechanisms import Release
from securefl.dp.mechanisms.release import no_noise
from securefl.dp.rotation import Rotation
from securefl.encoding.rounding import stochastic_round
from securefl.errors import EncodingError, LayoutMismatchError, LocalProtocolError
from securefl.pipeline.decode import DecodedSum, as_dtype
from securefl.plan import Plan
from securefl.types import Tree, Words


@dataclasses.dataclass(frozen=True, slots=True)
class PrivateVector:
    """A party's vector with its share of the noise.

    Args:
        words: shape (d,), over the ring.
        clipped: whether the update was longer than its clip; this stays with the party.
    """

    words: Words
    clipped: bool


@dataclasses.dataclass(frozen=True, slots=True)
class PrivateIntegers:
    """A party's vector with its share of the noise, before it is reduced in the ring.

    Args:
        values: int64, shape (d,).
        clipped: whether the update was longer than its clip; this stays with the party.
    """

    values: npt.NDArray[np.int64]
    clipped: bool


def encode_private(
    plan: Plan,
    update: Tree,
    rotation_seed: bytes,
    *,
    weight: float = 1,
    noise_seeds: Sequence[bytes] = (),
    random: RandomSource = OS,
) -> PrivateVector:
    """Encode an update under differential privacy, its share of the noise included; see `private_integers`."""
    encoded = private_integers(plan, update, rotation_seed, weight=weight, noise_seeds=noise_seeds, random=random)
    return PrivateVector(plan.ring.reduce(encoded.values), encoded.clipped)


def private_integers(
    plan: Plan,
    update: Tree,
    rotation_seed: bytes,
    *,
    weight: float = 1,
    noise_seeds: Sequence[bytes] = (),
    random: RandomSource = OS,
) -> PrivateIntegers:
    """Encode an update under differential privacy, its share of the noise included, as integers that nothing has wrapped yet.

    Args:
        plan: a private plan.
        update: a tree of its template, already checked.
        rotation_seed: of the round, 32 bytes; see `Plan.rotation_seed`.
        weight: folded in before the clip.
        noise_seeds: of the noise that may be taken off again, which this party has dealt; 32 bytes each.
        random: randomness of rounding and of all other noise.

    Raises:
        NonFiniteError, EncodingError: the update cannot be clipped.
        LocalProtocolError: another number of seeds than the mechanism has components.

    Source: Kairouz, Liu, Steinke 2021, algorithm 1; Jiang, Wang, Chen 2024 (XNoise).
    """
    release = release_of(plan)
    if len(noise_seeds) != release.seeds:
        raise LocalProtocolError(
            f"{len(noise_seeds)} seeds of noise for {release.seeds} components: the vector would have too little noise",
            remedy="give the seeds that this party dealt in the round",
        )
    clipped = _clip(plan, release, update, weight)
    rotated = Rotation(rotation_seed, clipped.vector.size).apply(clipped.vector)
    values = round_conditionally(
        rotated, release.scale, release.bound, lambda scaled: stochastic_round(scaled, random)
    ).values
    for noise in (release.draw_party(random), release.draw_excess(dict(enumerate(noise_seeds, 1)))):
        if noise is not None:
            values += noise
    return PrivateIntegers(values, clipped.shrunk)


def private_parts(words: Words, values_per_part: int) -> Iterator[Words]:
    """The vector in consecutive parts, each writable."""
    for start in range(0, len(words), values_per_part):
        yield words[start : start + values_per_part]


def without_excess(plan: Plan, words: Words, seeds: Iterable[Mapping[int, bytes]]) -> Words:
    """The sum without the noise that was for more dropouts than there were (XNoise).

    Args:
        plan: a private plan.
        words: shape (d,), over its ring.
        seeds: of each party in the sum those that were opened, by number.

    Source: Jiang, Wang, Chen 2024, section 3.2.
    """
    release, values = release_of(plan), plan.ring.centre(words)
    for opened in seeds:
        noise = release.draw_excess(opened)
        if noise is not None:
            values -= noise
    return plan.ring.reduce(values)


def noisy_sum(plan: Plan, words: Words, random: RandomSource) -> npt.NDArray[np.int64]:
    """The sum of the parties' vectors as centred integers, with the server's noise where the mechanism has it add some.

    Args:
        plan: a private plan.
        words: shape (d,), over its ring.
        random: the source of the server's noise; the same bytes give the same noise, so that a sum is released once.
    """
    noise = release_of(plan).draw_server(random)
    if noise is not None:
        words = plan.ring.reduce(plan.ring.centre(words) + noise)
    return plan.ring.centre(words)


def decode_private(
    plan: Plan, values: npt.NDArray[np.int64], rotation_seed: bytes, survivors: int
) -> tuple[DecodedSum, float | None]:
    """Decode a noisy sum of integers; returns it with the noisy sum of bits of an adaptive clip.

    Args:
        plan: a private plan.
        values: shape (d,), centred, noise included.
        rotation_seed: of the round.
        survivors: how many vectors are in it; they do not enter the mean, whose denominator is fixed.
    """
    release = release_of(plan)
    size = plan.layout.size + release.mechanism.adaptive
    flat = Rotation(rotation_seed, size).invert(values.astype(np.float64) / release.scale)
    totals, means = [], []
    for leaf, place in zip(plan.layout.leaves, plan.layout.slices(), strict=True):
        total = flat[place].reshape(leaf.shape)
        totals.append(total)
        means.append(as_dtype(total / release.denominator, np.dtype(leaf.dtype)))
    state = release.adaptive
    bits = None if state is None else state.bit_sum(float(flat[-1]))
    return DecodedSum(plan.layout.unflatten(totals), plan.layout.unflatten(means), survivors, {}), bits


def release_of(plan: Plan) -> Release:
    """The plan's mechanism in numbers.

    Raises:
        LocalProtocolError: it has none.
        UnsafePlanError: it is a draft.
    """
    if plan.draft:
        raise no_noise()
    if plan.release is None:
        raise LocalProtocolError("the plan has no noise", remedy="securefl.dp.calibrate chooses it")
    return plan.release


def _clip(plan: Plan, release: Release, update: Tree, weight: float) -> Clipped:
    flat = np.concatenate([array.reshape(-1).astype(np.float64) for array in plan.layout.arrays(update)])
    try:
        if (state := release.adaptive) is not None:
            vector = state.append_bit(flat, weight=float(weight))
            return Clipped(vector, shrunk=bool(vector[-1] < 0))
        clipping = release.mechanism.clipping()
        if isinstance(clipping, LayerClip):
            return clipping.clip(flat, plan.layout.slices(), weight=float(weight))
        return clipping.clip(flat, weight=float(weight))
    except LayoutMismatchError:
        raise
    except EncodingError as error:
        named = plan.layout.leaves[int(error.tensor)].name if error.tensor.isdigit() else error.tensor
        raise type(error)(error.message, tensor=named, remedy=error.remedy) from error
