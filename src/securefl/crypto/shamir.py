"""Shamir's secret sharing of 32-byte secrets over GF(2^256 + 297).

Python integers are not constant-time: see SECURITY.md.

Source: A. Shamir, How to share a secret, CACM 22(11), 1979.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from itertools import islice, repeat
from typing import Final

from securefl.crypto.random import OS, RandomSource
from securefl.errors import CryptoError

PRIME: Final = 2**256 + 297
"""The least prime above 2^256, so that every 32-byte string is a field element."""

SECRET_BYTES: Final = 32
SHARE_BYTES: Final = 33

_LAZY_STEPS: Final = 32
"""Steps of Horner's rule between two reductions: with x a roster index the value grows by a few bits a step, which is
cheaper than reducing, until it is about twice as long."""


def is_share(share: bytes) -> bool:
    """Whether these bytes can be a share at all: 33 of them, big-endian, below p."""
    return len(share) == SHARE_BYTES and int.from_bytes(share, "big") < PRIME


def split(secret: bytes, *, threshold: int, points: Sequence[int], random: RandomSource = OS) -> dict[int, bytes]:
    """Split a secret so that any `threshold` shares rebuild it and fewer say nothing about it.

    Args:
        secret: 32 bytes.
        threshold: t; the polynomial has degree t - 1.
        points: the x of each share: distinct, in 1..p-1.
        random: source of the coefficients.

    Returns:
        The share of each point: 33 bytes big-endian, below p.

    Raises:
        CryptoError: the secret has not 32 bytes, a point is zero or appears twice, or t is outside 1..len(points).
    """
    if len(secret) != SECRET_BYTES:
        raise CryptoError(f"a secret to share has {len(secret)} bytes, needs {SECRET_BYTES}")
    _check_points(points)
    if not 1 <= threshold <= len(points):
        raise CryptoError(f"the threshold is {threshold}, needs 1..{len(points)}, the number of shares")
    # Highest degree first. A leading zero is as likely as any value: excluding it would tell t - 1 holders something.
    coefficients = [*(random.below(PRIME) for _ in range(threshold - 1)), int.from_bytes(secret, "big")]
    return {x: _evaluate(coefficients, x).to_bytes(SHARE_BYTES, "big") for x in points}


class LagrangeBasis:
    """The weights that take shares at fixed points to the secret at zero: computed once, used for every secret.

    Args:
        points: the x of the shares to come, in their order; exactly t of them.

    Raises:
        CryptoError: no points, or a point is zero or appears twice.
    """

    __slots__ = ("_points", "_weights")

    def __init__(self, points: Sequence[int], *, _weights: tuple[int, ...] = ()) -> None:
        _check_points(points)
        if not points:
            raise CryptoError("no shares to combine: needs at least one point")
        self._points = tuple(points)
        self._weights = _weights or _weights_at_zero(points)

    @property
    def points(self) -> tuple[int, ...]:
        """The x of the shares, in the order in which `combine` takes them."""
        return self._points

    def combine(self, shares: Sequence[bytes]) -> bytes:
        """Rebuild the secret, 32 bytes, from one share for each point.

        A false share gives a false secret: compare with the owner's commitment before use.

        Args:
            shares: 33 bytes big-endian each, below p, in the order of `points`.

        Raises:
            CryptoError: a share is malformed, their number is not that of the points, or they rebuild no 32-byte value.
        """
        if len(shares) != len(self._points):
            raise CryptoError(f"{len(shares)} shares for {len(self._points)} points")
        values = map(_field_element, shares, self._points)
        secret: int = sum(map(operator.mul, self._weights, values)) % PRIME
        if secret >> 8 * SECRET_BYTES:
            raise CryptoError(
                "the shares rebuild a value of 2^256 or more, which nobody shared",
                remedy="one of the shares is false: use other holders'",
            )
        return secret.to_bytes(SECRET_BYTES, "big")

    @classmethod
    def many(cls, sets: Sequence[Sequence[int]]) -> list[LagrangeBasis]:
        """Return the basis of each set of points; one inversion serves them all.

        Raises:
            CryptoError: as for a single one.
        """
        for points in sets:
            _check_points(points)
            if not points:
                raise CryptoError("no shares to combine: needs at least one point")
        inverses = iter(_invert_all([bottom for points in sets for bottom in _denominators(points)]))
        return [cls(points, _weights=_weights(points, list(islice(inverses, len(points))))) for points in sets]

    def replace(self, old: int, new: int) -> LagrangeBasis:
        """Return the basis with point `old` replaced by `new` in its place, in O(t) products and one inversion.

        Raises:
            CryptoError: `old` is not among the points, or `new` is zero or already there.
        """
        if old not in self._points:
            raise CryptoError(f"point {old} is not in this basis")
        if new in self._points:
            raise CryptoError(f"point {new} is already in this basis")
        _check_points([new])
        others = [x for x in self._points if x != old]
        inverse_old, *inverses = _invert_all([old, *(new - x for x in others)])
        # The new point's weight is prod_j x_j / (x_j - x_new); every other gains x_new / (x_new - x_i) and loses
        # x_old / (x_old - x_i).
        added = _product([-1 if len(others) % 2 else 1, *others, *inverses])
        ratio, gained = new * inverse_old % PRIME, iter(inverses)
        weights = tuple(
            added if x == old else weight * ratio * (old - x) * next(gained) % PRIME
            for x, weight in zip(self._points, self._weights, strict=True)
        )
        return LagrangeBasis([new if x == old else x for x in self._points], _weights=weights)


def _weights_at_zero(points: Sequence[int]) -> tuple[int, ...]:
    """Return prod_{j != i} x_j / (x_j - x_i) for every i, as prod_j x_j / (x_i prod_{j != i} (x_j - x_i))."""
    return _weights(points, _invert_all(_denominators(points)))


def _weights(points: Sequence[int], inverses: Sequence[int]) -> tuple[int, ...]:
    numerator = math.prod(points) % PRIME
    return tuple(numerator * inverse % PRIME for inverse in inverses)


def _denominators(points: Sequence[int]) -> list[int]:
    denominators = []
    for i, x in enumerate(points):
        others = (*points[:i], *points[i + 1 :])
        denominators.append(x * math.prod(map(operator.sub, others, repeat(x))) % PRIME)
    return denominators


def _evaluate(coefficients: Sequence[int], x: int) -> int:
    """Evaluate a polynomial by Horner's rule, highest degree first."""
    value = 0
    for start in range(0, len(coefficients), _LAZY_STEPS):
        for coefficient in coefficients[start : start + _LAZY_STEPS]:
            value = value * x + coefficient
        value %= PRIME
    return value


def _product(values: Sequence[int]) -> int:
    product = 1
    for value in values:
        product = product * value % PRIME
    return product


def _invert_all(values: Sequence[int]) -> list[int]:
    """Invert nonzero values modulo p with one inversion.

    Source: P. L. Montgomery, Speeding the Pollard and elliptic curve methods, 1987, section 10.3.1.
    """
    prefixes = [1]
    for value in values:
        prefixes.append(prefixes[-1] * value % PRIME)
    inverse = pow(prefixes.pop(), -1, PRIME)
    inverses = []
    for value, prefix in zip(reversed(values), reversed(prefixes), strict=True):
        inverses.append(inverse * prefix % PRIME)
        inverse = inverse * value % PRIME
    return inverses[::-1]


def _check_points(points: Sequence[int]) -> None:
    seen: set[int] = set()
    for x in points:
        if not 0 < x < PRIME:
            raise CryptoError(f"{x} cannot be the point of a share, needs 1..p-1: the share at 0 is the secret itself")
        if x in seen:
            raise CryptoError(f"point {x} appears twice among the shares")
        seen.add(x)


def _field_element(share: bytes, x: int) -> int:
    if len(share) != SHARE_BYTES:
        raise CryptoError(f"the share at point {x} has {len(share)} bytes, needs {SHARE_BYTES}")
    value = int.from_bytes(share, "big")
    if value >= PRIME:
        raise CryptoError(f"the share at point {x} is no field element: it is not below 2^256 + 297")
    return value
