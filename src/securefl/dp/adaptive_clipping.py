"""Adaptive clipping: each round's clip follows a quantile of the norms, by one noisy bit a party.

The bit b = 1[norm <= C] - 1/2 rides in the clipped vector as one more coordinate kappa b, so that one noise of standard
deviation z times the joint bound covers both: C z_D on the vector and, kappa being z_D C / sigma_b, sigma_b on the sum of
bits. C is a field of a frozen state: what clips a round is what sizes its noise, and only `after` gives another.

Source: Andrew et al. 2021, algorithm 1 and theorem 1; privacy.md, Adaptive clipping.
"""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from securefl.dp.clipping import MAX_CLIP, MIN_CLIP, FlatClip, Sensitivity, checked_clip, sqrt_up
from securefl.errors import EncodingError, NonFiniteError, UnsafePlanError

_LEAST: Final = 1e-9
"""Smaller multipliers are no privacy, and their inverses have no place in float64."""


@dataclasses.dataclass(frozen=True, slots=True)
class AdaptiveClip:
    """The clip of one round, and the rule for the next.

    Args:
        parties: n, of the plan.
        noise_multiplier: z of the whole release, joint vector included; below 2 sigma_b.
        clip: C, in the update's own unit; at first .1, chosen without looking at the data.
        quantile: gamma, the share of parties that C is to leave unclipped; .5 where the survivors are hidden.
        learning_rate: eta.
        bit_noise: sigma_b, standard deviation of the noise on the sum of bits; n / 20 unless given.
        survivors_hidden: whether the server does not learn |U3|; then the sum of bits is divided by n.

    Raises:
        UnsafePlanError: an argument out of range.

    Source: Andrew et al. 2021, section 2; privacy.md for the defaults.
    """

    parties: int
    noise_multiplier: float
    clip: float = 0.1
    quantile: float = 0.5
    learning_rate: float = 0.2
    bit_noise: float | None = None
    survivors_hidden: bool = False

    def __post_init__(self) -> None:
        if type(self.parties) is not int or self.parties < 1:
            raise UnsafePlanError("parties out of range", value=self.parties, bound=">= 1", remedy="count the parties")
        if self.bit_noise is None:
            object.__setattr__(self, "bit_noise", self.parties / 20)
        object.__setattr__(self, "clip", checked_clip(self.clip))
        _check_range("quantile", self.quantile, 0, 1, "gamma = .5 follows the median norm")
        _check_range("learning_rate", self.learning_rate, 0, 2, "eta = .2 suits most runs")
        _check_range("bit_noise", self._sigma_b, _LEAST, 1e9, "sigma_b = n / 20 costs the update hardly any accuracy")
        _check_range(
            "noise_multiplier",
            self.noise_multiplier,
            _LEAST,
            2 * self._sigma_b,
            "raise bit_noise: the bit alone spends more",
        )
        if self.survivors_hidden and self.quantile != 0.5:
            raise UnsafePlanError(
                "quantile where the number of survivors is hidden",
                value=self.quantile,
                bound="0.5",
                remedy="with any other one a missing party counts as a vote, and the clip runs away",
            )

    @property
    def _sigma_b(self) -> float:
        return self.bit_noise if self.bit_noise is not None else self.parties / 20

    @property
    def delta_multiplier(self) -> float:
        """z_D = (z^-2 - (2 sigma_b)^-2)^(-1/2): the noise on the update over C."""
        inverse = 1 / self.noise_multiplier
        vote = 1 / (2 * self._sigma_b)
        left = (inverse - vote) * (inverse + vote)
        if not left > 0:
            raise UnsafePlanError(
                "the bit alone spends all of the noise: noise_multiplier",
                value=self.noise_multiplier,
                bound=f"< {2 * self._sigma_b:g}",
                remedy="raise bit_noise",
            )
        return 1 / math.sqrt(left)

    @property
    def bit_scale(self) -> float:
        """Return kappa = z_D C / sigma_b: how large the bit's coordinate is, in the update's own unit."""
        return self.delta_multiplier * self.clip / self._sigma_b

    @property
    def joint_bound(self) -> float:
        """sqrt(C^2 + kappa^2 / 4) = C z_D / z, rounded up: the bound on the vector with its bit."""
        return sqrt_up(Fraction(self.clip) ** 2 + (Fraction(self.bit_scale) / 2) ** 2)

    @property
    def sensitivity(self) -> Sensitivity:
        """How far one party can move the sum of vectors with their bits."""
        return Sensitivity(self.joint_bound)

    @property
    def noise_std(self) -> float:
        """Z times the joint bound = C z_D: noise on each coordinate of the sum, in the update's own unit."""
        return self.noise_multiplier * self.joint_bound

    def scale(self, radius: float) -> float:
        """Return s, grid points per unit, for this round's C.

        The radius is the plan's: C s stays fixed while C moves, so D2, the integer noise and the event stay constant.

        Args:
            radius: the joint bound in grid points.
        """
        return radius / self.joint_bound

    def append_bit(self, vector: npt.NDArray[Any], *, weight: float = 1.0) -> npt.NDArray[np.float64]:
        """Return the clipped vector with kappa b as its last coordinate: float64, of norm at most the joint bound.

        Args:
            vector: x, as for `FlatClip.clip`.
            weight: as there; the bit is about the weighed vector.

        Raises:
            NonFiniteError, EncodingError: as `FlatClip.clip`.
        """
        clipped = FlatClip(self.clip).clip(vector, weight=weight)
        bit = -0.5 if clipped.shrunk else 0.5
        return np.append(clipped.vector, self.bit_scale * bit)

    def bit_sum(self, coordinate: float) -> float:
        """Return the noisy sum of bits from the last coordinate of the decoded sum, of this same round."""
        return coordinate / self.bit_scale

    def after(self, bit_sum_noisy: float, survivors: int | None = None) -> AdaptiveClip:
        """Return the next round's state: C exp(-eta (clip(noisy mean + 1/2, 0, 1) - gamma)).

        C stays within 1e-100..1e100.

        Args:
            bit_sum_noisy: the sum of the survivors' bits, with noise.
            survivors: |U3|; None where it is hidden.

        Raises:
            NonFiniteError: a sum that is NaN or infinite.
            EncodingError: survivors out of range, missing, or given where they are hidden.

        Source: Andrew et al. 2021, section 2.1 (geometric update).
        """
        if not math.isfinite(bit_sum_noisy):
            raise NonFiniteError("the sum of bits is NaN or infinite", remedy="keep the clip, and look at the decoding")
        below = min(max(bit_sum_noisy / self._denominator(survivors) + 0.5, 0.0), 1.0)
        clip = self.clip * math.exp(-self.learning_rate * (below - self.quantile))
        return dataclasses.replace(self, clip=min(max(clip, MIN_CLIP), MAX_CLIP))

    def _denominator(self, survivors: int | None) -> int:
        if self.survivors_hidden:
            if survivors is not None:
                raise EncodingError(
                    f"{survivors} survivors were given, and the plan hides them", remedy="leave survivors out"
                )
            return self.parties
        if survivors is None or not 1 <= survivors <= self.parties:
            raise EncodingError(f"{survivors} survivors, expected 1..{self.parties}", remedy="give |U3| of this round")
        return survivors


def _check_range(name: str, value: float, low: float, high: float, remedy: str) -> None:
    """Refuse what is not strictly between the two."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low < value < high:
        raise UnsafePlanError(f"{name} out of range", value=value, bound=f"> {low:g} and < {high:g}", remedy=remedy)
