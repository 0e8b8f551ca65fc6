"""What an audit looks at: many releases, with a canary in them and without, each seen along the canary's direction.

The adversary is the one of the claim: it knows every vector but the canary's and takes the colluders' noise off, so that
of m survivors' shares m - c are left. The canary's own share is there whether its vector is or not.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from securefl.audit.bounds import Scores
from securefl.crypto.random import OS, RandomSource
from securefl.crypto.seeded import SEED_BYTES
from securefl.dp.accounting.relations import Relation
from securefl.dp.clipping import LayerClip
from securefl.dp.conditional_rounding import round_conditionally
from securefl.dp.mechanisms import DistributedDiscreteGaussian, DistributedSkellam, Release
from securefl.dp.rotation import Rotation
from securefl.dp.samplers.blocks import Integers
from securefl.encoding.layout import Layout
from securefl.encoding.ring import Ring
from securefl.encoding.rounding import stochastic_round
from securefl.errors import ConfigError
from securefl.pipeline.private import encode_private, noisy_sum, release_of, without_excess
from securefl.plan import Plan
from securefl.types import Tree

Floats = npt.NDArray[np.float64]

TIGHT: Final = 1.005
"""D2 / (C s) up to which a canary of length C s can show what the claim about D2 is worth."""

LEAST_DEVIATION: Final = 10.0
"""sqrt(V) in grid points: below it integer noise is visibly no Gaussian, and mu = D2 / sqrt(V) no exact claim."""

OVERLONG: Final = 100.0
"""How many times the clip a canary is long before it is clipped: so much that each layer is beyond its own bound."""

_BLOCK: Final = 1 << 20
"""Integers that are drawn at a time."""


class Trial(Protocol):
    """A mechanism that can be run many times with a canary and without."""

    @property
    def name(self) -> str:
        """What is audited."""

    @property
    def claimed(self) -> float:
        """The mu that it claims: sensitivity over standard deviation."""

    def scores(self, present: bool, runs: int, random: RandomSource) -> Scores:
        """Return how far each of so many independent releases points in the canary's direction.

        Args:
            present: whether the canary's vector is in the sum.
            runs: at least 1.
            random: the source of rounding and noise.
        """


class ReleaseTrial:
    """A mechanism's releases, simulated through its own clip, rotation, rounding and samplers, many at a time.

    The canary is clipped, rotated and rounded `encodings` times, and the runs share those vectors: given them runs are
    independent, and errors that differ between them are less spread than equal ones, so that bounds hold.

    Args:
        release: the mechanism in numbers, with a flat or an adaptive clip.
        loose: audit a grid or a noise so coarse that the audit says little; see `TIGHT` and `LEAST_DEVIATION`.
        encodings: of the canary, at least 1.
        random: the source of the canary's direction and of the rotation.

    Raises:
        ConfigError: the claim is not tight, or the clip is one a layer; use `PlanTrial`.
    """

    def __init__(
        self, release: Release, *, loose: bool = False, encodings: int = 256, random: RandomSource = OS
    ) -> None:
        if isinstance(release.mechanism.clip, LayerClip):
            raise ConfigError("a release does not know its layers", remedy="audit the plan: PlanTrial(plan)")
        if not loose:
            check_tight(release)
        self.release = release
        self._encodings = encodings
        self._seed = random.token(32)
        self._canary = OVERLONG * release.mechanism.clipping().sensitivity.clip * directions(1, release.size, random)[0]
        rotated = self._rotated(self._canary)
        self._axis = rotated / np.linalg.norm(rotated)

    @property
    def name(self) -> str:
        """The mechanism and its floor."""
        return name_of(self.release)

    @property
    def claimed(self) -> float:
        """D2 / sqrt(V), twice that where neighbours differ in a whole vector."""
        return claimed_mu(self.release)

    @property
    def variance(self) -> Fraction:
        """Of the noise of whoever adds it."""
        return self.release.exact_variance

    @property
    def shares(self) -> int:
        """How many parties' noise is left; counted here, not by the mechanism, whose count is part of the claim."""
        floor = self.release.floor
        return floor.survivors - floor.colluders if is_distributed(self.release) else 1

    def scores(self, present: bool, runs: int, random: RandomSource) -> Scores:
        """Return the centred integer sums, projected on the canary; see `Trial.scores`."""
        encoded = self._vectors(present, min(runs, self._encodings), random)
        ring, d = Ring(self.release.grid.ring_bits), self.release.dimension
        found = np.empty(runs)
        step = max(1, _BLOCK // d)
        for start in range(0, runs, step):
            count = min(step, runs - start)
            total = self.noise(count * d, random).reshape(count, d)
            total += encoded[np.arange(start, start + count) % len(encoded)]
            found[start : start + count] = ring.centre(ring.reduce(total)) @ self._axis
        return found

    def encode(self, update: Floats, random: RandomSource) -> Integers:
        """Clip, rotate and round an update: what a party sends, without its noise."""
        release = self.release
        return round_conditionally(
            self._rotated(update), release.scale, release.bound, lambda scaled: stochastic_round(scaled, random)
        ).values

    def noise(self, count: int, random: RandomSource) -> Integers:
        """Draw what noise is in so many coordinates of sums, without the colluders'."""
        release = self.release
        if release.noise_by_server:
            return _drawn(release.mechanism.draw_server(self.variance, count, random))
        total = np.zeros(count, dtype=np.int64)
        for _ in range(self.shares):
            total += self.share(count, random)
        return total

    def share(self, count: int, random: RandomSource) -> Integers:
        """Draw one party's share; of XNoise what is left when just m of the n are there."""
        release = self.release
        total = _drawn(release.mechanism.draw_party(self.variance, release.floor, count, random))
        kept = {number: random.token(SEED_BYTES) for number in range(1, 1 + _missing(release))}
        if (excess := release.mechanism.draw_excess(self.variance, release.floor, count, kept)) is not None:
            total += excess
        return total

    def _rotated(self, update: Floats) -> Floats:
        vector = clipped(self.release, update)
        return Rotation(self._seed, vector.size).apply(vector)

    def _vectors(self, present: bool, count: int, random: RandomSource) -> Integers:
        """The vector that is in question, shape (count, d); absent it is zero, or the opposite one of replace-one."""
        if not present and not _replaced(self.release):
            return np.zeros((1, self.release.dimension), dtype=np.int64)
        update = self._canary if present else -self._canary
        return np.stack([self.encode(update, random) for _ in range(count)])


class PlanTrial:
    """A plan's releases, each through `encode_private`, its ring and `noisy_sum`: slower, with nothing left out but masks.

    Args:
        plan: private.
        weight: of the canary; the longer is its update's way to the clip.
        loose: as for `ReleaseTrial`.
        random: the source of the canary's direction and of the session's name.

    Raises:
        ConfigError: the claim is not tight.
        LocalProtocolError: the plan has no noise.
    """

    def __init__(self, plan: Plan, *, weight: float = 1, loose: bool = False, random: RandomSource = OS) -> None:
        self.release = release_of(plan)
        asked = self.release.mechanism
        if not loose:
            check_tight(self.release)
        self.plan = plan
        self._weight = weight
        self._seed = plan.rotation_seed(random.token(16), 1)
        self._canary = OVERLONG * asked.clipping().sensitivity.clip * directions(1, plan.layout.size, random)[0]
        vector = clipped(self.release, self._canary, plan.layout)
        rotated = Rotation(self._seed, vector.size).apply(vector)
        self._axis = rotated / np.linalg.norm(rotated)

    @property
    def name(self) -> str:
        """The mechanism and its floor."""
        return f"{name_of(self.release)}, the plan's whole encoding"

    @property
    def claimed(self) -> float:
        """As for `ReleaseTrial`."""
        return claimed_mu(self.release)

    def scores(self, present: bool, runs: int, random: RandomSource) -> Scores:
        """Return the centred integer sums, projected on the canary; see `Trial.scores`."""
        return np.array([self._sum(present, random) @ self._axis for _ in range(runs)])

    def _sum(self, present: bool, random: RandomSource) -> Integers:
        plan, release, floor = self.plan, self.release, self.release.floor
        parties = floor.survivors - floor.colluders if is_distributed(release) else 1
        seeds = [[random.token(SEED_BYTES) for _ in range(release.seeds)] for _ in range(parties)]
        if present or _replaced(release):
            update = unflattened(plan.layout, self._canary if present else -self._canary)
            words = encode_private(
                plan, update, self._seed, weight=self._weight, noise_seeds=seeds[0], random=random
            ).words
        else:
            words = plan.ring.zeros(plan.length)
        for party in range(int(present or _replaced(release)), parties):
            for noise in (release.draw_party(random), release.draw_excess(dict(enumerate(seeds[party], 1)))):
                if noise is not None:
                    plan.ring.add_into(words, plan.ring.reduce(noise))
        opened = [dict(list(enumerate(own, 1))[_missing(release) :]) for own in seeds]
        return noisy_sum(plan, without_excess(plan, words, opened), random)


def claimed_mu(release: Release) -> float:
    """The mu of a Gaussian of the claimed variance: D2 / sqrt(V), twice that under replace-one."""
    return (2.0 if _replaced(release) else 1.0) / release.noise_multiplier


def check_tight(release: Release) -> None:
    """Raise where an audit of this release could not tell a right claim from a wrong one.

    Raises:
        ConfigError: the grid or the noise is too coarse.
    """
    ratio = release.bound.l2 / release.radius
    if ratio > TIGHT:
        raise ConfigError(
            f"the claim is not tight: D2 is {ratio:.4g} times the clip in grid points, needs at most {TIGHT}",
            remedy="audit a finer grid or fewer coordinates, or pass loose=True and learn less",
        )
    deviation = release.central_variance**0.5
    if deviation < LEAST_DEVIATION:
        raise ConfigError(
            f"the noise is {deviation:.4g} grid points, needs at least {LEAST_DEVIATION:g} to be like a Gaussian",
            remedy="audit a finer grid, or pass loose=True and allow for it",
        )


def clipped(release: Release, update: Floats, layout: Layout | None = None) -> Floats:
    """Return a flat update as a party clips it, with the bit of an adaptive clip."""
    if (state := release.adaptive) is not None:
        return state.append_bit(update)
    return clipped_values(release, update, layout)


def clipped_values(release: Release, update: Floats, layout: Layout | None = None) -> Floats:
    """Return a flat update as a party clips it, without any bit."""
    clipping = release.mechanism.clipping()
    if isinstance(clipping, LayerClip):
        if layout is None:
            raise ConfigError("a clip for each layer, and no layers", remedy="give the plan's layout")
        return clipping.clip(update, layout.slices()).vector
    return clipping.clip(update).vector


def directions(count: int, size: int, random: RandomSource) -> Floats:
    """Return random unit vectors, shape (count, size); orthogonal to each other where there is room for that."""
    generator = np.random.default_rng(int.from_bytes(random.token(32), "big"))
    drawn = generator.standard_normal((count, size))
    if count <= size:
        return np.ascontiguousarray(np.linalg.qr(drawn.T)[0].T)
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def flattened(layout: Layout, update: Tree) -> Floats:
    """Return an update as one float64 vector."""
    return np.concatenate([array.reshape(-1).astype(np.float64) for array in layout.arrays(update)])


def unflattened(layout: Layout, flat: Floats) -> Tree:
    """Return a vector as an update, in the layout's shapes and dtypes."""
    return layout.unflatten(
        [
            flat[place].reshape(leaf.shape).astype(leaf.dtype)
            for leaf, place in zip(layout.leaves, layout.slices(), strict=True)
        ]
    )


def name_of(release: Release) -> str:
    """The mechanism and its floor, for people."""
    floor, asked = release.floor, release.mechanism
    kind = asked.kind + (" with XNoise" if release.seeds else "")
    kind += ", adaptive clip" if asked.adaptive else ""
    if is_distributed(release):
        return f"{kind} (n {floor.parties}, m {floor.survivors}, c {floor.colluders})"
    return f"{kind} ({asked.relation})"


def is_distributed(release: Release) -> bool:
    """Whether parties add the noise in shares, of which none is enough alone."""
    return isinstance(release.mechanism, DistributedDiscreteGaussian | DistributedSkellam)


def _missing(release: Release) -> int:
    """How many of XNoise's components stay: as many as there are parties missing, when just m of n are there."""
    return release.floor.parties - release.floor.survivors if release.seeds else 0


def _replaced(release: Release) -> bool:
    return release.mechanism.relation == Relation.REPLACE_ONE


def _drawn(noise: Integers | None) -> Integers:
    if noise is None:
        raise ConfigError("nobody adds noise", remedy="audit a mechanism that has some")
    return noise
