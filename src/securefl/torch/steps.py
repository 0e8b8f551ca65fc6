"""Opacus' accounting history as our accounting events, and what of it is new since the last charge."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, TypeAlias

from securefl.dp.accounting.composition import Composed, Repeated, sample_of
from securefl.dp.accounting.events import Event, GaussianRelease
from securefl.errors import ConfigError, LocalProtocolError


@dataclasses.dataclass(frozen=True, slots=True)
class Steps:
    """Steps of DP-SGD with the same noise and sampling.

    Args:
        noise_multiplier: z, standard deviation of the noise over the norm to which gradients are clipped.
        sample_rate: q, the probability with which an example is in a batch.
        count: how many steps.
    """

    noise_multiplier: float
    sample_rate: float
    count: int

    @property
    def event(self) -> Event:
        """What an accountant is told.

        Raises:
            UnsafePlanError: z is not positive, or q is outside (0, 1].
        """
        return Repeated(sample_of(self.sample_rate, GaussianRelease(self.noise_multiplier)), self.count)


History: TypeAlias = Any
"""An Opacus `PrivacyEngine` or accountant, its `history` of (z, q, steps), or `Steps`."""


def steps_of(source: History) -> tuple[Steps, ...]:
    """Return an Opacus history as steps, equal neighbours merged.

    Nothing in a history says whether batches were Poisson samples: with `poisson_sampling=False` it is no account.

    Raises:
        ConfigError: no history.
    """
    accountant = getattr(source, "accountant", source)
    entries: Any = getattr(accountant, "history", accountant)
    merged: list[Steps] = []
    try:
        for entry in entries:
            steps = entry if isinstance(entry, Steps) else Steps(float(entry[0]), float(entry[1]), int(entry[2]))
            if merged and dataclasses.replace(merged[-1], count=steps.count) == steps:
                steps = dataclasses.replace(steps, count=merged.pop().count + steps.count)
            merged.append(steps)
    except (TypeError, ValueError, IndexError) as error:
        raise ConfigError(
            f"{type(source).__name__} is no accounting history: {error}",
            remedy="give Opacus' PrivacyEngine, its accountant, or a list of (noise_multiplier, sample_rate, steps)",
        ) from error
    return tuple(merged)


def steps_since(source: History, charged: Iterable[Steps]) -> tuple[Steps, ...]:
    """Return the steps that were added to a history after `charged` was read from it.

    Raises:
        LocalProtocolError: the history does not continue that one: it was reset, or is another engine's.
        ConfigError: no history.
    """
    now, before = steps_of(source), steps_of(charged)
    if not before:
        return now
    last = len(before) - 1
    grown = now[last].count - before[last].count if len(now) > last else -1
    if (
        now[:last] != before[:last]
        or grown < 0
        or dataclasses.replace(now[last], count=before[last].count) != before[last]
    ):
        raise LocalProtocolError(
            f"this history does not go on from the {sum(steps.count for steps in before)} steps that were charged",
            remedy="what was charged stays spent: keep one history an engine, and charge a new engine's from its start",
        )
    return (*((dataclasses.replace(now[last], count=grown),) if grown else ()), *now[last + 1 :])


def event_of(source: History) -> Event:
    """Return one event for all steps of a history, for an epsilon or a `Charge` with `Unit.EXAMPLE` under add-remove.

    Raises:
        UnsafePlanError: no steps at all, or steps without noise.
        ConfigError: no history.
    """
    events = tuple(steps.event for steps in steps_of(source))
    return events[0] if len(events) == 1 else Composed(events)
