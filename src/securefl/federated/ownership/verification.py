"""Whether a model knows a trigger set: how many labels it gives as they were drawn, and how likely that is by chance."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from securefl.errors import ConfigError, NonFiniteError, SecureFLError
from securefl.federated.models import Model, Params
from securefl.federated.ownership.triggers import TriggerSet

ALPHA = 1e-3


@dataclasses.dataclass(frozen=True, slots=True)
class Verification:
    """What a claim rests on.

    Of a model that was made without knowledge of the set, the number of matches is Binomial(n, 1/k): whatever it answers, each label
    was drawn uniformly among k and independently of the others. So a p-value below p comes up with probability at most p.

    Args:
        matches: triggers that the model labels as drawn.
        size: n.
        classes: k.
        alpha: the probability of a false claim that is accepted, for this one model.
        generated: whether inputs and labels follow from a seed, so that a judge can check how they were drawn.
    """

    matches: int
    size: int
    classes: int
    alpha: float = ALPHA
    generated: bool = False

    @property
    def tail(self) -> Fraction:
        """The p-value, exactly."""
        return binomial_tail(self.matches, self.size, self.classes)

    @property
    def p_value(self) -> float:
        """The probability of so many matches or more by chance; 0.0 below the least float, see `log10_p_value`."""
        return float(self.tail)

    @property
    def log10_p_value(self) -> float:
        """The p-value's decimal logarithm, which does not underflow."""
        tail = self.tail
        return math.log10(tail.numerator) - math.log10(tail.denominator)

    @property
    def significant(self) -> bool:
        """Whether the p-value is at most alpha."""
        return self.tail <= _decimal(self.alpha)

    def __str__(self) -> str:
        verdict = "" if self.significant else "not "
        return (
            f"{self.matches} of {self.size} triggers answered as drawn, {self.size / self.classes:.1f} expected by chance: "
            f"p = {p_text(self)}, {verdict}significant at {self.alpha:g}"
        )


def verify(model: Model, params: Params, triggers: TriggerSet, *, alpha: float = ALPHA) -> Verification:
    """Compare a model's answers with the labels of a set.

    A set is for one claim: who has seen it can train a model on it, or against it. To try m models, divide alpha by m.

    Args:
        model: how parameters become answers.
        params: the model in question.
        triggers: the owner's.
        alpha: probability of a false claim that is accepted, in (0, 1).

    Raises:
        ConfigError: the model takes other inputs, or so few triggers that no answer could be significant.
        NonFiniteError: a parameter is not finite.

    Source: Adi et al. 2018 (arXiv:1802.04633), section 4; the exact tail instead of a threshold.
    """
    check_alpha(triggers, alpha)
    for name, leaf in tensors(params).items():
        if not np.isfinite(leaf).all():
            raise NonFiniteError(
                f"the model's tensor {name!r} has values that are not finite", tensor=name, remedy="it answers nothing"
            )
    answers = answers_of(model, params, triggers)
    matches = int((answers == triggers.y).sum())
    return Verification(matches, len(triggers), triggers.classes, float(alpha), triggers.generated)


def binomial_tail(matches: int, size: int, classes: int) -> Fraction:
    """Return P(Binomial(size, 1/classes) >= matches), exactly, in integers.

    Args:
        matches: m, in 0..n.
        size: n, at least 1.
        classes: k, at least 2.

    Raises:
        ConfigError: one is out of range.
    """
    whole = all(isinstance(each, int | np.integer) for each in (matches, size, classes))
    if not whole or size < 1 or classes < 2 or not 0 <= matches <= size:
        raise ConfigError(
            f"got {matches} matches of {size} with {classes} classes, needs integers 0 <= matches <= size, size >= 1, classes >= 2",
            remedy="pass the counts that verify gives",
        )
    return _tail(int(matches), int(size), int(classes))  # integers of numpy would overflow


@functools.lru_cache(maxsize=256)
def _tail(matches: int, size: int, classes: int) -> Fraction:
    term = total = 1  # C(n, i) (k - 1)^(n - i), from i = n on downwards
    for i in range(size, matches, -1):
        term = term * i * (classes - 1) // (size - i + 1)
        total += term
    return Fraction(total, classes**size)


def check_alpha(triggers: TriggerSet, alpha: float) -> None:
    """Check that a model which knows all triggers would be told from chance.

    Raises:
        ConfigError: alpha is not in (0, 1), or there are too few triggers.
    """
    if not isinstance(triggers, TriggerSet):
        raise ConfigError(
            f"triggers: got a {type(triggers).__name__}, needs a TriggerSet", remedy="read a file with TriggerSet.load"
        )
    if isinstance(alpha, bool) or not isinstance(alpha, int | float | np.floating) or not 0 < alpha < 1:
        raise ConfigError(f"alpha: got {alpha}, needs a number in (0, 1)", remedy="use alpha=0.001")
    if Fraction(1, triggers.classes ** len(triggers)) > _decimal(alpha):
        needed = len(triggers)
        while Fraction(1, triggers.classes**needed) > _decimal(alpha):
            needed += 1
        raise ConfigError(
            f"{len(triggers)} triggers of {triggers.classes} classes: even all matches would have p = "
            f"{triggers.classes ** -len(triggers):.2g}, above alpha = {alpha:g}",
            remedy=f"use at least {needed}, and 100 to survive what a thief does to a model",
        )


def tensors(params: Params) -> Params:
    """The parameters, where they are arrays of numbers by name.

    Raises:
        ConfigError: they are something else, such as a file's name.
    """
    if not isinstance(params, Mapping):
        raise ConfigError(
            f"parameters: got a {type(params).__name__}, needs arrays by name",
            remedy="use Federation.params, or dict(numpy.load(...)) of a file",
        )
    for name, leaf in params.items():
        if np.asarray(leaf).dtype.kind not in "fiub":
            raise ConfigError(
                f"parameters: tensor {name!r} has dtype {np.asarray(leaf).dtype}, needs numbers",
                remedy="use the parameters of the model",
            )
    return params


def answers_of(model: Model, params: Params, triggers: TriggerSet) -> np.ndarray:
    """The model's labels for the triggers, integer, (n,).

    Raises:
        ConfigError: it cannot take them, or gives something else.
    """
    try:
        answers = np.asarray(model.predict(params, triggers.x))
    except SecureFLError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, RuntimeError, AttributeError) as error:
        raise ConfigError(
            f"the model cannot answer triggers of shape {triggers.shape} with these parameters: {type(error).__name__}",
            remedy="use the model of these parameters, and triggers in the shape of its inputs",
        ) from error
    if answers.shape != (len(triggers),) or not np.issubdtype(answers.dtype, np.integer):
        raise ConfigError(
            f"the model's answers have dtype {answers.dtype} and shape {answers.shape}, needs integers ({len(triggers)},)",
            remedy="let predict return one label a row",
        )
    return answers


def _decimal(alpha: float) -> Fraction:
    """The level as it is written: the float 1e-6 lies below a millionth, which six triggers of ten classes reach."""
    return Fraction(repr(float(alpha)))


def p_text(found: Verification) -> str:
    """The p-value in two digits, also far below the least float."""
    exponent = math.floor(found.log10_p_value)
    if exponent >= -4:
        return f"{found.p_value:.2g}"
    digits = f"{10 ** (found.log10_p_value - exponent):.1f}"
    return f"1.0e{exponent + 1:d}" if digits == "10.0" else f"{digits}e{exponent:d}"
