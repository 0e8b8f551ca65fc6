"""Mistakes that others made, planted: an auditor that does not find them is worth nothing.

Each is a `ReleaseTrial` whose claim is the right one and whose releases are not.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from securefl.audit.trials import Floats, ReleaseTrial
from securefl.crypto.random import RandomSource
from securefl.dp.samplers.blocks import Integers
from securefl.errors import ConfigError

WEIGHT: Final = 90
"""One party with 900 of 999 examples counts as many times as it should."""


class LessNoise(ReleaseTrial):
    """Noise with 5 % less standard deviation."""

    @property
    def variance(self) -> Fraction:
        """Of the noise of whoever adds it."""
        return self.release.exact_variance * Fraction(19, 20) ** 2


class LostShares(ReleaseTrial):
    """Three of ten survivors too few, whose noise nobody makes up for; give it a release with m = n."""

    @property
    def shares(self) -> int:
        """How many parties' noise is left."""
        floor = self.release.floor
        return 7 * floor.survivors // 10 - floor.colluders


class WeightAfterClip(ReleaseTrial):
    """A mean weighted by examples whose weight multiplies the clipped vector."""

    def encode(self, update: Floats, random: RandomSource) -> Integers:
        """What a heavy party sends."""
        return WEIGHT * super().encode(update, random)


class UpdatedClip(ReleaseTrial):
    """Noise sized with the clip after its update, when all norms were below it; give it a release whose clip adapts."""

    @property
    def variance(self) -> Fraction:
        """Of the noise of whoever adds it."""
        state = self.release.adaptive
        if state is None:
            raise ConfigError("a fixed clip has no update", remedy="give QuantileClip(...) as the clip")
        following = state.after(state.parties / 2, state.parties)
        return self.release.exact_variance * Fraction(following.clip / state.clip) ** 2
