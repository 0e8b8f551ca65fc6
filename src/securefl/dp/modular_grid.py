"""The grid of the distributed mechanisms: how fine it can be so that a sum of n noisy vectors fits into b bits.

Everything is in grid points but where it says otherwise. There the clip c counts only as the radius R = c s, and for a
fixed ring the radius falls and R's sensitivity with it while the noise rises: sqrt(V) / D2 is monotone in sigma, so a
calibration bisects on sigma in grid points and never meets c. In real units it is not monotone: beyond some noise the
grid becomes so coarse that more noise means a larger D2. `scale` is the paper's formula all the same, for a noise that is
given in real units. An adaptive clip keeps R, and s = R / c follows.

Source: Kairouz, Liu, Steinke 2021, section 5 (choice of parameters); privacy.md, Distributed discrete Gaussian, 5.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from typing import Final

from securefl.dp.clipping import checked_clip
from securefl.errors import UnsafePlanError

MIN_BITS: Final = 8
MAX_BITS: Final = 32

WRAP_BITS: Final = 40
"""Unless it is opted in, a sum wraps anywhere with probability at most 2^-40."""


class Wrap(enum.StrEnum):
    """Whether sums may wrap around the ring: practically never, or now and then, for a finer grid.

    Wrapping costs accuracy, never privacy.
    """

    NEVER = "never"
    MODULAR = "modular"


@dataclasses.dataclass(frozen=True, slots=True)
class ModularGrid:
    """The ring's size and how much room its sums are given.

    Args:
        ring_bits: b, 8 to 32.
        wrap: a `Wrap` or its string.
        k: half the ring in standard deviations of a coordinate of the sum, above 0 and at most 64. Under "never" it need
            not be given, and may only be larger than `never_wraps` says; under "modular" it must be: 2 is usual.

    Raises:
        UnsafePlanError: an argument out of range.

    Source: privacy.md, Distributed discrete Gaussian, 5.
    """

    ring_bits: int = 16
    wrap: Wrap = Wrap.NEVER
    k: float | None = None

    def __post_init__(self) -> None:
        if type(self.ring_bits) is not int or not MIN_BITS <= self.ring_bits <= MAX_BITS:
            raise UnsafePlanError(
                "ring bits out of range",
                value=self.ring_bits,
                bound=f"{MIN_BITS}..{MAX_BITS}",
                remedy="16 bits suit most plans, 20 for more than a thousand parties",
            )
        if not isinstance(self.wrap, str) or self.wrap not in list(Wrap):
            raise UnsafePlanError(
                "wrap unknown",
                value=repr(self.wrap)[:80],
                bound="'never' or 'modular'",
                remedy="never needs a coarser grid, modular lets sums wrap now and then",
            )
        object.__setattr__(self, "wrap", Wrap(self.wrap))
        if self.k is None:
            if self.wrap is Wrap.MODULAR:
                raise UnsafePlanError(
                    "k where sums may wrap", value=self.k, bound="a number", remedy="say how far: k = 2 is usual"
                )
            return
        if isinstance(self.k, bool) or not isinstance(self.k, int | float) or not 0 < self.k <= 64:
            raise UnsafePlanError("k out of range", value=self.k, bound="> 0 and <= 64", remedy="leave it out")
        object.__setattr__(self, "k", float(self.k))

    def room(self, dimension: int) -> float:
        """Return k for vectors of this length.

        Raises:
            UnsafePlanError: a k that lets sums wrap, without the opt-in.
        """
        least = never_wraps(dimension)
        if self.k is None:
            return least
        if self.wrap is Wrap.NEVER and self.k < least:
            raise UnsafePlanError(
                "k lets sums wrap",
                value=self.k,
                bound=f">= {least:.6g} for {dimension} coordinates",
                remedy='leave k out, or opt in with wrap="modular"',
            )
        return self.k

    def radius(self, *, noise: float, parties: int, dimension: int) -> float:
        """Return R = c s, the largest clip in grid points: 2^b = 2 k sqrt(R^2 n^2 / d + n (1/4 + sigma^2)).

        Args:
            noise: sigma, the standard deviation of each party's noise, in grid points; 0 or more.
            parties: n, at most so many vectors are added.
            dimension: d, the padded length.

        Raises:
            UnsafePlanError: an argument out of range, or noise and rounding alone fill the ring.
        """
        _check(parties, dimension)
        _check_noise(noise)
        room = self._signal_variance(parties, dimension, 0.25 + noise**2)
        return math.sqrt(dimension * room) / parties

    def scale(self, *, clip: float, noise_real: float, parties: int, dimension: int) -> float:
        """Return s, grid points per unit: 2^b = 2 k s sqrt(c^2 n^2 / d + n (1/(4 s^2) + sigma_real^2)).

        Args:
            clip: c, in the update's own unit.
            noise_real: sigma_real, the standard deviation of each party's noise, in the update's own unit.
            parties: n, at most so many vectors are added.
            dimension: d, the padded length.

        Raises:
            UnsafePlanError: an argument out of range, or rounding alone fills the ring.
        """
        _check(parties, dimension)
        _check_noise(noise_real)
        room = self._signal_variance(parties, dimension, 0.25)
        return math.sqrt(room) / math.hypot(
            checked_clip(clip) * parties / math.sqrt(dimension), noise_real * math.sqrt(parties)
        )

    def _signal_variance(self, parties: int, dimension: int, per_party: float) -> float:
        """(2^b / 2k)^2 - n times what each party adds for certain."""
        whole = (2.0**self.ring_bits / (2 * self.room(dimension))) ** 2
        if not whole > parties * per_party:
            raise UnsafePlanError(
                f"rounding and noise of {parties} parties fill the ring of {self.ring_bits} bits: variance",
                value=parties * per_party,
                bound=f"< {whole:.6g}",
                remedy='raise ring_bits, lower the noise, or opt in with wrap="modular", k=2',
            )
        return whole - parties * per_party


def never_wraps(dimension: int) -> float:
    """Return the k with 2 d exp(-k^2 / 2) = 2^-40: 8.24 for d = 256.

    The coordinates of a rotated, rounded sum with discrete Gaussian noise are sub-Gaussian, and a union bound over them
    and both signs gives the rest. Two things are outside the proof. Rounding that is conditional on the norm is not
    independent between coordinates; its variance is a small part. Skellam noise has heavier tails: its exponent is smaller
    by about k^2 / (12 n sigma^2) of itself, .6 % for n sigma^2 = 1000.

    Args:
        dimension: d; anything but a power of two counts as the next one, so that no logarithm is rounded.
    """
    doublings = (dimension - 1).bit_length()
    return math.sqrt(2 * math.log(2) * (WRAP_BITS + 1 + doublings))


def headroom(ring_bits: int, *, radius: float, noise: float, parties: int, dimension: int) -> float:
    """Return k: half the ring in standard deviations of a coordinate of the sum. The inverse of `ModularGrid.radius`.

    Raises:
        UnsafePlanError: an argument out of range.
    """
    _check(parties, dimension)
    _check_noise(noise)
    spread = math.sqrt(radius**2 * parties**2 / dimension + parties * (0.25 + noise**2))
    return 2.0**ring_bits / (2 * spread)


def _check(parties: int, dimension: int) -> None:
    for name, value in (("parties", parties), ("dimension", dimension)):
        if type(value) is not int or not 1 <= value <= 2**40:
            raise UnsafePlanError(f"{name} out of range", value=value, bound="1..2^40", remedy=f"count the {name}")


def _check_noise(noise: float) -> None:
    if isinstance(noise, bool) or not isinstance(noise, int | float) or not 0 <= noise <= 1e100:
        raise UnsafePlanError("noise out of range", value=noise, bound="0..1e100", remedy="give a standard deviation")
