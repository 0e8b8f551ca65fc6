"""What a plan says about an adaptive clip; `AdaptiveClip` is what it becomes for n parties and a noise."""

from __future__ import annotations

import dataclasses

from securefl.dp.adaptive_clipping import AdaptiveClip


@dataclasses.dataclass(frozen=True, slots=True)
class QuantileClip:
    """A clip that follows a quantile of the parties' norms, by a noisy bit that rides in each vector.

    Args:
        clip: C of the next round, in the update's own unit; at first chosen without looking at the data.
        quantile: gamma, the share of parties that C is to leave unclipped.
        learning_rate: eta.
        bit_noise: sigma_b, standard deviation of the noise on the sum of bits; n / 20 unless given.

    Source: Andrew et al. 2021; privacy.md for the defaults.
    """

    clip: float = 0.1
    quantile: float = 0.5
    learning_rate: float = 0.2
    bit_noise: float | None = None

    def state(self, parties: int, noise_multiplier: float) -> AdaptiveClip:
        """The clip of this round, for n parties and z.

        Raises:
            UnsafePlanError: a field out of range, or z of 2 sigma_b or more.
        """
        return AdaptiveClip(
            parties=parties,
            noise_multiplier=noise_multiplier,
            clip=self.clip,
            quantile=self.quantile,
            learning_rate=self.learning_rate,
            bit_noise=self.bit_noise,
        )

    def following(self, state: AdaptiveClip) -> QuantileClip:
        """The same rule with the clip of a later state."""
        return dataclasses.replace(self, clip=state.clip)
