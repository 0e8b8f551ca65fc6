"""What a request for simulated data has to meet; a request that does not is refused here, by name."""

from __future__ import annotations

import math
import numbers
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from securefl.errors import ConfigError

Indices: TypeAlias = npt.NDArray[np.intp]
Labels: TypeAlias = npt.NDArray[np.integer[Any]]

_FLATTEST = 1e6
"""Above this concentration shares differ by less than one example in a thousand; near 1e308 numpy's draws are all 0."""


def whole(name: str, value: object, least: int, remedy: str) -> int:
    """Return `value` as an int.

    Raises:
        ConfigError: it is no whole number, or below `least`.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        needs = "an integer >= 0" if least == 0 else f"at least {least}"
        raise ConfigError(f"{name}: got {value!r}, needs {needs}", remedy=remedy)
    return int(value)


def checked_seed(seed: object) -> int:
    """Return the seed as an int.

    Raises:
        ConfigError: it is no whole number, or negative.
    """
    return whole("seed", seed, 0, "choose a seed that is a whole number and not negative")


def between(
    name: str, value: object, low: float, high: float, remedy: str, *, low_open: bool = False, high_open: bool = False
) -> float:
    """Return `value` as a float.

    Raises:
        ConfigError: it is no number from `low` to `high`, where an end may be excluded.
    """
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        number = float(value)
        if (low < number if low_open else low <= number) and (number < high if high_open else number <= high):
            return number
    finite = "a finite number" if math.isinf(high) else "a number"
    span = f"{'>' if low_open else '>='} {low:g}"
    if not math.isinf(high):
        span += f" and {'<' if high_open else '<='} {high:g}"
    raise ConfigError(f"{name}: got {value!r}, needs {finite} {span}", remedy=remedy)


def check_concentration(alpha: object) -> None:
    """Raise unless `alpha` concentrates a Dirichlet distribution.

    Raises:
        ConfigError: it is no number in (0, 1e6].
    """
    between("alpha", alpha, 0, _FLATTEST, "use alpha=1.0, or iid() for no skew", low_open=True)


def labels(y: npt.ArrayLike, classes: int | None = None) -> Labels:
    """Return the labels as an array.

    Args:
        y: labels, integer, (n,), from 0.
        classes: how many classes there are; None for what the labels say.

    Raises:
        ConfigError: no vector of integers, or a label outside 0..classes-1.
    """
    array = np.asarray(y)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise ConfigError(
            f"labels y: got dtype {array.dtype} with {array.ndim} axes, needs integers with 1 axis",
            remedy="number the classes from 0",
        )
    if classes is not None:
        whole("classes", classes, 1, "leave it out to count what is there")
    if array.size:
        low, high = int(array.min()), int(array.max())
        if low < 0:
            raise ConfigError(f"labels y: got {low}, needs numbers >= 0", remedy="number the classes from 0")
        if classes is not None and high >= classes:
            raise ConfigError(
                f"labels y: got {high}, needs numbers in 0..{classes - 1} for {classes} classes",
                remedy=f"pass classes={high + 1}, or number the classes from 0",
            )
    return array


def examples_of(y_or_n: npt.ArrayLike | int) -> int:
    """Return the number of examples, given labels or just that number.

    Raises:
        ConfigError: neither.
    """
    if np.ndim(y_or_n) == 0:
        return whole("examples", y_or_n, 0, "pass the labels, or the number of examples")
    return len(labels(y_or_n))


def check_request(examples: int, parties: object, min_examples: object = 1) -> int:
    """Return the number of parties as an int.

    Raises:
        ConfigError: a number is no whole number >= 1, or there are too few examples for the request.
    """
    count = whole("parties", parties, 1, "ask for one party or more")
    least = whole("min_examples", min_examples, 1, "a party without examples cannot train")
    if count * least > examples:
        raise ConfigError(
            f"parties: got {count} with at least {least} examples each, "
            f"needs parties * min_examples <= {examples}, the number of examples",
            remedy=f"ask for at most {examples // least} parties, or lower min_examples",
        )
    return count
