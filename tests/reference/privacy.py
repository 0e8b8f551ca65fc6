"""Page, "Privacy": whether the noise that a plan states is there, in exact rational numbers."""

import math
from fractions import Fraction

from reference.errors import Malformed, Refused

MOST_NOISE = 62
"""The most seeds of noise that fit beside the two other secrets."""

OF_ONE = ("central-discrete-gaussian", "local-discrete-gaussian")
"""Mechanisms of which one share alone is counted."""


def dimension(size, adaptive):
    """Coordinates of the vector: the number of values, and of the bit of an adaptive clip, padded to a power of two."""
    d = 1
    while d < size + (1 if adaptive else 0):
        d *= 2
    return d


def squared_sensitivity(radius, d, slack):
    """floor(D2^2): D2^2 = min{(R + sqrt d)^2, R^2 + d/4 + slack (R + sqrt(d)/2)}.

    Source: Kairouz, Liu, Steinke 2021, theorem 1, with c s = R and slack = sqrt(2 ln(1/beta)).
    """
    r = Fraction(radius)
    worst = _floor(r * r + d, 2 * r, d)
    if math.isinf(slack):
        return worst
    s = Fraction(slack)
    return min(worst, _floor(r * r + Fraction(d, 4) + s * r, s / 2, d))


def _floor(a, b, d):
    """floor(a + b sqrt d) for rational a, b >= 0: the least integer of which neither a nor its rest squared is exceeded."""
    low, high = math.floor(a), math.floor(a) + math.floor(b) * (math.isqrt(d) + 1) + math.isqrt(d) + 2
    while high - low > 1:
        middle = (low + high) // 2
        if (middle - a) ** 2 <= b * b * d:
            low = middle
        else:
            high = middle
    return low


def components(variance, parties, colluders, noise):
    """XNoise: the variances of a party's shares: W/n, which stays, and W / ((n - j)(n - j + 1)) of seed j = 1..J.

    Source: Jiang, Wang, Chen 2024, section 3.2; W = V (n - J) / (n - J - c) makes up for what colluders know.
    """
    n, kept = parties, parties - noise
    w = Fraction(variance) * Fraction(kept, kept - colluders)
    return [w / n, *(w / ((n - j) * (n - j + 1)) for j in range(1, noise + 1))]


def check(privacy, *, values, parties, survivors, colluders, threshold):
    """Refuse noise below the multiplier, colluders of whom too few honest shares would be left, and XNoise that cannot come off.

    `threshold` is t on the complete graph; on the k-regular one, where it counts neighbours alone, none.
    """
    kind, multiplier, noise = privacy["mechanism"], privacy["noise_multiplier"], privacy["max_dropouts"]
    if noise and kind != "distributed-skellam":
        raise Malformed("a field of another mechanism")
    if not multiplier > 0 or not privacy["variance"] > 0 or not privacy["radius"] > 0:
        raise Refused("noise, variance or radius of nothing")
    if noise and (noise > MOST_NOISE or survivors < parties - noise or parties - noise < 3):
        raise Refused("more seeds of noise than a party can deal, or a sum for which there would be no noise")
    shares = 1 if kind in OF_ONE or noise else survivors - colluders
    there = parties - noise if noise else survivors
    if kind not in OF_ONE and colluders > min(there, there if threshold is None else threshold) - 2:
        raise Refused("too many colluders")
    if noise and min(components(privacy["variance"], parties, colluders, noise)) < Fraction(1, 16):
        raise Refused("a share of the noise that is too small to draw")
    d = dimension(values, privacy["adaptive"])
    needed = Fraction(multiplier) ** 2 * squared_sensitivity(privacy["radius"], d, privacy["slack"])
    if Fraction(privacy["variance"]) * shares < needed:
        raise Refused("less noise than the multiplier says")
