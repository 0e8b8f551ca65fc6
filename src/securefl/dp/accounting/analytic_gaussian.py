"""The Gaussian mechanism's exact privacy: one release, any epsilon.

Source: Balle, Wang 2018, theorem 8. The classical formula holds below epsilon 1 only and is nowhere used.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from securefl.dp.accounting._extra import load
from securefl.dp.accounting.floats import open_delta, positive, real, shown, up
from securefl.errors import UnsafePlanError

_BISECTIONS = 200
_REMEDY = "name a positive number"


def gaussian_delta(epsilon: float, noise_multiplier: float) -> float:
    """Return the least delta at which the Gaussian mechanism is (epsilon, delta)-private, rounded up.

    Args:
        epsilon: at least 0.
        noise_multiplier: standard deviation over L2 sensitivity.

    Raises:
        UnsafePlanError: epsilon is negative or no number, or the multiplier is not positive.
    """
    if not real(epsilon) >= 0.0:
        raise UnsafePlanError("epsilon is out of range", value=shown(epsilon), bound=">= 0", remedy=_REMEDY)
    positive("the noise multiplier", noise_multiplier, _REMEDY)
    if math.isinf(epsilon):
        return 0.0
    special = load("scipy.special")
    near = epsilon * noise_multiplier - 0.5 / noise_multiplier
    far = epsilon * noise_multiplier + 0.5 / noise_multiplier
    # Phi(-near) - e^epsilon Phi(-far); with e^epsilon phi(far) = phi(near) the exponential cancels.
    if near < 0.0:
        size = 1.0
        value = math.exp(special.log_ndtr(-near)) - math.exp(epsilon + special.log_ndtr(-far))
    else:
        size = 0.5 * math.exp(-near * near / 2.0)
        value = size * (special.erfcx(near / math.sqrt(2.0)) - special.erfcx(far / math.sqrt(2.0)))
    error = 2.0**-46 * size * (1.0 + far * far)  # exponents of up to far^2, each off by some 2^-52
    return min(1.0, up(max(0.0, value) + error))


def gaussian_epsilon(delta: float, noise_multiplier: float) -> float:
    """Return the least epsilon >= 0 at which the Gaussian mechanism is (epsilon, delta)-private, rounded up.

    Raises:
        UnsafePlanError: delta is outside (0, 1), or the multiplier is not positive.
    """
    open_delta(delta)
    if gaussian_delta(0.0, noise_multiplier) <= delta:
        return 0.0
    return _least(lambda epsilon: gaussian_delta(epsilon, noise_multiplier) <= delta)


def gaussian_noise_multiplier(epsilon: float, delta: float) -> float:
    """Return the least noise multiplier at which the Gaussian mechanism is (epsilon, delta)-private, rounded up.

    Raises:
        UnsafePlanError: epsilon is not positive, or delta is outside (0, 1).
    """
    positive("epsilon", epsilon, _REMEDY)
    open_delta(delta)
    return _least(lambda multiplier: gaussian_delta(epsilon, multiplier) <= delta)


def _least(holds: Callable[[float], bool]) -> float:
    """Return a float at which the monotone condition holds, one place above where it does not."""
    above = 1.0
    while not holds(above):
        above *= 2.0
    below = above / 2.0
    while holds(below):
        above, below = below, below / 2.0
    for _ in range(_BISECTIONS):
        middle = (below + above) / 2.0
        if not below < middle < above:
            break
        if holds(middle):
            above = middle
        else:
            below = middle
    return above
