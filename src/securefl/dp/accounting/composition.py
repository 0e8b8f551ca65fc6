"""Events made of events: repetition, composition, sampling."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Final

from securefl.dp.accounting.events import (
    CompensatedSkellam,
    DiscreteGaussianCentral,
    DistributedSkellam,
    Event,
    GaussianRelease,
    check_count,
)
from securefl.dp.accounting.floats import real, shown
from securefl.errors import UnsafePlanError

_CENTRAL: Final = (GaussianRelease, DiscreteGaussianCentral)
_FIXED_VARIANCE: Final = (*_CENTRAL, CompensatedSkellam)
_SKELLAM: Final = (DistributedSkellam, CompensatedSkellam)


@dataclasses.dataclass(frozen=True, slots=True)
class Repeated(Event):
    """The same event, `count` times, each with fresh noise and fresh sampling."""

    event: Event
    count: int

    def __post_init__(self) -> None:
        check_count("the number of rounds", self.count)

    def leaves(self, count: int = 1) -> Iterator[tuple[Event, int]]:
        """Yield the leaves of the event, counted `count` times as often."""
        return self.event.leaves(count * self.count)

    def unsampled(self) -> Event:
        """Return the event without its sampling."""
        return Repeated(self.event.unsampled(), self.count)


@dataclasses.dataclass(frozen=True, slots=True)
class Composed(Event):
    """Several events on the same data, each with its own noise."""

    events: tuple[Event, ...]

    def __post_init__(self) -> None:
        if not self.events:
            raise UnsafePlanError(
                "a composition of nothing", value="()", bound="at least one event", remedy="name what was released"
            )

    def leaves(self, count: int = 1) -> Iterator[tuple[Event, int]]:
        """Yield the leaves of all events."""
        for event in self.events:
            yield from event.leaves(count)

    def unsampled(self) -> Event:
        """Return the events without their sampling."""
        return Composed(tuple(event.unsampled() for event in self.events))


@dataclasses.dataclass(frozen=True, slots=True)
class _Sampled(Event):
    """An event on a random part of the units, hidden from whom the epsilon is against."""

    event: Event

    def __post_init__(self) -> None:
        if is_sampled(self.event):
            raise UnsafePlanError(
                "a sample of a sample",
                value=type(self.event).__name__,
                bound="an event without sampling",
                remedy="sample once",
            )
        if not all(isinstance(release, _FIXED_VARIANCE) for release in releases(self.event)):
            raise UnsafePlanError(
                "sampling amplifies nothing where each party brings its own noise, for the variance tells who took part",
                value=type(self.event).__name__,
                bound="noise of fixed variance (central, or XNoise)",
                remedy="account the event without sampling",
            )

    def unsampled(self) -> Event:
        """Return the event without its sampling."""
        return self.event


@dataclasses.dataclass(frozen=True, slots=True)
class PoissonSampled(_Sampled):
    """An event in which each unit takes part with probability q, independently.

    Args:
        event: what happens with the sample; unsampled, with noise of fixed variance.
        q: the probability, in (0, 1].

    Raises:
        UnsafePlanError: q is outside (0, 1], or the event cannot be amplified.
    """

    q: float

    def __post_init__(self) -> None:
        _Sampled.__post_init__(self)
        if not 0.0 < real(self.q) <= 1.0:
            raise UnsafePlanError(
                "the sampling rate is out of range",
                value=shown(self.q),
                bound="0 < q <= 1",
                remedy="q = 1 is everybody",
            )


@dataclasses.dataclass(frozen=True, slots=True)
class FixedSizeSampled(_Sampled):
    """An event on a sample of fixed size, drawn without replacement; Gaussian noise and replace-one only.

    Args:
        event: Gaussian releases.
        sample_size: units in the sample.
        population: units to draw from.

    Raises:
        UnsafePlanError: the sample is larger than the population, or the event is not Gaussian.

    Source: Wang, Balle, Kasiviswanathan 2019, theorem 27.
    """

    sample_size: int
    population: int

    def __post_init__(self) -> None:
        _Sampled.__post_init__(self)
        check_count("the size of the sample", self.sample_size)
        check_count("the population", self.population)
        if not self.sample_size <= self.population:
            raise UnsafePlanError(
                "the sample is larger than the population",
                value=self.population,
                bound=f">= {self.sample_size}",
                remedy="sample fewer",
            )
        if not is_gaussian(self.event):
            raise UnsafePlanError(
                "no bound is known for integer noise on samples of fixed size",
                value=type(self.event).__name__,
                bound="GaussianRelease",
                remedy="use Poisson sampling, or account the event without sampling",
            )


def sample_of(q: float, event: Event) -> Event:
    """Return the event under Poisson sampling at rate q; at q = 1 the event itself, since everybody takes part."""
    return event if real(q) == 1.0 else PoissonSampled(event, q)


def releases(event: Event) -> Iterator[Event]:
    """Yield what was released, without counts and samplings."""
    for leaf, _ in event.unsampled().leaves():
        yield leaf


def is_sampled(event: Event) -> bool:
    """Whether any part of the event is on a sample."""
    return any(isinstance(leaf, _Sampled) for leaf, _ in event.leaves())


def is_gaussian(event: Event) -> bool:
    """Whether all noise is continuous Gaussian, so that the Gaussian's privacy loss distribution is a bound."""
    return all(isinstance(release, GaussianRelease) for release in releases(event))


def is_central(event: Event) -> bool:
    """Whether a curator adds some of the noise, and so sees a sum without it."""
    return any(isinstance(release, _CENTRAL) for release in releases(event))


def is_distributed(event: Event) -> bool:
    """Whether some of the noise is made of the parties' shares."""
    return any(not isinstance(release, _CENTRAL) for release in releases(event))


def needs_integer_orders(event: Event) -> bool:
    """Whether its RDP is bounded at integer orders only: Skellam noise, and integer noise under sampling."""
    return any(isinstance(release, _SKELLAM) for release in releases(event)) or any(
        isinstance(leaf, PoissonSampled) and not is_gaussian(leaf) for leaf, _ in event.leaves()
    )
